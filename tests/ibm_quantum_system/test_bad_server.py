"""Bad servers over real connections: typed errors, in time, and nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from qrmi import Payload, QuantumResource
from qrmi.errors import (
    AuthenticationFailedError,
    Owner,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.tasks import TaskStatus
from qrmi_sandbox.bad import CASES, Case
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.quantum_system import QuantumSystemServer

_SECONDS = 30.0
_QUICK = {
    "QRMI_HTTP_BUDGET_SECONDS": "0.3",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "0.2",
    "QRMI_HTTP_CONNECT_TIMEOUT_SECONDS": "0.5",
}
_UPLOAD = [
    *(Fault(kind="status", status=status) for status in (400, 403, 404, 429, 503)),
    *(Fault(kind=kind) for kind in ("reset_before", "reset_after", "half_body", "html")),
    Fault(kind="silence", seconds=5.0),
]
_WITHIN_ITS_TIME = [case for case in CASES if case.retry_after != 1]  # the budget is shorter

_OF_OBJECTS = [  # a 404 is no object, and {} may be a result
    case for case in _WITHIN_ITS_TIME if case.name not in ("404", "drop-fields")
]
_OF_EMPTY_ANSWERS = [case for case in _WITHIN_ITS_TIME if case.kind != "half_body"]


@pytest.fixture(autouse=True)
def own_journal(private_state: Path) -> None:
    """The same key is used in every test."""


@pytest.fixture
def quick(
    server: QuantumSystemServer, open_resource: Callable[..., QuantumResource]
) -> QuantumResource:
    """A handle that gives up early."""
    server.programs["executor"] = lambda text: "{}"
    return open_resource(**_QUICK)


@pytest.fixture
def program() -> Payload:
    """A program that the server answers at once."""
    return Payload.QiskitPrimitive("{}", "executor")


@pytest.mark.parametrize("case", _WITHIN_ITS_TIME, ids=str)
def test_looking(
    server: QuantumSystemServer, quick: QuantumResource, bell: Payload, case: Case
) -> None:
    """The error is the right one, or the task is seen to run."""
    server.run_seconds = 60.0
    task = quick.task_start(bell)
    case.check_read(server, lambda: quick.task_status(task), match="GET /v1/jobs")
    assert quick.task_status(task) is TaskStatus.RUNNING


@pytest.mark.parametrize("case", _OF_OBJECTS, ids=str)
def test_fetching_a_result(
    server: QuantumSystemServer, quick: QuantumResource, program: Payload, case: Case
) -> None:
    """The storage's faults are told apart like the service's, and no junk is taken for a result."""
    task = quick.task_start(program)
    quick.task_wait(task, _SECONDS)
    server.objects[f"results_{task}.json"] = b'{"results": []}'
    case.check_read(server, lambda: quick.task_result(task), match="GET /sandbox-bucket")


@pytest.mark.parametrize("case", _WITHIN_ITS_TIME, ids=str)
def test_describing(server: QuantumSystemServer, quick: QuantumResource, case: Case) -> None:
    """Target and status end in the right error, or say what is."""
    quick.is_accessible()
    calibration = "GET /v1/backends/test_heron/configuration"
    case.check_read(server, quick.target, match=calibration)
    case.check_read(server, quick.status, match="GET /v1/backends/test_heron")


@pytest.mark.parametrize("case", _OF_EMPTY_ANSWERS, ids=str)
def test_starting(
    server: QuantumSystemServer, quick: QuantumResource, program: Payload, case: Case
) -> None:
    """A start ends in the right error or a task; the same key again gives one task in any case."""
    quick.is_accessible()
    case.check_start(
        server,
        lambda: quick.task_start(program, key="faulty"),
        match="* /v1/jobs",
        made=lambda: len(server._ids),
    )
    task = quick.task_start(program, key="faulty")
    assert quick.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


@pytest.mark.parametrize("fault", _UPLOAD, ids=lambda fault: f"{fault.kind}-{fault.status}")
def test_uploading(
    server: QuantumSystemServer, quick: QuantumResource, program: Payload, fault: Fault
) -> None:
    """A start whose input cannot be stored makes no task; it can be repeated."""
    planted = server.faults.add(attrs.evolve(fault, match="PUT /sandbox-bucket", times=None))
    with pytest.raises(QrmiError):
        quick.task_start(program, key="faulty")
    assert planted.hits
    assert not server.jobs
    server.faults.clear()
    task = quick.task_start(program, key="faulty")
    assert quick.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


def test_a_token_that_expires_in_mid_run(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """Each refusal costs one more token, and nobody notices."""
    server.run_seconds = 0.3
    task = resource.task_start(bell)
    server.expire_tokens()
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    server.expire_tokens()
    assert resource.is_accessible()
    assert server.tokens_given.total() == 3


def test_tokens_are_renewed_before_their_end(
    server: QuantumSystemServer, resource: QuantumResource
) -> None:
    """A token of half a second is not used for longer: the service refuses nothing."""
    server.token_seconds = 0.5
    for _ in range(8):
        assert resource.is_accessible()
        threading.Event().wait(0.15)
    assert server.tokens_given.total() >= 3
    assert all("identity" in r.path or "backends" in r.path for r in server.requests)
    asked = sum("backends" in request.path for request in server.requests)
    assert asked == 8


def test_tokens_that_nobody_takes(server: QuantumSystemServer, resource: QuantumResource) -> None:
    """A service that refuses new tokens too gets one more attempt, no more."""
    server.faults.add(Fault(kind="status", status=401, match="GET /v1", times=None))
    with pytest.raises(AuthenticationFailedError):
        resource.is_accessible()
    assert server.tokens_given.total() == 2


def test_a_wrong_api_key(open_resource: Callable[..., QuantumResource]) -> None:
    """The identity service's reason and code are in the error; the key is not."""
    wrong = open_resource(QRMI_IBM_QS_IAM_APIKEY="wrong-key")
    with pytest.raises(AuthenticationFailedError, match="BXNIM0415E") as refused:
        wrong.is_accessible()
    assert "wrong-key" not in str(refused.value)
    assert refused.value.owner is Owner.USER


