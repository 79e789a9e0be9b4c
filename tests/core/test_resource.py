"""The handle: life cycle, lease, waiting, journal, threads."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import logging
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import AsyncQuantumResource, QuantumResource, TaskId, TaskStatus, journal
from qrmi.errors import (
    InvalidInputError,
    JournalError,
    ResourceUnavailableError,
    TaskNotFoundError,
    UnsupportedPayloadError,
    UnsupportedResourceTypeError,
    WaitTimeoutError,
)
from qrmi.payloads import Payload
from qrmi.testing import FakeClock, ScriptedDriver
from qrmi.waiting import Deadline, next_interval, stop_and_clean_up, wait_for_end

PAYLOAD = Payload.QiskitPrimitive("{}", "sampler")


def handle(driver: ScriptedDriver) -> QuantumResource:
    return QuantumResource.from_driver(driver, resource_type="scripted")


# --- tasks and journal --------------------------------------------------------------------------


def test_the_intent_is_journalled_before_anything_is_sent(private_state: Path) -> None:
    """What the driver sees when it sends is already in the journal."""
    seen: list[list[journal.TaskRecord]] = []

    class Looking(ScriptedDriver):
        def task_start(self, payload: Payload, key: str):  # type: ignore[no-untyped-def]
            seen.append(journal.default().tasks())
            return super().task_start(payload, key)

    task = handle(Looking("q")).task_start(PAYLOAD, context={"sdk": "test"})
    assert [(r.id, r.resource_id, r.status) for r in seen[0]] == [(None, "q", None)]
    record = journal.default().task(task)
    assert (record.resource_type, record.payload_format) == ("scripted", "qiskit-primitive")
    assert record.context == {"sdk": "test"}


def test_an_end_is_journalled_once_by_whoever_sees_it(private_state: Path) -> None:
    resource = handle(
        ScriptedDriver(statuses=[TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.COMPLETED])
    )
    task = resource.task_start(PAYLOAD)
    for _ in range(5):
        resource.task_status(task)
    assert journal.default().task(task).status is TaskStatus.COMPLETED
    lines = [
        json.loads(line)
        for file in (private_state / "journal").glob("*.jsonl")
        for line in file.read_text().splitlines()
    ]
    assert [line["event"] for line in lines] == ["intent", "started", "seen", "ended"]


def test_a_refused_start_is_journalled_and_raised(private_state: Path) -> None:
    error = ResourceUnavailableError("closed for lunch")
    with pytest.raises(ResourceUnavailableError):
        handle(ScriptedDriver(start_error=error)).task_start(PAYLOAD)
    (record,) = journal.default().tasks()
    assert record.id is None
    assert "closed for lunch" in record.reason


def test_nothing_is_sent_when_the_journal_cannot_be_written(
    private_state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("QRMI_STATE_DIR", str(blocked))
    driver = ScriptedDriver()
    with pytest.raises(JournalError, match="file"):
        handle(driver).task_start(PAYLOAD)
    assert driver.sent == []


def test_a_key_names_one_start(private_state: Path) -> None:
    """The same key gives the same task; with another payload it is an error."""
    driver = ScriptedDriver()
    resource = handle(driver)
    first = resource.task_start(PAYLOAD, key="mine")
    assert resource.task_start(PAYLOAD, key="mine") == first
    assert len(driver.sent) == 1
    with pytest.raises(InvalidInputError, match="mine"):
        resource.task_start(Payload.QiskitPrimitive("{}", "estimator"), key="mine")


def test_keys_made_up_differ(private_state: Path) -> None:
    driver = ScriptedDriver()
    resource = handle(driver)
    for _ in range(20):
        resource.task_start(PAYLOAD)
    assert len({key for _, key in driver.sent}) == 20


def test_a_format_that_is_not_taken_is_refused_before_sending(private_state: Path) -> None:
    class GateOnly(ScriptedDriver):
        PAYLOADS = frozenset({"qiskit-primitive"})

    driver = GateOnly("gates")
    with pytest.raises(UnsupportedPayloadError, match=r"gates .*pulser-sequence.*qiskit-primitive"):
        handle(driver).task_start(Payload.PasqalCloud("{}", 1))
    assert driver.sent == []
    assert journal.default().tasks() == []


def test_wrong_arguments_are_refused() -> None:
    resource = handle(ScriptedDriver())
    with pytest.raises(TypeError):
        resource.task_start("{}")  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError):
        resource.task_status("")
    with pytest.raises(TypeError):
        resource.task_status(7)  # type: ignore[arg-type]
    with pytest.raises(TaskNotFoundError):
        resource.task_status("unknown")
    with pytest.raises(UnsupportedResourceTypeError, match="local"):
        QuantumResource("x", "no-such-type")


@pytest.mark.parametrize(
    "wrong", [{"key": ""}, {"key": 5}, {"context": {"a": object()}}, {"context": [1, 2]}]
)
def test_a_start_that_cannot_be_journalled_sends_nothing(
    private_state: Path, wrong: dict[str, object]
) -> None:
    """A wrong key or context is told before the intent is written."""
    driver = ScriptedDriver()
    with pytest.raises((InvalidInputError, TypeError)) as error:
        handle(driver).task_start(PAYLOAD, **wrong)  # type: ignore[arg-type]
    assert isinstance(error.value, InvalidInputError) or wrong == {"key": 5}
    assert driver.sent == []
    assert journal.default().tasks() == []


def test_context_of_a_foreign_task_is_empty(private_state: Path) -> None:
    assert handle(ScriptedDriver()).task_context("unknown") == {}


# --- lease --------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_acquired_releases_on_every_way_out(
    private_state: Path, error: type[BaseException] | None
) -> None:
    driver = ScriptedDriver()
    tokens: list[str] = []

    def use() -> None:
        with handle(driver).acquired() as token:
            tokens.append(token)
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    assert driver.released == tokens != []


def test_leaving_with_releases_what_was_acquired(private_state: Path) -> None:
    driver = ScriptedDriver()
    with handle(driver) as resource:
        kept, given_back = resource.acquire(), resource.acquire()
        resource.release(given_back)
    assert driver.released == [given_back, kept]


def test_a_failing_release_does_not_hide_the_programs_error(
    private_state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Stuck(ScriptedDriver):
        def release(self, token: str) -> None:
            raise ResourceUnavailableError("gone")

    with pytest.raises(ValueError, match="mine"), handle(Stuck()).acquired():
        raise ValueError("mine")
    assert "gone" in caplog.text
    with pytest.raises(ResourceUnavailableError), handle(Stuck()).acquired():
        pass


def test_release_needs_a_token() -> None:
    with pytest.raises(InvalidInputError):
        handle(ScriptedDriver()).release("")


# --- waiting ------------------------------------------------------------------------------------


def test_waiting_wastes_at_most_five_percent() -> None:
    """After any wait the next pause is at most 5 % of it, within the floor and ten seconds."""
    for waited in (0.0, 0.1, 1.0, 10.0, 60.0, 600.0):
        pause = next_interval(waited, 0.005)
        assert 0.005 <= pause <= max(0.05 * waited, 0.005)
        assert pause <= 10.0


def test_waiting_respects_the_services_shortest_interval() -> None:
    assert next_interval(0.0, 2.0) == 2.0


def test_a_passed_deadline_leaves_the_task_alone() -> None:
    clock = FakeClock()
    driver = ScriptedDriver(statuses=[TaskStatus.RUNNING])
    task = driver.task_start(PAYLOAD, "k")
    with pytest.raises(WaitTimeoutError, match="running"):
        wait_for_end(driver, task, Deadline.after(10.0, clock))
    assert clock.monotonic() == pytest.approx(10.0)
    assert driver.task_status(task) is TaskStatus.RUNNING


def test_stopping_repeats_the_drivers_step_until_it_is_done() -> None:
    """A stop that takes several steps is carried through; one that never ends is said so."""
    clock = FakeClock()

    class Slow(ScriptedDriver):
        def task_stop(self, task_id: TaskId) -> bool:
            return clock.monotonic() > 3.0

    stop_and_clean_up(Slow(), TaskId("t"), Deadline.after(60.0, clock))
    assert 3.0 < clock.monotonic() < 3.5
    clock = FakeClock()
    with pytest.raises(WaitTimeoutError, match="still being stopped"):
        stop_and_clean_up(Slow(), TaskId("t"), Deadline.after(2.0, clock))
    assert clock.monotonic() == pytest.approx(2.0)


def test_each_new_status_is_reported_once() -> None:
    script = [TaskStatus.QUEUED] * 3 + [TaskStatus.RUNNING] * 3 + [TaskStatus.FAILED]
    driver = ScriptedDriver(statuses=script)
    seen: list[TaskStatus] = []
    task = driver.task_start(PAYLOAD, "k")
    end = wait_for_end(driver, task, Deadline.after(None, FakeClock()), seen.append)
    assert end is TaskStatus.FAILED
    assert seen == [TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.FAILED]


def test_cancelling_a_coroutine_stops_the_waiting_not_the_task(private_state: Path) -> None:
    """The worker thread ends soon after, and the task is left as it was."""
    driver = ScriptedDriver(statuses=[TaskStatus.RUNNING])
    resource = AsyncQuantumResource(handle(driver))

    async def main() -> str:
        task = await resource.task_start(PAYLOAD)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(resource.task_wait(task), 0.05)
        return task

    task = asyncio.run(main())  # returns only once the worker thread has ended
    assert driver.task_status(TaskId(task)) is TaskStatus.RUNNING


# --- threads, fork, logs ------------------------------------------------------------------------


def test_one_handle_serves_many_threads(private_state: Path) -> None:
    driver = ScriptedDriver()
    resource = handle(driver)

    def cycle(number: int) -> str:
        task = resource.task_start(PAYLOAD, context={"n": number})
        assert resource.task_wait(task) is TaskStatus.COMPLETED
        return task

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        tasks = list(pool.map(cycle, range(200)))
    assert len(set(tasks)) == 200
    records = {record.id: record for record in journal.default().tasks()}
    assert all(records[task].status is TaskStatus.COMPLETED for task in tasks)


def test_a_forked_child_journals_to_a_file_of_its_own(private_state: Path) -> None:
    resource = handle(ScriptedDriver())
    resource.task_start(PAYLOAD)
    child = os.fork()
    if child == 0:
        try:
            resource.task_start(PAYLOAD)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    resource.task_start(PAYLOAD)
    files = list((private_state / "journal").iterdir())
    assert len(files) == 2
    assert len({record.key for record in journal.default().tasks()}) == 3


def test_a_torn_last_line_is_passed_over(private_state: Path) -> None:
    task = handle(ScriptedDriver()).task_start(PAYLOAD)
    (file,) = (private_state / "journal").iterdir()
    with file.open("a") as stream:
        stream.write('{"v":1,"at":1,"event":"ended","resource":"scripted","task":"' + task)
    (file.parent / "torn.jsonl").write_bytes(b"\xff\xfe{garbage\n[]\n{}\n")
    assert journal.default().task(task).status is TaskStatus.QUEUED


_whole = {"v": 1, "at": 1.0, "key": "k", "resource": "r", "type": "t", "format": "f", "digest": "d"}


@given(
    event=st.sampled_from(["intent", "started", "refused", "ended", "new"]),
    changed=st.dictionaries(
        st.sampled_from(
            ["at", "key", "resource", "task", "status", "type", "reason", "event", "context"]
        ),
        st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=1),
    ),
)
def test_malformed_events_are_passed_over(
    event: str, changed: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One bad line must not hide the user's tasks for ever."""
    folder = tmp_path_factory.mktemp("journal")
    lines = [{**_whole, "event": "intent"}, {**_whole, "event": event, **changed}]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "writer.jsonl").write_text(text)
    assert "k" in [record.key for record in journal.Journal(folder).tasks()]


def test_a_journal_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(JournalError, match="read"):
        journal.Journal(file / "journal").tasks()
    assert journal.Journal(tmp_path / "absent").tasks() == []


def test_logs_hold_ids_only(private_state: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "qrmi")
    resource = handle(ScriptedDriver(result="RESULT"))
    task = resource.task_start(Payload.QiskitPrimitive('{"a": "PROGRAM"}', "sampler"))
    resource.task_wait(task)
    resource.task_result(task)
    assert task in caplog.text
    assert "PROGRAM" not in caplog.text
    assert "RESULT" not in caplog.text
