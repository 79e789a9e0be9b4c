"""The generated parts of the documentation, as MyST text made from the code itself."""

from __future__ import annotations

import argparse
import ast
import functools
import importlib
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = [
    "command",
    "commands",
    "demo_command",
    "environment_of_code",
    "error_tree",
    "errors",
    "exit_codes",
    "http_settings",
    "planted_failures",
    "settings",
    "table",
    "task_runner",
    "test_command",
]

_HELP_COLUMNS = 88
_ROOT = Path(__file__).parents[2]


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A MyST table; `|` in a cell is escaped."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`"


# --- errors -----------------------------------------------------------------------------------


def error_tree() -> str:
    """The classes of errors, each below its base."""
    from qrmi.errors import QrmiError

    return _block("text", "\n".join(_branch(QrmiError, "", "")))


def _branch(kind: type, first: str, rest: str) -> Iterator[str]:
    yield first + kind.__name__
    children = _children(kind)
    for child in children:
        last = child is children[-1]
        yield from _branch(
            child, rest + ("└── " if last else "├── "), rest + ("    " if last else "│   ")
        )


def _children(kind: type) -> list[type]:
    return [child for child in kind.__subclasses__() if child.__module__ == "qrmi.errors"]


def _with_descendants(kind: type) -> Iterator[type]:
    yield kind
    for child in _children(kind):
        yield from _with_descendants(child)


def errors() -> str:
    """Every error as a table: what it means with the usual hint, who acts, whether to retry."""
    from qrmi.errors import QrmiError

    rows = [
        (
            _code(kind.__name__),
            _meaning(kind),
            str(kind.default_owner),
            "yes" if kind.default_retryable else "no",
        )
        for kind in _with_descendants(QrmiError)
    ]
    return table(("error", "meaning, and usual hint", "who acts", "retry"), rows)


def _meaning(kind: type) -> str:
    hint = f"<br>*Hint:* {kind.default_hint}" if kind.default_hint else ""
    return (_summary(kind) + hint).replace("``", "`")


def _summary(item: object) -> str:
    return (inspect.getdoc(item) or "").split("\n\n")[0]


def planted_failures() -> str:
    """The table of failures that the tests plant, a section for each kind."""
    sys.path.insert(0, str(_ROOT / "tests" / "explained"))
    try:
        rows = importlib.import_module("failures").FAILURES
    finally:
        sys.path.pop(0)
    parts = []
    for area in dict.fromkeys(row.area for row in rows):
        cells = [
            (
                row.what,
                _code(row.error.__name__),
                str(row.owner),
                "yes" if row.retryable else "no",
                row.hint and f"… {row.hint} …",
                "yes" if row.ids else "",
            )
            for row in rows
            if row.area == area
        ]
        heads = ("what is planted", "error", "who acts", "retry", "hint", "ids")
        parts.append(f"**{area.capitalize()}**\n\n{table(heads, cells)}")
    return "\n".join(parts)


# --- settings ---------------------------------------------------------------------------------


def settings() -> str:
    """Every setting of every installed resource type, from its declaration.

    Those that all types over HTTP have in common are left to `http_settings`.
    """
    from qrmi import plugins
    from qrmi.transport import HttpSettings

    common = HttpSettings.declarations().keys()
    parts = []
    for name in plugins.driver_types():
        declared = plugins.driver_class(name).SETTINGS.declarations()
        own = [item for attribute, item in declared.items() if attribute not in common]
        parts.append(f"### `{name}`\n\n{_settings_table(own)}")
    return "\n".join(parts)


def http_settings() -> str:
    """The settings of every resource that is reached over HTTP."""
    from qrmi.transport import HttpSettings

    return _settings_table(HttpSettings.declarations().values())


def _settings_table(items: Iterable[object]) -> str:
    rows = [
        (
            "<br>".join(map(_code, (item.key, *item.fallback))),
            item.kind,
            _default(item),
            _in_environment(item),
            item.help,
        )
        for item in items
    ]
    if not rows:
        return "No settings.\n"
    return table(("setting", "kind", "default", "in the environment", "what it is"), rows)


def _in_environment(item: object) -> str:
    if item.shared:
        return "as it is"
    return "prefixed, else as it is" if item.bare else "prefixed"


def _default(item: object) -> str:
    if item.required:
        return "**required**"
    return "none" if item.default is None else _code(str(item.default))


def environment_of_code(source: str) -> set[str]:
    """The environment variables that a module's source names in text constants."""
    names = {
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {name for name in names if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", name)}


# --- the command line -------------------------------------------------------------------------


def command() -> str:
    """The help of the `qrmi` command itself, as it prints it."""
    from qrmi.cli.app import build_parser

    return _help(build_parser())


def commands() -> str:
    """The help of every command of `qrmi`, as it prints it, each under a heading."""
    from qrmi.cli.app import build_parser

    found = _descendants(build_parser())
    return "\n".join(f"### `{parser.prog}`\n\n{_help(parser)}" for parser in found)


def _help(parser: argparse.ArgumentParser) -> str:
    parser.formatter_class = functools.partial(parser.formatter_class, width=_HELP_COLUMNS)
    return _block("text", parser.format_help())


def _descendants(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield child
                yield from _descendants(child)


def _block(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```\n"


def task_runner() -> str:
    """The help of the `task_runner` command, as it prints it."""
    done = subprocess.run(
        [sys.executable, "-m", "qrmi.tools.task_runner.main", "--help"],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": str(_HELP_COLUMNS), "NO_COLOR": "1"},
    )
    return _block("text", done.stdout)


def exit_codes() -> str:
    """The exit codes of the `qrmi` command."""
    from qrmi.cli.exits import EXIT_CODES_HELP

    found = re.findall(r"^\s+(\d+)\s+(.+)$", EXIT_CODES_HELP, re.MULTILINE)
    rows = [(_code(code), re.sub(r"(--\w+)", r"`\1`", text)) for code, text in found]
    return table(("code", "meaning"), rows)


# --- README -----------------------------------------------------------------------------------


def demo_command() -> str:
    """README's command that sets everything up and ends in the demonstration."""
    return _block("bash", _readme_line(r"\.venv/bin/qrmi demo"))


def test_command() -> str:
    """README's command that sets everything up and runs the tests."""
    return _block("bash", _readme_line(r"\.venv/bin/python -m pytest -n 2 --dist loadfile"))


def _readme_line(last_step: str) -> str:
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^python3 -m venv .* && {last_step}$", readme, re.MULTILINE)
    return str(line)
