"""The life of a task on the compute service, through the handle."""

from __future__ import annotations

import json
import pickle
import threading

import pytest

from qrmi import Payload, ResourceStatusCode, TaskStatus
from qrmi.codecs.primitive_results import decode_result
from qrmi.errors import (
    InvalidInputError,
    ResourceNotFoundError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi_sandbox.compute_service import ComputeServiceServer


def _sampler(**more):
    qasm = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nbit[1] c;\nqubit[1] q;\nx q[0];\n'
    pub = [qasm + "c[0] = measure q[0];\n", None, 10]
    params = {"pubs": [pub], "version": 2, "support_qiskit": True, **more}
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")


def _sent(server: ComputeServiceServer, method: str, ending: str):
    return [r for r in server.requests if r.method == method and r.path.endswith(ending)]


def test_whole_cycle(server, resource, program):
    """A task is started, waited for and read; the result is what the circuit gives."""
    task = resource.task_start(program)
    assert resource.task_wait(task, 60) is TaskStatus.COMPLETED
    result = decode_result(resource.task_result(task).value)
    assert result[0].data.c.get_counts() == {"01": 10}
    assert f"job {task} runs on test_heron" in resource.task_logs(task)
    resource.task_stop(task)
    assert resource.task_result(task).value
    assert server.executions[task] == 1
    assert not _sent(server, "POST", "/cancel")


def test_plain_schema(server, resource, program):
    """A service that answers in the plain schema is read as well."""
    server.plain_results = True
    task = resource.task_start(program)
    resource.task_wait(task, 60)
    text = resource.task_result(task).value
    assert json.loads(text)["results"][0]["data"]["c"]["samples"] == ["0x1"] * 10
    assert decode_result(text)[0].data.c.get_counts() == {"01": 10}


def test_polls_do_not_fetch_the_input(server, resource):
    """Every look at a job leaves its input out, so a poll's size does not grow with it."""
    task = resource.task_start(_sampler(options={"padding": "x" * 1_000_000}))
    resource.task_wait(task, 60)
    resource.task_result(task)
    resource.task_stop(task)
    looks = list(_sent(server, "GET", task))
    assert looks
    assert all(look.query == {"exclude_params": "true"} for look in looks)


@pytest.mark.parametrize("program_id", ["sampler", "estimator", "noiselearner", "executor"])
def test_input_travels_verbatim(server, resource, program_id):
    """The very text of the input is in the request: unknown keys, order, spaces and all."""
    text = '{ "version" :2,"pubs":[ ["π ", null,1.0e-3 ]],"circuits":[],"tomorrow":{"b":1,"a":2}}'
    resource.task_start(Payload.QiskitPrimitive(text, program_id))
    body = _sent(server, "POST", "/jobs")[0].body
    assert text.encode() in body
    assert json.loads(body)["params"] == json.loads(text)
    assert json.loads(body)["program_id"] == program_id


@pytest.mark.parametrize(
    ("text", "program_id"),
    [
        ("", "sampler"),
        ("[]", "sampler"),
        ("{}", "sampler"),
        ('{"pubs": {}, "version": 2}', "estimator"),
        ('{"pubs": []}', "estimator"),
        ('{"pubs": [], "version": 2}', "noiselearner"),
        ('{"pubs": [], "version": NaN}', "sampler"),
        ('{"pubs": [], "version": 2}, "cost": 1', "sampler"),
        ('{"pubs": ["\ud800"], "version": 2}', "sampler"),
        ("{}", "foo"),
        ("[" * 100_000, "executor"),
    ],
)
def test_malformed_input_is_not_sent(server, resource, text, program_id):
    """What is not one JSON object, or lacks the outline of its program, never leaves."""
    with pytest.raises(InvalidInputError):
        resource.task_start(Payload.QiskitPrimitive(text, program_id))
    assert not _sent(server, "POST", "/jobs")


def test_unknown_program_is_named(resource):
    """The message has the name and what there is."""
    with pytest.raises(InvalidInputError, match='unknown program ID: "foo"') as caught:
        resource.task_start(Payload.QiskitPrimitive("{}", "foo"))
    assert "executor" in caught.value.hint


def test_failure_has_the_reason(resource):
    """A failed task's error tells the service's reason, code and advice."""
    task = resource.task_start(Payload.QiskitPrimitive('{"pubs": [[1]], "version": 2}', "sampler"))
    assert resource.task_wait(task, 60) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match=r"pub 0.*code 1517.*change the program") as caught:
        resource.task_result(task)
    assert caught.value.task_id == task


def test_not_ready(server, resource, program):
    """The result of a running task is not there yet, and the task goes on."""
    server.run_seconds = 30
    task = resource.task_start(program)
    with pytest.raises(TaskNotReadyError, match=r"it is (queued|running)") as caught:
        resource.task_result(task)
    assert caught.value.retryable


