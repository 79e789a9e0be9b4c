"""Answers read by pure functions: every form that is known, and junk."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.codecs.analog_results import decode_counter
from qrmi.errors import UnexpectedAnswerError
from qrmi.payloads import AnalogJob
from qrmi.tasks import ResourceStatusCode, TaskStatus
from qrmi.transport import Response
from qrmi_pasqal.cloud import answers, results, wire

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
KEYS = st.sampled_from(["id", "status", "data", "counter", "errors", "jobs_count_per_status"])
NEARLY = st.dictionaries(KEYS, JSON)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("PENDING", TaskStatus.QUEUED),
        ("RUNNING", TaskStatus.RUNNING),
        ("PAUSED", TaskStatus.RUNNING),
        ("CANCELING", TaskStatus.RUNNING),
        ("DONE", TaskStatus.COMPLETED),
        ("CANCELED", TaskStatus.CANCELLED),
        ("ERROR", TaskStatus.FAILED),
        ("TIMED_OUT", TaskStatus.FAILED),
        ("LEVITATING", TaskStatus.RUNNING),
    ],
)
def test_every_status_word_has_a_meaning(word: str, status: TaskStatus) -> None:
    """What is being cancelled, is paused, or is a word that nobody knows, has not ended."""
    assert answers.status_of({"status": word}, "t") is status


@pytest.mark.parametrize(
    ("word", "counts", "status"),
    [
        ("RUNNING", {"DONE": 3}, TaskStatus.RUNNING),  # open
        ("DONE", {"DONE": 1}, TaskStatus.COMPLETED),
        ("DONE", {"DONE": 1, "ERROR": 2}, TaskStatus.COMPLETED),
        ("DONE", {"ERROR": 2, "CANCELED": 1}, TaskStatus.FAILED),
        ("DONE", {"PENDING": 0, "ERROR": 1}, TaskStatus.FAILED),
        ("DONE", {"CANCELED": 2}, TaskStatus.CANCELLED),
        ("DONE", {}, TaskStatus.COMPLETED),
        ("TIMED_OUT", {"DONE": 2}, TaskStatus.COMPLETED),
        ("TIMED_OUT", {}, TaskStatus.FAILED),
        ("CANCELED", {"DONE": 1, "CANCELED": 1}, TaskStatus.CANCELLED),
        ("CANCELED", {"DONE": 1}, TaskStatus.COMPLETED),  # it was done first
        ("CANCELED", {"CANCELED": 1}, TaskStatus.CANCELLED),
        ("ERROR", {"WHATEVER": 1}, TaskStatus.FAILED),
        ("DONE", None, None),
        ("PENDING", None, TaskStatus.QUEUED),
    ],
)
def test_a_batch_ends_as_its_jobs_do(
    word: str, counts: dict[str, int] | None, status: TaskStatus | None
) -> None:
    """As `local` has it: completed when any job is, else failed when any failed, else cancelled."""
    data: dict[str, Any] = {"status": word}
    if counts is not None:
        data["jobs_count_per_status"] = counts
    assert answers.batch_status(data, "b") is status


@pytest.mark.parametrize(
    "result",
    [
        {"00": 1, "11": 2},
        {"counter": {"00": 1, "11": 2}},
        {"8c": {"counter": {"00": 1, "11": 2}}},
        {"counter": {"8c": {"00": 1, "11": 2}}},
    ],
)
def test_every_form_of_cudaq_counts_becomes_one(result: Any) -> None:
    """Bare, in a ``counter``, and either by the id of a job."""
    assert json.loads(results.cudaq_result(result) or "") == {"counter": {"00": 1, "11": 2}}


def answer(data: Any) -> Response:
    """An answer with this body."""
    text = data if isinstance(data, str) else json.dumps(data)
    return Response(200, {}, text.encode())


@pytest.mark.parametrize("counts", [{"0": -1}, {"0": 1.5}, {"0": True}, {"0": "1"}, {"0": None}])
def test_counts_are_whole_numbers(counts: Any) -> None:
    """Anything else is an error of the service's, not a result."""
    readers: tuple[Callable[[], Any], ...] = (
        lambda: results.cudaq_result(counts),
        lambda: results.read_stored_result(answer({"counter": counts})),
        lambda: results.read_full_results(answer({"data": {"j": {"counter": counts}}})),
    )
    for read in readers:
        with pytest.raises(UnexpectedAnswerError):
            read()


