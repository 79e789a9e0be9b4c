"""Every way for a server to be bad ends in the right error, and nothing runs twice."""

from __future__ import annotations

import pytest

from qrmi import QuantumResource, journal
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    InvalidInputError,
    ResourceUnavailableError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.tasks import TaskStatus
from qrmi.transport import RequestsTransport
from qrmi_oqtopus import documents, wire
from qrmi_oqtopus.spec import JobSpec
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


def running(server):
    """How many jobs were ever submitted."""
    return sum(status != "registered" for status in server.jobs().values())


class Between:
    """Requests over `requests`; faults are planted when the job is about to be submitted."""

    def __init__(self, server, faults):
        self._server, self._faults = server, faults
        self._carrier = RequestsTransport()

    def send(self, request, headers, timeout):
        if request.url.endswith("/submit"):
            while self._faults:
                self._server.faults.add(self._faults.pop(0))
        return self._carrier.send(request, headers, timeout)


@pytest.fixture
def over(make, server):
    """A function that opens the resource with faults between the two steps of a start."""

    def opened(faults, **settings):
        driver = make(**settings)._driver
        driver.use(Between(server, [faults] if isinstance(faults, Fault) else list(faults)))
        return QuantumResource.from_driver(driver, resource_type="oqtopus")

    return opened


