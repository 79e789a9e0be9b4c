"""Stopping to wait never stops a task; asking to stop does, and says so when it could not."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from signal import SIGINT as INT
from signal import SIGKILL as KILL
from signal import SIGTERM as TERM
from typing import Any

import pytest

from qrmi import Payload, QuantumResource, TaskStatus, journal
from qrmi.errors import QrmiError, WaitTimeoutError
from qrmi_sandbox.faults import Fault

Service = Any  # of conftest.py
QASM = 'OPENQASM 3.0; include "stdgates.inc"; bit[1] c; qubit[1] q; x q[0]; c[0] = measure q[0];'


@pytest.fixture
def program() -> Payload:
    params = {"pubs": [[QASM, None, 10]], "options": {}, "version": 2, "support_qiskit": True}
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")


@pytest.fixture
def handle(ibm: Service, private_state: Path) -> Iterator[QuantumResource]:
    """A handle on a service whose jobs take a while."""
    ibm.server.run_seconds = 2.0
    entry = ibm.server.resource()
    config = {**entry["environment"], "QRMI_HTTP_BUDGET_SECONDS": "0.3"}
    with QuantumResource.from_config(ibm.name, entry["type"], config) as resource:
        resource.is_accessible()
        yield resource


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt, SystemExit])
def test_a_block_stops_what_it_began_when_an_error_leaves_it(
    ibm: Service, handle: QuantumResource, program: Payload, error: type[BaseException] | None
) -> None:
    """What was started before or after, or has ended, is left alone."""
    ibm.server.run_seconds = 0.0
    ended = handle.task_start(program)
    ibm.server.run_seconds = 2.0
    handle.task_wait(ended)
    before = handle.task_start(program)

    def use() -> list[str]:
        tasks = []
        with handle.stopping() as block:
            tasks += [handle.task_start(program), handle.task_start(program)]
            if error is not None:
                raise error
        assert not block.stopped
        return tasks

    if error is None:
        mine = use()
    else:
        with pytest.raises(error) as caught:
            use()
        (note,) = caught.value.__notes__
        mine = [task for task in ibm.jobs() if task in note]
        assert len(mine) == 2
    after = handle.task_start(program)
    jobs = ibm.jobs()
    assert {jobs[task] for task in mine} == ({"Queued"} if error is None else {"Cancelled"})
    assert "Cancelled" not in {jobs[ended], jobs[before], jobs[after]}
    for task in (before, after, *mine):
        handle.task_stop(task)


def test_what_could_not_be_stopped_is_told(
    ibm: Service, handle: QuantumResource, program: Payload, caplog: pytest.LogCaptureFixture
) -> None:
    """The exception says which task may still run, and the log warns."""
    ibm.server.faults.add(Fault(kind="status", status=500, match="POST /api/v1/jobs/", times=None))
    block = handle.stopping()

    def use() -> None:
        with block:
            handle.task_start(program)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as caught:
        use()
    (task,) = ibm.jobs()
    assert set(block.not_stopped) == {task}
    assert f"may still run on {ibm.name}: {task}" in "".join(caught.value.__notes__)
    assert f"{task} on {ibm.name} was not stopped and may still run" in caplog.text
    with pytest.raises(QrmiError, match="may still run") as refused:
        handle.task_stop(task)
    assert refused.value.task_id == task


def test_an_interrupted_start_is_looked_for(
    ibm: Service, handle: QuantumResource, program: Payload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C when the request has left: in a block the task is found by its key and stopped."""
    send = handle._driver.task_start

    def interrupted(payload: Payload, key: str) -> Any:
        send(payload, key)
        raise KeyboardInterrupt

    monkeypatch.setattr(handle._driver, "task_start", interrupted)
    with pytest.raises(KeyboardInterrupt) as caught, handle.stopping() as block:
        handle.task_start(program)
    (task,) = ibm.jobs()
    assert block.stopped == [task]
    assert ibm.jobs() == {task: "Cancelled"}
    assert any("qrmi tasks" in note for note in caught.value.__notes__)
    assert [record.lost_at is not None for record in journal.default().tasks()] == [True]


def test_threads_count_with_the_block_that_is_open(
    ibm: Service, handle: QuantumResource, program: Payload
) -> None:
    """A thread without a block of its own counts; one with its own does not, nor another handle."""
    tasks: dict[str, str] = {}

    def start(name: str, resource: QuantumResource, block: bool) -> None:
        if block:
            with resource.stopping():
                tasks[name] = resource.task_start(program)
        else:
            tasks[name] = resource.task_start(program)

    def in_thread(*arguments: Any) -> None:
        thread = threading.Thread(target=start, args=arguments)
        thread.start()
        thread.join()

    entry = ibm.server.resource()
    other = QuantumResource.from_config(ibm.name, entry["type"], entry["environment"])
    with contextlib.suppress(ValueError), handle.stopping():
        in_thread("helper's", handle, False)
        in_thread("own block's", handle, True)
        in_thread("other handle's", other, False)
        with handle.stopping():
            start("inner block's", handle, False)
        raise ValueError
    jobs = ibm.jobs()
    assert {n for n, t in tasks.items() if jobs[t] == "Cancelled"} == {"helper's", "inner block's"}