@pytest.mark.parametrize("kind", ["html", "not_json", "drop_fields"])
def test_an_identity_service_that_talks_nonsense(
    server: QuantumSystemServer, resource: QuantumResource, kind: Any
) -> None:
    """That is the service's fault, and said so; nothing else was sent."""
    server.faults.add(Fault(kind=kind, match="POST /identity", times=None))
    with pytest.raises(ResourceUnavailableError, match="no token") as caught:
        resource.is_accessible()
    assert caught.value.owner is Owner.VENDOR


def test_a_restart_in_mid_task(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """A wait goes on over a restart of the service; the task runs once."""
    server.run_seconds = 0.6
    task = resource.task_start(bell)
    threading.Timer(0.2, server.restart).start()
    assert resource.task_wait(task, _SECONDS) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


def test_nobody_listens(server: QuantumSystemServer, quick: QuantumResource, bell: Payload) -> None:
    """A refused connection is the network's fault, and may be tried again."""
    server.stop()
    for verb in (quick.is_accessible, quick.target, lambda: quick.task_start(bell)):
        with pytest.raises(ResourceUnavailableError) as refused:
            verb()
        assert refused.value.owner is Owner.NETWORK
        assert refused.value.retryable


def test_a_web_page_in_the_storage_s_place(
    server: QuantumSystemServer, resource: QuantumResource, bell: Payload
) -> None:
    """It is never taken for a result."""
    task = resource.task_start(bell)
    resource.task_wait(task, _SECONDS)
    server.faults.add(Fault(kind="html", match="GET /sandbox-bucket", times=2))
    for verb in (resource.task_result, resource.task_logs):
        with pytest.raises(UnexpectedAnswerError):
            verb(task)
    assert resource.task_result(task).value


def test_no_connection_is_made_anew_for_each_task(
    server: QuantumSystemServer, resource: QuantumResource
) -> None:
    """Service and storage are spoken to over connections that stay."""
    server.programs["executor"] = lambda text: "{}"
    opened: list[Any] = []
    http = server._http
    assert http is not None
    inner = http.get_request

    def counted() -> Any:
        opened.append(None)
        return inner()

    http.get_request = counted  # type: ignore[method-assign]
    for _ in range(5):
        task = resource.task_start(Payload.QiskitPrimitive("{}", "executor"))
        resource.task_wait(task, _SECONDS)
        resource.task_result(task)
    assert len(opened) <= 2
