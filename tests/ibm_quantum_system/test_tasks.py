"""The life of a task, and what the service sees of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from qrmi import Payload, QuantumResource
from qrmi.codecs.primitive_results import decode_result
from qrmi.errors import (
    EnvVarNotSetError,
    InvalidInputError,
    Owner,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi.tasks import TaskStatus
from qrmi_sandbox import s3
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.quantum_system import QuantumSystemServer

_UNKNOWN = "84276890-8100-49fd-9851-efcc09cabac6"
_SECONDS = 30.0


def _driver(resource: QuantumResource) -> Any:
    return resource._driver


def _calls(server: QuantumSystemServer, since: int = 0) -> list[str]:
    """Methods and paths of requests, ids and names of objects shortened."""
    kinds = ("input", "results", "logs")
    return [
        f"{request.method} "
        + next((kind for kind in kinds if f"/{kind}_" in request.path), request.path)
        for request in server.requests[since:]
    ]


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_a_task_from_start_to_result(
    server: QuantumSystemServer,
    open_resource: Callable[..., QuantumResource],
    bell: Payload,
    transport: str,
) -> None:
    """A start is one upload and one POST; the end frees the lane; the result comes from storage."""
    resource = open_resource(QRMI_HTTP_TRANSPORT=transport)
    resource.is_accessible()
    before = len(server.requests)
    task = resource.task_start(bell)
    assert _calls(server, before) == ["PUT input", "POST /v1/jobs"]
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert not server.jobs
    assert server.executions == {task: 1}
    before = len(server.requests)
    counts = decode_result(resource.task_result(task).value)[0].data.c.get_counts()
    assert sum(counts.values()) == 100
    assert set(counts) <= {"00", "11"}
    assert _calls(server, before) == ["GET results"]


def test_the_input_is_uploaded_as_it_is(
    server: QuantumSystemServer, resource: QuantumResource
) -> None:
    """Not one character of the input changes: no sorting, no re-serialisation."""
    text = '{ "version" : 2,\n  "pubs": [], "options": {"é": 1e0}, "a": 1, "a": 1}'
    server.programs["executor"] = lambda text: "{}"
    task = resource.task_start(Payload.QiskitPrimitive(text, "executor"))
    assert server.objects[f"input_{task}.json"].decode() == text
    body = json.loads(next(r.body for r in server.requests if r.path == "/v1/jobs"))
    assert body["program_id"] == "executor"
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert resource.task_result(task).value == "{}"


def test_both_forms_of_results(resource: QuantumResource, plain_bell: Payload) -> None:
    """The plain schema is passed on as it is, and read by the codec."""
    task = resource.task_start(plain_bell)
    resource.task_wait(task, _SECONDS)
    text = resource.task_result(task).value
    assert set(json.loads(text)["results"][0]["data"]["c"]["samples"]) <= {"0x0", "0x3"}
    assert decode_result(text)[0].data.c.num_shots == 100


def test_requests_of_each_verb(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """No verb costs more requests than it does upstream."""
    task = resource.task_start(bell)
    resource.task_wait(task, _SECONDS)
    verbs: dict[str, tuple[Callable[[], object], int]] = {
        "is_accessible": (resource.is_accessible, 1),
        "status": (resource.status, 3),
        "target": (resource.target, 2),
        "metadata": (resource.metadata, 0),
        "acquire": (resource.acquire, 0),
        "task_status": (lambda: resource.task_status(task), 1),
        "task_result": (lambda: resource.task_result(task), 2),
        "task_logs": (lambda: resource.task_logs(task), 1),
        "task_stop": (lambda: resource.task_stop(task), 2),
    }
    for verb, (call, most) in verbs.items():
        before = len(server.requests)
        call()
        assert len(server.requests) - before <= most, verb


def test_a_stop_of_a_task_that_another_process_started(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """Of a task that has ended it takes two requests: a look, and the removal of its record."""
    starter, other = open_resource(), open_resource()
    task = starter.task_start(bell)
    driver = _driver(starter)
    while not driver.task_status(task).is_final:
        pass
    other.is_accessible()
    before = len(server.requests)
    other.task_stop(task)
    assert [call.split()[0] for call in _calls(server, before)] == ["GET", "DELETE"]
    assert not server.jobs


def test_results_outlive_the_record(
    open_resource: Callable[..., QuantumResource],
    bell: Payload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process without the journal gets status and result of a task whose record is gone."""
    first = open_resource()
    task = first.task_start(bell)
    first.task_wait(task, _SECONDS)
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path))
    other = open_resource()
    assert other.task_status(task) is TaskStatus.COMPLETED
    assert other.task_result(task) == first.task_result(task)
    other.task_stop(task)


