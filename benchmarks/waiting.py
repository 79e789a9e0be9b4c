"""From a task's end on the server to its result: time that is lost, and requests that are spent."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from benchmarks.beside.answers import LONG, VENDORS, Rule, Vendor
from benchmarks.beside.place import Library, Place, bytes_so_far, requests_so_far, server
from benchmarks.measure import Row
from benchmarks.simulated import PAUSES, simulated

__all__ = ["run"]

_LEARNING = 4  # tasks, before which nothing is known of their like
_MOST_REQUESTS = 12
_REAL = ((0.05, 20), (0.3, 12), (2.5, 5))  # seconds of a task, and how many of them
_SIMULATED = (0.05, 0.3, 2.0, 10.0, 60.0, 600.0)
_POLLS = 20
_REST = 3  # requests of a task that are not looks at its status: upload, start, result; or free


def run() -> list[Row]:
    """Real time for short tasks, beside the Rust library; the simulated clock for all."""
    with tempfile.TemporaryDirectory() as name:
        place = Place.made(Path(name))
        vendors = {vendor.name: vendor for vendor in VENDORS}
        rows = [
            _real(place, vendors[vendor], seconds, count)
            for vendor in ("ibm-quantum-system", "pasqal-cloud")
            for seconds, count in _REAL
        ]
        rows.append(_poll(place, vendors["ibm-quantum-compute-service"]))
    return rows + [_simulated(seconds) for seconds in _SIMULATED] + [_held()]


def _allowed_ms(seconds: float, shortest_pause: float) -> float:
    """5 % or 25 ms; more where the service may not be asked that often."""
    pause = shortest_pause if shortest_pause > 0.025 else 0.0
    return (max(0.05 * seconds, 0.025) + pause) * 1e3


def _real(place: Place, vendor: Vendor, seconds: float, count: int) -> Row:
    pause = PAUSES[vendor.name]
    rules = [*vendor.rules, *_timed(vendor, seconds)]
    with server(rules, place.folder) as base, place.all("curl", "upstream") as (ours, theirs):
        ours.ask("waited", vendor.order(base), count=_LEARNING, seconds=seconds)
        before = requests_so_far(base)
        lost = ours.ask("waited", vendor.order(base), count=count, seconds=seconds)["lost"]
        requests = (requests_so_far(base) - before) / count
        beside = _lost(theirs, vendor, base, max(3, count // 4), seconds)
    worst = _p95(lost)
    allowed = _allowed_ms(seconds, pause)
    return Row(
        what=f"wait for {seconds:g} s tasks, {vendor.name}",
        value=f"{worst:.0f} ms lost (p95), {requests:.1f} requests a task",
        baseline=f"upstream {statistics.median(beside):.0f} ms",
        limit=f"{allowed:.0f} ms, {_MOST_REQUESTS} requests",
        holds=worst <= allowed and requests <= _MOST_REQUESTS,
    )


def _lost(
    worker: Library, vendor: Vendor, base: str, count: int, seconds: float
) -> Sequence[float]:
    found: list[float] = worker.ask("waited", vendor.order(base), count=count, seconds=seconds)[
        "lost"
    ]
    return found


def _timed(vendor: Vendor, seconds: float) -> list[Rule]:
    """Rules by which a started task runs for so long: running at first, then what it was."""
    looks = [rule for rule in vendor.rules if rule in vendor.looks]
    return [attrs.evolve(rule, after_ms=seconds * 1e3) for rule in looks] + [
        attrs.evolve(rule, body=vendor.running, after_ms=0.001) for rule in looks
    ]


def _poll(place: Place, vendor: Vendor) -> Row:
    """One look at a task whose input is 5 MB long."""
    told: dict[str, tuple[float, float]] = {}
    with (
        server(list(vendor.rules), place.folder) as base,
        place.all("curl", "upstream") as workers,
    ):
        for worker in workers:
            order = vendor.order(base, task=LONG)
            worker.ask("timed", order, verb="status", rounds=3)
            before = bytes_so_far(base)
            microseconds = worker.ask("timed", order, verb="status", rounds=_POLLS)["us"]
            told[worker.name] = (microseconds, (bytes_so_far(base) - before) / _POLLS)
    ours, theirs = told["curl"], told["upstream"]
    return Row(
        what=f"a look at a task with 5 MB of input, {vendor.name}",
        value=f"{ours[0]:.0f} us, {ours[1]:.0f} bytes",
        baseline=f"upstream {theirs[0]:.0f} us, {theirs[1]:.0f} bytes",
        limit="1,000 bytes",
        holds=ours[1] <= 1000,
    )


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[max(0, round(0.95 * len(values)) - 1)]


def _simulated(seconds: float) -> Row:
    told = simulated(seconds, pause=PAUSES["ibm-quantum-system"])
    lost = _p95([task.lost_seconds for task in told[_LEARNING:]])
    requests = statistics.mean(task.requests for task in told[_LEARNING:]) + _REST
    allowed = _allowed_ms(seconds, 0.0) / 1e3
    bounded = seconds <= 60.0
    return Row(
        what=f"simulated wait for {seconds:g} s tasks, 10 % jitter",
        value=f"{lost * 1e3:.0f} ms lost (p95), {requests:.1f} requests a task",
        baseline="upstream 500 to 950 ms, a request a second",
        limit=f"{allowed * 1e3:.0f} ms" + (f", {_MOST_REQUESTS} requests" if bounded else ""),
        holds=lost <= allowed and (not bounded or requests <= _MOST_REQUESTS),
    )


def _held() -> Row:
    told = simulated(60.0, pause=PAUSES["iqm-server"], holds=True)
    lost = _p95([task.lost_seconds for task in told])
    requests = statistics.mean(task.requests for task in told) + _REST
    return Row(
        what="simulated wait for 60 s tasks, a server that holds requests",
        value=f"{lost * 1e3:.0f} ms lost (p95), {requests:.1f} requests a task",
        limit=f"5 ms, {_MOST_REQUESTS} requests",
        holds=lost <= 0.005 and requests <= _MOST_REQUESTS,
    )
