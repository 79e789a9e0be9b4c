"""A start is sent once, whatever is lost; an end is journalled before anything is freed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from qrmi import journal
from qrmi.bookkeeping import TaskBook
from qrmi.driver import Capabilities
from qrmi.errors import (
    AnswerLostError,
    InvalidInputError,
    QrmiError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.payloads import PasqalCloud, Payload
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskId, TaskResult, TaskStatus
from qrmi.testing import FakeClock, ScriptedDriver

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
    assert caught.value.key == "mine"
    with pytest.raises(TaskStartUncertainError, match="no known end"):
        resource.task_start(PAYLOAD, key="mine")
    assert len(driver.sent) == 1


class RepeatableDriver(LosingDriver):
    """Starting again with the same key is the same task; the service cannot be asked now."""

    CAPABILITIES = Capabilities(idempotency_key=True, repeatable_start=True)

    def find_task(self, key: str) -> TaskId | None:
        return None


def test_a_start_that_may_be_repeated_is_sent_again_at_once() -> None:
    driver = RepeatableDriver(AnswerLostError("cut"))
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-2"
    assert [key for _, key in driver.sent] == ["mine", "mine"]


class ForgettingDriver(LosingDriver):
    """A first start is lost on its way; the service has nothing under its key until `arrives`."""

    def __init__(self, arrives: float | None = None) -> None:
        super().__init__(AnswerLostError("cut"))
        self.clock = self.time = FakeClock()
        self.arrives = arrives
        self.looks: list[float] = []

    def find_task(self, key: str) -> TaskId | None:
        self.looks.append(self.time.monotonic())
        is_there = self.arrives is not None and self.time.monotonic() >= self.arrives
        return super().find_task(key) if is_there or len(self.sent) > 1 else None


class SettlingDriver(ForgettingDriver):
    """Half a minute after it was sent a start can no longer arrive."""

    CAPABILITIES = Capabilities(idempotency_key=True, settle_seconds=30.0)


def test_not_found_does_not_mean_that_it_will_not_come() -> None:
    """Without a stated time after which absence proves something, nothing is sent again."""
    driver = ForgettingDriver()
    resource = handle(driver)
    for _ in range(2):
        with pytest.raises(TaskStartUncertainError):
            resource.task_start(PAYLOAD, key="theirs")
    assert len(driver.sent) == 1


def test_a_start_that_arrives_late_is_found() -> None:
    driver = SettlingDriver(arrives=20.0)
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert len(driver.sent) == 1
    assert driver.looks[-1] >= 20.0


def test_the_settle_time_begins_when_the_answer_is_given_up() -> None:
    """What comes before the request (a token, an upload) may take long; it leaves last."""

    class SlowDriver(SettlingDriver):
        def task_start(self, payload: Payload, key: str) -> TaskId:
            self.time.sleep(40.0)  # a token is fetched meanwhile
            return super().task_start(payload, key)

    driver = SlowDriver(arrives=60.0)
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert len(driver.sent) == 1


def test_absence_counts_once_the_start_can_no_longer_arrive() -> None:
    """Only then is it sent again, and the journal has both attempts."""
    driver = SettlingDriver()
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-2"
    assert len(driver.sent) == 2
    assert max(driver.looks) >= 30.0
    record = journal.default().task("task-2")
    assert (record.key, record.attempt) == ("mine", 2)


def test_a_search_that_fails_is_no_absence() -> None:
    driver = SettlingDriver()

    def broken(key: str) -> TaskId | None:
        raise ResourceUnavailableError("down")

    driver.find_task = broken  # type: ignore[method-assign]
    with pytest.raises(TaskStartUncertainError, match="down"):
        handle(driver).task_start(PAYLOAD)
    assert len(driver.sent) == 1


class ListingDriver(SettlingDriver):
    """Knows no keys; tells which tasks are new."""

    CAPABILITIES = Capabilities(lists_recent=True, settle_seconds=30.0)

    def __init__(self, listed: list[str]) -> None:
        super().__init__()
        self.listed = listed

    def recent_tasks(self, since: float) -> list[TaskId]:
        return [TaskId(each) for each in self.listed]


def test_a_list_without_unknown_tasks_shows_that_none_came_of_a_start() -> None:
    """A task that the journal knows is another start's."""
    driver = ListingDriver([])
    first = handle(driver).task_start(PAYLOAD)
    again = ListingDriver([first])
    again.sent.append(driver.sent[0])
    assert handle(again).task_start(PAYLOAD) == "task-3"


