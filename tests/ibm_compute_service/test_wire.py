"""The pure readings: junk in, our error out; requests as the service's page has them."""

from __future__ import annotations

import contextlib
import copy
import json

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import Payload, TaskStatus
from qrmi.errors import InvalidInputError, QrmiError, UnexpectedAnswerError
from qrmi.tasks import TaskId
from qrmi.transport import Response
from qrmi_ibm.compute_service import discovery, programs, sessions, wire
from qrmi_ibm.compute_service.problems import problem

SITE = wire.Site(endpoint="https://h/api/v1/", backend="ibm/x y", service_crn="crn:v1:x")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from(
    [
        "id",
        "status",
        "state",
        "reason",
        "reason_code",
        "jobs",
        "tags",
        "devices",
        "name",
        "queue_length",
        "session_id",
        "max_ttl",
        "active_ttl",
        "mode",
        "errors",
        "code",
        "message",
        "n_qubits",
        "max_shots",
        "simulator",
        "solution",
        "qubits",
    ]
)
JUNK = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4)
)
SESSION = {"id": "s", "mode": "dedicated", "max_ttl": 9, "active_ttl": 8, "state": "open"}
JOB = {"id": "t", "status": "Failed", "state": {"status": "Failed", "reason": "r"}, "tags": ["t"]}
DEVICE = {"name": "d", "status": {"name": "online"}, "queue_length": 1, "qubits": 5}
GOOD = [
    SESSION | {"accepting_jobs": True, "backend_name": "x"},
    JOB | {"session_id": "s"},
    {"jobs": [JOB]},
    {"devices": [DEVICE | {"is_simulator": False}]},
    {"n_qubits": 5, "max_shots": 1},
]


@st.composite
def spoilt(draw):
    """A good answer in which one value, however deep, is junk or missing."""
    answer = copy.deepcopy(draw(st.sampled_from(GOOD)))
    place = answer
    while True:
        keys = range(len(place)) if isinstance(place, list) else list(place)
        key = draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or draw(st.booleans()):
            break
        place = place[key]
    if draw(st.booleans()):
        del place[key]
    else:
        place[key] = draw(JUNK)
    return answer


READERS = [
    programs.created_id,
    sessions.created_token,
    sessions.read_session,
    wire.listed_ids,
    wire.job_reason,
    discovery.read_devices,
    discovery.is_active,
    lambda answer: discovery.is_large_enough(
        answer, discovery.Device(name="d", status="x"), {"max_shots": "1"}
    ),
    lambda answer: wire.job_status(answer, TaskId("t")),
    lambda answer: wire.tagged_id(answer, "tag"),
    lambda answer: sessions.running_sessions([answer]),
    lambda answer: wire.no_result(answer, wire.job_status(answer, TaskId("t")), TaskId("t")),
    lambda answer: sessions.may_be_kept(sessions.read_session(answer), "x"),
    lambda answer: [
        discovery.resource_status(device, busy=None) for device in discovery.read_devices(answer)
    ],
    lambda answer: discovery.candidates(discovery.read_devices(answer), {"is_simulator": "true"}),
]


def _response(body, status=200, content_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {"content-type": content_type}, content)


@pytest.mark.parametrize("read", READERS)
@given(junk=spoilt() | JUNK)
def test_junk_in_our_error_out(read, junk):
    """A reading gives a value or one of our errors, whatever JSON comes."""
    with contextlib.suppress(UnexpectedAnswerError):
        read(junk)


@given(JUNK, JUNK)
def test_junk_is_no_target(configuration, properties):
    """A target is made of two objects or not at all."""
    try:
        text = discovery.target_text(_response(configuration), _response(properties))
    except QrmiError:
        return
    assert set(json.loads(text)) == {"configuration", "properties"}


@given(JUNK)
def test_junk_in_an_error_body(junk):
    """An error body is read as far as it makes sense."""
    found = problem(_response(junk, 400))
    assert found is None or isinstance(found.message, str)


@given(st.text(max_size=40), st.binary(max_size=40))
def test_text_answers(text, junk):
    """A result is the very text, or an error of ours: what is no JSON by its ends is none."""
    content = b'{"' + text.encode(errors="ignore") + b'"}'
    kept = wire.result_text(_response(content, 200, "text/plain"), TaskId("t"))
    assert kept.value == content.decode()
    for spoilt in (b"}" + content, content + b"{"):
        with pytest.raises(UnexpectedAnswerError) as caught:
            wire.result_text(_response(spoilt, 200, "text/plain"), TaskId("t"))
        assert caught.value.retryable
    with contextlib.suppress(QrmiError):
        wire.result_text(_response(junk), TaskId("t"))


def test_json_string_is_unpacked():
    """A JSON string under ``application/json`` is the text that it holds."""
    assert wire.result_text(_response('{"a": 1}'), TaskId("t")).value == '{"a": 1}'


