"""The generated parts of the documentation, as MyST text made from the code itself."""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

__all__ = [
    "commands",
    "demo_command",
    "environment_of_code",
    "errors",
    "exit_codes",
    "settings",
    "table",
    "task_runner",
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


def errors() -> str:
    """Every error as a table: what it means, who acts, whether to retry, and the usual hint.

    A subclass stands below its base, set in by one mark a level.
    """
    from qrmi.errors import QrmiError

    rows = [
        (
            "— " * depth + _code(kind.__name__),
            _rst_to_myst(_summary(kind)),
            str(kind.default_owner),
            "yes" if kind.default_retryable else "no",
            _rst_to_myst(kind.default_hint),
        )
        for depth, kind in _tree(QrmiError, 0)
    ]
    return table(("error", "meaning", "who acts", "retry", "usual hint"), rows)


def _tree(kind: type, depth: int) -> Iterator[tuple[int, type]]:
    yield depth, kind
    for child in kind.__subclasses__():
        if child.__module__ == "qrmi.errors":
            yield from _tree(child, depth + 1)


def _summary(item: object) -> str:
    return (inspect.getdoc(item) or "").split("\n\n")[0]


def _rst_to_myst(text: str) -> str:
    return text.replace("``", "`")


# --- settings ---------------------------------------------------------------------------------


def settings() -> str:
    """Every setting of every installed resource type, from its declaration."""
    from qrmi import plugins

    return "\n".join(
        f"### `{name}`\n\n{_settings_of(plugins.driver_class(name).SETTINGS)}"
        for name in plugins.driver_types()
    )


def _settings_of(kind: type) -> str:
    rows = [
        (
            "<br>".join(map(_code, (item.key, *item.fallback))),
            item.kind.strip("_"),
            _default(item),
            "as it is" if item.shared else "prefixed",
            item.help,
        )
        for item in kind.declarations().values()
    ]
    if not rows:
        return "No settings.\n"
    return table(("setting", "kind", "default", "in the environment", "what it is"), rows)


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


def commands() -> str:
    """The help of every `qrmi` command, as its parser prints it."""
    from qrmi.cli.app import build_parser

    return "\n".join(_help_sections(build_parser(), depth=0))


def _help_sections(parser: argparse.ArgumentParser, depth: int) -> Iterator[str]:
    if depth:
        yield f"### `{parser.prog}`\n"
    parser.formatter_class = functools.partial(parser.formatter_class, width=_HELP_COLUMNS)
    yield _block("text", parser.format_help())
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                yield from _help_sections(child, depth + 1)


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
    return table(("code", "meaning"), [(_code(code), text) for code, text in found])


# --- README -----------------------------------------------------------------------------------


def demo_command() -> str:
    """README's command that sets everything up and ends in the demonstration."""
    readme = (_ROOT / "README.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^python3 -m venv .* && \.venv/bin/qrmi demo$", readme, re.MULTILINE)
    return _block("bash", command)
