"""The only waiting loop, and the clock and deadline that it goes by."""

from __future__ import annotations

import contextlib
import contextvars
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

import attrs

from qrmi.driver import Driver
from qrmi.errors import QrmiError, ResourceUnavailableError, WaitTimeoutError
from qrmi.history import history
from qrmi.tasks import TaskId, TaskStatus

__all__ = [
    "Clock",
    "Deadline",
    "SystemClock",
    "found_before",
    "next_interval",
    "request_deadline",
    "stop_and_clean_up",
    "wait_for_end",
]

_T = TypeVar("_T")

_WASTED_FRACTION = 0.045  # a pause is this share of the time so far; with the look itself, 5 %
_SHORTEST_PAUSE_SECONDS = 0.018  # once like tasks are known; less would only be more requests
_LONGEST_PAUSE_SECONDS = 10.0
_EARLY_LOOK = 0.3  # one look at this share of the expected time, for tasks that fail early
_EXPECTED = 0.95  # of the shortest of the last like tasks: from then on an end is likely
_LONGEST_HOLD_SECONDS = 30.0
_HOLD_FOR_PROGRESS_SECONDS = 0.5
_LATEST_ANSWER_SECONDS = 5.0  # after a wait's deadline: a slow service may still tell of an end
_HELD_FRACTION = 0.5  # of the time asked for: a request that came back sooner was not held


class Clock(Protocol):
    """Time that never goes back, and a way to let it pass."""

    def monotonic(self) -> float:
        """Seconds since some fixed moment."""

    def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""


class SystemClock:
    """The machine's own clock."""

    monotonic = staticmethod(time.monotonic)  # asked for at each request: no function around it

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


_requests_until: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar(
    "requests_until", default=None
)


request_deadline = _requests_until.get
"""By when a request that is sent now must have its answer, beside the driver's own limits.

Set while a wait with a deadline looks at its task; ``None`` at any other time.
"""


@contextlib.contextmanager
def _answers_by(deadline: Deadline) -> Iterator[Deadline]:
    """Requests made here are given up a few seconds after the deadline."""
    at = None if deadline.at is None else deadline.at + _LATEST_ANSWER_SECONDS
    latest = Deadline(deadline.clock, at)
    token = _requests_until.set(None if at is None else latest)
    try:
        yield latest
    finally:
        _requests_until.reset(token)


def next_interval(
    waited_seconds: float, shortest_seconds: float, expected_seconds: float | None = None
) -> float:
    """How long to pause before asking again.

    Args:
        waited_seconds: since the task was started, or since the wait began.
        shortest_seconds: how often the service may be asked.
        expected_seconds: before which like tasks have not ended; ``None`` when none are known.
    """
    pause = min(waited_seconds * _WASTED_FRACTION, _LONGEST_PAUSE_SECONDS)
    if expected_seconds is None:
        return max(pause, shortest_seconds)
    for share in (_EARLY_LOOK, _EXPECTED):
        if waited_seconds < share * expected_seconds:
            return max(share * expected_seconds - waited_seconds, shortest_seconds)
    return max(pause, shortest_seconds, _SHORTEST_PAUSE_SECONDS)


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
        WaitTimeoutError: the deadline passed first; the task goes on. A service that keeps silent
            is waited for a few seconds longer.
    """
    begun = deadline.clock.monotonic()
    expected = history.expectation(driver.resource_id, task_id)
    seen: TaskStatus | None = None
    while True:
        hold = _hold(driver, deadline, responsive=on_status is not None)
        looked = deadline.clock.monotonic()
        status = _look(driver, task_id, hold, deadline)
        if on_status is not None and status != seen:
            on_status(status)
        seen = status
        if status.is_final:
            history.ended(driver.resource_id, task_id, deadline.clock.monotonic())
            return status
        if deadline.passed:
            raise WaitTimeoutError(
                f"task {task_id} is still {status.name.lower()}", task_id=task_id
            )
        now = deadline.clock.monotonic()
        if not hold or now - looked < hold * _HELD_FRACTION:  # or it does not hold after all
            shortest = driver.CAPABILITIES.min_poll_seconds
            if expected is None:
                pause = next_interval(now - begun, shortest)
            else:
                pause = next_interval(now - expected.begun, shortest, expected.shortest)
            deadline.clock.sleep(deadline.shorten(pause))


def _look(driver: Driver, task_id: TaskId, hold: float, deadline: Deadline) -> TaskStatus:
    """Where the task is. Raises `WaitTimeoutError` when the service says nothing in time."""
    with _answers_by(deadline) as latest:
        try:
            return driver.task_wait(task_id, hold) if hold else driver.task_status(task_id)
        except ResourceUnavailableError as error:
            if not latest.passed:
                raise
            raise WaitTimeoutError(
                f"the service has not said in time where task {task_id} is", task_id=task_id
            ) from error


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


def found_before(
    deadline: Deadline,
    look: Callable[[], _T | None],
    shortest_seconds: float,
    *,
    grace_seconds: float = 0.0,
) -> _T | None:
    """Look until something is found; ``None`` when a look after the deadline found nothing.

    A look that fails is repeated, after the deadline for as long again as there was before it,
    half a minute at most, but for ``grace_seconds`` at least.

    Raises:
        QrmiError: of the last look, when it failed and there was no more time.
    """
    begun = deadline.clock.monotonic()
    allowed = max(deadline.shorten(_LONGEST_HOLD_SECONDS), grace_seconds)
    grace = Deadline(deadline.clock, None if deadline.at is None else deadline.at + allowed)
    while True:
        is_late = deadline.passed
        try:
            found = look()
        except QrmiError:
            if grace.passed:
                raise
        else:
            if found is not None or is_late:
                return found
        pause = next_interval(deadline.clock.monotonic() - begun, shortest_seconds)
        deadline.clock.sleep((grace if is_late else deadline).shorten(pause) or shortest_seconds)


def _hold(driver: Driver, deadline: Deadline, *, responsive: bool) -> float:
    """How long the driver is to hold the next request, in seconds; 0 when it cannot."""
    if not driver.CAPABILITIES.push:
        return 0.0
    return deadline.shorten(_HOLD_FOR_PROGRESS_SECONDS if responsive else _LONGEST_HOLD_SECONDS)
