"""The qiskit-primitive payload: pubs and results survive it, and junk is our error."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import CircuitInstruction, Delay, Parameter, ParameterVector
from qiskit.circuit.library import RXGate, UnitaryGate
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import bits, circuits, gate, primitive, primitive_results
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    UnexpectedAnswerError,
    UnsupportedPayloadError,
)
from qrmi.payloads import QiskitPrimitive

_ONE = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def _ansatz(count: int = 2) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    for index, angle in enumerate(ParameterVector("t", count)):
        circuit.rx(angle, index % 2)
        circuit.cx(0, 1)
    return circuit


def _sampled(count: int = 2) -> QuantumCircuit:
    circuit = _ansatz(count)
    circuit.measure_all()
    return circuit


def _read(program: str, body: object) -> list:
    return gate.decode_pubs(QiskitPrimitive(json.dumps(body), program))


_SHAPES = st.sampled_from([(), (1,), (3,), (2, 1), (2, 3), (0,), (1, 2, 2)])


@given(_SHAPES, st.integers(0, 12), st.integers(1, 10**6), st.sampled_from(["qpy", "qasm3"]))
@settings(max_examples=25, deadline=None)
def test_sampler_pubs_come_back(shape, count, shots, form):
    """Shape, values by parameter and shots survive, in either form of circuit."""
    circuit = _sampled(count)
    values = np.random.default_rng(0).random((*shape, count))
    names = tuple(parameter.name for parameter in circuit.parameters)
    bindings = BindingsArray({names: values} if names else None, shape=shape)
    payload = primitive.encode_sampler([SamplerPub(circuit, bindings, shots)], circuits=form)
    (pub,) = gate.decode_pubs(payload)
    assert pub.shape == shape
    assert pub.shots == shots
    if pub.size:
        where = (0,) * len(shape)
        bound = pub.parameter_values.bind(pub.circuit, where)
        expected = circuit.assign_parameters(values[where])
        assert [item.params for item in bound.data if item.params] == [
            item.params for item in expected.data if item.params
        ]


@given(st.sampled_from([((), ()), ((3,), ()), ((2, 1), (3,)), ((), (4,)), ((2, 2), (2, 2))]))
@settings(max_examples=10, deadline=None)
def test_estimator_pubs_come_back(shapes):
    """Observables keep their shape, their projectors and coefficients; values theirs."""
    observables_shape, values_shape = shapes
    observables = np.empty(observables_shape, dtype=object)
    for number, index in enumerate(np.ndindex(observables_shape)):
        observables[index] = {"X0": 1.5 + number, "ZI": -0.5}
    values = np.ones((*values_shape, 2))
    pub = EstimatorPub.coerce((_ansatz(), observables.tolist(), values, 0.25))
    (again,) = gate.decode_pubs(primitive.encode_estimator([pub]))
    assert again.shape == pub.shape
    assert again.observables.shape == observables_shape
    assert again.observables.tolist() == pub.observables.tolist()
    assert again.precision == 0.25


def test_flattened_observables_have_one_axis():
    """For services with one axis of observables, pairs are flattened in the result's order."""
    observables = [["ZZ"], ["XX"]]
    values = np.arange(6.0).reshape(3, 2)
    pub = EstimatorPub.coerce((_ansatz(), observables, values))
    (flat,) = gate.decode_pubs(primitive.encode_estimator([pub], flatten=True))
    assert flat.shape == (6,)
    assert flat.observables.tolist() == [{"ZZ": 1.0}] * 3 + [{"XX": 1.0}] * 3
    array = flat.parameter_values.as_array(flat.circuit.parameters)
    assert array.tolist() == values.tolist() * 2


