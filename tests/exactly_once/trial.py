"""Many starts on one vendor while faults happen, and what became of each, counted in the server."""

from __future__ import annotations

import itertools
import pickle
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import attrs
from place import Place
from programs import VENDORS, Vendor

from qrmi import QuantumResource
from qrmi.errors import QrmiError, TaskStartUncertainError

__all__ = ["IMPATIENT", "PATIENCE_SECONDS", "Report", "Start", "trial"]

PATIENCE_SECONDS = 0.6
IMPATIENT = {
    "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS": "2",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
    "QRMI_HTTP_BUDGET_SECONDS": "2",
    "QRMI_START_SETTLE_SECONDS": "2.5",
}
"""Settings of a trial: requests are late by less than the settle time, and by more than a read."""

_THREADS = 32
_HANDLES = 4
_RATE = 0.35
_OTHERS = 0.08
_LOOKS = 8


@attrs.define(kw_only=True)
class Start:
    """One start.

    Attributes:
        mark: of its program.
        key: the caller's own; ``None`` for one that is made up.
        task_id: what it returned.
        error: what it raised.
        again: what came of starting it again under its key: an id or an error.
        value: what is the same in all results of the program.
        found: what `find_task` said in the end, asked of some; ``None`` where it was not asked.
        seconds: how long it took.
    """

    mark: str
    key: str | None
    task_id: str | None = None
    error: BaseException | None = None
    again: list[str | BaseException] = attrs.field(factory=list)
    value: Any = None
    found: str | None = None
    seconds: float = 0.0

    @property
    def last_id(self) -> str | None:
        """The id that the last call returned, if one did."""
        ids = [self.task_id, *(end for end in self.again if isinstance(end, str))]
        return next((task_id for task_id in reversed(ids) if task_id), None)

    @property
    def last_error(self) -> BaseException | None:
        """What the last call raised, if it did."""
        last = self.again[-1] if self.again else self.task_id or self.error
        return last if isinstance(last, BaseException) else None


@attrs.frozen(kw_only=True)
class Report:
    """A trial.

    Attributes:
        row: the vendor's.
        starts: all of them.
        truth: what their results must come to.
        counted: see `Place.counts`.
        seconds: how long it took.
    """

    row: str
    starts: list[Start]
    truth: Any
    counted: dict[str, Any]
    seconds: float

    def runs(self, start: Start) -> int:
        """How often its program was run, as the server says."""
        return int(self.counted["marks"].get(start.mark, 0))

    def outcomes(self) -> Counter[str]:
        """How the first calls ended, by word."""
        words = (
            "started" if start.task_id else type(start.error).__name__ for start in self.starts
        )
        return Counter(words)

    def wrong(self) -> list[str]:
        """Everything that must not be; empty when all is well."""
        vendor = VENDORS[self.row]
        return [
            f"{start.mark} (key {start.key}): {words}; {self._story(start)}"
            for start in self.starts
            for words in _complaints(self, vendor, start)
        ]

    def _story(self, start: Start) -> str:
        ends = [start.task_id or repr(start.error), *map(str, start.again)]
        told = self.counted["stories"].get(start.mark, [])
        return f"it ended {'; then '.join(ends)}; its requests: {told}"


def _complaints(report: Report, vendor: Vendor, start: Start) -> Iterator[str]:
    runs, task_id, error = report.runs(start), start.last_id, start.last_error
    if runs > 1:
        yield f"run {runs} times"
    ids = {end for end in (start.task_id, *start.again) if isinstance(end, str)}
    if len(ids) > 1:
        yield f"one key, several tasks: {sorted(ids)}"
    if task_id is not None:
        yield from _complaints_of_started(report, start, task_id, runs)
    if error is None:
        return
    if isinstance(error, TaskStartUncertainError):
        if not vendor.uncertain:
            yield "uncertain, which this vendor need not be"
    elif not isinstance(error, QrmiError):
        yield f"{error!r} is none of ours"
    elif runs:
        yield f"{type(error).__name__} says that there is no task, and it was run"


