from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from qrmi.errors import (
    InvalidInputError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    WaitTimeoutError,
)
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus

SECONDS = 30.0


def _until_running(driver, task):
    deadline = time.monotonic() + SECONDS
    while driver.task_status(task) is TaskStatus.QUEUED:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert driver.task_status(task) is TaskStatus.RUNNING


def _in_new_process(code, *arguments):
    script = textwrap.dedent(code)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_task_runs_to_its_result(driver, program, told):
    """A task is started, waited for and gives its result; settings reach the simulation."""
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert driver.task_status(task) is TaskStatus.COMPLETED
    expected = {"device": None, "seed": None, "noise": True}
    assert told(driver, task).items() >= expected.items()


def test_settings_reach_the_simulation(make_driver, program, told):
    """Seed and noise go with each task; threads stay within the CPUs granted."""
    driver = make_driver(seed=7, noise=False)
    task = driver.task_start(program(), "key")
    driver.task_wait(task, SECONDS)
    assert told(driver, task).items() >= {"seed": 7, "noise": False}.items()
    threads = json.loads(driver.task_result(task).value)["threads"]
    assert 1 <= int(threads) <= len(os.sched_getaffinity(0))


def test_processes_stay_warm(driver, program, told):
    """The next task of a kind runs in the process of the one before."""
    tasks = [driver.task_start(program(), key) for key in ("a", "b")]
    for task in tasks:
        driver.task_wait(task, SECONDS)
    assert told(driver, tasks[0])["pid"] == told(driver, tasks[1])["pid"]


def test_everything_said_is_in_the_tasks_own_log(driver, program):
    """Prints of Python and native code, warnings and log records go to the log of their task."""
    tasks = [driver.task_start(program(["say", word]), word) for word in ("first", "second")]
    for task in tasks:
        assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    log = driver.task_logs(tasks[1])
    for text in ("second\n", "second on stderr", "second from native code", "as a warning"):
        assert text in log
    assert "second as a record" in log
    assert "first" not in log


def test_failure_has_its_reason(driver, program):
    """A task that raises has failed; the reason is the error's type and text, the log its trace."""
    task = driver.task_start(program(["fail", "no such gate"]), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="ValueError: no such gate") as caught:
        driver.task_result(task)
    assert caught.value.task_id == task
    assert "Traceback" in driver.task_logs(task)


def test_refusal_is_told_in_its_own_words(driver, program):
    """The reason of one of our own errors is its message and hint, without a type or trace."""
    task = driver.task_start(program(["refuse", "zero shots"]), "key")
    driver.task_wait(task, SECONDS)
    with pytest.raises(TaskFailedError, match=r"^zero shots \(do otherwise\)"):
        driver.task_result(task)
    assert "Traceback" not in driver.task_logs(task)


def test_failures_leave_the_process_warm(driver, program, told):
    """Not even a task that calls `sys.exit` ends the process."""
    tasks = [driver.task_start(program(*s), str(s)) for s in ([], [["leave"]], [["sleep", 0]])]
    statuses = [driver.task_wait(task, SECONDS) for task in tasks]
    assert statuses == [TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.COMPLETED]
    assert told(driver, tasks[0])["pid"] == told(driver, tasks[2])["pid"]


def test_missing_simulator_is_a_failure_with_a_reason(make_driver, program):
    """What cannot be imported fails its tasks; it does not end the process again and again."""
    driver = make_driver()
    driver._functions = dict.fromkeys(driver._functions, "no_such_module:run")
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match=r"ModuleNotFoundError.*no_such_module"):
        driver.task_result(task)


def _from_a_module(make_driver, name):
    driver = make_driver()
    driver._functions = dict.fromkeys(driver._functions, f"{name}:run")
    return driver


def test_installed_since_is_found(make_driver, program, tmp_path, monkeypatch):
    """After a failed import the next task finds what was installed in the meantime."""
    driver = _from_a_module(make_driver, "late_probe")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    before = driver.task_start(program(), "before")
    assert driver.task_wait(before, SECONDS) is TaskStatus.FAILED
    (tmp_path / "late_probe.py").write_text("from qrmi_probe import run\n")
    after = driver.task_start(program(), "after")
    assert driver.task_wait(after, SECONDS) is TaskStatus.COMPLETED


