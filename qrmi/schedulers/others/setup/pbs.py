"""What OpenPBS or PBS Professional needs to lend QPUs: its hook in one file, and its settings."""

from __future__ import annotations

import ast
import json
import re
from importlib import resources
from pathlib import Path

from qrmi.schedulers.calling import Site
from qrmi.schedulers.others.setup.asking import told
from qrmi.schedulers.others.setup.fragments import Finding, Fragment
from qrmi.schedulers.others.setup.lending import Lending

__all__ = ["EVENTS", "check", "fragments", "hook_text"]

EVENTS = ("queuejob", "modifyjob", "runjob", "execjob_launch", "execjob_end", "endjob", "periodic")
"""What the hook answers to. ``endjob`` is known from OpenPBS 22.05 and PBS 2022.1 on."""

_MAIN = "qrmi.schedulers.others.pbs"
_HEAD = '''"""The hook of openqrmi for OpenPBS and PBS Professional.

Written by `qrmi pbs setup`; write it again after an update. Its settings are in qrmi_hook.json.
"""
'''
_REFERENCES = re.compile(r"\bqpu_\w+")


def fragments(lending: Lending) -> tuple[Fragment, ...]:
    """All files, in the order in which they are used."""
    settings = lending.hook_settings(consumables=lending.consumables, qmgr="/opt/pbs/bin/qmgr")
    return (
        Fragment(name="qrmi_hook.py", about="the hook; qmgr.txt imports it", text=hook_text()),
        Fragment(
            name="qrmi_hook.json",
            about="its settings; qmgr.txt imports them",
            text=json.dumps(settings, indent=2) + "\n",
        ),
        Fragment(
            name="qmgr.txt",
            about="for the PBS server, as root in this folder: qmgr < qmgr.txt",
            text=_qmgr(lending),
        ),
        Fragment(
            name="sched_config",
            about="add these names to the `resources:` line of PBS_HOME/sched_priv/sched_config, "
            "then: kill -HUP of pbs_sched",
            text=f'resources: "ncpus, mem, arch, host, vnode, {", ".join(lending.consumables)}"\n',
        ),
    )


def _qmgr(lending: Lending) -> str:
    lines = ["create resource quantum_resources type=string"]
    for consumable, name in lending.consumables.items():
        lines.append(f"create resource {consumable} type=long, flag=q")
        lines.append(f"set server resources_available.{consumable} = {lending.slots[name]}")
    lines += [
        "create hook qrmi",
        f'set hook qrmi event = "{",".join(EVENTS)}"',
        "set hook qrmi freq = 30",
        "set hook qrmi alarm = 60",
        "import hook qrmi application/x-python default qrmi_hook.py",
        "import hook qrmi application/x-config default qrmi_hook.json",
        "set hook qrmi enabled = true",
    ]
    return "\n".join(lines) + "\n"


def hook_text() -> str:
    """The hook with all that it needs, for a Python of version 3.6 or later.

    Raises:
        ValueError: two of its modules define the same name; a defect of this library.
    """
    trees = _with_imported(_MAIN, {})
    homes: dict[str, str] = {}
    for module, tree in trees.items():
        for name in _defined(tree):
            if homes.setdefault(name, module) != module:
                raise ValueError(f"{name} is in {homes[name]} and in {module}")
    plain = [ast.fix_missing_locations(_Plain().visit(tree)) for tree in trees.values()]
    return "\n\n".join([_HEAD, *map(ast.unparse, plain), "import pbs\nserve(pbs)\n"])


def _with_imported(module: str, trees: dict[str, ast.Module]) -> dict[str, ast.Module]:
    """The module after those of ours that it imports, at any depth."""
    folder = resources.files("qrmi").joinpath(*module.split(".")[1:-1])
    tree = ast.parse((folder / f"{module.rpartition('.')[2]}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        found = node.module if isinstance(node, ast.ImportFrom) else None
        if found and found.startswith("qrmi.") and found not in trees:
            _with_imported(found, trees)
    trees[module] = tree
    return trees


def _defined(tree: ast.Module) -> list[str]:
    """What a module calls its own at the top level."""
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Assign):
            found += [n.id for n in node.targets if isinstance(n, ast.Name) and n.id != "__all__"]
    return found


class _Plain(ast.NodeTransformer):
    """Leaves out what an old Python cannot read, and imports of what stands in the same file."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        """Drop imports of our own modules, and what is there for annotations."""
        module = node.module or ""
        is_ours = module.startswith(("qrmi", "__future__", "typing", "collections.abc"))
        return None if is_ours else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop annotations."""
        node.returns = None
        for argument in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]:
            argument.annotation = None
        for more in (node.args.vararg, node.args.kwarg):
            if more is not None:
                more.annotation = None
        self.generic_visit(node)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """Keep the value alone."""
        if node.value is None:
            return None
        return ast.Assign(targets=[node.target], value=node.value)


def check(lending: Lending, site: Site) -> list[Finding]:
    """What is wrong with this host's PBS server."""
    findings = [_hook_finding(site)]
    known = told(site, "qmgr", "-c", "list resource")
    for consumable, name in lending.consumables.items():
        problem = "" if known and consumable in known else "PBS does not know it"
        findings.append(
            Finding(what=f"resource {consumable} for {name}", problem=problem, hint=_AGAIN)
        )
    findings.append(_scheduler_finding(lending, site))
    return findings


_AGAIN = "qrmi pbs setup --write DIR, and in that folder: qmgr < qmgr.txt"


def _hook_finding(site: Site) -> Finding:
    text = told(site, "qmgr", "-c", "list hook qrmi")
    if text is None:
        problem = "PBS has no hook of that name, or qmgr does not answer"
    elif "enabled = true" not in text.lower():
        problem = "it is not enabled"
    else:
        missing = [event for event in EVENTS if event not in text and event != "endjob"]
        problem = f"it does not answer to {', '.join(missing)}" if missing else ""
    return Finding(what="hook qrmi", problem=problem, hint=_AGAIN)


def _scheduler_finding(lending: Lending, site: Site) -> Finding:
    path = Path(site.settings.get("pbs_home", "/var/spool/pbs")) / "sched_priv" / "sched_config"
    line = next((each for each in _lines(path) if each.startswith("resources:")), "")
    missing = sorted(set(lending.consumables) - set(_REFERENCES.findall(line)))
    problem = f"its `resources:` line lacks {', '.join(missing)}" if missing else ""
    return Finding(what=str(path), problem=problem, hint="add them, then kill -HUP of pbs_sched")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
