"""One handle in many threads, beside as many handles of the Rust library."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.beside.answers import VENDORS
from benchmarks.beside.place import Place, server
from benchmarks.measure import Row

__all__ = ["run"]

_SECONDS = 1.5
_DELAY_MS = 20.0


def run() -> list[Row]:
    """Throughput against a server that takes 20 ms, and against one that takes no time."""
    with tempfile.TemporaryDirectory() as name:
        place = Place.made(Path(name))
        return _slow(place) + _quick(place)


def _slow(place: Place) -> list[Row]:
    vendor = next(v for v in VENDORS if v.name == "iqm-server")
    rows = []
    with (
        server(list(vendor.rules), place.folder, delay_ms=_DELAY_MS) as base,
        place.all("curl", "requests") as workers,
    ):
        for worker in workers:
            for count in (8, 32):
                told = worker.ask(
                    "threaded", vendor.order(base), count=count, seconds=_SECONDS, separate=False
                )
                possible = count * 1000 / _DELAY_MS
                rows.append(
                    Row(
                        what=f"one handle, {count} threads, 20 ms server, {worker.name}",
                        value=f"{told['rate']:.0f}/s, {told['failed']} failed",
                        baseline=f"possible {possible:.0f}/s",
                        limit="0.9x",
                        holds=told["rate"] >= 0.9 * possible and not told["failed"],
                    )
                )
    return rows


def _quick(place: Place) -> list[Row]:
    vendor = next(v for v in VENDORS if v.name == "iqm-server")
    rows, first = [], 0.0
    with (
        server(list(vendor.rules), place.folder) as base,
        place.all("curl", "upstream") as (ours, theirs),
    ):
        for count in (8, 32, 128):
            told = ours.ask(
                "threaded", vendor.order(base), count=count, seconds=_SECONDS, separate=False
            )
            beside = theirs.ask(
                "threaded", vendor.order(base), count=count, seconds=_SECONDS, separate=True
            )
            first = first or told["rate"]
            limit = 0.6 * beside["rate"]
            rows.append(
                Row(
                    what=f"one handle, {count} threads, instant server, curl",
                    value=f"{told['rate']:.0f}/s, {told['failed']} failed",
                    baseline=f"{count} Rust handles {beside['rate']:.0f}/s; "
                    f"8 threads {first:.0f}/s",
                    limit="0.6x of Rust handles; 128 threads 0.8x of 8",
                    holds=told["rate"] >= limit
                    and not told["failed"]
                    and (count != 128 or told["rate"] >= 0.8 * first),
                )
            )
    return rows
