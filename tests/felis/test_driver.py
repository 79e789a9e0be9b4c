"""Felis as a resource: names, settings, the life of a job, status, discovery."""

from __future__ import annotations

import base64
import json

import pytest

from qrmi import Payload, QuantumResource, ResourceProvider
from qrmi.errors import (
    ConfigError,
    EnvVarNotSetError,
    InvalidInputError,
    ResourceNotFoundError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.tasks import ResourceStatusCode, TaskStatus
from qrmi_alice_bob.wire import felis_target
from qrmi_sandbox.faults import Fault

TYPE = "alice-bob-felis"


# --- names and settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("ab_emu_40q_physical_cats", "EMU:40Q:PHYSICAL_CATS"),
        ("AB_EMU_40Q_PHYSICAL_CATS", "EMU:40Q:PHYSICAL_CATS"),
        ("qpu_1q_boson_4a", "QPU:1Q:BOSON_4A"),
        ("EMU:40Q:PHYSICAL_CATS", "EMU:40Q:PHYSICAL_CATS"),
        ("ab_EMU:1Q:LESCANNE_2020", "EMU:1Q:LESCANNE_2020"),
        ("abacus_1", "ABACUS:1"),
    ],
)
def test_the_name_of_a_target(name, target):
    """``ab_`` is dropped in any case, two underscores become colons, colons stay as they are."""
    assert felis_target(name) == target


def test_the_handle_keeps_the_name_that_was_given(make):
    """The resource's name is the user's, the target's is in the metadata."""
    resource = make("ab_emu_15q_logical_early")
    assert resource.resource_id() == "ab_emu_15q_logical_early"
    assert resource.metadata() == {"felis_target": "EMU:15Q:LOGICAL_EARLY"}
    assert json.loads(resource.target().value)["name"] == "EMU:15Q:LOGICAL_EARLY"


def test_settings_of_the_resource_come_before_those_of_the_vendor(server, monkeypatch, program):
    """A prefixed variable counts first, then the vendor's own without a prefix."""
    monkeypatch.setenv("QRMI_AB_FELIS_API_KEY", server.api_key)
    monkeypatch.setenv("QRMI_AB_FELIS_BASE_ENDPOINT", "http://127.0.0.1:9/nowhere")
    monkeypatch.setenv("x_QRMI_AB_FELIS_BASE_ENDPOINT", f"{server.url}/")
    assert QuantumResource("x", TYPE).metadata() == {"felis_target": "X"}
    monkeypatch.setenv("emu_6q_rotations_QRMI_AB_FELIS_BASE_ENDPOINT", f"{server.url}/")
    assert QuantumResource("emu_6q_rotations", TYPE).is_accessible()
    assert server.requests[-1].path == "/v1/targets/EMU%3A6Q%3AROTATIONS/health"


def test_a_missing_setting_is_named(monkeypatch):
    """The variable is named, with the resource's name in front; so is the key in a mapping."""
    with pytest.raises(EnvVarNotSetError, match="ab_x_QRMI_AB_FELIS_API_KEY") as caught:
        QuantumResource("ab_x", TYPE)
    assert "qrmi config check" in caught.value.hint
    with pytest.raises(ConfigError, match="'QRMI_AB_FELIS_API_KEY'"):
        QuantumResource.from_config("ab_x", TYPE, {"QRMI_AB_FELIS_BASE_ENDPOINT": "https://h"})


@pytest.mark.parametrize("key", ["!!!", base64.b64encode(b"nocolon").decode(), "c2FuZA", "\u20ac"])
def test_a_key_that_is_none(key):
    """A key that is not base64 of user:password is refused when the handle is made, unseen."""
    with pytest.raises(ConfigError, match="base64 of user:password") as caught:
        QuantumResource.from_config(
            "x", TYPE, {"QRMI_AB_FELIS_API_KEY": key, "QRMI_AB_FELIS_BASE_ENDPOINT": "https://h"}
        )
    assert key not in str(caught.value)


def test_an_endpoint_that_is_no_url():
    """An endpoint is an http or https URL."""
    key = base64.b64encode(b"u:p:w").decode()
    with pytest.raises(ConfigError, match="QRMI_AB_FELIS_BASE_ENDPOINT"):
        QuantumResource.from_config(
            "x", TYPE, {"QRMI_AB_FELIS_API_KEY": key, "QRMI_AB_FELIS_BASE_ENDPOINT": "h.com"}
        )


