"""The tables of docs/reliability.md, made of trials."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from trial import Report, Start

__all__ = ["by_mishap", "by_vendor", "table"]

_UNCERTAIN = "TaskStartUncertainError"


def by_vendor(reports: Iterable[Report]) -> str:
    """A line for each vendor: how its starts ended, and what the server counted."""
    header = (
        *("vendor", "starts", "started", "uncertain", "of these run", "other errors"),
        *("run twice", "started, not run", "wrong results", "requests", "mishaps"),
        *("median", "slowest", "whole trial"),
    )
    return table(header, [_line(report) for report in reports])


def _line(report: Report) -> list[object]:
    starts = report.starts
    started = [start for start in starts if start.task_id]
    uncertain = [start for start in starts if type(start.error).__name__ == _UNCERTAIN]
    requests = report.counted["requests"]
    seconds = sorted(start.seconds for start in starts)
    return [
        report.row,
        len(starts),
        len(started),
        len(uncertain),
        sum(report.runs(start) > 0 for start in uncertain),
        len(starts) - len(started) - len(uncertain),
        sum(report.runs(start) > 1 for start in starts),
        sum(report.runs(start) < 1 for start in started),
        sum(start.value != report.truth for start in starts if start.last_id),
        sum(requests.values()),
        sum(requests.values()) - requests.get("nothing", 0),
        f"{seconds[len(seconds) // 2]:.2f} s",
        f"{seconds[-1]:.1f} s",
        f"{report.seconds:.0f} s",
    ]


def by_mishap(reports: Sequence[Report]) -> str:
    """A line for each mishap: how the starts ended to whose requests it happened."""
    counted: dict[str, dict[str, Counter[str]]] = {}
    for report in reports:
        for start in report.starts:
            for kind in _mishaps(report, start):
                told = counted.setdefault(kind, {}).setdefault(report.row, Counter())
                told[_word(start)] += 1
    rows = [report.row for report in reports]
    lines = [
        [kind, *(_cell(counted[kind].get(row, Counter())) for row in rows)]
        for kind in sorted(counted)
    ]
    legend = "started / uncertain / other error, of the starts to whose requests it happened"
    return f"{legend}\n\n{table(['mishap', *rows], lines)}"


def _mishaps(report: Report, start: Start) -> set[str]:
    stories = report.counted["stories"].get(start.mark, [])
    return {story.rpartition(": ")[2].partition(",")[0] for story in stories} - {"nothing"}


def _word(start: Start) -> str:
    if start.task_id:
        return "started"
    return "uncertain" if type(start.error).__name__ == _UNCERTAIN else "other"


def _cell(counter: Counter[str]) -> str:
    return f"{counter['started']} / {counter['uncertain']} / {counter['other']}"


def table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """A table in Markdown."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