@pytest.mark.parametrize("transport", ["requests", "curl"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_looking(case, transport, server, make, program):
    """A look at a job ends as the table says; the next one tells the truth."""
    server.run_seconds = 30.0
    resource = make(**hasty(case), QRMI_HTTP_TRANSPORT=transport)
    task = resource.task_start(program)
    case.check_read(server, lambda: resource.task_status(task), match="GET /jobs")
    assert resource.task_status(task) in (TaskStatus.QUEUED, TaskStatus.RUNNING)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_asking_about_the_device(case, server, make):
    """Questions about the device end as the table says."""
    case.check_read(server, make(**hasty(case)).target, match="GET /devices")


@pytest.mark.parametrize("step", ["POST /jobs", "POST /storage"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_starting(case, step, server, make, program):
    """The first step ends as the table says, and nothing runs twice.

    The answers of storage are not looked at, so junk there does no harm.
    """
    resource = make(**hasty(case))
    if step == "POST /storage" and case.kind in ("not_json", "html", "drop_fields", "half_body"):
        with case.planted(server, step):
            task = resource.task_start(program)
        assert resource.task_wait(task, 20) is TaskStatus.COMPLETED
        return
    case.check_start(
        server, lambda: resource.task_start(program), match=step, made=lambda: running(server)
    )
    assert resource.task_wait(resource.task_start(program), 20) is TaskStatus.COMPLETED
    assert max(server.executions.values()) == 1


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (Fault(kind="status", status=400, times=None, match="POST /jobs"), InvalidInputError),
        (Fault(kind="status", status=401, times=None), AuthenticationFailedError),
        (Fault(kind="status", status=403, times=None, match="POST /jobs"), AccessDeniedError),
        (Fault(kind="status", status=429, times=None), ResourceUnavailableError),
        (Fault(kind="status", status=503, times=None), ResourceUnavailableError),
        (Fault(kind="reset_before", times=None), TaskStartUncertainError),
    ],
    ids=lambda value: f"{value.kind}-{value.status}" if isinstance(value, Fault) else "",
)
def test_a_refused_job_does_not_run(fault, error, server, over, program):
    """When the submission is refused, the reason is raised; the id is in the journal by then."""
    handle = over(fault, **HASTY)
    with pytest.raises(error):
        handle.task_start(program, key="refused")
    server.faults.clear()
    ((made, status),) = server.jobs().items()
    assert status == "registered"
    assert not server.executions
    assert journal.default().find("refused").id == made
    assert handle.task_status(made) is TaskStatus.QUEUED
    handle.task_stop(made)


@pytest.mark.parametrize(
    "afterwards",
    [
        Fault(kind="reset_before", times=None),
        Fault(kind="status", status=503, times=None),
        Fault(kind="status", status=400, times=None),
    ],
    ids=["gone", "unavailable", "refusing"],
)
def test_a_submission_that_was_taken_unseen_is_uncertain(afterwards, server, over, program):
    """The answer is lost and then nobody tells: the same key finds the task, none is made twice."""
    handle = over([Fault(kind="reset_after"), afterwards], **HASTY)
    with pytest.raises(TaskStartUncertainError) as caught:
        handle.task_start(program, key="unseen")
    server.faults.clear()
    task = handle.task_start(program, key="unseen")
    assert task == caught.value.task_id
    assert handle.task_wait(task, 20) is TaskStatus.COMPLETED
    assert server.executions == {task: 1, "unseen": 1}


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="reset_before"),
        Fault(kind="reset_after"),
        Fault(kind="half_body"),
        Fault(kind="html"),
        Fault(kind="drop_fields"),
        Fault(kind="silence", seconds=2.0),
        Fault(kind="status", status=503),
        Fault(kind="status", status=502),
        Fault(kind="status", status=429, retry_after=0.2),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_submission_is_repeated_until_it_is_taken(fault, server, over, program):
    """The service takes a job once, so a lost answer costs nothing: it runs once."""
    handle = over(fault, **{**HASTY, "QRMI_HTTP_BUDGET_SECONDS": "2"})
    task = handle.task_start(program, key="once")
    assert handle.task_wait(task, 20) is TaskStatus.COMPLETED
    assert server.executions == {task: 1, "once": 1}
    assert handle.find_task("once") == task


def test_a_restart_in_mid_task(server, make, program):
    """A wait goes on over a restart of the service."""
    server.run_seconds = 0.5
    resource = make()
    task = resource.task_start(program)
    server.restart()
    assert resource.task_wait(task, 20) is TaskStatus.COMPLETED


def test_an_expired_token(server, make, program):
    """A token that the service takes no more is the user's matter, and is not tried again."""
    resource = make()
    server.expire_tokens()
    before = len(server.requests)
    with pytest.raises(AuthenticationFailedError, match="Unauthorized") as caught:
        resource.task_start(program)
    assert len(server.requests) == before + 1
    assert "sandbox-oqtopus-token" not in f"{caught.value!r} {caught.value}"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("not_json", UnexpectedAnswerError),
        ("html", UnexpectedAnswerError),
        ("half_body", ResourceUnavailableError),
        ("silence", ResourceUnavailableError),
    ],
)
def test_a_result_file_that_is_none(kind, error, server, make, program):
    """A file that is no archive, or does not come, is an error that shows no link."""
    resource = make(**HASTY)
    task = resource.task_start(program)
    resource.task_wait(task, 20)
    server.faults.add(Fault(kind=kind, match="GET /storage", times=None, seconds=1.0))
    with pytest.raises(error) as caught:
        resource.task_result(task)
    assert "signature" not in str(caught.value)
    server.faults.clear()
    assert resource.task_result(task).value


def test_a_link_that_has_expired(server, make, program):
    """The storage refuses: what to do is said, and the permissions of the account are not."""
    resource = make(**HASTY)
    task = resource.task_start(program)
    resource.task_wait(task, 20)
    server.faults.add(Fault(kind="status", status=403, match="GET /storage"))
    with pytest.raises(ResourceUnavailableError, match="ask for it again") as caught:
        resource.task_result(task)
    assert caught.value.retryable
    assert resource.task_result(task).value


@pytest.mark.parametrize("link", ["http://[::1", "http://h:99999/x", "https://two words/x"])
def test_links_that_are_no_urls(link):
    """The service's fault is named as such, and nothing is sent there."""
    form = {"url": link, "fields": {"key": "k"}}
    with pytest.raises(UnexpectedAnswerError):
        wire.upload_form(form, "j", JobSpec(content={}, request={}))
    with pytest.raises(UnexpectedAnswerError):
        documents.linked({"job_info": {"result": link}})