# --- the life of a job ----------------------------------------------------------------------------


def test_the_requests_of_a_task(server, resource, program):
    """As many as the upstream library sends: two to start, one a look, one for the result."""
    task = resource.task_start(program)
    resource.task_wait(task, 20)
    server.requests.clear()
    assert resource.task_status(task) is TaskStatus.COMPLETED
    text = resource.task_result(task).value
    assert sum(int(line.partition(",")[2]) for line in text.splitlines()) == 20
    assert [(r.method, r.path.replace(task, "ID")) for r in server.requests] == [
        ("GET", "/v1/jobs/ID"),
        ("GET", "/v1/jobs/ID/output"),
    ]
    server.requests.clear()
    resource.task_start(program)
    create, upload = server.requests
    assert (create.method, create.path) == ("POST", "/v1/jobs/")
    assert json.loads(create.body) == {
        "inputDataFormat": "HUMAN_QIR",
        "outputDataFormat": "HISTOGRAM",
        "target": "EMU:6Q:ROTATIONS",
        "inputParams": {"nbShots": 20, "averageNbPhotons": 4.0},
    }
    assert upload.path.endswith("/input")
    assert b'name="input"; filename="input"' in upload.body
    assert program.human_qir.encode() in upload.body


def test_statuses_never_go_back_and_follow_the_time_of_events(server, resource, program):
    """The latest event by its time counts, wherever it stands in the list."""
    server.run_seconds = 0.3
    server.shuffled = True
    task = resource.task_start(program)
    seen = [resource.task_status(task)]
    resource.task_wait(task, 20, on_status=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] is TaskStatus.COMPLETED


def test_a_job_without_events_is_queued():
    """An empty list of events is no error."""
    from qrmi_alice_bob import wire

    assert wire.job_status({"events": []}, "j") is TaskStatus.QUEUED


def test_an_unknown_event_counts_as_running(server, resource, program, caplog):
    """A word that is new never ends a wait, and is warned of once."""
    task = resource.task_start(program)
    resource.task_wait(task, 20)
    server.last_event = "DEFROSTING"
    assert [resource.task_status(task) for _ in range(3)] == [TaskStatus.RUNNING] * 3
    assert sum("DEFROSTING" in record.getMessage() for record in caplog.records) == 1


def test_a_failed_job_gives_its_reason(resource):
    """The service's errors are in the message; a job that failed has no result."""
    payload = Payload.AliceBobFelis("no QIR", '{"nbShots": 1, "averageNbPhotons": 4}')
    task = resource.task_start(payload)
    assert resource.task_wait(task, 20) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="OperationNotSupported"):
        resource.task_result(task)
    resource.task_stop(task)


def test_a_stopped_job(server, resource, program):
    """A job is stopped once, stopping it again is no error, and it has no result."""
    server.run_seconds = 5.0
    task = resource.task_start(program)
    with pytest.raises(TaskNotReadyError, match="still"):
        resource.task_result(task)
    resource.task_stop(task)
    resource.task_stop(task)
    assert resource.task_status(task) is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError):
        resource.task_result(task)
    assert sum(request.method == "DELETE" for request in server.requests) == 1


@pytest.mark.parametrize("answer", ["accepted", "nothing"])
def test_any_answer_to_an_upload_that_is_no_refusal_will_do(answer, server, resource, program):
    """The service may answer an upload with nothing at all."""
    server.faults.add(Fault(kind="drop_fields" if answer == "nothing" else "not_json", match="X"))
    task = resource.task_start(program)
    assert resource.task_wait(task, 20) is TaskStatus.COMPLETED


def test_input_parameters_are_checked_by_the_service(resource):
    """What the service refuses before there is a job comes back with its reason."""
    with pytest.raises(InvalidInputError, match=r"averageNbPhotons: required"):
        resource.task_start(Payload.AliceBobFelis("x", '{"nbShots": 10}'))


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"00,5\n", "text/plain", "00,5\n"),
        (b"00,5\n", "text/csv; charset=utf-8", "00,5\n"),
        (b"00,5\n", None, "00,5\n"),
        (b'"00,5\\n"', "application/json", "00,5\n"),
        (b"", "text/plain", ""),
    ],
)
def test_forms_of_an_output(body, kind, text):
    """Any text is an output, and so is a text in JSON."""
    from qrmi.transport import Response
    from qrmi_alice_bob import wire

    headers = {} if kind is None else {"content-type": kind}
    assert wire.output_text(Response(200, headers, body)) == text


