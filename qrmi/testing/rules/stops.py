"""Stopping: of tasks at any moment, any number of times."""

from __future__ import annotations

import pytest

from qrmi.errors import TaskCancelledError
from qrmi.payloads import Payload
from qrmi.tasks import TaskStatus
from qrmi.testing.rules.kit import Kit

__all__ = ["StopRules"]


class StopRules:
    """`task_stop` is idempotent and never takes a result away."""

    def test_a_stopped_task_ends(self, kit: Kit, slow_program: Payload | None) -> None:
        """After a stop a task ends; one that was cancelled says so when its result is wanted."""
        task = kit.start(slow_program or kit.program)
        kit.resource.task_stop(task)
        status = kit.resource.task_wait(task, kit.patience_seconds)
        if status is TaskStatus.CANCELLED:
            error = kit.refused(lambda: kit.resource.task_result(task), TaskCancelledError)
            assert not error.retryable, "a stopped task will not have a result later"
        else:
            assert status is TaskStatus.COMPLETED, f"a stopped task ended as {status.name}"
            assert kit.resource.task_result(task).value

    def test_stopping_twice_is_no_error(self, kit: Kit, slow_program: Payload | None) -> None:
        """A second stop changes nothing, whether the first has taken effect or not."""
        task = kit.start(slow_program or kit.program)
        kit.resource.task_stop(task)
        kit.resource.task_stop(task)
        status = kit.resource.task_wait(task, kit.patience_seconds)
        kit.resource.task_stop(task)
        assert kit.resource.task_status(task) is status, "a stop after the end changed the status"

    def test_stopping_after_the_end_keeps_the_result(self, kit: Kit) -> None:
        """A completed task that is stopped stays completed, and its result can be fetched."""
        task = kit.completed()
        before = kit.resource.task_result(task)
        kit.resource.task_stop(task)
        assert kit.resource.task_status(task) is TaskStatus.COMPLETED, "the status changed"
        assert kit.resource.task_result(task) == before, "the result changed"

    def test_stopping_an_unfetched_task_keeps_the_result(self, kit: Kit) -> None:
        """Neither does a stop take a result away that nobody has fetched yet."""
        task = kit.completed()
        kit.resource.task_stop(task)
        assert kit.resource.task_result(task).value

    def test_a_running_task_can_be_stopped(self, kit: Kit, slow_program: Payload | None) -> None:
        """A resource that declares ``stop_running`` cancels a task that runs."""
        if not kit.resource.capabilities.stop_running:
            pytest.skip("stop_running is not declared")
        if slow_program is None:
            pytest.skip("no slow_program is given")
        task = kit.start(slow_program)
        while kit.resource.task_status(task) is TaskStatus.QUEUED:
            kit.pause()
        kit.resource.task_stop(task)
        status = kit.resource.task_wait(task, kit.patience_seconds)
        assert status is TaskStatus.CANCELLED, f"it ended as {status.name}"