def _complaints_of_started(report: Report, start: Start, task_id: str, runs: int) -> Iterator[str]:
    if runs != 1:
        yield f"started, and run {runs} times"
    own_id = task_id.rpartition(":")[2]
    if report.counted["ids"].get(own_id) != 1:
        yield f"task {task_id} was run {report.counted['ids'].get(own_id, 0)} times"
    if start.found not in (None, task_id):
        yield f"its key finds task {start.found}"
    if start.value != report.truth:
        yield f"wrong result {start.value!r}"


def trial(row: str, number: int, seed: int, *, threads: int = _THREADS) -> Report:
    """Start ``number`` tasks under faults; half of them with keys of the caller's own.

    All that failed with a key is started again under it, at once and once more when all is calm.
    The journal is the one of ``QRMI_STATE_DIR``.
    """
    begun = time.monotonic()
    with Place(row) as place:
        vendor = VENDORS[row]
        handles = _handles(vendor, place.entry)
        truth = _truth(vendor, handles[0])
        starts = [
            Start(mark=f"mark-{n:05}", key=f"own {row} {seed} {n}" if n % 2 else None)
            for n in range(number)
        ]
        place.faults(seed, patience=PATIENCE_SECONDS, rate=_RATE, others=_OTHERS)
        chosen = itertools.cycle(handles)
        pairs = [(start, next(chosen)) for start in starts]
        _in_threads(threads, pairs, lambda start, handle: _begin(vendor, start, handle))
        place.calm()
        _in_threads(threads, pairs, lambda start, handle: _finish(vendor, start, handle))
        report = Report(
            row=row,
            starts=starts,
            truth=truth,
            counted=place.counts(),
            seconds=time.monotonic() - begun,
        )
        for handle in handles:
            handle.close()
    return report


def _handles(vendor: Vendor, entry: dict[str, Any]) -> list[QuantumResource]:
    settings = {**entry["environment"], **IMPATIENT}
    made = [
        QuantumResource.from_config(vendor.name, vendor.kind, settings) for _ in range(_HANDLES - 1)
    ]
    return [*made, pickle.loads(pickle.dumps(made[0]))]


def _truth(vendor: Vendor, handle: QuantumResource) -> Any:
    task_id = handle.task_start(vendor.make("mark-truth"))
    handle.task_wait(task_id, timeout_seconds=20)
    return vendor.result(handle.task_result(task_id).value)


def _in_threads(
    threads: int,
    pairs: list[tuple[Start, QuantumResource]],
    work: Callable[[Start, QuantumResource], None],
) -> None:
    threading.stack_size(512 * 1024)
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, *pair) for pair in pairs]:
            done.result()
    threading.stack_size(0)


def _begin(vendor: Vendor, start: Start, handle: QuantumResource) -> None:
    """Start it under faults, once more if that failed, and ask for its result once."""
    begun = time.monotonic()
    try:
        start.task_id = handle.task_start(vendor.make(start.mark), key=start.key)
    except Exception as error:
        start.error = error
        start.seconds = time.monotonic() - begun
        _start_again(vendor, start, handle)
    start.seconds = start.seconds or time.monotonic() - begun
    if start.last_id is not None:
        _fetch(vendor, start, handle, looks=1)


def _finish(vendor: Vendor, start: Start, handle: QuantumResource) -> None:
    """In calm: start it again under its own key, and get the result if it is not there."""
    _start_again(vendor, start, handle)
    if start.value is None and start.last_id is not None:
        _fetch(vendor, start, handle, looks=_LOOKS)
    can_find = handle.capabilities.idempotency_key and not vendor.uncertain
    if start.key and start.mark.endswith("1") and can_find:
        start.found = handle.find_task(start.key) or "none"


def _start_again(vendor: Vendor, start: Start, handle: QuantumResource) -> None:
    if start.key is None:
        return
    try:
        start.again.append(handle.task_start(vendor.make(start.mark), key=start.key))
    except Exception as error:
        start.again.append(error)


def _fetch(vendor: Vendor, start: Start, handle: QuantumResource, *, looks: int) -> None:
    task_id = start.last_id
    assert task_id is not None
    for _ in range(looks):
        try:
            handle.task_wait(task_id, timeout_seconds=10)
            start.value = vendor.result(handle.task_result(task_id).value)
            return
        except (QrmiError, ValueError, KeyError):
            continue  # what is missing in the end is complained of
