"""What the command line writes: text, tables, JSON, errors, and progress while it waits.

Data goes to stdout; notices, progress and errors go to stderr. ``rich`` (extra ``cli``) makes
tables and progress nicer on a terminal; without it, and in pipes and files, text is plain.
"""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from qrmi.cli import hints
from qrmi.errors import QrmiError
from qrmi.tasks import TaskStatus

__all__ = [
    "Progress",
    "ascii_only",
    "error",
    "error_fields",
    "labelled",
    "notice",
    "out",
    "out_json",
    "prepare_streams",
    "styled",
    "table",
]

_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_GAP = "  "
_LABEL = 14  # columns
_LEAST_PROSE = 24  # columns: sentences folded to less cannot be read
_LEAST_NAME = 10


def prepare_streams() -> None:
    """Write ``?`` for what a standard stream's encoding lacks, and nothing to a closed one."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (for good)
            setattr(sys, name, stream)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def out(text: str = "") -> None:
    """Write one line of data to stdout."""
    print(text)


def out_json(value: Any) -> None:
    """Write one JSON value to stdout; with ``--json`` it is all that goes there."""
    print(json.dumps(value, indent=2, ensure_ascii=ascii_only(), default=str))


def notice(text: str) -> None:
    """Write one line for the person at the terminal to stderr, after what went to stdout."""
    sys.stdout.flush()
    print(text, file=sys.stderr, flush=True)


def error(problem: QrmiError, *, as_json: bool) -> None:
    """Write an error to stderr: what happened, what to do, who can act, and the ids."""
    if as_json:
        notice(json.dumps({"error": error_fields(problem)}))
        return
    stream = sys.stderr
    notice(f"{styled('error:', 'red', stream)} {problem.message}")
    ids = {"resource": problem.resource_id, "task": problem.task_id}
    who = "" if hints.is_nobodys(problem) else hints.who_can_act(problem.owner)
    quoted = {"quote to support": ", ".join(problem.request_ids)}
    for label, value in {"hint": _hint(problem), **ids, "who": who, **quoted}.items():
        if value:
            notice(f"  {styled(label + ':', 'dim', stream)} {value}")


def error_fields(problem: QrmiError) -> dict[str, Any]:
    """An error as JSON values, with stable keys."""
    return {
        "type": type(problem).__name__,
        "message": problem.message,
        "hint": _hint(problem),
        "owner": str(problem.owner),
        "retryable": problem.retryable,
        "resource": problem.resource_id,
        "task_id": problem.task_id,
        "key": problem.key,
        "request_ids": list(problem.request_ids),
    }


def _hint(problem: QrmiError) -> str:
    return hints.command_hint(type(problem).__name__, problem.hint, problem.task_id)


def styled(text: str, style: str, stream: TextIO | None = None) -> str:
    """``text`` in a colour or weight when ``stream`` (stdout) is a terminal, else as it is."""
    console = _rich_console(stream or sys.stdout)
    if console is None or console.no_color or console.is_dumb_terminal:
        return text
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m"


def ascii_only() -> bool:
    """Whether stdout cannot show block characters."""
    try:
        "█…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return True
    return False


def labelled(pairs: Iterable[tuple[str, str]]) -> None:
    """Write lines that begin with a label to stdout; on a terminal, long ones are wrapped."""
    console = _rich_console(sys.stdout)
    wrapper = textwrap.TextWrapper(
        max(console.width - _LABEL - 4, _LEAST_PROSE) if console else sys.maxsize,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for label, text in pairs:
        for number, part in enumerate(wrapper.wrap(text) or [""]):
            shown = styled(f"{'' if number else label:<{_LABEL}}", "dim")
            out(f"  {shown} {part}")


def table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, fold: str | None = None
) -> None:
    """Write a table to stdout: in colours and as wide as a terminal, else plain and aligned.

    Where a terminal is too narrow, the column ``fold`` (the last one, if none is named) is folded;
    when that would leave it too little, the last column goes below its row.
    """
    texts = [["" if cell is None else str(cell) for cell in row] for row in rows]
    console = _rich_console(sys.stdout)
    if console is None or not console.is_terminal:
        _plain_table(columns, texts)
        return
    index = columns.index(fold) if fold else len(columns) - 1
    widths = _widths([columns, *texts])
    room = console.width - sum(widths) + widths[index] - len(_GAP) * (len(widths) - 1)
    if room >= min(widths[index], _LEAST_NAME if fold else _LEAST_PROSE):
        _rich_table(console, columns, texts, index)
    else:
        _stacked_table(columns, texts, console.width)


def _rich_table(
    console: Any, columns: Sequence[str], rows: Sequence[Sequence[str]], fold: int
) -> None:
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, padding=(0, len(_GAP), 0, 0), pad_edge=False, header_style="bold cyan")
    for index, column in enumerate(columns):
        grid.add_column(column, overflow="fold", no_wrap=index != fold)
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    console.print(grid)


def _stacked_table(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> None:
    """The last column's texts on lines of their own, below their rows."""
    heads = [[*columns[:-1]], *([*row[:-1]] for row in rows)]
    lines = _aligned(heads)
    out(styled(lines[0], "bold"))
    below = textwrap.TextWrapper(
        max(width - 4, _LEAST_PROSE), break_long_words=False, break_on_hyphens=False
    )
    for line, row in zip(lines[1:], rows, strict=True):
        out(line)
        for part in below.wrap(row[-1]):
            out(f"    {styled(part, 'dim')}")


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    for line in _aligned([[column.upper() for column in columns], *rows]):
        out(line)


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = _widths(rows)
    padded = ([f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)] for row in rows)
    return [_GAP.join(cells).rstrip() for cells in padded]


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*rows, strict=True)]


def _rich_console(stream: TextIO) -> Any:
    """A rich console on ``stream`` when it is a terminal and rich is installed, else ``None``."""
    if not stream.isatty():
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(file=stream, highlight=False)


class Progress:
    """What goes on while a command waits: a spinner with the time on a terminal, lines elsewhere.

    Use it with ``with``; say what happens through `say` and `status`. It writes to stderr, and
    nothing at all when ``quiet``; with ``lines`` false it writes on terminals only.
    """

    def __init__(self, *, quiet: bool = False, lines: bool = True) -> None:
        self._quiet = quiet
        self._lines = lines
        self._begun = time.monotonic()
        self._live: Any = None
        self._row: Any = None

    def __enter__(self) -> Self:
        """Start the clock."""
        self._begun = time.monotonic()
        console = None if self._quiet else _rich_console(sys.stderr)
        if console is not None and console.is_terminal:
            self._live = _spinner(console)
            self._row = self._live.add_task("", total=None)
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the spinner."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return time.monotonic() - self._begun

    def say(self, text: str) -> None:
        """Replace what the spinner says; elsewhere write a line."""
        if self._live is not None:
            self._live.update(self._row, description=text)
        elif self._lines and not self._quiet:
            notice(f"{self.seconds:7.1f} s  {text}")

    def status(self, subject: str, status: TaskStatus) -> None:
        """Say where a task is; on a terminal the last word on it stays."""
        word = status.name.lower()
        if self._live is None:
            self.say(word)
        elif status.is_final:
            self._live.console.print(f"{subject}: {word} after {self.seconds:.1f} s", style="dim")
        else:
            self.say(f"{subject}: {word}")


def _spinner(console: Any) -> Any:
    from rich.progress import Progress as RichProgress
    from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

    return RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
