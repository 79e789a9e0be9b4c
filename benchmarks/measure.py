"""Interleaved timing and the table that every benchmark prints."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import attrs

__all__ = ["Row", "interleaved", "seconds", "table"]


@attrs.frozen(kw_only=True)
class Row:
    """One figure beside its limit.

    Attributes:
        what: what was measured.
        value: the figure, with its unit.
        baseline: what it is compared with, with its figure; empty when the limit is absolute.
        limit: the limit of the project, in words.
        holds: whether the figure keeps the limit in this run.
    """

    what: str
    value: str
    baseline: str = ""
    limit: str = ""
    holds: bool = True


def seconds(function: Callable[[], object]) -> float:
    """How long one call takes."""
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun


def interleaved(
    ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, warm_up: int = 2
) -> tuple[float, float, float]:
    """Run both in turn; the medians in seconds, and the median of the differences pair by pair."""
    for _ in range(warm_up):
        ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(rounds)]
    first = statistics.median(pair[0] for pair in pairs)
    second = statistics.median(pair[1] for pair in pairs)
    return first, second, statistics.median(a - b for a, b in pairs)


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    header = ("measured", "figure", "baseline", "limit", "holds")
    cells = [header, *((r.what, r.value, r.baseline, r.limit, _word(r.holds)) for r in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in cells]  # fmt: skip
    return "\n".join([lines[0], "-" * len(max(lines, key=len)), *lines[1:]])


def _word(holds: bool) -> str:
    return "yes" if holds else "NO"