def test_a_list_with_unknown_tasks_is_told_not_guessed_from() -> None:
    driver = ListingDriver(["7", "8"])
    with pytest.raises(TaskStartUncertainError, match="7, 8"):
        handle(driver).task_start(PAYLOAD)
    assert len(driver.sent) == 1


def test_a_list_that_lacks_what_it_must_have_proves_nothing() -> None:
    driver = ListingDriver([])
    assert handle(driver).task_start(PAYLOAD) == "task-2"
    again = ListingDriver([])  # the service had a task, and now tells of none
    with pytest.raises(TaskStartUncertainError, match="lacks task-2"):
        handle(again).task_start(PAYLOAD)
    assert len(again.sent) == 1


def test_a_start_that_was_interrupted_is_known_to_be_lost() -> None:
    """Ctrl-C between sending and answer: the journal says so, and the key finds the task."""
    driver = LosingDriver(AnswerLostError("unused"))
    real = ScriptedDriver.task_start

    def interrupted(payload: Payload, key: str) -> TaskId:
        real(driver, payload, key)
        raise KeyboardInterrupt

    driver.task_start = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        handle(driver).task_start(PAYLOAD, key="mine")
    record = journal.default().find("mine")
    assert record is not None
    assert record.lost_at is not None
    del driver.task_start  # type: ignore[method-assign]
    driver.CAPABILITIES = SettlingDriver.CAPABILITIES  # type: ignore[misc]
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-1"


# --- one key, several processes ---------------------------------------------------------------


def test_threads_with_one_key_start_one_task() -> None:
    class SlowDriver(ScriptedDriver):
        def task_start(self, payload: Payload, key: str) -> TaskId:
            event.wait(0.05)
            return super().task_start(payload, key)

    event = threading.Event()
    driver = SlowDriver()
    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(handle(driver).task_start, PAYLOAD, key="one") for _ in range(8)]
        assert {future.result() for future in futures} == {"task-1"}
    assert len(driver.sent) == 1


def test_an_attempt_of_a_process_that_died_is_looked_up_then_made_again() -> None:
    driver = SettlingDriver()
    driver.lost = None
    book = handle(driver)._book
    journal.default().claim("mine", 1, **claim_fields(book, pid=2**22 + 1))
    book.intend("mine", PAYLOAD, {})
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-1"
    assert max(driver.looks) >= 29.0, "the dead process may have sent just now"


def test_a_process_that_died_before_its_intent_has_sent_nothing() -> None:
    """So that a task is started again also where nothing can be looked up."""
    driver = KeylessDriver(AnswerLostError("cut"))
    driver.lost = None
    book = handle(driver)._book
    journal.default().claim("mine", 1, **claim_fields(book, pid=2**22 + 1))
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-1"
    record = journal.default().find("mine")
    assert record is not None
    assert record.attempt == 2


def claim_fields(book: TaskBook, pid: int) -> dict[str, Any]:
    """A claim as another process of this host makes it."""
    book.keys.claim("model", 1, PAYLOAD)
    fields = dict(journal.default().claimed("model")[0])
    fields["process"]["pid"] = pid
    return {name: fields[name] for name in ("at", "number", "process", "resource", "digest")}


def test_a_claim_for_another_payload_is_refused_before_its_intent_is_seen() -> None:
    driver = ScriptedDriver()
    assert handle(driver)._book.keys.claim("mine", 1, PAYLOAD)
    with pytest.raises(InvalidInputError, match="another task"):
        handle(driver).task_start(PasqalCloud("{}", 2), key="mine")
    assert driver.sent == []


def test_a_key_is_free_again_after_a_refusal_even_for_another_payload() -> None:
    driver = LosingDriver(InvalidInputError("no"))
    resource = handle(driver)
    with pytest.raises(InvalidInputError):
        resource.task_start(PAYLOAD, key="mine")
    assert resource.task_start(PasqalCloud("{}", 2), key="mine") == "task-2"
    assert resource.task_start(PasqalCloud("{}", 2), key="mine") == "task-2"


def test_a_refused_start_may_be_tried_again_under_its_key() -> None:
    driver = LosingDriver(InvalidInputError("no"))
    resource = handle(driver)
    with pytest.raises(InvalidInputError):
        resource.task_start(PAYLOAD, key="mine")
    assert resource.task_start(PAYLOAD, key="mine") == "task-2"


