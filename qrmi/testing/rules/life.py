"""A task's life: it starts, its statuses go forward, it ends, its result stays."""

from __future__ import annotations

import uuid

import pytest

from qrmi.errors import TaskCancelledError, TaskFailedError, TaskNotReadyError
from qrmi.payloads import Payload
from qrmi.tasks import TaskResult, TaskStatus
from qrmi.testing.rules.kit import Kit, rank

__all__ = ["LifeRules"]


class LifeRules:
    """Start, look, fetch."""

    def test_a_task_completes_and_has_a_result(self, kit: Kit) -> None:
        """A task of `program` completes; its result is a text that is not empty."""
        task = kit.completed()
        result = kit.resource.task_result(task)
        assert isinstance(result, TaskResult), f"task_result gave {type(result).__name__}"
        assert isinstance(result.value, str), f"the result is {type(result.value).__name__}"
        assert result.value, "the result is empty"

    def test_an_id_is_a_text(self, kit: Kit) -> None:
        """A task's id is a plain text without blanks at its ends: it is typed and pasted."""
        task = kit.start()
        assert isinstance(task, str), f"the id is a {type(task).__name__}"
        assert task, "the id is empty"
        assert task == task.strip(), "the id has blanks at its ends"
        assert task.isprintable(), "the id has characters that cannot be shown"

    def test_each_start_is_a_task_of_its_own(self, kit: Kit) -> None:
        """The same program started twice is two tasks, and each ends."""
        first, second = kit.start(), kit.start()
        assert first != second, "two starts have the same id"
        for task in (first, second):
            assert kit.resource.task_wait(task, kit.patience_seconds) is TaskStatus.COMPLETED

    def test_statuses_go_forward(self, kit: Kit) -> None:
        """Queued, running, ended: none of them comes back, and nothing but these is told."""
        for _ in range(3):
            seen = kit.watch(kit.start())
            ranks = [rank(status) for status in seen]
            assert ranks == sorted(ranks), f"went back: {_path(seen)}"

    def test_a_final_status_stays(self, kit: Kit) -> None:
        """However often a task that has ended is looked at, it tells the same."""
        task = kit.completed()
        seen = []
        for _ in range(5):
            seen.append(kit.resource.task_status(task))
            kit.pause()
        assert set(seen) == {TaskStatus.COMPLETED}, f"changed after its end: {_path(seen)}"

    def test_a_result_can_be_fetched_again(self, kit: Kit) -> None:
        """Fetching a result does not use it up, and it stays the same."""
        task = kit.completed()
        first = kit.resource.task_result(task)
        assert kit.resource.task_result(task) == first, "the second result is another one"
        assert kit.resource.task_status(task) is TaskStatus.COMPLETED

    def test_there_is_no_result_before_the_end(
        self, kit: Kit, slow_program: Payload | None
    ) -> None:
        """Fetching early is a `TaskNotReadyError` that says to try again, and harms nothing."""
        task = kit.start(slow_program or kit.program)
        early = _early(kit, task)
        if early is None:
            status = kit.resource.task_status(task)
            assert status is TaskStatus.COMPLETED, f"a result of a task that is {status.name}"
            return
        assert not isinstance(early, TaskFailedError | TaskCancelledError), (
            f"{type(early).__name__} of a task that has not ended"
        )
        kit.check_error(early)
        assert early.retryable, "it may succeed later, but is not retryable"

    def test_a_failed_task_says_why(self, kit: Kit, failing_program: Payload | None) -> None:
        """A program that cannot succeed ends as failed; the error gives the service's reason."""
        if failing_program is None:
            pytest.skip("no failing_program is given")
        task = kit.start(failing_program)
        status = kit.resource.task_wait(task, kit.patience_seconds)
        assert status is TaskStatus.FAILED, f"it ended as {status.name}"
        error = kit.refused(lambda: kit.resource.task_result(task), TaskFailedError)
        assert not error.retryable, "the same task cannot succeed later"
        assert kit.resource.task_status(task) is TaskStatus.FAILED

    def test_a_key_names_one_task(self, kit: Kit) -> None:
        """A start that is repeated with its key gives the task that exists."""
        key = f"conformance-{uuid.uuid4().hex}"
        first = kit.start(key=key)
        assert kit.start(key=key) == first, "the key started a second task"


def _early(kit: Kit, task: str) -> TaskNotReadyError | None:
    """The error that fetching a result at once leads to; ``None`` when there is one."""
    try:
        kit.resource.task_result(task)
    except TaskNotReadyError as error:
        return error
    return None


def _path(seen: list[TaskStatus]) -> str:
    steps = [status.name for i, status in enumerate(seen) if i == 0 or status != seen[i - 1]]
    return " -> ".join(steps)
