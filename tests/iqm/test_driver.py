"""The driver against a server that keeps state: verbs, requests, settings, errors."""

from __future__ import annotations

import json
import time

import pytest

import qrmi
from qrmi import Payload, QuantumResource, TaskStatus
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    ConfigError,
    EnvVarNotSetError,
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
)
from qrmi.tasks import ResourceStatusCode
from qrmi.transport import RequestsTransport, Response, SendError
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.iqm import IQMServer

ARTIFACTS = "/artifacts/measurements"


def requests_of(server: IQMServer, action) -> list[str]:
    """Method and path of each request that an action makes."""
    before = len(server.requests)
    action()
    return [f"{r.method} {r.path}" for r in server.requests[before:]]


# --- what it is -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "more", "alias"),
    [
        ("garnet", {}, "garnet"),
        ("garnet_mock", {}, "garnet:mock"),
        ("garnet:mock", {}, "garnet:mock"),
        ("garnet_timeslot", {}, "garnet:timeslot"),
        ("my_long_name", {}, "my_long_name"),
        ("_mock", {}, "_mock"),
        ("qpu1", {"QRMI_IQM_QC_ALIAS": "garnet"}, "garnet"),
    ],
)
def test_only_known_suffixes_become_a_colon(open_iqm, name, more, alias) -> None:
    """A name is the alias, but for ``_mock`` and ``_timeslot``; a setting overrides it."""
    resource = open_iqm(name, **more)
    assert resource.metadata() == {"backend_name": alias}
    assert resource.resource_id() == name


def test_variables_are_prefixed_by_the_name_before_the_comma(server, monkeypatch) -> None:
    """``garnet,<calibration set>`` reads ``garnet_…``; its own name is what the user gave."""
    monkeypatch.setenv("garnet_QRMI_IQM_ISA_ENDPOINT", server.url + "/")
    monkeypatch.setenv("garnet_QRMI_IQM_ISA_TOKEN", server.token)
    monkeypatch.setenv("garnet_QRMI_JOB_ACQUISITION_TOKEN", "lease")
    described = json.loads(QuantumResource("garnet", "iqm-server").target().value)
    own = described["dynamic_quantum_architecture"]["calibration_set_id"]
    resource = QuantumResource(f"garnet,{own}", "iqm-server")
    assert resource.resource_id() == f"garnet,{own}"
    assert resource.metadata() == {"backend_name": "garnet", "acquisition_token": "lease"}
    assert resource.target().value == QuantumResource("garnet", "iqm-server").target().value
    assert any(f"/garnet/{own}/metrics" in request.path for request in server.requests)


def test_missing_settings_name_the_variable_and_the_key(monkeypatch) -> None:
    with pytest.raises(EnvVarNotSetError, match="garnet_QRMI_IQM_ISA_ENDPOINT") as caught:
        QuantumResource("garnet", "iqm-server")
    assert "qrmi config check" in caught.value.hint
    with pytest.raises(ConfigError, match="QRMI_IQM_ISA_TOKEN"):
        QuantumResource.from_config("garnet", "iqm-server", {"QRMI_IQM_ISA_ENDPOINT": "http://x"})


def test_a_calibration_set_is_one_part_of_the_path(server, open_iqm) -> None:
    """What the user gives is quoted whole; the service says that it has no such set."""
    with pytest.raises(ResourceNotFoundError, match="no such calibration set"):
        open_iqm("garnet,a/b?c").target()
    assert "/garnet/a%2Fb%3Fc" in server.requests[-1].path


# --- status and target ----------------------------------------------------------------------------


def test_status_tells_all_that_the_server_reports(resource) -> None:
    status = resource.status()
    assert resource.is_accessible()
    assert status.to_dict() == {
        "status": "online",
        "status_reason": "healthy updated at 2026-09-28 15:16:40.483662 +00:00",
        "healthy": True,
        "busy": None,
        "capacity": None,
        "pending_job_count": 3,
    }


def test_maintenance_is_a_pause(open_iqm) -> None:
    resource = open_iqm("emerald")
    assert resource.status().status is ResourceStatusCode.PAUSED
    assert not resource.is_accessible()


