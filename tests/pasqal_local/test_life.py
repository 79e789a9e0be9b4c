"""Tasks on a QPU behind Warden, of either generation."""

from __future__ import annotations

import ast
import json
import pickle
from collections.abc import Callable

import pytest

from qrmi.errors import (
    AuthenticationFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
)
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi_sandbox.server import Recorded
from qrmi_sandbox.warden import WardenServer

Opened = Callable[..., QuantumResource]


def calls(server: WardenServer) -> list[tuple[str, str]]:
    """Methods and paths of the requests since the last look."""
    seen = [(request.method, request.path) for request in server.requests]
    server.requests.clear()
    return seen


def last(server: WardenServer) -> Recorded:
    """The last request."""
    return server.requests[-1]


def started(handle: QuantumResource, program: PasqalCloud) -> str:
    """A task in a session of the handle's own."""
    handle.acquire()
    return handle.task_start(program)


def test_a_whole_cycle(warden: WardenServer, opened: Opened, program: PasqalCloud) -> None:
    """Acquire, start, wait, fetch, release; the physics is right and ran once."""
    handle = opened(warden)
    with handle.acquired() as token:
        assert warden.held_sessions() == [token]
        task = handle.task_start(program)
        assert handle.task_wait(task, 30) is TaskStatus.COMPLETED
    counter = json.loads(handle.task_result(task).value)["counter"]
    assert sum(counter.values()) == 50
    assert sum(n for bits, n in counter.items() if bits.count("1") == 1) > 40  # blockade
    assert warden.executions == {task: 1}
    assert warden.held_sessions() == []


def test_requests_of_each_verb(warden: WardenServer, opened: Opened, program: PasqalCloud) -> None:
    """Each verb makes one request, as many as upstream, once the server is known."""
    handle = opened(warden)
    token = handle.acquire()
    assert calls(warden) == [("POST", "/sessions")]
    task = handle.task_start(program)
    assert calls(warden) == [("POST", "/jobs")]
    handle.task_wait(task, 30)
    assert set(calls(warden)) == {("GET", f"/jobs/{task}")}
    handle.task_result(task)
    assert calls(warden) == [("GET", f"/jobs/{task}")]
    handle.is_accessible()
    assert calls(warden) == [("GET", "/accessible")]
    handle.target()
    assert calls(warden) == [("GET", "/qpu/specs")]
    handle.release(token)
    assert len(calls(warden)) == 1