COUNTS = st.dictionaries(st.text("01", min_size=3, max_size=3), st.integers(0, 1000), min_size=1)
TEXTS = st.none() | st.text() | st.just('{"a": "\\"counter\\": {}"}')


@given(
    st.dictionaries(st.text(min_size=1), st.tuples(COUNTS, TEXTS), max_size=4),
    st.sampled_from([None, 1]),
)
def test_results_are_cut_out_as_they_are(
    jobs: dict[str, tuple[dict[str, int], str | None]], indent: int | None
) -> None:
    """Counts and Pulser's text come out as they went in, of each job; single shots are dropped."""
    entries = {
        job_id: {"raw": list(counts), "counter": counts, "serialised_results": text, "x": [1]}
        for job_id, (counts, text) in jobs.items()
    }
    body = json.dumps({"status": "success", "data": entries, "counter": None}, indent=indent)
    found = results.read_full_results(answer(body))
    assert found.keys() == jobs.keys()
    for job_id, (counts, text) in jobs.items():
        wanted: dict[str, Any] = {"counter": counts}
        if text not in (None, "", "{}"):
            wanted["serialised_results"] = text
        assert json.loads(found[job_id]) == wanted
        assert decode_counter(found[job_id]) == counts
        stored = results.read_stored_result(answer(entries[job_id]))
        assert json.loads(stored or "") == wanted


@pytest.mark.parametrize(
    "entry",
    [
        b'{"counter":{"00":1},"serialised_results":"\xff"}',
        b'{"counter":{"00":1},"serialised_results":"\\q"}',
        b'{"counter":{"00":1},"serialised_results":"a\nb"}',
        b'{"counter":{"00":01}}',
        b'{"counter":{"00":1,}}',
        b'{"counter":{"00":1 "01":2}}',
    ],
)
def test_what_is_cut_out_is_json(entry: bytes) -> None:
    """Nothing that JSON does not know becomes part of a result."""
    for read, body in (
        (results.read_stored_result, entry),
        (results.read_full_results, b'{"data":{"j":%s}}' % entry),
    ):
        with pytest.raises(UnexpectedAnswerError):
            read(Response(200, {}, body))


def test_what_is_not_there_is_no_result() -> None:
    """A job without counts and without Pulser's text has none; empty counts are counts."""
    for entry in (None, {}, {"raw": []}, {"counter": None}, {"serialised_results": "{}"}):
        assert results.read_stored_result(answer(entry)) is None
    assert results.read_stored_result(answer({"counter": {}})) == '{"counter": {}}'
    observed = results.read_stored_result(answer({"serialised_results": "text"}))
    assert observed == '{"counter": {}, "serialised_results": "text"}'


def test_odd_forms_are_read_too() -> None:
    """Shots as lists of lists, keys that look like ours, names in texts."""
    entry = {"counter": {"01": 2}, "raw": [["0", "1"], []], "@counter": 7, "@raw": 0}
    assert results.read_stored_result(answer(entry)) == '{"counter": {"01": 2}}'
    entry = {"note": '"counter": {"1": 1}', "counter": {"01": 2}}
    assert results.read_stored_result(answer(entry)) == '{"counter": {"01": 2}}'
    with pytest.raises(UnexpectedAnswerError, match="a web page"):
        results.read_full_results(answer("<html></html>"))


