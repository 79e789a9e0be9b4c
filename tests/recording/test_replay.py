"""What a replay answers: the same calls in the recorded way, others with an error."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import qrmi
from qrmi import QRMIService, QuantumResource, ResourceProvider
from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    AnswerLostError,
    NotRecordedError,
    Owner,
    RecordingError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    WaitTimeoutError,
)
from qrmi.payloads import AnalogJob, IQMServer, PulserBatch, QiskitPrimitive
from qrmi.recording import Recorder, Replay, Sink, load, record, replay
from qrmi.tasks import BatchJob, TaskId, TaskResult, TaskStatus
from qrmi.testing.scripted import ScriptedDriver

QUEUED, RUNNING, COMPLETED = TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.COMPLETED
PAYLOAD = QiskitPrimitive('{"pubs": []}', "sampler")
Played = Callable[..., Driver]


@pytest.fixture
def played(tmp_path: Path) -> Played:
    """Records what a program does with a driver, and gives the driver that replays it."""

    def play(program: Callable[[Driver], object], driver: Driver | None = None) -> Driver:
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.jsonl"
        inner = driver or ScriptedDriver(statuses=[QUEUED, RUNNING, COMPLETED], result="{1}")
        program(Recorder(inner, Sink(path), resource_type="scripted"))
        return Replay(path).driver(inner.resource_id)

    return play


def started(driver: Driver) -> TaskId:
    return driver.task_start(PAYLOAD, "k")


# --- statuses -----------------------------------------------------------------------------------


def looks(times: int) -> Callable[[Driver], list[TaskStatus]]:
    def program(driver: Driver) -> list[TaskStatus]:
        task_id = started(driver)
        return [driver.task_status(task_id) for _ in range(times)]

    return program


def test_statuses_advance_as_recorded(played: Played) -> None:
    """The same looks get the same answers; the last status stays."""
    driver = played(looks(4))
    assert looks(6)(driver) == [QUEUED, RUNNING, *[COMPLETED] * 4]


def test_long_runs_of_looks_are_shortened(played: Played) -> None:
    """A loop that was recorded 500 times need not be repeated 500 times."""
    statuses = [RUNNING] * 500 + [COMPLETED]
    driver = played(looks(501), ScriptedDriver(statuses=statuses))
    assert looks(11)(driver) == [RUNNING] * 10 + [COMPLETED]


def test_a_wait_takes_no_time(played: Played) -> None:
    """Whatever was recorded between start and end, a wait gets the end at once."""
    driver = played(looks(501), ScriptedDriver(statuses=[RUNNING] * 500 + [COMPLETED]))
    handle = QuantumResource.from_driver(driver, resource_type="scripted")
    begun = time.monotonic()
    task_id = handle.task_start(PAYLOAD)
    assert handle.task_wait(task_id) is COMPLETED
    assert time.monotonic() - begun < 1


def test_a_wait_that_is_watched_is_told_each_status(played: Played) -> None:
    driver = played(looks(6))
    handle = QuantumResource.from_driver(driver, resource_type="scripted")
    seen: list[TaskStatus] = []
    handle.task_wait(handle.task_start(PAYLOAD), on_status=seen.append)
    assert seen == [QUEUED, RUNNING, COMPLETED]


def test_a_recording_that_ends_before_its_task(played: Played) -> None:
    """The last status stays; a wait ends at once, as one whose time is over."""
    driver = played(looks(2))
    handle = QuantumResource.from_driver(driver, resource_type="scripted")
    task_id = handle.task_start(PAYLOAD)
    with pytest.raises(WaitTimeoutError, match=r"still running .the recording ends before"):
        handle.task_wait(task_id)
    assert handle.task_status(task_id) is RUNNING


def test_a_wait_that_was_interrupted(played: Played) -> None:
    """The program was stopped while it waited for the first time: the wait ends at once."""

    class Hanging(ScriptedDriver):
        CAPABILITIES = Capabilities(push=True)

        def task_wait(self, task_id: TaskId, timeout_seconds: float) -> TaskStatus:
            raise KeyboardInterrupt

    def program(driver: Driver) -> None:
        handle = QuantumResource.from_driver(driver, resource_type="scripted")
        handle.task_wait(handle.task_start(PAYLOAD))

    def interrupted(driver: Driver) -> None:
        with pytest.raises(KeyboardInterrupt):
            program(driver)

    driver = played(interrupted, Hanging())
    with pytest.raises(WaitTimeoutError, match="the recording ends before"):
        program(driver)


def test_what_is_known_is_not_taken_back(played: Played) -> None:
    """Who waits first and asks for the result once is not told "not ready"."""

    def program(driver: Driver) -> None:
        task_id = started(driver)
        for _ in range(2):
            with pytest.raises(TaskNotReadyError):
                driver.task_result(task_id)
        driver.task_result(task_id)

    driver = played(program, ScriptedDriver(statuses=[QUEUED, RUNNING, COMPLETED], result="{}"))
    program(driver)
    assert driver.task_result(TaskId("task-1")) == TaskResult("{}")

    def waiting(driver: Driver) -> None:
        task_id = started(driver)
        driver.task_status(task_id)
        with pytest.raises(TaskNotReadyError):
            driver.task_result(task_id)
        driver.task_status(task_id)
        driver.task_result(task_id)

    script = ScriptedDriver(statuses=[QUEUED, RUNNING, COMPLETED, COMPLETED], result="{}")
    driver = played(waiting, script)
    task_id = started(driver)
    assert driver.task_wait(task_id, 30.0) is COMPLETED
    assert driver.task_result(task_id) == TaskResult("{}")


def test_what_a_stop_brought_comes_after_the_stop(played: Played) -> None:
    """Asked more often than recorded, a task still runs until it is stopped."""

    def program(driver: Driver) -> None:
        task_id = started(driver)
        driver.task_status(task_id)
        driver.task_stop(task_id)
        driver.task_status(task_id)
        with pytest.raises(TaskCancelledError):
            driver.task_result(task_id)

    driver = played(program, ScriptedDriver(statuses=[RUNNING]))
    task_id = started(driver)
    assert [driver.task_status(task_id) for _ in range(3)] == [RUNNING] * 3
    assert driver.task_wait(task_id, 30.0) is RUNNING
    assert driver.task_stop(task_id) is True
    assert driver.task_status(task_id) is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError, match="was stopped"):
        driver.task_result(task_id)


# --- starts -------------------------------------------------------------------------------------


def test_equal_starts_in_their_order(played: Played) -> None:
    """Each recorded start answers once; one more is refused, and says why."""

    def program(driver: Driver) -> list[str]:
        other = QiskitPrimitive("[]", "sampler")
        return [driver.task_start(payload, "k") for payload in (PAYLOAD, other, PAYLOAD)]

    driver = played(program)
    assert program(driver) == ["task-1", "task-2", "task-3"]
    with pytest.raises(NotRecordedError, match="has 2 calls of task_start of this payload, and g"):
        started(driver)


def test_a_program_that_was_not_recorded(played: Played) -> None:
    """The error says what was asked, and what the file has."""
    driver = played(looks(1))
    with pytest.raises(NotRecordedError) as caught:
        driver.task_start(QiskitPrimitive("{}", "estimator"), "k")
    text = str(caught.value)
    assert "task_start (qiskit-primitive, SHA-256 " in text
    assert "on scripted was not recorded" in text
    assert "has no task_start of this payload; it has " in text
    assert ".jsonl" in text


def test_names_that_change_from_run_to_run(played: Played) -> None:
    """Qiskit's counters in names of circuits do not make another program; a gate does."""

    def program(name: str) -> IQMServer:
        return IQMServer('{"circuits": [{"name": "' + name + '"}]}', "circuit")

    driver = played(lambda driver: driver.task_start(program("circuit-160"), "k"))
    with pytest.raises(NotRecordedError):
        driver.task_start(program("other-171"), "k")
    assert driver.task_start(program("circuit-171"), "k") == "task-1"