def test_a_start_says_what_upstream_says(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """The job's body and headers are those of the protocol; the sequence stays a text."""
    handle = opened(newer)
    token = handle.acquire()
    assert json.loads(last(newer).body) == {
        "user_id": newer.settings()["QRMI_JOB_UID"],
        "slurm_job_id": "4242",
    }
    handle.task_start(program)
    request = last(newer)
    assert json.loads(request.body) == {"sequence": program.sequence, "shots": 50}
    assert request.headers["x-warden-session"] == token
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-munge-cred"].startswith("MUNGE:")


def test_each_request_has_a_credential_of_its_own(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Warden refuses a credential that it has seen: none is used twice, repeats included."""
    handle = opened(newer)
    task = started(handle, program)
    newer.expire_tokens()
    assert handle.task_status(task) in TaskStatus
    seen = [r.headers["x-munge-cred"] for r in newer.requests if "x-munge-cred" in r.headers]
    assert len(seen) == len(set(seen)) == 4


def test_a_credential_that_stays_refused(newer: WardenServer, opened: Opened) -> None:
    """One more attempt is made with a new credential, then the error says who must act."""
    for _ in range(2):
        newer.expire_tokens()
    with pytest.raises(AuthenticationFailedError, match="MUNGE credential expired") as caught:
        opened(newer).list_tasks()
    assert caught.value.owner == "site"
    assert "clocks" in caught.value.hint


def test_the_older_results_become_json(
    older: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Warden 0.1 gives a Python literal; the result is JSON with the same counts."""
    handle = opened(older)
    task = started(handle, program)
    handle.task_wait(task, 30)
    literal = older.qpu.jobs[0].results
    assert literal is not None
    with pytest.raises(json.JSONDecodeError):
        json.loads(literal)
    assert json.loads(handle.task_result(task).value) == ast.literal_eval(literal)


def test_json_results_are_passed_on_verbatim(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Results that are JSON are not touched: spaces, order and unknown keys stay."""
    handle = opened(newer)
    task = started(handle, program)
    handle.task_wait(task, 30)
    newer.qpu.jobs[0].results = '{ "counter" : {"1":2},  "extra":[1, 2.50] }'
    assert handle.task_result(task).value == newer.qpu.jobs[0].results


def test_a_completed_task_without_results(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """A done job without results is the vendor's fault, not an empty result."""
    handle = opened(newer)
    task = started(handle, program)
    handle.task_wait(task, 30)
    newer.qpu.jobs[0].results = None
    with pytest.raises(UnexpectedAnswerError):
        handle.task_result(task)


def test_tasks_are_listed_newest_first(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Ids of the user's jobs, newest first."""
    handle = opened(warden)
    handle.acquire()
    tasks = [handle.task_start(program) for _ in range(3)]
    assert handle.list_tasks() == tasks[::-1]


def test_an_unknown_status_counts_as_running(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """A word that a future Warden may say neither ends nor breaks a wait."""
    newer.status_word = "CANCELING"
    newer.run_seconds = 0.3
    handle = opened(newer)
    task = started(handle, program)
    assert handle.task_status(task) is TaskStatus.RUNNING
    assert handle.task_wait(task, 30) is TaskStatus.COMPLETED


def test_another_process_needs_no_session(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """With the id alone, and neither job nor session, a task can be followed and fetched."""
    task = started(opened(warden), program)
    settings = warden.settings()
    for key in ("QRMI_JOB_ID", "QRMI_JOB_UID"):
        del settings[key]
    elsewhere = QuantumResource.from_config("qpu", "pasqal-local", settings)
    assert elsewhere.task_wait(task, 30) is TaskStatus.COMPLETED
    assert elsewhere.task_result(task).value
    assert pickle.loads(pickle.dumps(elsewhere)).task_status(task) is TaskStatus.COMPLETED


def test_a_restart_in_mid_task(newer: WardenServer, opened: Opened, program: PasqalCloud) -> None:
    """A server that goes away and comes back loses no task of ours, and runs none twice."""
    newer.run_seconds = 0.3
    handle = opened(newer)
    task = started(handle, program)
    newer.restart()
    assert handle.task_wait(task, 30) is TaskStatus.COMPLETED
    assert newer.executions == {task: 1}


def test_a_failed_task_tells_why(newer: WardenServer, opened: Opened) -> None:
    """The reason of a failure is in the job's log, and in the error."""
    handle = opened(newer)
    task = started(handle, PasqalCloud("no sequence", 5))
    assert handle.task_wait(task, 30) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="the sequence was refused"):
        handle.task_result(task)
    assert "refused" in handle.task_logs(task)


def test_a_failed_task_on_an_older_warden(older: WardenServer, opened: Opened) -> None:
    """Without logs a failure is a failure still, and its absent reason is called absent."""
    handle = opened(older)
    task = started(handle, PasqalCloud("no sequence", 5))
    assert handle.task_wait(task, 30) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="Warden gives no reason"):
        handle.task_result(task)


def test_no_result_before_the_end(
    warden: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """A task that is queued or runs has no result yet."""
    warden.run_seconds = 0.5
    handle = opened(warden)
    task = started(handle, program)
    with pytest.raises(TaskNotReadyError) as caught:
        handle.task_result(task)
    assert caught.value.retryable


@pytest.mark.parametrize("task", ["1000000", "999999999999999999", "9" * 40, "x", "-1", "٣"])
def test_ids_that_no_task_has(warden: WardenServer, opened: Opened, task: str) -> None:
    """Every verb of a task answers an unknown id alike, on both generations."""
    handle = opened(warden)
    for verb in (handle.task_status, handle.task_result, handle.task_stop):
        with pytest.raises(TaskNotFoundError):
            verb(task)


# --- stopping and logs ------------------------------------------------------------------------


def test_stopping_a_queued_and_a_running_task(
    newer: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """Newer Wardens cancel both; the result says so."""
    newer.run_seconds = 30
    handle = opened(newer)
    running = started(handle, program)
    queued = handle.task_start(program)
    for task in (queued, running):
        handle.task_stop(task)
        assert handle.task_wait(task, 30) is TaskStatus.CANCELLED
        with pytest.raises(TaskCancelledError):
            handle.task_result(task)
    assert queued not in newer.executions


def test_an_older_warden_cannot_stop_and_says_so(
    older: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """A task that goes on is not called stopped; one that has ended needs no stopping."""
    older.run_seconds = 0.5
    handle = opened(older)
    task = started(handle, program)
    for _ in range(2):
        with pytest.raises(UnsupportedFunctionError, match="will run to its end") as caught:
            handle.task_stop(task)
    assert caught.value.owner == "site"
    assert calls(older).count(("POST", f"/jobs/{task}/cancel")) == 1, "the route is absent"
    assert handle.task_wait(task, 30) is TaskStatus.COMPLETED
    handle.task_stop(task)
    assert handle.task_result(task).value


def test_an_older_warden_has_no_logs_and_says_so(
    older: WardenServer, opened: Opened, program: PasqalCloud
) -> None:
    """The absent route is asked for once."""
    handle = opened(older)
    task = started(handle, program)
    for _ in range(2):
        with pytest.raises(UnsupportedFunctionError, match="keeps no logs"):
            handle.task_logs(task)
    assert calls(older).count(("GET", f"/jobs/{task}/logs")) == 1