def test_a_task_that_left_no_results(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """A task that completed is not said to be unknown because somebody removed its results."""
    task = resource.task_start(bell)
    resource.task_wait(task, _SECONDS)
    del server.objects[f"results_{task}.json"]
    with pytest.raises(ResourceUnavailableError, match="not in storage") as error:
        resource.task_result(task)
    assert error.value.owner is Owner.SITE


def test_unknown_tasks(resource: QuantumResource, open_resource: Any) -> None:
    """Neither a record nor results: no such task, for every verb, with storage or without."""
    without = open_resource(QRMI_IBM_QS_S3_BUCKET=None)
    for call in (
        lambda: resource.task_status(_UNKNOWN),
        lambda: resource.task_result(_UNKNOWN),
        lambda: resource.task_logs(_UNKNOWN),
        lambda: resource.task_stop(_UNKNOWN),
        lambda: resource.task_wait(_UNKNOWN, 1.0),
        lambda: resource.task_status("no/such ?id"),
        lambda: without.task_status(_UNKNOWN),
    ):
        with pytest.raises(TaskNotFoundError):
            call()
    _driver(resource).task_free(_UNKNOWN)


def test_a_failed_task(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload, broken: Payload
) -> None:
    """The service's reason is in the error, also after the record was removed."""
    server.failure = (1517, "boom", "retry")
    task = resource.task_start(bell)
    assert resource.task_wait(task, _SECONDS) is TaskStatus.FAILED
    assert not server.jobs
    with pytest.raises(TaskFailedError, match="code: 1517, message: boom, solution: retry"):
        resource.task_result(task)
    refused = resource.task_start(broken)
    assert resource.task_wait(refused, _SECONDS) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="ccx"):
        resource.task_result(refused)


def test_a_failure_is_remembered_for_other_handles(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """The reason was journalled before the record went."""
    server.failure = (1517, "boom", None)
    first = open_resource()
    task = first.task_start(bell)
    first.task_wait(task, _SECONDS)
    other = open_resource()
    assert other.task_status(task) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="boom"):
        other.task_result(task)


def test_a_running_task(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """It has neither result nor log, its record cannot be removed, and it can be stopped twice."""
    server.run_seconds, server.cancel_seconds = 60.0, 0.2
    task = resource.task_start(bell)
    assert resource.task_status(task) is TaskStatus.RUNNING
    with pytest.raises(TaskNotReadyError, match="running"):
        resource.task_result(task)
    with pytest.raises(TaskNotReadyError, match="log") as no_log:
        resource.task_logs(task)
    assert no_log.value.retryable
    with pytest.raises(TaskNotReadyError):
        _driver(resource).task_free(task)
    resource.task_stop(task)
    assert not server.jobs
    resource.task_stop(task)
    assert resource.task_status(task) is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError):
        resource.task_result(task)
    assert not server.executions


def test_the_log(resource: QuantumResource, bell: Payload) -> None:
    """It comes from storage as it is."""
    task = resource.task_start(bell)
    resource.task_wait(task, _SECONDS)
    assert resource.task_logs(task).startswith("sampler on test_heron")


