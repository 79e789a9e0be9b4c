"""The program that a scheduler starts: one file that needs nothing but a Python.

Hooks run for every job, as root or as the job's user, on hosts that may lack this library: so
`hook_text` puts a module and the few that it imports into a single file. Modules that are imported
inside functions are compiled when they are needed, for most runs need few of them.
"""

from __future__ import annotations

import ast
import importlib.util
import pprint
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["PYTHON", "hook_text", "inlined"]

PYTHON = "/usr/bin/python3"
"""The interpreter of a hook where none is named: users' tasks start it on each node."""

_TYPES_ONLY = ("typing", "collections.abc")
_TOP = '''#!{python} -IS
"""A hook of this site's scheduler that lends its quantum resources to jobs.

`qrmi` wrote it; change the setup, not this file. It believes nothing that a job's environment says
but which job it is, and asks the site's daemon for all else.
"""

from __future__ import annotations

import os
import sys

SETTINGS = {settings}


def _load(part):
    """Run a part of this program that only some of its uses need."""
    source = PARTS.pop(part, None)
    if source is not None:
        exec(compile(source, "qrmi-hook: " + part, "exec"), globals())
'''
_BOTTOM = """
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ, SETTINGS))
"""


def hook_text(module: str, settings: Mapping[str, Any], *, python: str = PYTHON) -> str:
    """The program of a scheduler's hook.

    Args:
        module: full name of the module whose ``main(arguments, environment, settings)`` it is.
        settings: what that module is told, written into the program. No secrets: users read it.
        python: absolute path of the interpreter, 3.8 or newer; users must be able to run it.

    Raises:
        ValueError: the modules cannot stand in one file.
    """
    if not python.startswith("/") or any(blank in python for blank in " \t\n"):
        raise ValueError(f"the interpreter needs an absolute path without blanks, not {python!r}")
    program = _Program()
    program.add(module)
    if program.names.get("main") != module:
        raise ValueError(f"{module} has no main")
    told = pprint.pformat(dict(settings), width=95)
    parts = "".join(f"    {name!r}: {_quoted(text)},\n" for name, text in program.later.items())
    top = [_TOP.format(python=python, settings=told), *program.now.values()]
    return "\n\n".join([*top, f"PARTS = {{\n{parts}}}\n", _BOTTOM.lstrip("\n")])


def inlined(module: str) -> str:
    """A module's source after that of ours which it needs, for programs of another form.

    Raises:
        ValueError: the modules cannot stand in one file.
    """
    program = _Program()
    program.add(module, all_at_once=True)
    return "\n\n".join(program.now.values())


class _Program:
    """The modules of a program: those that it needs at once, and those for later, by name."""

    def __init__(self) -> None:
        self.now: dict[str, str] = {}
        self.later: dict[str, str] = {}
        self.names: dict[str, str] = {}

    def add(self, module: str, *, all_at_once: bool = False) -> None:
        """Add a module and all that it needs."""
        at_once = dict.fromkeys(_closure(module, inner=all_at_once))
        for each in at_once:
            self.now[each] = self._text(each, at_once)
        waiting = [inner for each in at_once for inner in _inner(_tree(each))]
        while waiting:
            each = waiting.pop()
            if each not in at_once and each not in self.later:
                self.later[each] = self._text(each, at_once)
                waiting += [*_outer(_tree(each)), *_inner(_tree(each))]

    def _text(self, module: str, at_once: Mapping[str, None]) -> str:
        tree = _tree(module)
        for name in _defined(tree):
            if self.names.setdefault(name, module) != module:
                raise ValueError(f"{name} is in {self.names[name]} and in {module}")
        changes: dict[ast.stmt, str] = dict.fromkeys(_needless(tree, module), "")
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and _is_ours(node):
                load = f"_load({node.module!r})" if node.module not in at_once else "pass"
                is_gone = node in tree.body and load == "pass"
                changes[node] = "" if is_gone else " " * node.col_offset + load + "\n"
        return _changed(_source(module), changes).strip("\n")


def _closure(module: str, *, inner: bool = False) -> list[str]:
    """A module and those that it imports at the top, or anywhere, these first."""
    found: dict[str, None] = {}

    def visit(name: str) -> None:
        tree = _tree(name)
        for each in [*_outer(tree), *(_inner(tree) if inner else [])]:
            if each not in found:
                visit(each)
        found[name] = None

    visit(module)
    return list(found)


def _quoted(text: str) -> str:
    return repr(text) if "'''" in text or text.endswith("\\") else f"r'''\n{text}\n'''"


def _tree(module: str) -> ast.Module:
    return ast.parse(_source(module))


def _source(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ValueError(f"there is no module {module}")
    return Path(spec.origin).read_text(encoding="utf-8")


def _is_ours(node: ast.ImportFrom) -> bool:
    if (node.module or "").split(".")[0] != "qrmi":
        return False
    if any(alias.asname for alias in node.names):
        raise ValueError(f"{node.module} is imported under another name")
    return True


def _outer(tree: ast.Module) -> list[str]:
    """Our modules that are imported when the module is."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return [node.module or "" for node in imports if _is_ours(node)]


def _inner(tree: ast.Module) -> list[str]:
    """Our modules that are imported inside functions."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return [n.module or "" for n in imports if n not in tree.body and _is_ours(n)]


def _defined(tree: ast.Module) -> Iterator[str]:
    """What a module calls its own at the top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            inner = [each for target in targets for each in ast.walk(target)]
            yield from (n.id for n in inner if isinstance(n, ast.Name) and n.id != "__all__")


def _needless(tree: ast.Module, module: str) -> Iterator[ast.stmt]:
    """The module's docstring, ``__all__`` and imports that annotations alone need."""
    if ast.get_docstring(tree) is not None:
        yield tree.body[0]
    used = _used_when_run(tree)
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            yield node
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.module == "__future__":
            yield node
        elif node.module in _TYPES_ONLY:
            if {alias.asname or alias.name for alias in node.names} & used:
                raise ValueError(f"{module} uses {node.module} when it runs, which takes long")
            yield node


def _used_when_run(tree: ast.Module) -> set[str]:
    """Names outside of annotations."""
    hints = [
        hint
        for node in ast.walk(tree)
        for hint in (getattr(node, "annotation", None), getattr(node, "returns", None))
        if hint is not None
    ]
    hidden = {id(each) for hint in hints for each in ast.walk(hint)}
    found = (n for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in hidden)
    return {node.id for node in found}


def _changed(source: str, changes: Mapping[ast.stmt, str]) -> str:
    """A source with other lines instead of some statements."""
    lines = source.splitlines(keepends=True)
    for node, text in changes.items():
        last = node.end_lineno or node.lineno
        lines[node.lineno - 1 : last] = [text, *[""] * (last - node.lineno)]
    return "".join(lines)
