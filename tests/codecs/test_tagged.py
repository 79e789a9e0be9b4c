"""Tagged JSON: what IBM's encoder writes we read and write alike, and junk is our error."""

from __future__ import annotations

import binascii
import contextlib
import io
import json
import tracemalloc
import zlib
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.library import UnitaryGate
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult

from qrmi.codecs import npy, tagged
from qrmi.errors import InvalidInputError


def _circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(3, 2, name="c", metadata={"a": [1, None]}, global_phase=0.5)
    circuit.rx(Parameter("θ") * 2, 0)
    circuit.append(UnitaryGate(np.diag([1, 1j])), [1])
    circuit.measure([0, 2], [0, 1])
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    return circuit


def _result() -> PrimitiveResult:
    bits = BitArray(np.array([[3], [1]], dtype=np.uint8), 2)
    sampled = SamplerPubResult(DataBin(c=bits, shape=()), {"shots": 2})
    estimated = PubResult(DataBin(evs=np.array([0.5]), stds=np.array([0.0]), shape=(1,)), {})
    return PrimitiveResult([sampled, estimated], {"version": 2})


@pytest.mark.parametrize("version", [15, 16, 17])
def test_circuits_are_ibms_to_the_byte(version, monkeypatch):
    """With the same QPY version a circuit's tagged text is that of `RuntimeEncoder`."""
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    import qiskit_ibm_runtime.json as peer

    monkeypatch.setattr(peer, "SERVICE_MAX_SUPPORTED_QPY_VERSION", version)
    circuit = _circuit()
    ours = tagged.to_tagged(circuit, qpy_version=version)
    assert ours == json.loads(json.dumps(circuit, cls=runtime.RuntimeEncoder))


@pytest.mark.parametrize(
    "value",
    [
        np.arange(6.0).reshape(2, 3),
        np.zeros((0, 4)),
        np.array(1.5),
        np.array([True]),
        BitArray(np.array([[1, 2]], dtype=np.uint8), 10),
        _result(),
        1 + 2j,
        {1},
        datetime(2026, 1, 2, 3, 4, 5),
        {"nested": [np.ones(2), None, "x", 1, 2.5, True]},
    ],
    ids=repr,
)
def test_values_are_ibms(value):
    """Everything but circuits is written as `RuntimeEncoder` writes it."""
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    theirs = json.loads(json.dumps(value, cls=runtime.RuntimeEncoder))
    assert json.loads(json.dumps(tagged.to_tagged(value))) == theirs


def test_ibms_decoder_reads_our_result():
    """`RuntimeDecoder` gives the same result back, also with quick compression."""
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    text = json.dumps(tagged.to_tagged(_result(), compression=1))
    result = json.loads(text, cls=runtime.RuntimeDecoder)
    assert result[0].data.c == _result()[0].data.c
    assert result[1].data.evs == _result()[1].data.evs
    assert result.metadata == {"version": 2}


def test_ibms_execution_spans_stay_as_they_are():
    """A tag that is not known here is kept, so IBM's metadata does not stop a result."""
    data = {"spans": {"__type__": "ExecutionSpans", "__value__": {"spans": [1]}}}
    assert tagged.loads(json.dumps(data)) == data


@given(
    hnp.arrays(
        hnp.floating_dtypes(endianness="<")
        | hnp.integer_dtypes(endianness="<")
        | hnp.complex_number_dtypes(endianness="<", sizes=(128,))
        | hnp.boolean_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    ),
    st.sampled_from([0, 1, 6]),
)
def test_arrays_come_back(array, compression):
    """An array comes back with its type, shape and bytes, and can be written to."""
    text = json.dumps(tagged.to_tagged(array, compression=compression))
    again = tagged.loads(text)
    assert again.dtype == array.dtype
    assert again.shape == array.shape
    assert again.tobytes() == array.tobytes()
    assert again.flags.writeable


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(_JSON)
def test_plain_values_are_left_alone(value):
    """JSON without tags means itself, both ways."""
    assert tagged.to_tagged(value) == value
    assert tagged.from_tagged(value) == value
    assert tagged.loads(json.dumps(value)) == value


