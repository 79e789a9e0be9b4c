"""Everything that a driver is asked and answers comes back from JSON as it was."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi import errors
from qrmi.interchange.troubles import error_from, error_told
from qrmi.interchange.values import LONGEST_INLINE, Decoder, Encoder, Foreign
from qrmi.payloads import (
    AliceBobFelis,
    AnalogJob,
    IQMServer,
    Oqtopus,
    PasqalCloud,
    Payload,
    PulserBatch,
    QiskitPrimitive,
    digest,
)
from qrmi.tasks import (
    BatchJob,
    ResourceCapacity,
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskResult,
    TaskStatus,
)

half_pairs = st.characters(categories=["Cs"])
texts = st.text(alphabet=st.one_of(st.characters(), half_pairs), max_size=30) | st.text(
    min_size=LONGEST_INLINE - 2, max_size=LONGEST_INLINE + 60
)
numbers = st.integers() | st.floats(allow_nan=False) | st.booleans() | st.none()
json_values = st.recursive(
    texts | numbers,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.just('{"shots": 3}')
counts = st.integers(1, 10**6)
jobs = st.builds(
    AnalogJob, runs=counts | st.none(), variables=st.dictionaries(texts, json_values, max_size=2)
)
payloads = st.one_of(
    st.builds(QiskitPrimitive, texts, texts),
    st.builds(PasqalCloud, texts, counts),
    st.builds(
        PulserBatch,
        sequence=texts,
        jobs=st.lists(jobs, max_size=3),
        configuration=texts | st.none(),
        device_type=texts | st.none(),
    ),
    st.builds(AliceBobFelis, texts, objects),
    st.builds(IQMServer, objects, st.sampled_from(["circuit", "sweep"]), st.booleans(), texts),
    st.builds(Oqtopus, objects),
)
statuses = st.sampled_from(TaskStatus)
answers = st.one_of(
    json_values,
    st.binary(),
    st.tuples(json_values, json_values),
    statuses,
    st.builds(TaskResult, texts),
    st.builds(Target, texts),
    st.builds(
        ResourceStatus,
        st.sampled_from(ResourceStatusCode),
        texts | st.none(),
        st.booleans() | st.none(),
        st.booleans() | st.none(),
        st.builds(ResourceCapacity, st.integers(), st.integers()) | st.none(),
        st.integers() | st.none(),
    ),
    st.lists(
        st.builds(BatchJob, id=texts, status=statuses, result=texts | st.none(), reason=texts),
        max_size=3,
    ),
    payloads,
    st.lists(jobs, max_size=3),
)


def through_json(value: Any) -> Any:
    encoder = Encoder()
    data = json.loads(json.dumps(encoder.encode(value)))
    return Decoder(json.loads(json.dumps(encoder.texts))).decode(data)


@given(value=answers)
@settings(max_examples=400)
def test_decode_of_encode(value: Any) -> None:
    """Each value comes back equal, of the same type, to the last byte."""
    found = through_json(value)
    assert found == value
    assert type(found) is type(value)


@given(payload=payloads)
def test_payloads_keep_their_digest(payload: Payload) -> None:
    """What is journalled of a payload is the same for the one that comes back."""
    encoded = Encoder().encode(payload)
    assert encoded["digest"] == digest(payload) == digest(through_json(payload))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_json_lacks(value: float) -> None:
    """They are told by name, so the file stays JSON for every reader."""
    data = Encoder().encode([value])
    json.dumps(data, allow_nan=False)
    assert str(through_json(value)) == str(value)


@attrs.frozen
class Odd(Payload):
    FORMAT = "odd"
    text: str


def test_a_payload_of_a_plug_in() -> None:
    """Its class is found by name and format where it is loaded; nothing is imported for it."""
    assert through_json(Odd("x")) == Odd("x")
    data = {**Encoder().encode(Odd("x")), "$value": "Unheard"}
    assert Decoder({}).decode(data) == Foreign(kind="Unheard", fields={"text": "x"})


def test_values_that_are_none_of_ours() -> None:
    """They are refused, not written as something else."""
    with pytest.raises(TypeError, match="object cannot be recorded"):
        Encoder().encode({"answer": object()})


marks = st.sampled_from(["$text", "$bytes", "$float", "$tuple", "$dict", "$word", "$value", "$x"])
junk = st.dictionaries(marks, json_values | st.dictionaries(marks, json_values), min_size=1)


@given(data=junk)
def test_junk_is_a_value_error(data: dict[str, Any]) -> None:
    """Malformed data is either some value or a `ValueError`, which the reader answers."""
    with contextlib.suppress(ValueError):
        Decoder({}).decode(data)


ours = [getattr(errors, name) for name in errors.__all__ if name.endswith("Error")]


@given(
    kind=st.sampled_from(ours),
    message=st.text(max_size=40),
    hint=st.text(max_size=20) | st.none(),
    owner=st.sampled_from(errors.Owner) | st.none(),
    retryable=st.booleans() | st.none(),
    ids=st.lists(st.text(min_size=1, max_size=9), max_size=3),
)
def test_errors_come_back(kind, message, hint, owner, retryable, ids) -> None:
    """Class, text, owner, retryable, hint and all ids."""
    about = {"owner": owner, "retryable": retryable, "hint": hint, "request_ids": tuple(ids)}
    error = kind(message, resource_id="r", task_id=ids[0] if ids else None, key="k", **about)
    found = error_from(through_json(error_told(error)))
    assert type(found) is kind
    assert str(found) == str(error)
    assert vars(found) == vars(error)


def test_errors_of_others() -> None:
    """A plug-in's own class becomes its base; Python's own stay; the rest is a `QrmiError`."""
    unheard = {
        **error_told(errors.TaskFailedError("no")),
        "class": "X",
        "kinds": ["TaskFailedError"],
    }
    assert type(error_from(unheard)) is errors.TaskFailedError
    assert isinstance(error_from(error_told(ZeroDivisionError("oh"))), ZeroDivisionError)
    assert str(error_from({"class": "Panic", "message": "oh"})) == "Panic: oh"
    assert str(error_from({"class": "SystemExit", "message": "3"})) == "SystemExit: 3"
