"""A start is sent once, whatever is lost; an end is journalled before anything is freed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qrmi import journal
from qrmi.driver import Capabilities
from qrmi.errors import (
    AnswerLostError,
    InvalidInputError,
    JournalError,
    QrmiError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.payloads import PasqalCloud, Payload
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskId, TaskResult, TaskStatus
from qrmi.testing import ScriptedDriver

PAYLOAD = PasqalCloud("{}", 1)


@pytest.fixture(autouse=True)
def own_journal(private_state: Path) -> None:
    """Each test has a journal of its own."""


def handle(driver: ScriptedDriver) -> QuantumResource:
    return QuantumResource.from_driver(driver, resource_type="scripted")


class LosingDriver(ScriptedDriver):
    """Starts the task, and loses the answer of the first start."""

    def __init__(self, lost: QrmiError, **arguments: object) -> None:
        super().__init__(**arguments)  # type: ignore[arg-type]
        self.lost: QrmiError | None = lost

    def task_start(self, payload: Payload, key: str) -> TaskId:
        task_id = super().task_start(payload, key)
        if self.lost is not None:
            error, self.lost = self.lost, None
            raise error
        return task_id


class KeylessDriver(LosingDriver):
    """Its service cannot look a task up by its key."""

    CAPABILITIES = Capabilities()


@pytest.mark.parametrize("error", [AnswerLostError("cut"), UnexpectedAnswerError("a web page")])
def test_a_lost_answer_is_made_good_by_looking_the_task_up(error: QrmiError) -> None:
    driver = LosingDriver(error)
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-1"
    assert len(driver.sent) == 1
    assert journal.default().task("task-1").key == "mine"


def test_where_it_cannot_be_looked_up_that_is_said_and_nothing_is_sent_again() -> None:
    driver = KeylessDriver(AnswerLostError("cut"))
    resource = handle(driver)
    with pytest.raises(TaskStartUncertainError, match="may have been started") as caught:
        resource.task_start(PAYLOAD, key="mine")
    assert isinstance(caught.value.__cause__, AnswerLostError)
    with pytest.raises(TaskStartUncertainError, match="no known end"):
        resource.task_start(PAYLOAD, key="mine")
    assert len(driver.sent) == 1


class RepeatableDriver(LosingDriver):
    """Starting again with the same key is the same task; the service cannot be asked now."""

    CAPABILITIES = Capabilities(idempotency_key=True, repeatable_start=True)

    def find_task(self, key: str) -> TaskId | None:
        return None


def test_an_unsettled_start_is_sent_again_only_where_that_is_the_same_task() -> None:
    driver = RepeatableDriver(AnswerLostError("cut"))
    resource = handle(driver)
    with pytest.raises(TaskStartUncertainError):
        resource.task_start(PAYLOAD, key="mine")
    assert resource.task_start(PAYLOAD, key="mine") == "task-2"

    class UnrepeatableDriver(RepeatableDriver):
        CAPABILITIES = Capabilities(idempotency_key=True)

    driver = UnrepeatableDriver(AnswerLostError("cut"))
    resource = handle(driver)
    for _ in range(2):  # "not found" does not mean that it will not come
        with pytest.raises(TaskStartUncertainError):
            resource.task_start(PAYLOAD, key="theirs")
    assert len(driver.sent) == 1


def test_a_refused_start_may_be_tried_again_under_its_key() -> None:
    driver = LosingDriver(InvalidInputError("no"))
    resource = handle(driver)
    with pytest.raises(InvalidInputError):
        resource.task_start(PAYLOAD, key="mine")
    assert resource.task_start(PAYLOAD, key="mine") == "task-2"


class TwoStepDriver(ScriptedDriver):
    """Makes a task, then hands it its program; tells what the journal had in between."""

    CAPABILITIES = Capabilities(two_step=True)

    def __init__(self, submit_error: QrmiError | None = None) -> None:
        super().__init__()
        self.submit_error = submit_error
        self.journalled_between: list[TaskId | None] = []

    def task_start(self, payload: Payload, key: str) -> TaskId:
        raise AssertionError("the handle takes the two steps")

    def task_create(self, payload: Payload, key: str) -> TaskId:
        return super().task_start(payload, key)

    def task_submit(self, task_id: TaskId, payload: Payload) -> None:
        self.journalled_between = [record.id for record in journal.default().tasks()]
        if self.submit_error is not None:
            raise self.submit_error


def test_the_id_is_journalled_between_the_two_steps_of_a_start() -> None:
    driver = TwoStepDriver()
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert driver.journalled_between == ["task-1"]


def test_a_lost_second_step_names_the_task_that_may_run() -> None:
    with pytest.raises(TaskStartUncertainError, match="task-1") as caught:
        handle(TwoStepDriver(AnswerLostError("cut"))).task_start(PAYLOAD)
    assert caught.value.task_id == "task-1"
    assert journal.default().task("task-1").status is None


class LaneDriver(ScriptedDriver):
    """An ended task holds a lane until it is freed, and is then unknown to the service."""

    CAPABILITIES = Capabilities(cleanup=True)

    def __init__(self, end: TaskStatus) -> None:
        super().__init__(statuses=[TaskStatus.RUNNING, end])
        self.end = end
        self.freed: list[str] = []
        self.known_to_journal: list[TaskStatus | None] = []

    def task_status(self, task_id: TaskId) -> TaskStatus:
        if task_id in self.freed:
            raise TaskNotFoundError("gone", task_id=task_id)
        return super().task_status(task_id)

    def task_result(self, task_id: TaskId) -> TaskResult:
        if self.end is TaskStatus.COMPLETED:
            return TaskResult("from storage")
        if task_id in self.freed:
            raise TaskNotFoundError("gone", task_id=task_id)
        raise TaskFailedError("boom", task_id=task_id)

    def task_reason(self, task_id: TaskId) -> str:
        return "boom"

    def task_free(self, task_id: TaskId) -> None:
        self.known_to_journal.append(journal.default().task(task_id).status)
        self.freed.append(task_id)


@pytest.mark.parametrize("end", [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED])
def test_an_end_is_journalled_then_freed_and_remembered(end: TaskStatus) -> None:
    driver = LaneDriver(end)
    resource = handle(driver)
    task = resource.task_start(PAYLOAD)
    assert resource.task_status(task) is TaskStatus.RUNNING
    assert driver.freed == []
    assert resource.task_wait(task) is end
    assert driver.freed == [task]
    assert driver.known_to_journal == [end]
    assert resource.task_status(task) is end
    assert resource.task_wait(task) is end
    resource.task_stop(task)
    assert driver.freed == [task]


def test_results_stay_reachable_and_reasons_are_kept() -> None:
    completed = handle(LaneDriver(TaskStatus.COMPLETED))
    task = completed.task_start(PAYLOAD)
    completed.task_wait(task)
    assert completed.task_result(task).value == "from storage"
    failed = handle(LaneDriver(TaskStatus.FAILED))
    task = failed.task_start(PAYLOAD)
    failed.task_wait(task)
    with pytest.raises(TaskFailedError, match="boom"):
        failed.task_result(task)
    cancelled = handle(LaneDriver(TaskStatus.CANCELLED))
    task = cancelled.task_start(PAYLOAD)
    cancelled.task_wait(task)
    with pytest.raises(TaskCancelledError):
        cancelled.task_result(task)


def test_another_process_that_sees_the_end_frees_it_too() -> None:
    """A handle that knows nothing of the task journals its end and frees it."""
    driver = LaneDriver(TaskStatus.FAILED)
    task = driver.task_start(PAYLOAD, "elsewhere")  # not through a handle of ours
    other = handle(driver)
    assert other.task_wait(task) is TaskStatus.FAILED
    assert driver.freed == [task]
    with pytest.raises(TaskFailedError, match="boom"):
        handle(driver).task_result(task)


def test_a_failed_clean_up_is_made_good_at_the_next_look(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    driver = LaneDriver(TaskStatus.COMPLETED)
    resource = handle(driver)
    task = resource.task_start(PAYLOAD)
    free = driver.task_free

    def refuse(task_id: TaskId) -> None:
        raise QrmiError("not now")

    driver.task_free = refuse  # type: ignore[method-assign]
    assert resource.task_wait(task) is TaskStatus.COMPLETED
    assert "still holds its place" in caplog.text
    driver.task_free = free  # type: ignore[method-assign]
    resource.task_status(task)
    assert driver.freed == [task]


@pytest.mark.parametrize("bad", ["", ".", "..", "a\nb", "\ud800"])
def test_an_id_that_no_request_can_hold_is_a_lost_answer(bad: str) -> None:
    """The task is looked up by its key; where that cannot be, the start is uncertain."""

    class Careless(ScriptedDriver):
        def task_start(self, payload: Payload, key: str) -> TaskId:
            super().task_start(payload, key)
            return TaskId(bad)

    class Keyless(Careless):
        CAPABILITIES = Capabilities()

    assert handle(Careless()).task_start(PAYLOAD) == "task-1"
    with pytest.raises(TaskStartUncertainError):
        handle(Keyless()).task_start(PAYLOAD)


def test_the_first_end_in_the_journal_stays() -> None:
    """Another process that looks later changes neither the status nor the time of the end."""
    resource = handle(LaneDriver(TaskStatus.FAILED))
    task = resource.task_start(PAYLOAD)
    resource.task_wait(task)
    before = journal.default().task(task)
    resource._book.ended(task, TaskStatus.COMPLETED, "")
    after = journal.default().task(task)
    assert (after.status, after.ended_at, after.failure) == (
        TaskStatus.FAILED,
        before.ended_at,
        "boom",
    )


def test_half_a_line_on_a_full_disk_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written once there is room again is read back."""
    resource = handle(ScriptedDriver())
    write, room = os.write, [True]

    def full(descriptor: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(28, "No space left on device")
        room[0] = False
        return write(descriptor, data[:10])

    with monkeypatch.context() as patch:
        patch.setattr("qrmi.journal.os.write", full)
        with pytest.raises(JournalError, match="No space"):
            resource.task_start(PAYLOAD)
    task = resource.task_start(PAYLOAD)
    assert journal.default().task(task).status is TaskStatus.QUEUED