@pytest.mark.parametrize(
    ("body", "kind"), [(b"{}", "application/json"), (b"<html>", "text/html"), (b"\xff", None)]
)
def test_what_is_no_output(body, kind):
    """A web page, an object or bytes are not taken for a histogram."""
    from qrmi.transport import Response
    from qrmi_alice_bob import wire

    with pytest.raises(UnexpectedAnswerError):
        wire.output_text(Response(200, {"content-type": kind} if kind else {}, body))


# --- the target -----------------------------------------------------------------------------------


def test_the_target_is_passed_on_as_it_is(server, resource):
    """Numbers keep their form: a whole one stays whole."""
    from qrmi_sandbox.felis_targets import TARGETS

    entry = next(t for t in TARGETS if t["name"] == "EMU:6Q:ROTATIONS")
    assert resource.target().value == json.dumps(entry, ensure_ascii=False)


def test_a_target_that_is_not_there(make):
    """The error lists those that are; status and accessibility say the same."""
    resource = make("ab_emu_1q_nothing")
    for verb in (resource.target, resource.status, resource.is_accessible):
        with pytest.raises(ResourceNotFoundError, match="EMU:1Q:NOTHING") as caught:
            verb()
        assert "EMU:40Q:PHYSICAL_CATS" in caught.value.hint


@pytest.mark.parametrize(
    ("health", "code", "healthy", "reason"),
    [
        ("OK", ResourceStatusCode.ONLINE, True, None),
        ("NOK", ResourceStatusCode.ONLINE, False, "enabled, but monitored to be in a bad state"),
        ("OFF", ResourceStatusCode.OFFLINE, None, "Maintenance until noon"),
    ],
)
def test_status(server, resource, health, code, healthy, reason):
    """What the service monitors, and why a target is off."""
    server.health["EMU:6Q:ROTATIONS"] = health
    status = resource.status()
    assert (status.status, status.healthy, status.status_reason) == (code, healthy, reason)
    assert status.pending_job_count is None
    assert resource.is_accessible() is (code is ResourceStatusCode.ONLINE)


def test_an_unknown_health_is_named(server, resource):
    """A new word for a target's health is an error, not a guess."""
    server.health["EMU:6Q:ROTATIONS"] = "TIRED"
    with pytest.raises(UnexpectedAnswerError, match="TIRED"):
        resource.status()


def test_an_outage_without_a_plan(server, make):
    """That the service has no availabilities to tell of hides nothing of what it does tell."""
    server.health["EMU:6Q:ROTATIONS"] = "OFF"
    for status in (403, 404):
        match = "GET /v1/targets/EMU%3A6Q%3AROTATIONS/availabilities"
        server.faults.add(Fault(kind="status", status=status, match=match))
        found = make().status()
        assert found.status is ResourceStatusCode.OFFLINE
        assert found.status_reason == "disabled at this time"


# --- discovery ------------------------------------------------------------------------------------


def test_discovery(server):
    """Emulators are found only when asked for; limits, names and health are looked at."""
    provider = ResourceProvider(TYPE, server.resource()["environment"])
    assert [r.resource_id() for r in provider.resources()] == ["QPU:1Q:BOSON_4A"]
    emulators = provider.resources("is_simulator=true&num_qubits=7")
    names = [r.resource_id() for r in emulators]
    assert names == ["EMU:40Q:PHYSICAL_CATS", "EMU:15Q:LOGICAL_EARLY"]
    assert provider.resources("max_shots=1000000") == []
    server.health["EMU:40Q:PHYSICAL_CATS"] = "OFF"
    online = provider.resources("is_simulator=true&num_qubits=7&status=online")
    assert [r.resource_id() for r in online] == ["EMU:15Q:LOGICAL_EARLY"]
    assert provider.least_busy("is_simulator=true&name=EMU:40Q*") is None
    assert provider.least_busy("is_simulator=true&num_qubits=7").resource_id() == names[1]


def test_a_target_that_is_listed_and_closed(server):
    """A target whose health the account may not ask is not online; the others are found."""
    provider = ResourceProvider(TYPE, server.resource()["environment"])
    match = "GET /v1/targets/EMU%3A40Q%3APHYSICAL_CATS/health"
    server.faults.add(Fault(kind="status", status=403, match=match))
    online = provider.resources("is_simulator=true&num_qubits=7&status=online")
    assert [r.resource_id() for r in online] == ["EMU:15Q:LOGICAL_EARLY"]
