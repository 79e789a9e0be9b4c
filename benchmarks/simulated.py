"""Waiting on a clock that only counts: tasks of any length in no time."""

from __future__ import annotations

import random
from collections.abc import Mapping

import attrs

from qrmi.driver import Capabilities, Driver
from qrmi.history import history
from qrmi.plugins import driver_class
from qrmi.settings import Settings
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus
from qrmi.waiting import Deadline, wait_for_end

__all__ = ["PAUSES", "Task", "simulated"]

_ROUND_TRIP_SECONDS = 0.001
_JITTER = 0.1
_TASKS = 64

PAUSES: Mapping[str, float] = {
    name: driver_class(name).CAPABILITIES.min_poll_seconds
    for name in ("ibm-quantum-system", "pasqal-cloud", "iqm-server")
}
"""How often a vendor's service may be asked, in seconds."""


@attrs.frozen
class Task:
    """How one wait went: what was lost after the task's end, and the looks that it took."""

    lost_seconds: float
    requests: int


class _Clock:
    """Time passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class _Service(Driver):
    """A service with one task, which ends at a moment of the clock; each look takes a while."""

    PAYLOADS = frozenset()

    def __init__(self, clock: _Clock, pause: float, *, holds: bool) -> None:
        super().__init__("simulated", Settings())
        self.CAPABILITIES = Capabilities(min_poll_seconds=pause, push=holds)  # type: ignore[misc]
        self._clock = clock
        self.ends = 0.0
        self.requests = 0

    def task_status(self, task_id: TaskId) -> TaskStatus:
        self.requests += 1
        self._clock.sleep(_ROUND_TRIP_SECONDS / 2)
        is_over = self._clock.now >= self.ends
        self._clock.sleep(_ROUND_TRIP_SECONDS / 2)
        return TaskStatus.COMPLETED if is_over else TaskStatus.RUNNING

    def task_wait(self, task_id: TaskId, timeout_seconds: float) -> TaskStatus:
        remaining = self.ends - self._clock.now
        self._clock.sleep(max(0.0, min(remaining, timeout_seconds)))
        return self.task_status(task_id)

    def is_accessible(self) -> bool:
        return True

    def target(self) -> Target:
        return Target("{}")

    def task_start(self, payload: object, key: str) -> TaskId:
        raise NotImplementedError

    def task_result(self, task_id: TaskId) -> TaskResult:
        raise NotImplementedError

    def task_stop(self, task_id: TaskId) -> bool:
        return True


def simulated(seconds: float, *, pause: float, holds: bool = False) -> list[Task]:
    """Wait for tasks of about that length one after the other, from a process's first on."""
    clock, chance = _Clock(), random.Random(7)
    service = _Service(clock, pause, holds=holds)
    told = []
    for number in range(_TASKS):
        task_id = TaskId(f"{seconds}-{holds}-{number}")
        length = seconds * chance.uniform(1 - _JITTER, 1 + _JITTER)
        history.begun("simulated", task_id, (seconds, holds), clock.now)
        service.ends, service.requests = clock.now + length, 0
        wait_for_end(service, task_id, Deadline(clock, None))
        told.append(Task(clock.now - service.ends, service.requests))
    return told