def test_target_has_the_servers_own_text(server, open_iqm) -> None:
    """Four requests, as upstream; keys sorted; a static architecture that is absent is null."""
    resource = open_iqm("sirius")
    sent = requests_of(server, lambda: resource.target())
    assert len(sent) == 4
    text = resource.target().value
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert json.loads(text)["static_quantum_architecture"] is None
    assert json.loads(open_iqm().target().value)["static_quantum_architecture"][0]["qubits"]


# --- tasks ----------------------------------------------------------------------------------------


def test_the_body_is_sent_byte_for_byte(server, resource, program) -> None:
    """Odd spacing, key order and numbers of the user's text survive; options go to the query."""
    text = (
        '{ "shots":3,\n "circuits": [{"instructions":[{"args":{"key":"é"},"name":"measure",'
        '"locus":["QB2"]}], "name":"t"}] }'
    )
    resource.task_start(Payload.IQMServer(text, "circuit", True, "my tag&x"))
    sent = server.requests[-1]
    assert sent.body == text.encode()
    assert (sent.method, sent.path) == ("POST", "/api/v1/jobs/garnet/circuit")
    assert sent.query == {"use_timeslot": "true", "tag": "my tag&x"}
    assert sent.headers["content-type"] == "application/json"
    resource.task_start(program)
    (tag,) = server.requests[-1].query.values()
    assert server.executions[tag] <= 1


def test_a_lost_start_tells_the_tag_by_which_people_find_it(server, resource, program) -> None:
    """The server cannot be searched; its pages show tags."""
    server.faults.add(Fault(kind="reset_after", match="POST /api/v1/jobs"))
    with pytest.raises(TaskStartUncertainError) as caught:
        resource.task_start(program, key="mine")
    assert server.requests[-1].query["tag"] in caught.value.hint
    assert caught.value.key == "mine"


def test_verbs_take_no_more_requests_than_upstream(server, resource, program) -> None:
    sent = requests_of(server, lambda: resource.task_start(program))
    assert len(sent) == 1
    task = resource.task_start(program)
    assert len(requests_of(server, lambda: resource.task_wait(task))) == 1
    assert requests_of(server, lambda: resource.task_status(task)) == [f"GET /api/v1/jobs/{task}"]
    assert len(requests_of(server, lambda: resource.task_result(task))) == 2
    assert len(requests_of(server, lambda: resource.task_logs(task))) == 1
    assert len(requests_of(server, lambda: resource.task_stop(task))) <= 2


def test_the_result_is_the_servers_own_text(server, resource, open_iqm, program) -> None:
    """Both artifacts, verbatim, in another process too: no request to learn that it has ended."""
    task = resource.task_start(program)
    resource.task_wait(task)
    value = resource.task_result(task).value
    assert value == (
        '{"measurement_counts":[{"measurement_keys": ["m_1_0_0"], "counts": {"1": 10}}],'
        '"measurements":[{"m_1_0_0": [' + ", ".join(["[1]"] * 10) + "]}]}"
    )
    other = open_iqm()
    assert len(requests_of(server, lambda: other.task_result(task))) == 2
    assert other.task_result(task).value == value


def test_status_does_not_hold_and_waiting_does(server, resource, slow_program) -> None:
    """`task_status` answers at once; `task_wait` is one held request for whole seconds."""
    task = resource.task_start(slow_program)
    begun = time.monotonic()
    assert resource.task_status(task) in (TaskStatus.QUEUED, TaskStatus.RUNNING)
    assert time.monotonic() - begun < 1.0
    assert "wait_until_terminal" not in server.requests[-1].query
    before = len(server.requests)
    assert resource.task_wait(task) is TaskStatus.COMPLETED
    held = server.requests[before:]
    assert [r.query for r in held] == [{"wait_until_terminal": "true", "timeout_seconds": "30"}]


def test_a_wait_ends_with_its_time(resource, slow_program) -> None:
    task = resource.task_start(slow_program)
    begun = time.monotonic()
    with pytest.raises(qrmi.errors.WaitTimeoutError):
        resource.task_wait(task, 0.3)
    assert time.monotonic() - begun < 2.0
    resource.task_stop(task)


