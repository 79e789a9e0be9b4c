"""The pure half: whatever Warden answers, there is a value or our error."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import QrmiError
from qrmi.tasks import TaskStatus
from qrmi.transport import Problem, Response
from qrmi_pasqal.local import wire
from qrmi_pasqal.local.refusals import NoRouteError, problem

_KEYS = ("id", "status", "results", "specs", "name", "logs", "is_accessible", "message", "detail")
_MORE = ("qpu_slots_available", "qpu_slots_total", "pending_jobs_count", "current_job", "loc")
_leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["DONE", "{'a': 1}", '{"name": "X"}', "[]", "{'"])
)
junk = st.recursive(
    _leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYS + _MORE) | st.text(max_size=4), inner, max_size=6)
    ),
    max_leaves=12,
)
READERS: list[Callable[[Any], object]] = [
    wire.accessibility,
    wire.capacity,
    wire.activity,
    wire.target_text,
    wire.session_id,
    wire.knows_slots,
    wire.created,
    wire.job_ids,
    lambda answer: wire.status_of(answer, "1"),
    wire.result_text,
    wire.log_text,
]


@pytest.mark.parametrize("read", READERS)
@given(answer=junk)
def test_junk_ends_in_our_error(read: Callable[[Any], object], answer: Any) -> None:
    """No reader raises anything but a QrmiError."""
    with contextlib.suppress(QrmiError):
        read(answer)


@given(
    counts=st.dictionaries(st.text("01", min_size=3, max_size=3), st.integers(1, 99), min_size=1)
)
def test_both_generations_results_are_the_same(counts: dict[str, int]) -> None:
    """A result as a Python literal and as JSON read alike; JSON is not rewritten."""
    results = {"counter": counts}
    literal = wire.result_text({"results": str(results)})
    assert json.loads(literal) == results
    text = json.dumps(results, indent=1)
    assert wire.result_text({"results": text}) is text


@given(text=st.text(max_size=30))
def test_only_numbers_become_a_part_of_the_url(text: str) -> None:
    """No id can lead to another address of the service."""
    try:
        request = wire.get_job("http://w", text)
    except QrmiError:
        return
    assert request.url == f"http://w/jobs/{int(text)}" or request.url == f"http://w/jobs/{text}"
    assert text.isdecimal()
    assert text.isascii()


def test_statuses() -> None:
    """Warden's words, and ours."""
    words = {
        "PENDING": TaskStatus.QUEUED,
        "RUNNING": TaskStatus.RUNNING,
        "DONE": TaskStatus.COMPLETED,
        "CANCELED": TaskStatus.CANCELLED,
        "ERROR": TaskStatus.FAILED,
        "PAUSED": TaskStatus.RUNNING,
    }
    for word, status in words.items():
        assert wire.status_of({"id": 3, "status": word}, "3") is status


def answered(status: int, body: object) -> Response:
    """An answer with a JSON body."""
    return Response(status, {}, json.dumps(body).encode())


def test_faults_of_fields_are_named_and_their_values_are_not() -> None:
    """FastAPI repeats the input; a sequence must not end up in a message."""
    fault = {"loc": ["body", "shots"], "msg": "Input should be an integer", "input": "SEQUENCE"}
    told = problem(answered(422, {"detail": [fault]}))
    assert told == Problem(message="body.shots: Input should be an integer")


@pytest.mark.parametrize(
    ("status", "detail", "error"),
    [
        (404, "Not Found", NoRouteError),
        (405, "Method Not Allowed", NoRouteError),
        (404, "Job not found", None),
        (404, "Session not found.", None),
        (400, "Not Found", None),
    ],
)
def test_absent_routes_are_told_from_absent_things(
    status: int, detail: str, error: type[QrmiError] | None
) -> None:
    """FastAPI's own words mean that there is no such route; Warden's, that there is no such job."""
    told = problem(answered(status, {"detail": detail}))
    assert told is not None
    assert told.error is error