def test_identifiers_that_change_from_run_to_run(played: Played) -> None:
    """Pulser's observables are named anew in each run; results come with this run's names."""
    old, new = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"

    def batch(name: str) -> PulserBatch:
        return PulserBatch(sequence="{}", configuration='{"uuid": "' + name + '"}')

    def program(name: str) -> Callable[[Driver], TaskResult]:
        return lambda driver: driver.task_result(driver.task_start(batch(name), "k"))

    driver = played(program(old), ScriptedDriver(result='{"' + old + '": 1}'))
    assert program(new)(driver) == TaskResult('{"' + new + '": 1}')


def test_keys_that_are_made_up(played: Played) -> None:
    """A look-up by this run's key finds what the recorded look-up found."""

    class Losing(ScriptedDriver):
        def task_start(self, payload: Any, key: str) -> TaskId:
            super().task_start(payload, key)
            raise AnswerLostError("the line was cut", resource_id="scripted")

    def program(key: str) -> Callable[[Driver], None]:
        def run(driver: Driver) -> None:
            with pytest.raises(AnswerLostError, match="the line was cut"):
                driver.task_start(PAYLOAD, key)
            assert driver.find_task(key) == "task-1"

        return run

    program("second")(played(program("first"), Losing()))


# --- everything else ----------------------------------------------------------------------------


