"""The words of the site cross the wire and come back; junk becomes our error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import InvalidInputError
from qrmi.site.terms import Answer, Ended, Grant, Job, Message, Outcome, Want

texts = st.text(max_size=20)
names = st.text(min_size=1, max_size=20)
grants = st.builds(Grant, resource=names, type=names, slots=st.integers(1, 1000))
words = st.from_regex(r"[^/\s\x00-\x1f]{1,20}", fullmatch=True)
jobs = st.builds(
    Job,
    scheduler=words,
    cluster=words,
    id=words,
    restart=st.integers(0, 99),
    submitted=st.integers(0, 2**40) | st.none(),
    uid=st.integers(-1, 2**32),
    user=texts,
    account=texts,
    host=texts,
    name=texts,
)


@st.composite
def wants(draw: st.DrawFn) -> Want:
    chosen = draw(st.lists(names, max_size=5, unique=True))
    counted = draw(st.sets(st.sampled_from(chosen))) if chosen else set()
    return Want(
        names=tuple(chosen),
        slots={name: draw(st.integers(1, 100)) for name in sorted(counted)},
        any=draw(st.integers(0 if chosen else 1, 5)),
        filters=draw(texts),
        limit_seconds=draw(st.floats(0, 1e9) | st.none()),
    )


answers = st.builds(
    Answer,
    outcome=st.sampled_from(Outcome),
    grants=st.lists(grants, max_size=3),
    reason=texts,
    hint=texts,
    retry_seconds=st.floats(0, 1e6) | st.none(),
)
ended = st.builds(Ended, released=st.lists(names), pending=st.lists(names))
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(value=st.one_of(jobs, wants(), answers, ended, grants))
def test_what_is_sent_is_what_arrives(value: Message) -> None:
    """Each value comes back equal through JSON text."""
    assert type(value).from_json(json.loads(json.dumps(value.as_json()))) == value


@given(
    kind=st.sampled_from([Job, Want, Answer, Ended, Grant]),
    data=junk
    | st.dictionaries(
        st.sampled_from(["names", "slots", "any", "outcome", "grants", "id", "scheduler", "uid"]),
        junk,
    ),
)
def test_junk_is_our_error(kind: type[Message], data: object) -> None:
    """Whatever arrives, the value is sound or `InvalidInputError` is raised."""
    try:
        value = kind.from_json(data)
    except InvalidInputError:
        return
    assert kind.from_json(json.loads(json.dumps(value.as_json()))) == value


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"any": 0},
        {"any": -1},
        {"any": True},
        {"names": "a"},
        {"names": [1]},
        {"names": ["a"], "slots": {"b": 1}},
        {"names": ["a"], "slots": {"a": 0}},
        {"names": ["a"] * 65},
        {"names": ["a" * 2000]},
    ],
)
def test_requests_that_make_no_sense(data: dict[str, object]) -> None:
    """A request names something, and counts are positive and bounded."""
    with pytest.raises(InvalidInputError):
        Want.from_json(data)


@given(job=jobs, other=jobs)
def test_key_tells_runs_apart(job: Job, other: Job) -> None:
    """Jobs that differ in what names them have different keys, whatever their texts are."""
    identity = [(j.scheduler, j.cluster, j.id, j.restart, j.submitted) for j in (job, other)]
    assert (job.key == other.key) == (identity[0] == identity[1])
