"""The only waiting loop, and the clock and deadline that it goes by."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import attrs

from qrmi.driver import Driver
from qrmi.errors import WaitTimeoutError
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["Clock", "Deadline", "SystemClock", "next_interval", "stop_and_clean_up", "wait_for_end"]

_WASTED_FRACTION = 0.05  # a pause is this share of the time waited so far: at most 5 % is wasted
_LONGEST_PAUSE_SECONDS = 1.0
_LONGEST_HOLD_SECONDS = 30.0
_HOLD_FOR_PROGRESS_SECONDS = 0.5


class Clock(Protocol):
    """Time that never goes back, and a way to let it pass."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Block this thread for ``seconds``."""
        time.sleep(seconds)


@attrs.frozen
class Deadline:
    """A moment by which something must have happened; ``None`` seconds means never.

    Attributes:
        clock: the clock it goes by.
        at: the moment on that clock, or ``None``.
    """

    clock: Clock
    at: float | None

    @classmethod
    def after(cls, seconds: float | None, clock: Clock) -> Deadline:
        """The deadline ``seconds`` from now."""
        return cls(clock, None if seconds is None else clock.monotonic() + seconds)

    def shorten(self, seconds: float) -> float:
        """``seconds``, or what remains when that is less; never negative."""
        if self.at is None:
            return seconds
        return max(0.0, min(seconds, self.at - self.clock.monotonic()))

    @property
    def passed(self) -> bool:
        """Whether the moment is gone."""
        return self.at is not None and self.clock.monotonic() >= self.at


def next_interval(waited_seconds: float, shortest_seconds: float) -> float:
    """How long to pause before asking again, given how long we have waited already."""
    pause = min(waited_seconds * _WASTED_FRACTION, _LONGEST_PAUSE_SECONDS)
    return max(pause, shortest_seconds)


def wait_for_end(
    driver: Driver,
    task_id: TaskId,
    deadline: Deadline,
    on_status: Callable[[TaskStatus], None] | None = None,
) -> TaskStatus:
    """Wait until the task ends and return its final status.

    ``on_status`` is called with each new status. A driver that can hold a request is asked to;
    the others are asked at intervals that grow with the time waited.

    Raises:
        WaitTimeoutError: the deadline passed first; the task goes on.
    """
    begun = deadline.clock.monotonic()
    seen: TaskStatus | None = None
    while True:
        status = _look(driver, task_id, deadline, responsive=on_status is not None)
        if on_status is not None and status != seen:
            on_status(status)
        seen = status
        if status.is_final:
            return status
        if deadline.passed:
            raise WaitTimeoutError(
                f"task {task_id} is still {status.name.lower()}", task_id=task_id
            )
        if not driver.CAPABILITIES.push:
            waited = deadline.clock.monotonic() - begun
            pause = next_interval(waited, driver.CAPABILITIES.min_poll_seconds)
            deadline.clock.sleep(deadline.shorten(pause))


def stop_and_clean_up(driver: Driver, task_id: TaskId, deadline: Deadline) -> None:
    """Repeat the driver's step until it says that no more is to come.

    Raises:
        WaitTimeoutError: the deadline passed first.
    """
    begun = deadline.clock.monotonic()
    while not driver.task_stop(task_id):
        if deadline.passed:
            raise WaitTimeoutError(
                f"task {task_id} is still being stopped", hint="ask again", task_id=task_id
            )
        pause = next_interval(
            deadline.clock.monotonic() - begun, driver.CAPABILITIES.min_poll_seconds
        )
        deadline.clock.sleep(deadline.shorten(pause))


def _look(driver: Driver, task_id: TaskId, deadline: Deadline, *, responsive: bool) -> TaskStatus:
    if not driver.CAPABILITIES.push:
        return driver.task_status(task_id)
    hold = _HOLD_FOR_PROGRESS_SECONDS if responsive else _LONGEST_HOLD_SECONDS
    return driver.task_wait(task_id, deadline.shorten(hold))