def test_a_result_before_the_end_is_not_ready(resource, slow_program) -> None:
    task = resource.task_start(slow_program)
    with pytest.raises(TaskNotReadyError, match="still"):
        resource.task_result(task)
    resource.task_stop(task)
    with pytest.raises(TaskCancelledError):
        resource.task_result(task)


def test_a_stop_does_not_wait_for_the_job(resource, slow_program) -> None:
    """Upstream's stop holds for up to 30 s before it cancels."""
    task = resource.task_start(slow_program)
    begun = time.monotonic()
    resource.task_stop(task)
    assert time.monotonic() - begun < 2.0
    assert resource.task_status(task) is TaskStatus.CANCELLED
    resource.task_stop(task)


def test_a_failed_job_gives_its_reason(resource, open_iqm, failing_program) -> None:
    task = resource.task_start(failing_program)
    assert resource.task_wait(task) is TaskStatus.FAILED
    for handle in (resource, open_iqm()):
        with pytest.raises(TaskFailedError, match="longer than its qubits keep their state"):
            handle.task_result(task)
    assert "Errors     :\n  [iqm-station-control     ] a circuit" in resource.task_logs(task)


def test_an_unknown_job_is_not_an_empty_result(resource) -> None:
    """Upstream gives nulls and no error."""
    unknown = "0b5a0f36-1a8b-4d57-8a0e-0f6f1f3f6c01"
    for verb in (resource.task_result, resource.task_status, resource.task_stop):
        with pytest.raises(TaskNotFoundError, match="no such job"):
            verb(unknown)


def test_a_sweep_has_no_json_result(resource) -> None:
    task = resource.task_start(Payload.IQMServer('{"sweep": 1}', "sweep", None, None))
    resource.task_wait(task)
    with pytest.raises(UnsupportedFunctionError, match="sweep_results"):
        resource.task_result(task)


def test_logs_read_as_upstreams_do(resource, program) -> None:
    task = resource.task_start(program)
    resource.task_wait(task)
    lines = resource.task_logs(task).split("\n")
    assert lines[0] == "Timeline   :"
    assert lines[1].endswith(" [iqm-server              ] created")
    assert lines[1][:3] == "  2"
    assert lines[-2:] == ["Messages   : (none)", ""]


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_refusal_gives_the_services_reason_and_starts_nothing(server, resource, flip) -> None:
    wrong = flip({"name": "prx", "locus": ["QB99"], "args": {"angle": 1.0, "phase": 0.0}})
    with pytest.raises(InvalidInputError, match="prx is not calibrated on QB99"):
        resource.task_start(wrong)
    assert not server.executions


def test_a_quantum_computer_that_is_not_there(open_iqm, program) -> None:
    with pytest.raises(ResourceNotFoundError, match="quantum_computer_not_found"):
        open_iqm("nowhere").task_start(program)
    with pytest.raises(ResourceNotFoundError):
        open_iqm("nowhere").status()


def test_credentials_that_expire_in_mid_run(server, resource, program) -> None:
    task = resource.task_start(program)
    server.expire_tokens()
    with pytest.raises(AuthenticationFailedError, match="expired"):
        resource.task_wait(task)


def test_a_denied_request_names_the_site(server, resource) -> None:
    server.faults.add(Fault(kind="status", status=403, times=None))
    with pytest.raises(AccessDeniedError) as caught:
        resource.status()
    assert caught.value.owner == "site"


@pytest.mark.parametrize("kind", ["not_json", "html", "drop_fields"])
def test_a_result_that_is_none_is_an_error(server, resource, program, kind) -> None:
    """A large result is not parsed; that it is a JSON list is seen all the same."""
    task = resource.task_start(program)
    resource.task_wait(task)
    server.faults.add(Fault(kind=kind, match=f"GET /api/v1/jobs/{task}/artifacts"))
    with pytest.raises(UnexpectedAnswerError):
        resource.task_result(task)


