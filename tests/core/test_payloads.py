"""Payloads: round trips through JSON, upstream's shape, and junk refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import payload_files, payloads
from qrmi.errors import InvalidInputError
from qrmi.payloads import AnalogJob, Payload

_text = st.text(max_size=40)
_object = st.dictionaries(_text, st.integers() | _text | st.none(), max_size=3).map(json.dumps)
_jobs = st.lists(
    st.builds(
        AnalogJob,
        runs=st.none() | st.integers(1, 10**6),
        variables=st.dictionaries(_text, st.integers() | st.lists(st.integers()), max_size=2),
    ),
    max_size=3,
)
any_payload = st.one_of(
    st.builds(payloads.QiskitPrimitive, _text, _text),
    st.builds(payloads.PasqalCloud, _text, st.integers(1, 2**31)),
    st.builds(
        payloads.PulserBatch,
        sequence=_text,
        jobs=_jobs,
        configuration=st.none() | _text,
        device_type=st.none() | _text,
    ),
    st.builds(payloads.AliceBobFelis, _text, _object),
    st.builds(
        payloads.IQMServer,
        _object,
        st.sampled_from(["circuit", "run", "sweep"]),
        st.none() | st.booleans(),
        st.none() | _text,
    ),
    st.builds(payloads.Oqtopus, _object),
)


@given(any_payload)
def test_json_round_trip(payload: Payload) -> None:
    """from_json(to_json(p)) == p for every format."""
    assert payload_files.from_json(payload_files.to_json(payload)) == payload


@given(any_payload, any_payload)
def test_digest_tells_payloads_apart(one: Payload, other: Payload) -> None:
    """Equal payloads have equal digests, different ones different digests."""
    assert (one == other) == (payloads.digest(one) == payloads.digest(other))


@given(st.text() | st.recursive(st.none() | st.integers() | _text, st.lists).map(json.dumps))
def test_junk_is_refused_by_our_error(text: str) -> None:
    """No other exception than InvalidInputError leaves the reader."""
    with pytest.raises(InvalidInputError):
        payload_files.from_json(text)


_keys = st.sampled_from(
    ["program_id", "parameters", "sequence", "job_runs", "jobs", "human_qir", "input_params",
     "iqmjson", "job_type", "job_spec", "tag", "configuration"]
)  # fmt: skip
_junk = st.none() | st.booleans() | st.integers() | _text | st.lists(st.integers(), max_size=2)


@given(st.dictionaries(_keys, _junk | st.lists(st.dictionaries(_text, _junk, max_size=2))))
def test_wrong_values_under_right_keys_are_refused_or_read(data: dict[str, object]) -> None:
    """Known keys with junk values give a payload or InvalidInputError, nothing else."""
    try:
        payload = payload_files.from_json(json.dumps(data))
    except InvalidInputError:
        return
    assert isinstance(payload, Payload)


def test_upstream_construction_and_matching() -> None:
    """Upstream's names, positional order and structural matching hold."""
    payload = Payload.QiskitPrimitive("{}", "sampler")
    assert isinstance(payload, Payload)
    assert Payload.PasqalCloud(sequence="s", job_runs=3) == Payload.PasqalCloud("s", 3)
    match payload:
        case Payload.QiskitPrimitive(text, program):
            assert (text, program) == ("{}", "sampler")
        case _:
            pytest.fail("did not match")
    with pytest.raises(TypeError):
        Payload()
    with pytest.raises(AttributeError):
        payload.input = "other"  # type: ignore[misc]


@pytest.mark.parametrize("runs", [0, -1])
def test_zero_shots_are_refused_when_the_payload_is_made(runs: int) -> None:
    with pytest.raises(InvalidInputError, match="at least 1"):
        Payload.PasqalCloud("s", runs)
    with pytest.raises(InvalidInputError, match="at least 1"):
        AnalogJob(runs=runs)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Payload.QiskitPrimitive({"pubs": "PROGRAM"}, "sampler"),
        lambda: Payload.QiskitPrimitive("{}", ["PROGRAM"]),
        lambda: Payload.PasqalCloud({"sequence": "PROGRAM"}, 1),
        lambda: Payload.AliceBobFelis(["PROGRAM"], "{}"),
        lambda: Payload.IQMServer("{}", "PROGRAM"),
        lambda: payload_files.from_json('{"human_qir": ["PROGRAM"], "input_params": {}}'),
    ],
)
def test_wrong_types_are_our_error_and_do_not_show_the_program(make: Callable[[], object]) -> None:
    """A dictionary where its JSON text belongs is the commonest slip."""
    with pytest.raises(InvalidInputError) as error:
        make()
    assert "PROGRAM" not in str(error.value)


def test_contents_do_not_show_in_repr() -> None:
    """A payload's repr gives sizes, not programs."""
    assert "OPENQASM" not in repr(Payload.QiskitPrimitive("OPENQASM 3;", "sampler"))


_NUMBERS = st.floats(-1e6, 1e6) | st.integers(-(2**53), 2**53) | st.booleans()


@given(st.lists(_NUMBERS, max_size=4), st.lists(st.lists(st.floats(-9, 9), min_size=2, max_size=2)))
def test_numpy_variables_are_plain_ones(scalars, rows):
    """A job's variables may be NumPy's numbers and arrays: it equals the job with plain ones."""
    given_as = {"scalars": [np.asarray(x)[()] for x in scalars], "rows": np.array(rows)}
    as_numpy = AnalogJob(runs=1, variables={**given_as, "nested": {"row": np.array(rows)}})
    plain = AnalogJob(runs=1, variables={"scalars": scalars, "rows": rows, "nested": {"row": rows}})
    assert as_numpy == plain
    batches = [Payload.PulserBatch(sequence="{}", jobs=[job]) for job in (as_numpy, plain)]
    assert payloads.digest(batches[0]) == payloads.digest(batches[1])
    assert payload_files.from_json(payload_files.to_json(batches[0])) == batches[1]


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.int8, np.int64, np.uint64, np.bool_])
def test_numpy_scalars_of_every_kind(kind):
    """What Pulser users pass for a variable is written as JSON."""
    job = AnalogJob(runs=1, variables={"x": kind(1), "xs": np.ones(3, kind), "t": (kind(0), 2)})
    assert job.variables == {"x": 1, "xs": [1, 1, 1], "t": [0, 2]}
    json.dumps(dict(job.variables))