def test_the_body_is_ibms():
    """Pubs are those of `RuntimeEncoder` to the byte, and IBM's schema takes the whole."""
    runtime = pytest.importorskip("qiskit_ibm_runtime")
    pub = SamplerPub.coerce((_sampled(), np.ones((3, 2)), 7))
    payload = primitive.encode_sampler([pub], options={"default_shots": 5}, qpy_version=17)
    body = json.loads(payload.input)
    assert body["pubs"] == json.loads(json.dumps([pub], cls=runtime.RuntimeEncoder))
    assert {key: body[key] for key in body if key != "pubs"} == {
        "options": {"default_shots": 5},
        "version": 2,
        "support_qiskit": True,
    }
    schemas = pytest.importorskip("ibm_quantum_schemas.sampler.version_0_1")
    schemas.ParamsModel.model_validate({**body, "options": {}})


def test_estimator_bodies_fit_ibms_schema():
    """IBM's schema takes our estimator body."""
    schemas = pytest.importorskip("ibm_quantum_schemas.estimator.version_0_1")
    pub = EstimatorPub.coerce((_ansatz(), [["ZZ"], ["XX"]], np.ones((3, 2)), 0.1))
    payload = primitive.encode_estimator([pub], flatten=True)
    schemas.ParamsModel.model_validate(json.loads(payload.input))


def test_upstreams_body_is_read():
    """OpenQASM 3 with null or nested lists for parameters, and shots at the top level, work."""
    qasm = f"{_ONE}input float[64] b;\ninput float[64] a;\nbit[1] c;\nqubit[1] q;\n"
    qasm += "rx(a) q[0];\nrz(b) q[0];\nc[0] = measure q[0];\n"
    plain = f"{_ONE}bit[1] c;\nqubit[1] q;\nc[0] = measure q[0];\n"
    body = {"pubs": [[plain, None, 5], [qasm, [[1.0, 2.0], [3.0, 4.0]]]], "shots": 9, "version": 2}
    first, second = _read("sampler", body)
    assert (first.shots, second.shots, second.shape) == (5, 9, (2,))
    assert second.parameter_values.as_array(["a", "b"]).tolist() == [[2.0, 1.0], [4.0, 3.0]]


def test_upstreams_estimator_body_is_read():
    """The literal example of the protocol reference."""
    text = (
        '{"pubs":[["OPENQASM 3.0;\\ninclude \\"stdgates.inc\\";\\nqubit[2] q;\\nsx q[0];\\n'
        'cz q[0], q[1];\\n",{"IX":0.5,"ZZ":1.0},[],0.015625]],"options":{},"version":2,'
        '"support_qiskit":true,"precision":0.015625}'
    )
    (pub,) = gate.decode_pubs(QiskitPrimitive(text, "estimator"))
    assert pub.observables.tolist() == {"IX": 0.5, "ZZ": 1.0}
    assert pub.precision == 0.015625


@pytest.mark.parametrize(
    ("program", "pub", "match"),
    [
        ("sampler", ["circuit", None, 0], "positive"),
        ("sampler", ["circuit", None, True], "integer"),
        ("sampler", ["circuit", None, 1.5], "integer"),
        ("sampler", ["circuit"], "shots"),
        ("sampler", ["circuit", [1.0], 5], "1 values for the 0 parameters"),
        ("sampler", ["parametric", None, 5], "0 values for the 2 parameters"),
        ("sampler", ["parametric", [[1.0]], 5], "1 values for the 2 parameters"),
        ("sampler", ["parametric", [float("nan"), 1.0], 5], "finite"),
        ("sampler", [], "a pub is a list"),
        ("sampler", [1, 2, 3, 4], "a pub is a list"),
        ("sampler", [{"__type__": "set", "__value__": []}, None, 5], "tagged QPY"),
        ("sampler", ["nonsense", None, 5], "OpenQASM 3"),
        ("estimator", ["circuit", {"ZZZ": 1}, None, 0.1], "3 qubits"),
        ("estimator", ["circuit", {"AB": 1}, None, 0.1], "label"),
        ("estimator", ["circuit", {"ZZ": 1}, None, -1], "non-negative"),
        ("estimator", ["circuit", [], None, 0.1], None),
        ("estimator", ["circuit", {}, None, 0.1], ""),
        ("estimator", ["circuit"], "a pub is a list"),
    ],
)
def test_wrong_pubs_are_refused(program, pub, match):
    """Each mistake in a pub is an `InvalidInputError` that says which pub and what."""
    known = {"circuit": _sampled(0), "parametric": _sampled(2)}
    pub = [
        circuits.encode(known[item], form="qpy", qpy_version=15) if item in list(known) else item
        for item in pub
    ]
    if match is None:
        assert _read(program, {"pubs": [pub]})[0].shape == (0,)
        return
    with pytest.raises(InvalidInputError, match=f"pub 0.*{match}"):
        _read(program, {"pubs": [pub]})


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"pubs": 1}', '{"pubs":[],"version":1}'])
def test_wrong_bodies_are_refused(text):
    """A body that is not this schema is refused."""
    with pytest.raises(InvalidInputError):
        gate.decode_pubs(QiskitPrimitive(text, "sampler"))