@given(
    st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=4),
    st.text(min_size=1),
    st.none() | st.integers(1, 2**31 - 1),
    st.none() | st.text(min_size=1),
)
def test_body_holds_the_input(extra, key, cost, session_id):
    """The body is JSON whose params are the input, with nothing lost and nothing slipped in."""
    text = json.dumps({**extra, "pubs": [], "version": 2}, indent=1)
    payload = Payload.QiskitPrimitive(text, "sampler")
    programs.check_params(payload, {"sampler"})
    body = programs.create_job(SITE, payload, key, cost=cost, session_id=session_id).body
    told = json.loads(body)
    assert told.pop("params") == json.loads(text)
    wanted = {
        "program_id": "sampler",
        "backend": "ibm/x y",
        "log_level": "debug",
        "tags": [programs.tag_of(key)],
        "private": False,
    }
    wanted |= {"cost": cost} if cost else {}
    wanted |= {"session_id": session_id} if session_id else {}
    assert told == wanted


@given(st.text(max_size=30))
def test_only_objects_are_params(text):
    """Whatever passes the check is one JSON object."""
    try:
        programs.check_params(Payload.QiskitPrimitive(text, "executor"), {"executor"})
    except InvalidInputError:
        return
    assert isinstance(json.loads(text), dict)


@given(st.text(), st.text())
def test_tags(one, other):
    """Keys have tags of their own, short and plain."""
    assert (programs.tag_of(one) == programs.tag_of(other)) == (one == other)
    assert len(programs.tag_of(one)) == 37


def test_requests():
    """Methods, paths and queries; path components are quoted whole."""
    task = TaskId("a/b")
    made = [
        wire.get_job(SITE, task),
        wire.get_results(SITE, task),
        wire.get_logs(SITE, task),
        wire.cancel_job(SITE, task),
        sessions.close_session(SITE, "s"),
        sessions.stop_accepting(SITE, "s"),
        discovery.get_configuration(SITE),
        discovery.list_backends(SITE),
    ]
    assert [f"{r.method} {r.url.removeprefix('https://h/api/v1')}" for r in made] == [
        "GET /jobs/a%2Fb?exclude_params=true",
        "GET /jobs/a%2Fb/results",
        "GET /jobs/a%2Fb/logs",
        "POST /jobs/a%2Fb/cancel",
        "DELETE /sessions/s/close",
        "PATCH /sessions/s",
        "GET /backends/ibm%2Fx%20y/configuration",
        "GET /backends",
    ]
    assert all(("service-crn", "crn:v1:x") in request.headers for request in made)
    versioned = [("ibm-api-version", "2025-01-01") in request.headers for request in made]
    assert versioned == [False] * 7 + [True]
    assert [request.idempotent for request in made] == [True] * 8


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Queued", TaskStatus.QUEUED),
        ("Running", TaskStatus.RUNNING),
        ("Completed", TaskStatus.COMPLETED),
        ("Cancelled", TaskStatus.CANCELLED),
        ("Cancelled - Ran too long", TaskStatus.CANCELLED),
        ("Failed", TaskStatus.FAILED),
        ("COMPLETED", TaskStatus.COMPLETED),
        ("Exploded", TaskStatus.RUNNING),
    ],
)
def test_status_words(word, status):
    """Every word of the service's page, at either place; an unknown one is never an end."""
    assert wire.job_status({"id": "t", "status": word}, TaskId("t")) is status
    assert wire.job_status({"id": "t", "state": {"status": word}}, TaskId("t")) is status


def test_answer_about_another_job():
    """An answer that names another job tells nothing of this one."""
    with pytest.raises(UnexpectedAnswerError):
        wire.job_status({"id": "u", "status": "Completed"}, TaskId("t"))


def test_ran_too_long_by_its_code():
    """The newest API tells it by a code only."""
    answer = {"status": "Cancelled", "state": {"status": "Cancelled", "reason_code": 1305}}
    error = wire.no_result(answer, TaskStatus.CANCELLED, TaskId("t"))
    assert "ran too long" in str(error)


def test_jobs_without_tags_are_not_trusted():
    """When the service does not show tags, whether a job was started is not known."""
    with pytest.raises(UnexpectedAnswerError):
        wire.tagged_id({"jobs": [{"id": "x"}]}, "tag")
    jobs = {"jobs": [{"id": "b", "tags": ["tag"]}, {"id": "a", "tags": ["tag", "z"]}]}
    assert wire.tagged_id(jobs, "tag") == "a"
    assert wire.tagged_id({"jobs": [{"id": "x", "tags": ["other"]}]}, "tag") is None


def test_site_shows_no_headers():
    """A site's text names where, nothing else."""
    assert "headers" not in repr(SITE)
    assert attrs.evolve(SITE, backend="z").backend == "z"