def test_missing_sdk_is_named_with_its_command(make_driver, program, tmp_path, monkeypatch):
    """Where an SDK is what is missing, the reason says how to install it, without a trace."""
    module = "raise ModuleNotFoundError('no', name='qiskit_aer.noise')\n"
    (tmp_path / "bare_probe.py").write_text(module)
    driver = _from_a_module(make_driver, "bare_probe")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    task = driver.task_start(program(), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match=r"pip install 'openqrmi\[qiskit\]'"):
        driver.task_result(task)
    assert "Traceback" not in driver.task_logs(task)


# --- the same start again -------------------------------------------------------------------------


def test_same_key_is_the_same_task(driver, program, tmp_path):
    """However often and from however many threads a start is repeated, the task runs once."""
    ticks = tmp_path / "ticks"
    payload = program(["tick", str(ticks)])
    with ThreadPoolExecutor(16) as pool:
        tasks = set(pool.map(lambda _: driver.task_start(payload, "key"), range(16)))
    assert len(tasks) == 1
    (task,) = tasks
    driver.task_wait(task, SECONDS)
    assert driver.task_start(payload, "key") == task
    assert driver.find_task("key") == task
    last = driver.task_start(program(), "after")
    driver.task_wait(last, SECONDS)
    assert len(ticks.read_text().split()) == 1
    assert driver.list_tasks() == [last, task]


def test_same_key_for_another_payload_is_refused(driver, program):
    """A key names one start; the first task is untouched."""
    task = driver.task_start(program(), "key")
    with pytest.raises(InvalidInputError, match="key"):
        driver.task_start(program(["fail", "x"]), "key")
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED


def test_unknown_key_finds_nothing(driver):
    """A key that started nothing has no task."""
    assert driver.find_task("never used") is None


# --- looking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", ["no-such-task", "../../etc", "0e2fffd1-4e16-5c41-ad5e-a06d2f0d6f55", "", "a\0b"]
)
def test_unknown_task(driver, task):
    """Every verb says that there is no such task, whatever is given as an id."""
    verbs = (driver.task_status, driver.task_result, driver.task_stop, driver.task_logs)
    for verb in (*verbs, driver.batch_jobs, driver.batch_close):
        with pytest.raises(TaskNotFoundError):
            verb(task)
    with pytest.raises(TaskNotFoundError):
        driver.task_wait(task, 1.0)


def test_result_before_the_end(driver, program, tmp_path):
    """An unended task has no result yet; waiting for it ends with the time given."""
    gate = tmp_path / "gate"
    task = driver.task_start(program(["await", str(gate)]), "key")
    behind = driver.task_start(program(), "behind")
    _until_running(driver, task)
    for unended in (task, behind):
        with pytest.raises(TaskNotReadyError):
            driver.task_result(unended)
    begun = time.monotonic()
    assert driver.task_wait(task, 0.05) is TaskStatus.RUNNING
    assert time.monotonic() - begun < SECONDS / 2
    status = driver.status()
    assert (status.pending_job_count, status.busy) == (1, True)
    handle = QuantumResource.from_driver(driver, resource_type="local")
    with pytest.raises(WaitTimeoutError):
        handle.task_wait(task, 0.05)
    gate.touch()
    assert handle.task_wait(behind, SECONDS) is TaskStatus.COMPLETED
    assert driver.status().pending_job_count == 0


# --- stopping -------------------------------------------------------------------------------------


def test_stopped_in_the_queue(driver, program, tmp_path):
    """A queued task that is stopped never runs; the running one is not disturbed."""
    gate, ticks = tmp_path / "gate", tmp_path / "ticks"
    running = driver.task_start(program(["await", str(gate)]), "running")
    queued = driver.task_start(program(["tick", str(ticks)]), "queued")
    assert driver.task_stop(queued)
    assert driver.task_status(queued) is TaskStatus.CANCELLED
    gate.touch()
    assert driver.task_wait(running, SECONDS) is TaskStatus.COMPLETED
    last = driver.task_start(program(), "last")
    driver.task_wait(last, SECONDS)
    assert not ticks.exists()
    with pytest.raises(TaskCancelledError):
        driver.task_result(queued)