_TAGS = [
    *("ndarray", "QuantumCircuit", "BitArray", "DataBin", "SamplerPubResult", "PubResult"),
    *("PrimitiveResult", "complex", "set", "datetime", "EstimatorPubResult"),
]


@given(st.sampled_from(_TAGS), _JSON | st.binary(max_size=40).map(npy.deflate))
@settings(max_examples=300)
def test_junk_is_our_error(tag, value):
    """A malformed tagged object is an `InvalidInputError`, whatever is wrong with it."""
    document = json.dumps({"__type__": tag, "__value__": value})
    with contextlib.suppress(InvalidInputError):
        tagged.loads(document)


_DOCUMENTS = [tagged.to_tagged(_circuit()), tagged.to_tagged(np.arange(50.0))]


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_cut_off_texts_are_our_error(data):
    """Whatever part of a circuit or an array is missing, the error is ours."""
    for document in _DOCUMENTS:
        text = document["__value__"]
        cut = data.draw(st.integers(0, len(text) - 4))
        with pytest.raises(InvalidInputError):
            tagged.from_tagged({**document, "__value__": text[:cut]})


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"__type__": "set", "__value__": 1}'])
def test_text_that_is_not_json_is_our_error(text):
    """Neither broken nor bottomless JSON gets through."""
    with pytest.raises(InvalidInputError):
        tagged.loads(text)


@pytest.mark.parametrize("version", [13, 15, 17])
def test_circuits_come_back(version):
    """A circuit survives every QPY version that the services take, metadata included."""
    circuit = _circuit()
    circuit.metadata = {"values": np.arange(3), "z": 1j}
    again = tagged.decode_circuit(tagged.encode_circuit(circuit, qpy_version=version))
    assert again == circuit
    assert again.metadata["z"] == 1j
    assert again.metadata["values"].tolist() == [0, 1, 2]


def test_qpy_versions_are_pinned():
    """By default QPY 15 is written, and no version that the services refuse can be asked for."""
    written = zlib.decompress(binascii.a2b_base64(tagged.encode_circuit(_circuit())))
    assert written[6] == tagged.QPY_DEFAULT == 15
    for version in (12, 18):
        with pytest.raises(InvalidInputError, match="13 to 17"):
            tagged.encode_circuit(_circuit(), qpy_version=version)


def test_a_future_qpy_version_is_explained():
    """A circuit written by a newer Qiskit names the version and how to write another."""
    data = bytearray(zlib.decompress(binascii.a2b_base64(tagged.encode_circuit(_circuit()))))
    data[6] = 99
    with pytest.raises(InvalidInputError, match="99") as caught:
        tagged.decode_circuit(npy.deflate(data))
    assert "version=15" in caught.value.hint


def test_arrays_with_pickles_are_refused():
    """An array of Python objects is never unpickled."""
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InvalidInputError):
        tagged.from_tagged({"__type__": "ndarray", "__value__": npy.deflate(buffer.getvalue())})


def test_what_json_cannot_hold_is_named():
    """An object without a tagged form is refused by type."""
    with pytest.raises(InvalidInputError, match="object"):
        tagged.to_tagged({"a": object()})


def test_big_results_need_little_memory():
    """Beyond its text, a result needs less than three times its packed bits."""
    packed = np.random.default_rng(1).integers(0, 256, (200_000, 13), dtype=np.uint8)
    packed[:, 0] &= 0x0F
    result = PrimitiveResult([SamplerPubResult(DataBin(c=BitArray(packed, 100), shape=()))])
    text = json.dumps(tagged.to_tagged(result))
    del result
    tracemalloc.start()
    try:
        again = tagged.loads(text)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * packed.nbytes
    assert (again[0].data.c.array == packed).all()
