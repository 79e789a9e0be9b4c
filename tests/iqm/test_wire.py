"""Answers of any form: our error, or a value of the right kind."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import QrmiError, UnexpectedAnswerError
from qrmi.payloads import IQMServer
from qrmi.tasks import ResourceStatus, ResourceStatusCode, TaskId, TaskStatus
from qrmi.transport import Response
from qrmi_iqm import wire
from qrmi_iqm.texts import joined_result, joined_target

ENDPOINT = "https://iqm.example/base/"
WORDS = [
    "status",
    "health",
    "healthy",
    "updated_at",
    "operational_status",
    "queue_length",
    "id",
    "messages",
    "errors",
    "timeline",
    "artifacts",
    "source",
    "message",
    "timestamp",
    "type",
]
JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(WORDS),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
TASK = TaskId("0b5a0f36-1a8b-4d57-8a0e-0f6f1f3f6c01")


def answer(body: bytes, status: int = 200) -> Response:
    return Response(status, {}, body)


@given(JUNK)
def test_any_answer_is_a_value_or_our_error(data) -> None:
    """Each reader takes whatever JSON there is and gives its kind, or raises one of ours."""
    readers = (
        (lambda: wire.resource_status(data), ResourceStatus),
        (lambda: wire.created_id(data), str),
        (lambda: wire.computers_listed(data), list),
        (lambda: wire.Job(data, TASK).status, TaskStatus),
        (lambda: wire.Job(data, TASK).reason, str),
        (lambda: wire.Job(data, TASK).log, str),
        (lambda: wire.Job(data, TASK).artifacts, list),
    )
    for read, kind in readers:
        with contextlib.suppress(QrmiError):
            assert isinstance(read(), kind)


@given(st.lists(st.dictionaries(st.text(), st.integers())), st.booleans())
def test_a_joined_result_is_what_its_parts_are(measurements, has_counts) -> None:
    """Joining texts gives the same as joining values."""
    counts = answer(b'[{"counts": {"1": 5}}]') if has_counts else answer(b"{}", 404)
    body = json.dumps(measurements, ensure_ascii=False).encode("utf-8", "surrogatepass")
    try:
        body.decode()
    except UnicodeDecodeError:
        return
    joined = joined_result({"measurement_counts": counts, "measurements": answer(body)})
    assert json.loads(joined)["measurements"] == measurements
    assert (json.loads(joined)["measurement_counts"] is None) is not has_counts


@pytest.mark.parametrize("body", [b"", b"{}", b"[1", b"<html>[]</html>", b"null", b"\xff\xfe[]"])
def test_what_is_no_list_is_no_artifact(body) -> None:
    with pytest.raises(QrmiError):
        joined_result({"measurements": answer(body)})


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(QrmiError, match="UTF-8"):
        joined_result({"measurements": answer(b'["\xff"]')})


@pytest.mark.parametrize(
    ("data", "code", "healthy"),
    [
        ({"operational_status": "online", "health": None}, ResourceStatusCode.ONLINE, None),
        ({"operational": "online", "queue_length": 0}, ResourceStatusCode.ONLINE, None),
        ({"operational_status": "maintenance"}, ResourceStatusCode.PAUSED, None),
        ({"operational_status": "Online"}, ResourceStatusCode.OFFLINE, None),
        ({"status": {"health": {"healthy": True}}}, ResourceStatusCode.ONLINE, True),
    ],
)
def test_both_forms_of_a_quantum_computer_are_read(data, code, healthy) -> None:
    status = wire.resource_status(data)
    assert (status.status, status.healthy) == (code, healthy)


def test_an_unknown_status_counts_as_running(caplog) -> None:
    """It is warned of once, and never ends a wait."""
    for _ in range(2):
        assert wire.Job({"status": "compiling-anew"}, TASK).status is TaskStatus.RUNNING
    assert sum("compiling-anew" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("seconds", "query"),
    [
        (0.0, ""),
        (0.2, "?wait_until_terminal=true&timeout_seconds=1"),
        (30.0, "?wait_until_terminal=true&timeout_seconds=30"),
        (500.0, "?wait_until_terminal=true&timeout_seconds=30"),
    ],
)
def test_a_request_is_held_for_whole_seconds_up_to_thirty(seconds, query) -> None:
    """IQM Server: timeout_seconds is a whole number from 0 to 30."""
    request = wire.get_job(ENDPOINT, TASK, seconds)
    assert request.url == f"https://iqm.example/base/api/v1/jobs/{TASK}{query}"
    assert request.hold_seconds == (0.0 if not query else float(query.rpartition("=")[2]))


def test_only_the_start_of_a_job_is_not_repeatable() -> None:
    start = wire.create_job(ENDPOINT, "garnet", IQMServer("{}", "circuit"), "a tag")
    assert not start.idempotent
    assert wire.cancel_job(ENDPOINT, TASK).idempotent
    assert start.url.endswith("/jobs/garnet/circuit?tag=a+tag")


def test_a_target_whose_parts_begin_with_a_mark() -> None:
    """A byte order mark is no part of JSON text."""
    part = answer(b"\xef\xbb\xbf{}")
    assert json.loads(joined_target({"calibration_set": part})) == {"calibration_set": {}}


@pytest.mark.parametrize("value", ["", "..", "\ud800", 7, None])
def test_an_id_that_is_none(value) -> None:
    """A job that cannot be asked for is the server's fault."""
    with pytest.raises(UnexpectedAnswerError):
        wire.created_id({"id": value})