def test_other_programs_are_refused():
    """Only samplers and estimators are known."""
    with pytest.raises(UnsupportedPayloadError, match="executor"):
        gate.decode_pubs(QiskitPrimitive('{"pubs": []}', "executor"))


def test_pubs_without_shots_are_not_encoded():
    """Zero or no shots never leave the program."""
    with pytest.raises(InvalidInputError, match="shots"):
        primitive.encode_sampler([SamplerPub(_sampled(0))])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from(["sampler", "estimator"]), _JSON)
@settings(max_examples=150, deadline=None)
def test_junk_in_our_error_out(program, junk):
    """Whatever stands in the place of pubs or of the body, no foreign error comes out."""
    for body in (junk, {"pubs": junk}, {"pubs": [junk]}, {"pubs": [], "options": junk}):
        with contextlib.suppress(QrmiError):
            _read(program, body)


@given(_JSON | st.fixed_dictionaries({"results": st.lists(st.fixed_dictionaries({"data": _JSON}))}))
@settings(max_examples=150, deadline=None)
def test_junk_results_are_our_error(junk):
    """A result is a `PrimitiveResult` or an error, never something else."""
    for text in (json.dumps(junk), str(junk)):
        with contextlib.suppress(UnexpectedAnswerError):
            assert isinstance(primitive_results.decode_result(text), PrimitiveResult)


def test_plain_results_are_read():
    """The schema without tags: hexadecimal samples, or lists of values."""
    samples = {"c": {"samples": ["0x3", "0x1", "0x0"], "num_bits": 2}}
    text = json.dumps({"results": [{"data": samples, "metadata": {"a": 1}}]})
    result = primitive_results.decode_result(text)
    assert result[0].data.c.get_bitstrings() == ["11", "01", "00"]
    assert result[0].metadata == {"a": 1}
    values = {"results": [{"data": {"evs": [0.5, 1.0], "stds": [0.0, 0.1]}}]}
    assert primitive_results.decode_result(json.dumps(values))[0].data.evs.tolist() == [0.5, 1.0]


def test_the_protocols_literal_results_are_read():
    """The tagged documents of the protocol reference: samples 11, 00, 11; evs 0.5, stds 0.01."""
    sampled = primitive_results.decode_result(_SAMPLED)
    assert sampled[0].data.c.get_bitstrings() == ["11", "00", "11"]
    estimated = primitive_results.decode_result(_ESTIMATED)
    assert (float(estimated[0].data.evs), float(estimated[0].data.stds)) == (0.5, 0.01)