def test_stopped_while_running(driver, program, told):
    """A running task ends at once when it is stopped; queued ones run in a new process."""
    first = driver.task_start(program(), "first")
    running = driver.task_start(program(["sleep", 600]), "running")
    queued = driver.task_start(program(), "queued")
    _until_running(driver, running)
    assert driver.task_stop(running)
    assert driver.task_status(running) is TaskStatus.CANCELLED
    assert driver.task_wait(running, 0.0) is TaskStatus.CANCELLED
    assert driver.task_wait(queued, SECONDS) is TaskStatus.COMPLETED
    assert told(driver, queued)["pid"] != told(driver, first)["pid"]
    assert driver.task_status(running) is TaskStatus.CANCELLED


def test_stopped_after_the_end(driver, program):
    """Stopping what has ended, even twice, changes nothing."""
    task = driver.task_start(program(), "key")
    driver.task_wait(task, SECONDS)
    result = driver.task_result(task)
    assert driver.task_stop(task)
    assert driver.task_stop(task)
    assert driver.task_status(task) is TaskStatus.COMPLETED
    assert driver.task_result(task) == result


def test_stop_and_end_at_once(driver, program):
    """Whichever comes first, the task has one final state for ever, and what belongs to it."""
    for number in range(25):
        task = driver.task_start(program(["sleep", 0.001 * (number % 5)]), str(number))
        driver.task_stop(task)
        status = driver.task_wait(task, SECONDS)
        assert status in (TaskStatus.CANCELLED, TaskStatus.COMPLETED)
        if status is TaskStatus.COMPLETED:
            assert driver.task_result(task).value
        else:
            with pytest.raises(TaskCancelledError):
                driver.task_result(task)
        assert driver.task_status(task) is status


# --- many users of one handle ---------------------------------------------------------------------


def test_program_may_leave(driver, program, tmp_path):
    """A task outlives the program that started it; a new one gets the result by the id."""
    gate = tmp_path / "gate"
    pickled = pickle.dumps((driver, program(["await", str(gate)])))
    task = _in_new_process(
        """
        import pickle, sys
        driver, payload = pickle.loads(bytes.fromhex(sys.argv[1]))
        print(driver.task_start(payload, "key"))
        """,
        pickled.hex(),
    )
    assert not driver.task_status(task).is_final
    gate.touch()
    answer = _in_new_process(
        """
        import pickle, sys
        driver, _ = pickle.loads(bytes.fromhex(sys.argv[1]))
        print(driver.task_wait(sys.argv[2], 30.0).name, driver.task_result(sys.argv[2]).value)
        """,
        pickled.hex(),
        task,
    )
    assert answer == f"COMPLETED {driver.task_result(task).value}"


def test_handle_in_many_threads(driver, program, told):
    """Threads that share a handle get each their own results."""
    handle = QuantumResource.from_driver(driver, resource_type="local")

    def run(number):
        task = handle.task_start(program(["say", f"<{number}>"]))
        assert handle.task_wait(task, SECONDS) is TaskStatus.COMPLETED
        return f"<{number}>" in handle.task_logs(task)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(run, range(48)))


def test_handle_can_be_pickled(make_driver, program, told):
    """A pickled handle keeps its settings and opens the same tasks."""
    driver = make_driver(seed=3)
    handle = QuantumResource.from_driver(driver, resource_type="local")
    task = handle.task_start(program())
    copy = pickle.loads(pickle.dumps(handle))
    assert copy.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert copy.task_result(task) == handle.task_result(task)


def test_handle_survives_fork(driver, program):
    """Parent and child of a fork go on with the same handle."""
    task = driver.task_start(program(), "before")
    child = os.fork()
    if child == 0:
        own = driver.task_start(program(), "in the child")
        good = driver.task_wait(own, SECONDS) is TaskStatus.COMPLETED
        good = good and driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
        os._exit(0 if good else 1)
    assert driver.task_wait(task, SECONDS) is TaskStatus.COMPLETED
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert driver.task_status(driver.find_task("in the child")) is TaskStatus.COMPLETED