def _ways_to_stop_waiting(resource: QuantumResource, task: str) -> list[Callable[[], object]]:
    def interrupted(_status: TaskStatus) -> None:
        raise KeyboardInterrupt

    return [
        lambda: resource.task_wait(task, timeout_seconds=0.05),
        lambda: resource.task_wait(task, on_status=interrupted),
        lambda: resource.task_result(task),
    ]


def test_stopping_to_wait_stops_nothing(handle: QuantumResource, program: Payload) -> None:
    """A time-out, Ctrl-C, a look for a result that is not there: the task goes on."""
    task = handle.task_start(program)
    for way in _ways_to_stop_waiting(handle, task):
        with pytest.raises((WaitTimeoutError, KeyboardInterrupt, QrmiError)):
            way()
    with pytest.raises(WaitTimeoutError), handle:
        handle.task_wait(task, timeout_seconds=0.05)
    assert handle.task_wait(task) is TaskStatus.COMPLETED


_WAITS = """
with resource.stopping():
    task = resource.task_start(program())
    say(task)
    resource.task_wait(task)
"""


@pytest.mark.parametrize("number", [INT, TERM, KILL])
def test_a_signal_leaves_the_block(ibm: Service, number: int) -> None:
    """Ctrl-C and SIGTERM stop the task; SIGKILL cannot, and the journal knows the task."""
    ibm.server.run_seconds = 3.0
    child = ibm.begin(_WAITS)
    task = child.line()
    child.send(number)
    assert child.end()[0] == -number
    assert ibm.jobs()[task] == ("Cancelled" if number != KILL else "Running")
    if number == KILL:
        assert ibm.command("stop", task).returncode == 0
        assert ibm.jobs()[task] == "Cancelled"


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_outside_a_block_stops_nothing(ibm: Service, number: int) -> None:
    ibm.server.run_seconds = 1.0
    child = ibm.begin("task = resource.task_start(program()); say(task); resource.task_wait(task)")
    task = child.line()
    child.send(number)
    assert child.end()[0] == -number
    ibm.wait_until(lambda: ibm.jobs()[task] == "Completed")


def test_the_end_tells_of_tasks_under_way(ibm: Service) -> None:
    """One line, at level INFO; nothing is stopped."""
    code, errors = ibm.run(
        """
        import logging
        logging.basicConfig(level=logging.INFO)
        resource.task_wait(resource.task_start(program()))
        resource.task_start(program())
        resource.task_start(program())
        """
    )
    assert code == 0
    assert "INFO:qrmi.lifetime.underway:tasks that go on without this process: 2" in errors
    ibm.wait_until(lambda: set(ibm.jobs().values()) == {"Completed"})


def test_a_forked_child_stops_nothing_of_its_parent(ibm: Service) -> None:
    ibm.server.run_seconds = 2.0
    code, errors = ibm.run(
        """
        try:
            with resource.stopping():
                task = resource.task_start(program())
                if os.fork() == 0:
                    raise ValueError
                os.wait()
        except ValueError:
            sys.exit(0)
        assert resource.task_status(task).name in ("QUEUED", "RUNNING")
        resource.task_stop(task)
        """
    )
    assert code == 0, errors


# --- qrmi run -----------------------------------------------------------------------------------


@pytest.fixture
def circuit(tmp_path: Path) -> str:
    path = tmp_path / "program.json"
    params = {"pubs": [[QASM, None, 10]], "options": {}, "version": 2, "support_qiskit": True}
    path.write_text(json.dumps({"program_id": "sampler", "parameters": params}))
    return str(path)


@pytest.mark.parametrize("flags", [[], ["--stop-on-interrupt"]])
@pytest.mark.parametrize("number", [INT, TERM])
def test_qrmi_run(ibm: Service, circuit: str, flags: list[str], number: int) -> None:
    """Ctrl-C tells that the task goes on, and its id; with the flag it is stopped, and told."""
    ibm.server.run_seconds = 3.0
    arguments = ["qrmi", "run", ibm.name, circuit, *flags]
    child = ibm.begin(
        f"import sys; sys.argv = {arguments!r}\nfrom qrmi.cli.main import main; sys.exit(main())",
        head="",
    )
    ibm.wait_until(lambda: "Running" in ibm.jobs().values())
    ibm.wait_until(lambda: any(r.path.startswith("/api/v1/jobs/") for r in ibm.server.requests))
    child.send(number)
    code, errors = child.end()
    (task,) = ibm.jobs()
    assert ibm.jobs()[task] == ("Cancelled" if flags else "Running")
    assert code == (130 if number == INT else -TERM)
    if number == INT:
        assert f"task {task} was stopped" in errors if flags else "the task goes on" in errors
        assert task in errors


def test_qrmi_run_says_when_it_could_not_stop(ibm: Service, circuit: str) -> None:
    ibm.server.run_seconds = 3.0
    ibm.server.faults.add(Fault(kind="status", status=403, match="POST /api/v1/jobs/", times=None))
    arguments = ["qrmi", "run", ibm.name, circuit, "--stop-on-interrupt"]
    child = ibm.begin(
        f"import sys; sys.argv = {arguments!r}\nfrom qrmi.cli.main import main; sys.exit(main())",
        head="",
    )
    ibm.wait_until(lambda: any(r.path.startswith("/api/v1/jobs/") for r in ibm.server.requests))
    child.send(INT)
    code, errors = child.end()
    (task,) = ibm.jobs()
    assert code == 130
    assert f"{task} was not stopped and may still run" in errors
    assert f"qrmi stop {task}" in errors
