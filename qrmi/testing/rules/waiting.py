"""Waiting: it ends with the task or with its time, whichever comes first."""

from __future__ import annotations

import pytest

from qrmi.errors import WaitTimeoutError
from qrmi.payloads import Payload
from qrmi.tasks import TaskStatus
from qrmi.testing.rules.kit import Kit, rank
from qrmi.waiting import SystemClock

__all__ = ["WaitingRules"]

_SHORT_SECONDS = 0.2
_LATE_SECONDS = 5.0
_clock = SystemClock()


class WaitingRules:
    """`task_wait` and its time-out."""

    def test_a_wait_ends_with_its_time(self, kit: Kit, slow_program: Payload | None) -> None:
        """A time-out raises `WaitTimeoutError`, in time, and leaves the task alone."""
        if slow_program is None:
            pytest.skip("no slow_program is given")
        task = kit.start(slow_program)
        begun = _clock.monotonic()
        error = kit.refused(lambda: kit.resource.task_wait(task, _SHORT_SECONDS), WaitTimeoutError)
        waited = _clock.monotonic() - begun
        assert waited < _SHORT_SECONDS + _LATE_SECONDS, f"waited {waited:.1f} s"
        assert waited >= _SHORT_SECONDS * 0.9, f"gave up after {waited:.3f} s"
        assert error.task_id == task, "the error does not name the task"
        assert kit.resource.task_status(task) is not TaskStatus.CANCELLED

    def test_a_wait_without_time_comes_back(self, kit: Kit) -> None:
        """With no time at all a wait looks once: the final status, or `WaitTimeoutError`."""
        task = kit.start()
        begun = _clock.monotonic()
        try:
            status = kit.resource.task_wait(task, 0.0)
        except WaitTimeoutError as error:
            kit.check_error(error)
        else:
            assert status.is_final, f"returned although the task is {status.name}"
        assert _clock.monotonic() - begun < _LATE_SECONDS

    def test_a_wait_after_the_end_comes_back(self, kit: Kit) -> None:
        """Waiting for a task that has ended gives its status at once, again and again."""
        task = kit.completed()
        begun = _clock.monotonic()
        for _ in range(3):
            assert kit.resource.task_wait(task, kit.patience_seconds) is TaskStatus.COMPLETED
        assert _clock.monotonic() - begun < _LATE_SECONDS

    def test_a_wait_tells_each_new_status_once(self, kit: Kit) -> None:
        """The statuses that are told go forward, none twice; the last is what wait returns."""
        told: list[TaskStatus] = []
        task = kit.start()
        status = kit.resource.task_wait(task, kit.patience_seconds, told.append)
        assert told[-1] is status
        ranks = [rank(one) for one in told]
        assert ranks == sorted(set(ranks)), f"told {[one.name for one in told]}"
