"""Sphinx directives for what is generated from the code.

``{generated} NAME`` inserts what the function NAME of `reference` returns. ``{example} FILE``
shows a program of docs/examples and what it printed when it ran just now, on the embedded
simulator. The pages can therefore not drift from the code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar

import reference
from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinx.util.nodes import make_refnode

_EXAMPLES = Path(__file__).parents[1] / "examples"
_LIMIT_SECONDS = 180
_FOREIGN = ("QRMI_", "SLURM_", "PBS_", "LSB_", "FLUX_", "SGE_")


class Generated(SphinxDirective):
    """Insert one generated part."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Parse what the function returns, headings included."""
        for path in _sources():
            self.env.note_dependency(str(path))
        text: str = getattr(reference, self.arguments[0])()
        return self.parse_text_to_nodes(text, allow_section_headings=True)


class Example(SphinxDirective):
    """Show a program and its output."""

    required_arguments = 1
    option_spec: ClassVar = {}

    def run(self) -> list[nodes.Node]:
        """Run the program; a failure is a warning, and so fails the build."""
        path = _EXAMPLES / self.arguments[0]
        self.env.note_dependency(str(path))
        if not path.is_file():
            message = f"there is no docs/examples/{path.name}"
            return [self.state.document.reporter.warning(message, line=self.lineno)]
        source = path.read_text(encoding="utf-8")
        code = nodes.literal_block(source, source, language="python")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", path],
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            env=_plain_environment(self.env.app.qrmi_state.name),
            check=False,
        )
        if done.returncode:
            message = f"{path.name} failed with code {done.returncode}:\n{done.stderr}"
            return [code, self.state.document.reporter.warning(message, line=self.lineno)]
        output = nodes.literal_block(done.stdout, done.stdout, language="text")
        return [code, nodes.paragraph("", "It prints:"), output]


def _plain_environment(state: str) -> dict[str, str]:
    """No configuration and no scheduler's job, so that the embedded simulator is used."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return {**kept, "QRMI_STATE_DIR": state, "XDG_CONFIG_HOME": state}


def _sources() -> list[Path]:
    import qrmi

    return [path for folder in qrmi.__path__ for path in Path(folder).glob("*.py")]


def _resolve(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, shown: nodes.TextElement
) -> nodes.reference | None:
    """Link a name of ours to the one place where it is documented, under whatever module."""
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not (target.startswith("qrmi") or _is_bare_error(target)):
        return None
    last = target.rpartition(".")[2]
    found = {
        (entry.docname, entry.node_id)
        for name, entry in env.domains.python_domain.objects.items()
        if name.rpartition(".")[2] == last and not entry.aliased
    }
    if len(found) != 1:
        return None
    ((document, anchor),) = found
    return make_refnode(app.builder, node["refdoc"], document, anchor, shown, target)


def _is_bare_error(target: str) -> bool:
    return target.endswith("Error") and "." not in target


def _make_state(app: Sphinx) -> None:
    app.qrmi_state = tempfile.TemporaryDirectory(prefix="qrmi-docs-")


def _remove_state(app: Sphinx, _exception: Exception | None) -> None:
    from qrmi_local import client

    client.shutdown(Path(app.qrmi_state.name))
    app.qrmi_state.cleanup()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("generated", Generated)
    app.add_directive("example", Example)
    app.connect("missing-reference", _resolve)
    app.connect("builder-inited", _make_state)
    app.connect("build-finished", _remove_state)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