def test_a_restart_in_mid_task_is_survived(server, resource, slow_program) -> None:
    """The held request breaks; the next one finds the job."""
    task = resource.task_start(slow_program)
    server.restart()
    assert resource.task_wait(task) is TaskStatus.COMPLETED
    assert server.executions[task] == 1


def test_a_lost_answer_to_a_start_is_not_sent_again(server, resource, program) -> None:
    server.faults.add(Fault(kind="reset_after", match="POST /api/v1/jobs"))
    with pytest.raises(QrmiError) as caught:
        resource.task_start(program)
    assert not caught.value.retryable
    assert len([r for r in server.requests if r.method == "POST"]) == 1


def test_a_server_that_is_gone(open_iqm, server) -> None:
    resource = open_iqm(QRMI_HTTP_BUDGET_SECONDS="1")
    server.stop()
    with pytest.raises(ResourceUnavailableError) as caught:
        resource.status()
    assert caught.value.owner == "network"


def test_the_token_shows_nowhere(resource, server) -> None:
    assert server.token not in repr(resource)
    server.expire_tokens()
    with pytest.raises(QrmiError) as caught:
        resource.status()
    assert "sandbox-iqm-token" not in str(caught.value)


def test_a_server_that_does_not_hold_is_not_flooded(server, resource, slow_program) -> None:
    """Some gateways drop the question; then the job is asked for at growing intervals."""
    server.holds = False
    task = resource.task_start(slow_program)
    before = len(server.requests)
    assert resource.task_wait(task) is TaskStatus.COMPLETED
    assert len(server.requests) - before < 60


def test_artifacts_that_appear_late_are_in_the_result(server, open_iqm, program) -> None:
    """A job that ends between two requests gives its whole result, not half of it."""
    task = open_iqm().task_start(program)
    open_iqm().task_wait(task)
    path = f"GET /api/v1/jobs/{task}/artifacts"
    server.faults.add(Fault(kind="status", status=404, match=path, times=2))
    result = json.loads(open_iqm().task_result(task).value)
    assert result["measurements"]
    assert result["measurement_counts"]


class _Gateway:
    """Cuts off what the server holds; `refused` answers it with 504 instead."""

    def __init__(self, *, refused: bool) -> None:
        self._refused = refused
        self._carrier = RequestsTransport()
        self.held = 0

    def send(self, request, headers, timeout):
        if "wait_until_terminal" not in request.url:
            return self._carrier.send(request, headers, timeout)
        self.held += 1
        if self._refused:
            return Response(504, {}, b"<html></html>")
        raise SendError("cut off", sent=True)


@pytest.mark.parametrize("refused", [False, True])
def test_a_gateway_that_cuts_off_what_is_held(server, settings, program, refused) -> None:
    """A wait goes on with requests that are not held, and ends when the job does."""
    server.run_seconds = 0.5
    gateway = _Gateway(refused=refused)
    resource = QuantumResource.from_config("garnet", "iqm-server", settings, transport=gateway)
    assert resource.task_wait(resource.task_start(program), 20) is TaskStatus.COMPLETED
    assert gateway.held


def test_a_cancellation_may_be_answered_with_nothing(resource, slow_program) -> None:
    """What became of the job, its status says."""

    class Mute:
        def __init__(self) -> None:
            self._carrier = RequestsTransport()

        def send(self, request, headers, timeout):
            answer = self._carrier.send(request, headers, timeout)
            return Response(204, {}, b"") if request.url.endswith("/cancel") else answer

    task = resource.task_start(slow_program)
    resource._driver.use(Mute())
    resource.task_stop(task)
    assert resource.task_status(task) is TaskStatus.CANCELLED


@pytest.mark.parametrize("url", ["iqm.example", "http://[::1", "http://h:port", "https://h?x=1"])
def test_an_endpoint_that_is_no_url(open_iqm, url) -> None:
    """It is refused when the handle is made, by the key's name."""
    with pytest.raises(ConfigError, match=r"QRMI_IQM_ISA_ENDPOINT.*qrmi config check"):
        open_iqm(QRMI_IQM_ISA_ENDPOINT=url)
