"""Reading Felis's answers: whatever comes, a value or our error; and the form of an upload."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from qrmi import Payload
from qrmi.errors import QrmiError, UnexpectedAnswerError
from qrmi.tasks import TaskStatus
from qrmi.transport import Problem, Response
from qrmi_alice_bob import codec, wire
from qrmi_alice_bob.discovery import matching
from qrmi_sandbox.multipart import read_form

_WORDS = st.sampled_from(
    ["id", "events", "errors", "type", "createdAt", "content", "message", "name", "numQubits"]
)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=8,
)


@given(JSON)
def test_junk_gives_a_value_or_our_error(answer):
    """No reader raises anything but our errors, or makes up a final status."""
    readers = (
        wire.created_id,
        lambda data: wire.job_status(data, "j"),
        wire.has_input,
        wire.resource_status,
        lambda data: wire.target_entry(data, "EMU:1Q:X"),
        lambda data: matching(data, {}),
    )
    for read in readers:
        try:
            value = read(answer)
        except QrmiError:
            continue
        if isinstance(value, TaskStatus):
            assert not value.is_final
    assert isinstance(wire.failure_reason(answer), str)
    assert isinstance(wire.outage_reason(answer), str)


@given(st.text())
def test_a_target_that_is_junk(text):
    """The codec's readers raise our errors only."""
    for read in (codec.read_target, codec.read_limits):
        with contextlib.suppress(QrmiError):
            read(text)


@given(JSON)
def test_junk_in_an_error_body(body):
    """A body that is not as usual costs the reason, never the error."""
    try:
        told = wire.problem(Response(500, {}, json.dumps(body).encode()))
    except Exception:
        return  # the client answers that by leaving the reason out
    assert told is None or isinstance(told, Problem)


def test_reasons_of_error_bodies():
    """The service's two forms of an error are both read."""
    forms = {
        '{"error": {"code": 409, "message": "too late"}}': "too late",
        '{"detail": "Not Found"}': "Not Found",
        '{"detail": [{"loc": ["body", "x"], "msg": "bad", "type": "t"}]}': "body.x: bad",
        '{"message": "planted"}': "planted",
    }
    for body, reason in forms.items():
        assert wire.problem(Response(400, {}, body.encode())).message == reason


@given(st.text())
@example("openqrmi-9f1c6e0a5b7d4c38a2e4")
@example("\r\n--openqrmi-9f1c6e0a5b7d4c38a2e4x--\r\n")
def test_an_uploaded_program_arrives_as_it_is(program):
    """The form has one file with the program's bytes, whatever they are."""
    payload = Payload.AliceBobFelis(program, "{}")
    request = wire.upload_input("https://h", "j/1", payload)
    assert request.url == "https://h/v1/jobs/j%2F1/input"
    (field,) = read_form(dict(request.headers)["content-type"], request.body)
    assert (field.name, field.filename) == ("input", "input")
    assert field.content == program.encode()


@pytest.mark.parametrize("name", [None, 7, ["EMU"], {}])
def test_a_target_whose_name_is_none(name):
    """A name is a text: anything else is the service's fault, whatever is asked for."""
    with pytest.raises(UnexpectedAnswerError):
        matching([{"name": name, "numQubits": 3}], {})


def test_events_without_a_time_keep_their_order():
    """When one has no time, the last of the list is the latest: an end is not overlooked."""
    events = [{"type": "CREATED", "createdAt": "2026-01-01T00:00:00"}, {"type": "SUCCEEDED"}]
    assert wire.job_status({"events": events}, "j") is TaskStatus.COMPLETED
    events[1]["createdAt"] = None
    assert wire.job_status({"events": events}, "j") is TaskStatus.COMPLETED


@pytest.mark.parametrize(
    ("events", "arrived"),
    [
        (["CREATED"], False),
        (["CREATED", "CANCELLED"], False),
        (["CREATED", "INPUT_READY"], True),
        (["CREATED", "INPUT_READY", "CANCELLED"], True),
        (["CREATED", "a word of tomorrow"], True),
    ],
)
def test_a_job_that_was_cancelled_need_not_have_had_a_program(
    events: list[str], arrived: bool
) -> None:
    """Its events tell: a start that was refused leaves such a job behind."""
    job = {"events": [{"type": word, "createdAt": "2026-01-01T00:00:00"} for word in events]}
    assert wire.has_input(job) is arrived
