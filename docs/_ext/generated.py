"""Sphinx directives for what is generated from the code.

``{generated} NAME`` inserts what the function NAME of `reference` returns. ``{example} FILE``
shows a program of docs/examples and what it printed when it ran just now, on the embedded
simulator. ``{printed} ARGUMENTS`` shows what ``qrmi ARGUMENTS`` printed. The pages can therefore
not drift from the code.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

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


class _Running(SphinxDirective):
    """Runs something on the embedded simulator; a failure is a warning, and fails the build."""

    def printed(self, *command: str | Path, heading: str = "") -> list[nodes.Node]:
        """What Python prints when it is run with these arguments, below ``heading``."""
        done = subprocess.run(
            [sys.executable, "-W", "ignore", *command],
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            env=_plain_environment(self.env.app.qrmi_state.name),
            check=False,
        )
        if done.returncode:
            shown = " ".join(map(str, command))
            return self.failed(f"{shown} ended with code {done.returncode}:\n{done.stderr}")
        text = heading + done.stdout
        return [nodes.literal_block(text, text, language="text")]

    def failed(self, message: str) -> list[nodes.Node]:
        """A warning at this line."""
        return [self.state.document.reporter.warning(message, line=self.lineno)]


class Example(_Running):
    """Show a program of docs/examples and its output."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Run the program as it stands."""
        path = _EXAMPLES / self.arguments[0]
        if not path.is_file():
            return self.failed(f"there is no docs/examples/{path.name}")
        self.env.note_dependency(str(path))
        source = path.read_text(encoding="utf-8")
        code = nodes.literal_block(source, source, language="python")
        return [code, nodes.paragraph("", "It prints:"), *self.printed(path)]


class Command(_Running):
    """Show what a ``qrmi`` command prints."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Run the command."""
        (line,) = self.arguments
        return self.printed("-m", "qrmi.cli.main", *line.split(), heading=f"$ qrmi {line}\n")


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
    from qrmi_local.service import client

    client.shutdown(Path(app.qrmi_state.name))
    app.qrmi_state.cleanup()


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("generated", Generated)
    app.add_directive("example", Example)
    app.add_directive("printed", Command)
    app.connect("missing-reference", _resolve)
    app.connect("builder-inited", _make_state)
    app.connect("build-finished", _remove_state)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