def test_results_come_back():
    """A result survives with its shapes and metadata."""
    array = BitArray(np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2), 13)
    pub = SamplerPubResult(DataBin(c=array, shape=(2, 3)), {"shots": 2, "circuit_metadata": {}})
    result = primitive_results.decode_result(
        gate.encode_result(PrimitiveResult([pub], {"version": 2}))
    )
    assert result[0].data.shape == (2, 3)
    assert result[0].data.c == array
    assert result[0].metadata == pub.metadata
    assert result.metadata == {"version": 2}


@given(st.integers(1, 140), st.data())
@settings(max_examples=60, deadline=None)
def test_hexadecimal_samples_are_packed(width, data):
    """Packing hexadecimal texts is what `BitArray.from_samples` does, whatever their length."""
    numbers = data.draw(st.lists(st.integers(0, (1 << width) - 1), min_size=1, max_size=20))
    packed = bits.pack_hex([hex(number) for number in numbers], width)
    strings = [f"{number:0{width}b}" for number in numbers]
    assert BitArray(packed, width).get_bitstrings() == strings


@given(st.integers(1, 40), st.data())
@settings(max_examples=100, deadline=None)
def test_bits_are_taken_by_index(width, data):
    """Bit i of the result is bit ``indices[i]`` of the source."""
    number = data.draw(st.integers(0, (1 << width) - 1))
    consecutive = st.integers(0, width - 1).flatmap(
        lambda start: st.integers(start, width).map(lambda stop: list(range(start, stop)))
    )
    indices = data.draw(st.lists(st.integers(0, width - 1), max_size=20) | consecutive)
    taken = bits.take(bits.pack_hex([hex(number)], width), indices)
    assert taken.shape == (1, bits.num_bytes(len(indices)))
    expected = sum((number >> index & 1) << position for position, index in enumerate(indices))
    assert int.from_bytes(taken[0].tobytes(), "big") == expected
    columns = bits.unpack(taken, len(indices))
    assert bits.pack(columns).tolist() == taken.tolist()


def test_registers_of_no_bits_have_no_bytes():
    """Zero bits take zero bytes, for any number of shots."""
    assert bits.pack_hex(["0x0"] * 3, 0).shape == (3, 0)
    assert bits.take(bits.pack_hex(["0x1"] * 3, 1), []).shape == (3, 0)


def test_samples_that_do_not_fit_are_refused():
    """A sample wider than its register is an error, not a wrong bit."""
    for sample in ("0x4", "0x100", "0xzz", "-0x1"):
        with pytest.raises(ValueError, match=r"wider|hexadecimal"):
            bits.pack_hex([sample], 2)


def _text(circuit: QuantumCircuit) -> object:
    return circuits.encode(circuit, form="qpy", qpy_version=15)


def test_an_unchanged_circuit_is_not_encoded_again(monkeypatch):
    """The second encoding of a circuit does not serialise it."""
    circuit = _sampled()
    first = _text(circuit)
    calls = []
    monkeypatch.setattr(circuits.tagged, "encode_circuit", lambda *a, **k: calls.append(1) or "new")
    assert _text(circuit) == first
    assert not calls
    circuit.x(0)
    assert _text(circuit) != first


def test_delays_whose_length_is_a_parameter_are_not_sent():
    """Qiskit 2.6 writes them as QPY that it cannot read."""
    circuit = QuantumCircuit(1, 1)
    circuit.delay(Parameter("t"), 0)
    with pytest.raises(InvalidInputError, match="parameter"):
        primitive.encode_sampler([SamplerPub.coerce((circuit, [100]), 1)])
    circuit.assign_parameters([100], inplace=True)
    primitive.encode_sampler([SamplerPub.coerce((circuit,), 1)])


