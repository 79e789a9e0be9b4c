"""The table of docs/reliability.md, made of sweeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sweep import Sweep

__all__ = ["by_vendor"]

_WORDS = ("found", "never begun", "not run", "uncertain, not run", "uncertain, run")


def by_vendor(sweeps: Iterable[Sweep]) -> str:
    """A line for each vendor: how many points and kills, and how the starts came out."""
    header = (
        *("vendor", "points", "kills", "of recoveries", "starts", *_WORDS),
        *("run twice", "lost", "sessions", "left after reaping", "seconds"),
    )
    return _table(header, [_line(done) for done in sweeps])


def _line(done: Sweep) -> list[object]:
    outcomes = done.outcomes()
    kills = sum(trip.life.signal == 9 for trip in done.trips)
    again = sum(trip.killed is not None and trip.killed.signal == 9 for trip in done.trips)
    runs = [n for trip in done.trips for n in trip.runs]
    lost = sum("lost" in complaint for complaint in done.wrong())
    return [
        *(done.row, done.points, kills, again, len(runs), *(outcomes[word] for word in _WORDS)),
        *(sum(n > 1 for n in runs), lost, *done.sessions, f"{done.seconds:.0f}"),
    ]


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
