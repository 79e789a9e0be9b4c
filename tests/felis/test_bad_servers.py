"""Every way for a server to be bad ends in the right error, and nothing runs twice."""

from __future__ import annotations

import pytest

from qrmi import journal
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    InvalidInputError,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.tasks import TaskStatus
from qrmi.transport import RequestsTransport
from qrmi_sandbox.bad import CASES, IMPATIENT
from qrmi_sandbox.faults import Fault

HASTY = {
    "QRMI_START_SETTLE_SECONDS": "0.3",
    **IMPATIENT,
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "0.3",
    "QRMI_HTTP_BUDGET_SECONDS": "0.4",
}


def hasty(case):
    """Settings that give up soon, but for servers that get well again."""
    return {**HASTY, "QRMI_HTTP_BUDGET_SECONDS": "2"} if case.times else HASTY


class Between:
    """Requests over `requests`; a fault is planted when the program is about to be uploaded."""

    def __init__(self, server, fault):
        self._server, self._fault = server, fault
        self._carrier = RequestsTransport()

    def send(self, request, headers, timeout):
        if request.url.endswith("/input") and self._fault is not None:
            self._server.faults.add(self._fault)
            self._fault = None
        return self._carrier.send(request, headers, timeout)


@pytest.mark.parametrize("transport", ["requests", "curl"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_looking(case, transport, server, make, program):
    """A look at a job ends as the table says; the next one tells the truth."""
    server.run_seconds = 30.0
    resource = make(**hasty(case), QRMI_HTTP_TRANSPORT=transport)
    task = resource.task_start(program)
    case.check_read(server, lambda: resource.task_status(task), match="GET /v1/jobs")
    assert resource.task_status(task) in (TaskStatus.QUEUED, TaskStatus.RUNNING)


@pytest.mark.parametrize("verb", ["status", "target"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_asking_about_the_target(case, verb, server, make):
    """Questions about the target end as the table says, but for a health that is not there."""
    resource = make(**hasty(case))
    if case.name in ("404", "422") and verb != "target":
        # Such a service has no health to tell; whether the target is there, its list says.
        match = "GET /v1/targets/"
    else:
        match = "GET /v1/targets"
    case.check_read(server, getattr(resource, verb), match=match)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_making_a_job(case, server, make, program):
    """The first step ends as the table says; empty jobs that it leaves behind never run."""
    resource = make(**hasty(case))
    case.check_start(
        server,
        lambda: resource.task_start(program),
        match="POST /v1/jobs/",
        made=lambda: sum(status != "CREATED" for status in server.jobs().values()),
    )
    assert sum(server.executions.values()) <= 1
    assert resource.task_wait(resource.task_start(program), 20) is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(kind="status", status=422), InvalidInputError),
        (Fault(kind="status", status=409), InvalidInputError),
        (Fault(kind="status", status=401), AuthenticationFailedError),
        (Fault(kind="status", status=403), AccessDeniedError),
        (Fault(kind="status", status=429), ResourceUnavailableError),
        (Fault(kind="status", status=503, retry_after=1), ResourceUnavailableError),
    ],
    ids=lambda value: str(getattr(value, "status", "")),
)
def test_a_refused_program_leaves_no_job(fault, error, server, make, program):
    """When the upload is refused, the reason is raised and the job that was made is cancelled."""
    resource = make(**HASTY)
    handle = _over(Between(server, fault), resource)
    with pytest.raises(error, match="planted fault"):
        handle.task_start(program, key="refused")
    assert list(server.jobs().values()) == ["CANCELLED"]
    assert not server.executions
    record = journal.default().find("refused")
    assert "planted fault" in record.reason


@pytest.mark.parametrize("kind", ["reset_after", "half_body", "not_json", "html", "drop_fields"])
def test_a_program_that_arrived_runs_once(kind, server, make, program):
    """When only the answer to the upload is lost, the job itself shows that it arrived."""
    handle = _over(Between(server, Fault(kind=kind)), make(**HASTY))
    task = handle.task_start(program)
    assert handle.task_wait(task, 20) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


@pytest.mark.parametrize("kind", ["reset_before", "silence"])
def test_a_program_that_did_not_arrive(kind, server, make, program):
    """Once it can no longer arrive, the same job is handed it again, and runs once."""
    handle = _over(Between(server, Fault(kind=kind, seconds=2.0)), make(**HASTY))
    task = handle.task_start(program)
    assert handle.task_wait(task, 20) is TaskStatus.COMPLETED
    assert server.executions == {task: 1}


@pytest.mark.parametrize("kind", ["reset_before", "silence"])
def test_a_program_that_never_arrives(kind, server, make, program):
    """Nothing runs, which is sure: a plain error, with the id of the empty job."""
    fault = Fault(kind=kind, seconds=2.0, times=None, match="POST")
    handle = _over(Between(server, fault), make(**HASTY))
    with pytest.raises(ResourceUnavailableError, match="has not arrived") as caught:
        handle.task_start(program, key="lost")
    server.faults.clear()
    (made,) = server.jobs()
    assert caught.value.task_id == made
    assert journal.default().find("lost").reason
    handle.task_stop(made)
    assert handle.task_status(made) is TaskStatus.CANCELLED


def test_a_server_that_stops_between_the_two_steps(server, make, program):
    """The job's id is journalled before the program is sent; afterwards it can be cleaned up."""

    class Stopping(Between):
        def send(self, request, headers, timeout):
            if request.url.endswith("/input"):
                server.stop()
            return super().send(request, headers, timeout)

    handle = _over(Stopping(server, None), make(**HASTY))
    with pytest.raises(ResourceUnavailableError):
        handle.task_start(program, key="stopped")
    server.start()
    (made,) = server.jobs()
    assert not server.executions
    assert handle.task_status(made) is TaskStatus.QUEUED


def test_a_restart_in_mid_task(server, make, program):
    """A wait goes on over a restart of the service."""
    server.run_seconds = 0.5
    resource = make()
    task = resource.task_start(program)
    server.restart()
    assert resource.task_wait(task, 20) in (TaskStatus.COMPLETED, TaskStatus.RUNNING)


def test_an_expired_key(server, make, program):
    """A key that the service takes no more is the user's matter, and is not tried again."""
    resource = make()
    server.expire_tokens()
    before = len(server.requests)
    with pytest.raises(AuthenticationFailedError, match="Invalid API key"):
        resource.task_start(program)
    assert len(server.requests) == before + 1


@pytest.mark.parametrize(
    "events",
    ["", "soon", None, 7, [7], [{"createdAt": "now"}], [{"type": "CREATED", "createdAt": "x"}]],
)
def test_a_job_whose_events_make_no_sense(events, server, make):
    """Events that cannot be read are the service's fault, and are named as such."""
    from qrmi_alice_bob import wire

    with pytest.raises(UnexpectedAnswerError):
        wire.job_status({"id": "j", "events": events}, "j")


def _over(transport, resource):
    """A handle of the same settings over another transport."""
    from qrmi import QuantumResource

    driver = resource._driver
    return QuantumResource.from_driver(_used(driver, transport), resource_type=resource.type_name)


def _used(driver, transport):
    driver.use(transport)
    return driver


def test_errors_show_nothing_of_the_program(server, make, program):
    """Neither the program nor the key is in an error's text."""
    resource = make(**HASTY)
    server.faults.add(Fault(kind="status", status=400, times=None))
    with pytest.raises(QrmiError) as caught:
        resource.task_start(program)
    shown = f"{caught.value} {caught.value!r}"
    assert "call void" not in shown
    assert server.api_key not in shown