def test_delays_keep_their_unit():
    """QPY would turn 10 ns into 10 dt: that is refused, in bodies of control flow too."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.delay(10, 0, unit="ns")
    with pytest.raises(InvalidInputError, match="a delay in ns"):
        _text(circuit)


def _replace(circuit: QuantumCircuit, **changes: object) -> None:
    operation = RXGate(circuit.data[0].params[0], **changes)
    circuit.data[0] = CircuitInstruction(operation, circuit.data[0].qubits)


_CHANGES = {
    "gate": lambda c: c.x(0),
    "name": lambda c: setattr(c, "name", "other"),
    "phase": lambda c: setattr(c, "global_phase", 1e-13),
    "metadata": lambda c: c.metadata.update(a=2),
    "angle": lambda c: c.data.__setitem__(
        0, CircuitInstruction(RXGate(0.1 + 1e-15), c.data[0].qubits)
    ),
    "label": lambda c: _replace(c, label="x"),
    "alias": lambda c: c.add_register(ClassicalRegister(bits=[c.clbits[0]], name="alias")),
    "delay": lambda c: c.data.__setitem__(-1, CircuitInstruction(Delay(11), c.data[-1].qubits)),
    "pop": lambda c: c.data.pop(),
    "parameter": lambda c: c.rx(Parameter("p"), 0),
    "bound": lambda c: c.assign_parameters({"q": 0.5}, inplace=True),
    "unitary": lambda c: c.append(UnitaryGate(np.eye(2)), [0]),
}


@pytest.mark.parametrize("change", _CHANGES)
def test_a_changed_circuit_is_encoded_anew(change):
    """Whatever is changed in place, the next payload has the change."""
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(1, "c"), metadata={"a": 1})
    circuit.rx(0.1, 0)
    circuit.rz(Parameter("q"), 0)
    circuit.measure(0, 0)
    circuit.delay(10, 1)
    before = _text(circuit)
    assert _text(circuit) == before
    _CHANGES[change](circuit)
    after = _text(circuit)
    assert after == _text(circuit.copy()) or change == "unitary"  # has a new id each time
    assert after != before


def test_changes_inside_of_opaque_operations_are_seen():
    """Operations that can be edited in place are serialised each time."""
    unitary = UnitaryGate(np.eye(2))
    circuit = QuantumCircuit(1)
    circuit.append(unitary, [0], copy=False)
    before = _text(circuit)
    circuit.data[0].operation.params[0] = np.diag([1, -1])
    assert _text(circuit) != before


_SAMPLED = (
    '{"__type__":"PrimitiveResult","__value__":{"pub_results":[{"__type__":"SamplerPubResult",'
    '"__value__":{"data":{"__type__":"DataBin","__value__":{"field_names":["c"],"shape":[],'
    '"fields":{"c":{"__type__":"BitArray","__value__":{"array":{"__type__":"ndarray","__value__":'
    '"eJyb7BfqGxDJyFDGUK2eklqcXKRupaBeU2qorqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RrGOgqGmjo'
    'KtQpkAy5mBmYAySAbvQ=="},"num_bits":2}}}}},"metadata":{"circuit_metadata":{}}}}],'
    '"metadata":{"version":2}}}'
)
_ESTIMATED = (
    '{"__type__":"PrimitiveResult","__value__":{"pub_results":[{"__type__":"PubResult",'
    '"__value__":{"data":{"__type__":"DataBin","__value__":{"field_names":["evs","stds"],'
    '"shape":[],"fields":{"evs":{"__type__":"ndarray","__value__":"eJyb7BfqGxDJyFDGUK2eklqcXKRu'
    'paBuk2ahrqOgnpZfVFKUmBefX5SSChJ3S8wpTgWKF2ckFqQC+RqaOgq1ChQBLgYweGAPAClVHF4="},"stds":'
    '{"__type__":"ndarray","__value__":"eJyb7BfqGxDJyFDGUK2eklqcXKRupaBuk2ahrqOgnpZfVFKUmBefX5'
    'SSChJ3S8wpTgWKF2ckFqQC+RqaOgq1ChQBrmqRde4Pq1rsATdqHuE="}}}},"metadata":{"shots":4096}}}],'
    '"metadata":{"version":2}}}'
)
