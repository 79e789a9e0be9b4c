"""Reading OQTOPUS's answers: whatever comes, a value or our error."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import Payload
from qrmi.errors import InvalidInputError, QrmiError, UnexpectedAnswerError
from qrmi.tasks import TaskStatus
from qrmi.transport import Response
from qrmi_oqtopus import archives, codec, documents, wire
from qrmi_oqtopus.discovery import matching
from qrmi_oqtopus.spec import JobSpec, read_spec

_WORDS = st.sampled_from(
    ["job_id", "status", "presigned_url", "fields", "url", "key", "job_info", "result", "sampling",
     "device_id", "device_info", "n_pending_jobs", "name", "message", "input"]
)  # fmt: skip
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["available", "http://h/x", "succeeded"])
)
JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=10,
)
_SPEC = JobSpec(content={"program": ["x"]}, request={"job_type": "sampling"})


@given(JSON)
def test_junk_gives_a_value_or_our_error(answer):
    """No reader raises anything but our errors."""
    readers = (
        wire.registered,
        lambda data: wire.upload_form(data, "j", _SPEC),
        wire.status_word,
        wire.device,
        wire.resource_status,
        lambda data: wire.found_task(data, "key"),
        wire.jobs_listed,
        lambda data: matching(data, {"is_simulator": "true"}),
        documents.linked,
        lambda data: documents.result_text(data, {}) if isinstance(data, dict) else None,
        lambda data: documents.device_document(wire.device(data), data.get("device_info")),
    )
    for read in readers:
        with contextlib.suppress(QrmiError):
            read(answer)
    assert isinstance(wire.job_message(answer), str)


@given(st.text())
def test_no_word_but_three_ends_a_task(word):
    """Only the service's own final words are final."""
    final = {"succeeded", "failed", "cancelled"}
    assert wire.status_of(word, "j").is_final == (word in final)


def test_every_word_that_is_known():
    """Cancelling is running: a wait goes on."""
    assert wire.status_of("cancelling", "j") is TaskStatus.RUNNING
    assert wire.status_of("registered", "j") is TaskStatus.QUEUED
    assert wire.status_of("ready", "j") is TaskStatus.QUEUED


@given(st.binary(max_size=200))
def test_bytes_that_are_no_archive(content):
    """Whatever storage gives, it is JSON, text, or our error."""
    with contextlib.suppress(UnexpectedAnswerError):
        archives.unpack(content)


@given(st.text())
def test_targets_and_results_that_are_junk(text):
    """The codec's readers raise our errors only."""
    notes = {"oqtopus": 1, "kind": "sampler", "pubs": [_PUB]}
    with contextlib.suppress(QrmiError):
        codec.read_target(text)
    with pytest.raises(UnexpectedAnswerError):
        codec.decode_result([text], notes)


_PUB = {"shape": [], "shots": 2, "bits": 1, "registers": [["c", 1, [0]]]}


@given(st.dictionaries(st.sampled_from(["job_type", "program", "shots", "operator"]), JSON))
def test_descriptions_that_are_junk(spec):
    """A description is taken or refused; nothing else comes out."""
    with contextlib.suppress(InvalidInputError):
        read_spec(Payload.Oqtopus(json.dumps(spec)))


def test_reasons_of_error_bodies():
    """The message, or FastAPI's detail."""
    for body, reason in {'{"message": "no"}': "no", '{"detail": "bad"}': "bad"}.items():
        assert wire.problem(Response(400, {}, body.encode())).message == reason


def test_a_key_in_a_submission():
    """The key is the name, or stands in the description where the user gave a name."""

    def submitted(**told):
        spec = JobSpec(content={}, request={**told, "shots": 1})
        return json.loads(wire.submit_job("https://h", "a/b", "d", spec, "k").body)

    assert submitted()["name"] == "k"
    assert submitted(name="n")["description"] == "k"
    assert submitted(name="n", description="d")["description"] == "d [k]"
    url = wire.submit_job("https://h/", "a/b", "d", _SPEC, "k").url
    assert url == "https://h/jobs/a%2Fb/submit"