def test_one_key_is_one_task(
    server: QuantumSystemServer,
    open_resource: Callable[..., QuantumResource],
    bell: Payload,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes that know nothing of each other start one task with one key."""
    server.run_seconds = 0.2
    first = open_resource()
    task = first.task_start(bell, key="step-1")
    monkeypatch.setenv("QRMI_STATE_DIR", str(tmp_path))
    other = open_resource()
    assert other.task_start(bell, key="step-1") == task
    assert other.find_task("step-1") == task
    assert other.find_task("step-2") is None
    assert other.find_task("\ud800") is None
    other.task_wait(task, _SECONDS)
    assert server.executions == {task: 1}
    assert open_resource("test_eagle").find_task("step-1") is None


def test_a_key_is_not_shared_between_users(
    resource: QuantumResource, monkeypatch: pytest.MonkeyPatch, open_resource: Any
) -> None:
    """Another user of the same account may use the same key for a task of their own."""
    mine = _driver(resource)._task_id("demo")
    monkeypatch.setattr("os.getuid", lambda: 4711)
    assert _driver(open_resource())._task_id("demo") != mine


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "status"])
@pytest.mark.parametrize("match", ["PUT /sandbox-bucket", "POST /v1/jobs"])
def test_a_start_survives_a_lost_answer(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload, kind: Any, match: str
) -> None:
    """Upload and POST are repeated; the service has one task, which runs once."""
    server.faults.add(Fault(kind=kind, match=match, status=503))
    task = resource.task_start(bell)
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


def test_a_start_whose_answers_are_all_lost(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """The task is looked up by its id, found, and is not sent again."""
    resource = open_resource(QRMI_HTTP_BUDGET_SECONDS="0.3")
    server.faults.add(Fault(kind="reset_after", match="POST /v1/jobs", times=None))
    task = resource.task_start(bell)
    server.faults.clear()
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


@pytest.mark.parametrize("first", ["reset_after", "half_body"])
@pytest.mark.parametrize("status", [400, 401, 403, 429, 504])
def test_a_refusal_after_a_lost_answer_costs_no_task(
    server: QuantumSystemServer,
    open_resource: Callable[..., QuantumResource],
    bell: Payload,
    first: Any,
    status: int,
) -> None:
    """The first request was carried out; its task is found, keeps its input, and is freed."""
    resource = open_resource(QRMI_HTTP_BUDGET_SECONDS="1")
    server.run_seconds = 0.3
    server.faults.add(Fault(kind=first, match="POST /v1/jobs"))
    server.faults.add(Fault(kind="status", match="POST /v1/jobs", status=status, times=None))
    task = resource.task_start(bell)
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}
    assert not server.jobs


def test_a_refused_start_leaves_nothing(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """The input of a task that the service refuses is removed; the error is the service's."""
    strange = Payload.QiskitPrimitive("{}", "noise-learner")
    with pytest.raises(InvalidInputError, match="noise-learner is not known"):
        open_resource().task_start(strange)
    unknown = open_resource("gone")
    del server.devices["gone"]
    with pytest.raises(ResourceNotFoundError, match="gone"):
        unknown.task_start(bell)
    assert not server.objects


def test_full_lanes_and_reservations(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """No free lane and a reservation end within the budget, and say who can act."""
    resource = open_resource(QRMI_HTTP_BUDGET_SECONDS="0.3")
    server.lanes = 0
    with pytest.raises(ResourceUnavailableError, match="lane") as full:
        resource.task_start(bell)
    assert full.value.retryable
    server.lanes = 1
    server.devices["test_heron"]["locked"] = True
    with pytest.raises(ResourceUnavailableError, match="reserved") as reserved:
        resource.task_start(bell)
    assert reserved.value.owner is Owner.SITE


def test_many_tasks_on_one_lane(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """Whoever sees the end frees the lane, so tasks one after another never run out of lanes."""
    server.lanes = 1
    for _ in range(4):
        task = resource.task_start(bell)
        assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert sum(server.executions.values()) == 4


@pytest.mark.parametrize(
    ("limit", "sent", "lifetime"),
    [
        ("1", 1, 1),
        ("600", 600, 600),
        ("604800", 604_800, 604_800),
        ("700000", 700_000, 604_800),
        ("4294967295", 604_800, 604_800),
    ],
)
def test_the_time_limit(
    server: QuantumSystemServer, open_resource: Any, limit: str, sent: int, lifetime: int
) -> None:
    """It is sent as it is; URLs live as long, but no longer than they may; no limit is the most."""
    server.programs["executor"] = lambda text: "{}"
    resource = open_resource(QRMI_JOB_TIMEOUT_SECONDS=limit)
    resource.task_start(Payload.QiskitPrimitive("{}", "executor"))
    body = json.loads(next(r.body for r in server.requests if r.path == "/v1/jobs"))
    assert body["timeout_secs"] == sent
    for place in body["storage"].values():
        query = parse_qs(urlsplit(place["presigned_url"]).query)
        assert query["X-Amz-Expires"] == [str(lifetime)]


def test_the_service_may_reach_the_storage_elsewhere(
    server: QuantumSystemServer, open_resource: Any, bell: Payload
) -> None:
    """Only presigned URLs name the service's address of the storage."""
    server.storage_hosts = frozenset({"storage.example.com:9000"})
    resource = open_resource(QRMI_IBM_QS_S3_ENDPOINT_FOR_QSAPI="http://storage.example.com:9000/")
    task = resource.task_start(bell)
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert resource.task_result(task).value


@pytest.mark.parametrize(
    "key",
    [
        "QRMI_JOB_TIMEOUT_SECONDS",
        "QRMI_IBM_QS_AWS_ACCESS_KEY_ID",
        "QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY",
        "QRMI_IBM_QS_S3_ENDPOINT",
        "QRMI_IBM_QS_S3_BUCKET",
        "QRMI_IBM_QS_S3_REGION",
    ],
)
def test_settings_that_only_tasks_need(
    server: QuantumSystemServer, open_resource: Any, bell: Payload, key: str
) -> None:
    """Without them a start names the variable, and nothing is sent; the rest works."""
    resource = open_resource(**{key: None})
    assert resource.is_accessible()
    before = len(server.requests)
    with pytest.raises(EnvVarNotSetError, match=f"test_heron_{key}.*qrmi config check"):
        resource.task_start(bell)
    assert len(server.requests) == before


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '"text"', '{"\ud800": 1}', "[" * 100_000], ids=repr
)
def test_inputs_that_are_no_json_object(
    server: QuantumSystemServer, resource: QuantumResource, text: str
) -> None:
    """They are refused before anything is sent."""
    with pytest.raises(InvalidInputError):
        resource.task_start(Payload.QiskitPrimitive(text, "sampler"))
    with pytest.raises(InvalidInputError, match="program id"):
        resource.task_start(Payload.QiskitPrimitive("{}", ""))
    assert not server.requests


def test_wrong_storage_credentials(open_resource: Any, bell: Payload) -> None:
    """The storage's refusal names the settings to check; secrets stay secret."""
    for change in (
        {"QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY": "wrong-secret"},
        {"QRMI_IBM_QS_AWS_ACCESS_KEY_ID": "wrong-id"},
        {"QRMI_IBM_QS_S3_REGION": "eu-de"},
    ):
        with pytest.raises(Exception, match="AWS_SECRET_ACCESS_KEY") as refused:
            open_resource(**change).task_start(bell)
        assert "wrong-" not in str(refused.value)
    with pytest.raises(Exception, match="QRMI_IBM_QS_S3_BUCKET"):
        open_resource(QRMI_IBM_QS_S3_BUCKET="other").task_start(bell)


def test_a_clock_that_is_wrong(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """When the clocks of this machine and of the storage differ, the error says so."""
    server.clock = lambda: 4_000_000_000.0  # type: ignore[method-assign]
    with pytest.raises(Exception, match="clocks"):
        resource.task_start(bell)


def test_nothing_secret_is_logged(
    resource: QuantumResource, bell: Payload, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither keys nor signatures nor presigned URLs nor tokens are in any log, at any level."""
    caplog.set_level(logging.DEBUG)
    task = resource.task_start(bell)
    resource.task_wait(task, _SECONDS)
    resource.task_result(task)
    assert repr(_driver(resource).settings).count("***") >= 3
    shown = caplog.text + repr(_driver(resource)._storage) + repr(_driver(resource).settings)
    for secret in ("X-Amz-", "Signature", "Bearer", s3.SECRET_ACCESS_KEY, "sandbox-api-key"):
        assert secret not in shown


def test_list_tasks(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource], bell: Payload
) -> None:
    """The system's own tasks that still have a record, newest first."""
    server.run_seconds = 60.0
    heron, eagle = open_resource(), open_resource("test_eagle")
    tasks = [heron.task_start(bell) for _ in range(2)]
    other = eagle.task_start(bell)
    assert heron.list_tasks() == tasks[::-1]
    assert eagle.list_tasks() == [other]
    for task in tasks:
        heron.task_stop(task)
    eagle.task_stop(other)