@pytest.mark.parametrize(
    ("entry", "code", "healthy", "reason"),
    [
        ({"status": "UP", "availability": "ACTIVE"}, "ONLINE", True, None),
        ({"status": "DOWN", "availability": "ACTIVE"}, "ONLINE", False, "queued"),
        ({"availability": "ACTIVE", "extra": 1}, "ONLINE", None, None),
        ({"status": "UP", "availability": "PAUSED"}, "PAUSED", True, "PAUSED"),
        ({"status": "UP", "availability": "INACTIVE"}, "OFFLINE", True, "INACTIVE"),
        ({"status": ["?"], "availability": "MAINTENANCE"}, "OFFLINE", None, "MAINTENANCE"),
    ],
)
def test_a_devices_words_have_a_meaning(
    entry: Any, code: str, healthy: bool | None, reason: str | None
) -> None:
    """Availability decides; the device's own state is told beside it."""
    status = answers.device_status(entry)
    assert status.status is ResourceStatusCode[code]
    assert status.healthy is healthy
    assert (status.status_reason is None) if reason is None else reason in status.status_reason


@given(JSON | NEARLY)
def test_junk_is_an_unexpected_answer(junk: Any) -> None:
    """Whatever a service answers, what is raised is ours."""
    readers = (
        lambda: answers.created_id(junk),
        lambda: answers.status_of(junk, "t"),
        lambda: answers.batch_status(junk, "t"),
        lambda: answers.read_jobs(junk),
        lambda: answers.read_jobs([junk]),
        lambda: answers.device_entry(junk, "X"),
        lambda: answers.device_status(junk),
        lambda: answers.specs_by_type(junk),
        lambda: results.read_stored_result(answer(junk)),
        lambda: results.read_full_results(answer({"data": junk})),
        lambda: results.cudaq_result(junk),
    )
    for read in readers:
        with contextlib.suppress(UnexpectedAnswerError):
            read()


@given(st.dictionaries(st.sampled_from(["total", "end", "start"]), JSON), st.integers(0, 500))
def test_paging_always_advances(pagination: dict[str, Any], seen: int) -> None:
    """Whatever a service says of its pages, the next one is further on, or there is none."""
    found = answers.next_offset({"pagination": pagination}, seen)
    assert found is None or found > seen


def test_a_refusal_is_told_in_the_services_words() -> None:
    """Where and what, of each fault; what was sent is not repeated."""
    fault = {"loc": ["body", "jobs", 0], "msg": "too many", "input": "SECRET", "type": "x"}
    body = {"status": "fail", "message": "Unprocessable Entity", "data": {"description": [fault]}}
    problem = answers.problem(Response(422, {}, json.dumps(body).encode()))
    assert problem is not None
    assert problem.message == "body.jobs.0: too many"
    body["data"] = {"description": "no such batch"}
    assert answers.problem(Response(404, {}, json.dumps(body).encode())).message == "no such batch"  # type: ignore[union-attr]
    body["data"] = None  # type: ignore[assignment]
    told = answers.problem(Response(500, {}, json.dumps(body).encode()))
    assert told is not None
    assert told.message == "Unprocessable Entity"


def test_the_upstream_form_of_a_batch_is_kept() -> None:
    """One job: the fields that the upstream library sends, and the tag; text stays text."""
    request = wire.create_batch(
        "http://h/core-fast/api",
        sequence='{"a": 1}',
        jobs=[AnalogJob(runs=100)],
        device_type="EMU_FREE",
        project_id="p",
        tag="k",
    )
    assert request.url == "http://h/core-fast/api/v1/batches"
    assert not request.idempotent
    assert json.loads(request.body or b"") == {
        "sequence_builder": '{"a": 1}',
        "jobs": [{"runs": 100}],
        "device_type": "EMU_FREE",
        "project_id": "p",
        "tags": ["k"],
    }


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_ids_stay_in_their_place(task_id: str) -> None:
    """Whatever an id is, it is one component of the path and no query."""
    for make in (wire.batch_status, wire.batch, wire.job, wire.cudaq_job, wire.cancel_batch):
        url = make("http://h/core-fast/api", task_id).url
        assert url.count("/") == make("http://h/core-fast/api", "x").url.count("/")
        assert "?" not in url
        assert "#" not in url