def test_errors_come_back(played: Played) -> None:
    """Class, text, owner, hint, retryable and ids."""

    class Failing(ScriptedDriver):
        def task_result(self, task_id: TaskId) -> TaskResult:
            raise TaskFailedError(
                "qubit 3 is off", owner=Owner.SITE, hint="ask", task_id=task_id, request_ids=("r1",)
            )

    caught = []

    def program(driver: Driver) -> None:
        with pytest.raises(TaskFailedError) as info:
            driver.task_result(started(driver))
        caught.append(vars(info.value))

    program(played(program, Failing()))
    recorded, replayed = caught
    assert recorded == replayed


def test_a_question_that_was_not_recorded(played: Played) -> None:
    """The error names what the file has of the task, or which tasks it has."""
    driver = played(looks(2))
    with pytest.raises(NotRecordedError, match=r"has of it only: task_start \(1\), task_status"):
        driver.task_logs(TaskId("task-1"))
    with pytest.raises(NotRecordedError, match=r"task_status of task-9 on scripted .* of task-1"):
        driver.task_status(TaskId("task-9"))
    with pytest.raises(NotRecordedError, match=r"target on scripted .* has no target at all"):
        driver.target()
    with pytest.raises(NotRecordedError, match=r"no resource 'x' was recorded: .* has scripted"):
        driver.REPLAY.driver("x")


def test_sessions(played: Played) -> None:
    """The token is a placeholder, which the release takes; so does the real one."""
    tokens = []

    def program(driver: Driver) -> None:
        tokens.append(driver.acquire())
        assert not driver.is_borrowed(tokens[-1])
        driver.release(tokens[-1])

    driver = played(program)
    program(driver)
    driver.release(tokens[0])
    with pytest.raises(NotRecordedError, match="release"):
        driver.release("another")


def test_batches(played: Played) -> None:
    """Jobs are told apart by what they are."""

    class Batching(ScriptedDriver):
        CAPABILITIES = Capabilities(batches=True)

        def batch_start(self, payload: PulserBatch, key: str) -> TaskId:
            return TaskId("b")

        def batch_add(self, batch_id: TaskId, jobs: Any) -> list[str]:
            return [f"job of {job.runs}" for job in jobs]

        def batch_close(self, batch_id: TaskId) -> None:
            pass

        def batch_jobs(self, batch_id: TaskId) -> list[BatchJob]:
            return [BatchJob(id="job", status=COMPLETED, result="{}")]

    def program(driver: Driver) -> list[Any]:
        batch = driver.batch_start(PulserBatch(sequence="{}"), "k")
        added = [driver.batch_add(batch, [AnalogJob(runs=runs)]) for runs in (3, 4)]
        driver.batch_close(batch)
        return [added, driver.batch_jobs(batch)]

    driver = played(program, Batching())
    assert driver.batch_add(TaskId("b"), [AnalogJob(runs=4)]) == ["job of 4"]
    assert program(driver) == [
        [["job of 3"], ["job of 4"]],
        [BatchJob(id="job", status=COMPLETED, result="{}")],
    ]
    with pytest.raises(NotRecordedError):
        driver.batch_add(TaskId("b"), [AnalogJob(runs=5)])