def test_stop(server, resource, program):
    """Stopping cancels a running and a queued task; again is no error."""
    server.run_seconds = 30
    tasks = [resource.task_start(program) for _ in range(2)]
    for task in tasks:
        resource.task_stop(task)
        resource.task_stop(task)
        assert resource.task_wait(task, 10) is TaskStatus.CANCELLED
        with pytest.raises(TaskCancelledError, match="the user cancelled"):
            resource.task_result(task)
    assert len(_sent(server, "POST", "/cancel")) == 2


def test_task_that_ends_while_it_is_stopped(server, resource, program, monkeypatch):
    """When the job ends between the look and the cancel, the refusal is no error."""
    task = resource.task_start(program)
    resource.task_wait(task, 60)
    monkeypatch.setattr(type(resource._driver), "task_status", lambda *_: TaskStatus.RUNNING)
    resource.task_stop(task)
    assert len(_sent(server, "POST", "/cancel")) == 1


def test_ran_too_long(server, opened, program):
    """The time limit is the job's cost; a job that the service ends for it says so."""
    resource = opened(TIMEOUT_SECONDS="1")
    server.run_seconds = 30
    task = resource.task_start(program)
    assert json.loads(_sent(server, "POST", "/jobs")[0].body)["cost"] == 1
    assert resource.task_wait(task, 20) is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError, match="ran too long"):
        resource.task_result(task)


def test_unknown_ids(resource):
    """No verb takes an id that the service does not know."""
    for verb in (resource.task_status, resource.task_result, resource.task_logs):
        with pytest.raises(TaskNotFoundError):
            verb("job-of-nobody")
    with pytest.raises(TaskNotFoundError):
        resource.task_stop("job-of-nobody")
    with pytest.raises(TaskNotFoundError):
        resource.task_status("../sessions/x?y")


def test_another_process_finds_the_task(server, resource, opened, program):
    """A task is followed by its id alone, and found by the key of its start."""
    task = resource.task_start(program, key="run-1")
    other = pickle.loads(pickle.dumps(opened()))
    assert other.task_wait(task, 60) is TaskStatus.COMPLETED
    assert other.find_task("run-1") == task
    assert other.find_task("run-2") is None
    assert other.list_tasks() == [task]
    tags = json.loads(_sent(server, "POST", "/jobs")[0].body)["tags"]
    assert len(tags) == 1
    assert "run-1" not in tags[0]


def test_status(server, resource, opened, program):
    """All that the service tells of a device, and that a dedicated session keeps it busy."""
    status = resource.status()
    assert status.status is ResourceStatusCode.ONLINE
    assert (status.status_reason, status.pending_job_count) == ("available", 3)
    assert (status.busy, status.healthy, status.capacity) == (False, None, None)
    paused = opened("test_paused").status()
    assert (paused.status, paused.status_reason) == (ResourceStatusCode.PAUSED, "calibration")
    server.run_seconds = 30
    resource.acquire()
    task = resource.task_start(program)
    while resource.task_status(task) is TaskStatus.QUEUED:
        pass
    assert resource.status().busy is True


def test_accessible(opened):
    """Only a device that the service calls active takes tasks."""
    assert opened().is_accessible()
    assert not opened("test_paused").is_accessible()


def test_unknown_device(opened, program):
    """A device that the account does not have is named by every verb that needs it."""
    nowhere = opened("test_nowhere")
    for verb in (nowhere.is_accessible, nowhere.status, nowhere.target):
        with pytest.raises(ResourceNotFoundError):
            verb()
    with pytest.raises(ResourceNotFoundError):
        nowhere.task_start(program)


def test_target(server, resource, opened):
    """Both halves are the service's own; only a simulator has no properties."""
    target = json.loads(resource.target().value)
    assert target == {
        half: server.devices["test_heron"][half] for half in ("configuration", "properties")
    }
    assert json.loads(opened("test_simulator").target().value)["properties"] is None
    server.devices["test_heron"]["properties"] = None
    with pytest.raises(ResourceNotFoundError, match="properties"):
        resource.target()


def test_status_pages_end(server, resource, program):
    """A service that gives the same full page for every offset does not hold the call."""
    server.run_seconds = 30
    server.ignores_offset = True
    task = resource.task_start(program)
    for number in range(450):
        server.jobs[f"more-{number}"] = server.jobs[task]
    assert resource.status().busy is False
    assert len(resource.list_tasks()) >= 1


def test_one_handle_in_many_threads(server, resource, program):
    """A handle is shared; one token serves all threads."""
    errors = []

    def work():
        try:
            task = resource.task_start(program)
            assert resource.task_wait(task, 60) is TaskStatus.COMPLETED
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sum(server.tokens_given.values()) == 1


def test_metadata_and_requests_show_no_secret(server, resource, program):
    """Neither the key nor a token is in anything that is shown."""
    resource.task_start(program)
    shown = repr(resource) + str(resource.metadata()) + repr(resource._driver.settings)
    token = next(r for r in server.requests if "authorization" in r.headers)
    assert "sandbox-api-key" not in shown
    assert token.headers["authorization"].split()[1] not in shown