class TwoStepDriver(ScriptedDriver):
    """Makes a task, then hands it its program; tells what the journal had in between."""

    CAPABILITIES = Capabilities(two_step=True, settle_seconds=30.0)

    def __init__(self, *submit_errors: QrmiError, has_program: bool = False) -> None:
        super().__init__()
        self.clock = self.time = FakeClock()
        self.submit_errors = list(submit_errors)
        self.submitted: list[TaskId] = []
        self.has_program = has_program
        self.journalled_between: list[TaskId | None] = []

    def task_start(self, payload: Payload, key: str) -> TaskId:
        raise AssertionError("the handle takes the two steps")

    def task_create(self, payload: Payload, key: str) -> TaskId:
        return super().task_start(payload, key)

    def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
        self.journalled_between = [record.id for record in journal.default().tasks()]
        self.submitted.append(task_id)
        if self.submit_errors:
            raise self.submit_errors.pop()

    def task_submitted(self, task_id: TaskId) -> bool:
        return self.has_program


def test_the_id_is_journalled_between_the_two_steps_of_a_start() -> None:
    driver = TwoStepDriver()
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert driver.journalled_between == ["task-1"]


def test_a_lost_second_step_is_looked_at_and_taken_again() -> None:
    """The same task is handed its program again, when it does not get it in time."""
    driver = TwoStepDriver(AnswerLostError("cut"), has_program=True)
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert driver.submitted == ["task-1"]
    driver = TwoStepDriver(AnswerLostError("cut"))
    assert handle(driver).task_start(PAYLOAD) == "task-1"
    assert driver.submitted == ["task-1", "task-1"]
    assert driver.time.monotonic() >= 30.0


def test_a_second_step_that_never_arrives_ends_plainly() -> None:
    """The service was asked each time, when it could not arrive any more: nothing runs."""
    driver = TwoStepDriver(*(AnswerLostError("cut") for _ in range(3)))
    with pytest.raises(ResourceUnavailableError, match="has not arrived") as caught:
        handle(driver).task_start(PAYLOAD, key="mine")
    assert not isinstance(caught.value, AnswerLostError)
    assert caught.value.retryable
    assert driver.submitted == ["task-1"] * 3
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-2"


def test_a_lost_first_step_is_taken_again() -> None:
    """A task without its program does nothing."""
    driver = TwoStepDriver()
    create, lost = driver.task_create, [AnswerLostError("cut")]

    def losing(payload: Payload, key: str) -> TaskId:
        task_id = create(payload, key)
        if lost:
            raise lost.pop()
        return task_id

    driver.task_create = losing  # type: ignore[method-assign]
    assert handle(driver).task_start(PAYLOAD) == "task-2"
    assert driver.submitted == ["task-2"]


@pytest.mark.parametrize("end", [AnswerLostError("cut"), KeyboardInterrupt()])
def test_the_task_of_a_refused_start_is_nobody_elses(end: BaseException) -> None:
    """It was made, and ended when its program was refused: what comes later has tasks of its own.

    Although the service says that something has happened to it since it was made.
    """
    driver = TwoStepDriver(ResourceUnavailableError("a gateway"))
    with pytest.raises(ResourceUnavailableError, match="gateway"):
        handle(driver).task_start(PAYLOAD, key="mine")
    create = driver.task_create

    def losing(payload: Payload, key: str) -> TaskId:
        create(payload, key)
        raise end

    driver.task_create = losing  # type: ignore[method-assign]
    with pytest.raises((ResourceUnavailableError, KeyboardInterrupt)):
        handle(driver).task_start(PAYLOAD, key="mine")
    driver.task_create = create  # type: ignore[method-assign]
    driver.has_program = True
    made = len(driver.sent)
    assert handle(driver).task_start(PAYLOAD, key="mine") == f"task-{made + 1}"
    assert driver.submitted == ["task-1", f"task-{made + 1}"]


def test_another_process_hands_over_the_program_that_a_dead_one_did_not() -> None:
    driver = TwoStepDriver(KeyboardInterrupt())  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        handle(driver).task_start(PAYLOAD, key="mine")
    assert handle(driver).task_start(PAYLOAD, key="mine") == "task-1"
    assert driver.submitted == ["task-1", "task-1"]
    assert len(driver.sent) == 1


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