def test_threads(played: Played) -> None:
    """Equal programs from eight threads: each recorded task is given once."""

    def program(driver: Driver) -> set[str]:
        found = []
        threads = [
            threading.Thread(
                target=lambda: found.append(driver.task_result(started(driver)) and None)
            )
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [None] * 8
        return set()

    driver = played(program, ScriptedDriver(result="{}"))
    program(driver)
    with pytest.raises(NotRecordedError):
        started(driver)


# --- as resources -------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, private_state: Path) -> Path:
    """A recording of the embedded simulator: opened without a name, and asked for little."""
    with record(tmp_path / "run.jsonl") as path:
        with qrmi.open() as resource:
            resource.status()
            resource.metadata()
        assert resource.is_accessible()
    return path


def test_every_way_to_a_resource(run: Path) -> None:
    """All of them give the recorded resource, and none asks for a setting."""
    with replay(run):
        handles = [
            qrmi.open(),
            qrmi.open("local"),
            QuantumResource("local", "local"),
            QuantumResource.from_config("local", "local", {}),
            *(each.open() for each in qrmi.resources()),
        ]
        assert {handle.metadata()["backend_name"] for handle in handles} == {"local"}
        assert pickle.loads(pickle.dumps(handles[0])).metadata() == {"backend_name": "local"}
        with pytest.raises(ResourceNotFoundError, match=r"there is: local \(local\)"):
            qrmi.open("other")
        with pytest.raises(NotRecordedError, match="no resource of type 'pasqal-cloud'"):
            QuantumResource("local", "pasqal-cloud")
        with pytest.raises(NotRecordedError, match="task_status of x"):
            handles[0].task_status("x")
    assert not isinstance(QuantumResource("local", "local")._driver, Recorder)


def test_a_job_is_a_job_again(tmp_path: Path, monkeypatch, private_state: Path) -> None:
    """Who got QPUs from a scheduler gets them from the recording."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "one,two")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "local,local")
    with record(tmp_path / "run.jsonl") as path:
        names = [each.resource_id() for each in QRMIService().resources()]
    assert names == ["one", "two"]
    monkeypatch.delenv("QRMI_JOB_QPU_RESOURCES")
    monkeypatch.delenv("QRMI_JOB_QPU_TYPES")
    with replay(path):
        assert [each.resource_id() for each in QRMIService().resources()] == names
        assert qrmi.get_job_qpu_resources_and_types() == (names, ["local", "local"])
        assert {each.name for each in qrmi.resources()} == set(names)


def test_discovery(tmp_path: Path) -> None:
    """The devices of an account are listed again, without its credentials."""
    from qrmi_sandbox import make_server

    server = make_server("alice-bob-felis")
    server.start()
    settings = server.resource(None)["environment"]
    with record(tmp_path / "run.jsonl") as path:
        found = ResourceProvider("alice-bob-felis", settings).resources("is_simulator=true")
        names = [device.resource_id() for device in found]
        states = [device.status() for device in found]
    server.stop()
    assert names
    with replay(path):
        provider = ResourceProvider("alice-bob-felis", {})
        again = provider.resources("is_simulator=true")
        assert [device.resource_id() for device in again] == names
        assert [device.status() for device in again] == states
        with pytest.raises(NotRecordedError, match="these filters was recorded: num_qubits=3"):
            provider.resources("num_qubits=3")


def test_nothing_is_left_of_a_replay(run: Path, private_state: Path) -> None:
    """Its tasks are journalled elsewhere, and the environment is as before."""
    before = dict(os.environ)
    with replay(run) as recording:
        assert recording.task_ids == []
        folder = Path(os.environ["QRMI_STATE_DIR"])
        assert folder != private_state
    assert dict(os.environ) == before
    assert not folder.exists()


def test_a_replay_begins_anew(tmp_path: Path) -> None:
    """A second replay of a file gives its starts again."""
    path = tmp_path / "run.jsonl"
    looks(1)(Recorder(ScriptedDriver(), Sink(path), resource_type="scripted"))
    for _ in range(2):
        with replay(path):
            assert qrmi.open("scripted").task_start(PAYLOAD) == "task-1"


def test_a_task_from_before_the_recording(tmp_path: Path, private_state: Path) -> None:
    """Its context comes along, so that a job can be reopened by its id in the replay."""
    handle = QuantumResource("local", "local")
    payload = QiskitPrimitive('{"pubs": [], "version": 2}', "sampler")
    task_id = handle.task_start(payload, context={"sdk": "none", "shape": [3]})
    handle.task_stop(task_id)
    with record(tmp_path / "run.jsonl") as path:
        ended = qrmi.resource_of_task(task_id).task_status(task_id)
    with replay(path):
        again = qrmi.resource_of_task(task_id)
        assert again.task_status(task_id) is ended
        assert again.task_context(task_id) == {"sdk": "none", "shape": [3]}


def test_lost_answers_are_reconciled_again(tmp_path: Path, private_state: Path) -> None:
    """What the handle did about a lost answer it does in the replay, without waiting."""

    class Losing(ScriptedDriver):
        CAPABILITIES = Capabilities(idempotency_key=True, settle_seconds=0.3)
        looks = 0

        def task_start(self, payload: Any, key: str) -> TaskId:
            super().task_start(payload, key)
            raise AnswerLostError("the line was cut", resource_id="scripted")

        def find_task(self, key: str) -> TaskId | None:
            Losing.looks += 1
            return None if Losing.looks < 4 else super().find_task(key)

    path = tmp_path / "run.jsonl"
    driver = Recorder(Losing(), Sink(path), resource_type="scripted")
    handle = QuantumResource.from_driver(driver, resource_type="scripted")
    assert handle.task_start(PAYLOAD) == "task-1"
    assert sum(call.method == "find_task" for call in load(path).calls) == 4
    with replay(path):
        assert qrmi.open().task_start(PAYLOAD) == "task-1"


def test_outages_are_told_in_their_place(played: Played) -> None:
    """A status that failed once fails once, where it did."""

    class Shaky(ScriptedDriver):
        asked = 0

        def task_status(self, task_id: TaskId) -> TaskStatus:
            Shaky.asked += 1
            if Shaky.asked == 2:
                raise ResourceUnavailableError("down for a moment")
            return super().task_status(task_id)

    def program(driver: Driver) -> list[object]:
        task_id = started(driver)
        found: list[object] = []
        for _ in range(4):
            try:
                found.append(driver.task_status(task_id))
            except ResourceUnavailableError as error:
                found.append(error.message)
        return found

    expected = [QUEUED, "down for a moment", COMPLETED, COMPLETED]
    driver = played(program, Shaky(statuses=[QUEUED, COMPLETED]))
    assert program(driver) == expected


def test_files_that_cannot_be_replayed(tmp_path: Path, monkeypatch) -> None:
    """The error names the file, also when the variable names it."""
    with pytest.raises(RecordingError, match="there is no recording"), replay(tmp_path / "no"):
        pass
    monkeypatch.setenv("QRMI_REPLAY", str(tmp_path / "no"))
    with pytest.raises(RecordingError, match="there is no recording"):
        qrmi.open()


def test_a_task_that_never_was(played: Played) -> None:
    """An error of the service's own is no error of the recording."""

    def program(driver: Driver) -> None:
        with pytest.raises(TaskNotFoundError, match="no task x"):
            driver.task_status(TaskId("x"))

    program(played(program))
