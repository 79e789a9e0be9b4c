"""One payload format, several ways to write circuits: what a resource's dialect changes."""

from __future__ import annotations

import base64
import json
import zlib

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3
from qiskit.circuit import Clbit, Parameter, ParameterVector
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Operator

from qrmi import Capabilities, QuantumResource
from qrmi.codecs import gate
from qrmi.codecs.interface import GATE, Limits, gate_codec
from qrmi.errors import InvalidInputError, UnexpectedAnswerError
from qrmi.payloads import QiskitPrimitive
from qrmi.testing import ScriptedDriver


@attrs.frozen
class _Device:
    resource: QuantumResource
    target_text: str = "{}"


def _device(dialect: str) -> _Device:
    class Speaking(ScriptedDriver):
        CAPABILITIES = Capabilities(dialect=dialect)

    return _Device(QuantumResource.from_driver(Speaking(), resource_type="scripted"))


def _body(encoded) -> dict:
    [payload] = encoded.payloads
    return json.loads(payload.input)


def test_the_format_that_several_vendors_take_goes_first():
    """A resource that takes every format is spoken to in qiskit-primitive."""
    assert gate_codec(_device("").resource) is gate
    assert gate.KIND == GATE


@pytest.mark.parametrize(
    ("dialect", "version"), [("", 15), ("qpy", 15), *((f"qpy{n}", n) for n in range(13, 18))]
)
def test_qpy_is_written_in_the_version_that_is_asked_for(dialect, version):
    """The version is the seventh byte of QPY."""
    pub = SamplerPub.coerce(QuantumCircuit(1, 1), 5)
    encoded = gate.encode_sampler([pub], device=_device(dialect), options={})
    text = _body(encoded)["pubs"][0][0]["__value__"]
    assert zlib.decompress(base64.b64decode(text))[6] == version


def test_openqasm_3_pubs_are_those_of_the_protocol():
    """The literal pub of the protocol reference, with options as they were given."""
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(2, "c"))
    circuit.sx(0)
    circuit.cz(0, 1)
    circuit.measure([0, 1], [0, 1])
    options = {"twirling": {"enable_gates": True}}
    encoded = gate.encode_sampler(
        [SamplerPub.coerce(circuit, 1024)], device=_device("qasm3"), options=options
    )
    text = (
        'OPENQASM 3.0;\ninclude "stdgates.inc";\nbit[2] c;\nqubit[2] q;\nsx q[0];\n'
        "cz q[0], q[1];\nc[0] = measure q[0];\nc[1] = measure q[1];\n"
    )
    assert _body(encoded) == {
        "pubs": [[text, None, 1024]],
        "options": options,
        "version": 2,
        "support_qiskit": True,
    }
    assert encoded.notes == {}


def test_openqasm_3_estimator_pubs_are_those_of_the_protocol():
    """Observables are objects, no parameters an empty list."""
    pub = EstimatorPub.coerce((QuantumCircuit(2), {"IX": 0.5, "ZZ": 1.0}, None, 0.015625))
    encoded = gate.encode_estimator([pub], device=_device("qasm3"), options={})
    assert _body(encoded)["pubs"][0][1:] == [{"IX": 0.5, "ZZ": 1.0}, [], 0.015625]


_names = st.lists(
    st.sampled_from(["a", "B", "th[0]", "c", "q", "meas", "θ", "x10", "x9", "sin"]), unique=True
)


@given(names=_names, length=st.integers(0, 12), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_values_belong_to_inputs_in_the_order_of_their_names(names, length, seed):
    """Columns, declarations and sorted names agree, whatever parameters and registers are called.

    A reader that takes values by declaration and one that sorts names make the same circuit.
    """
    vector = ParameterVector("v", length)
    circuit = QuantumCircuit(QuantumRegister(1, "q"))
    for parameter in (*vector, *map(Parameter, names)):
        circuit.rx(parameter, 0)
        circuit.ry(2 * parameter, 0)
    values = np.random.default_rng(seed).uniform(0, 6, circuit.num_parameters)
    pub = SamplerPub.coerce((circuit, values), 5)
    encoded = gate.encode_sampler([pub], device=_device("qasm3"), options={})
    [text, row, _] = _body(encoded)["pubs"][0]
    declared = [
        line.split()[-1].rstrip(";") for line in text.splitlines() if line.startswith("input")
    ]
    assert declared == sorted(declared)
    loaded = qasm3.loads(text)
    assert [parameter.name for parameter in loaded.parameters] == declared
    wanted = Operator(circuit.assign_parameters(values))
    assert Operator(loaded.assign_parameters(row or [])) == wanted
    [again] = gate.decode_pubs(encoded.payloads[0])
    assert Operator(again.parameter_values.bind(again.circuit, ())) == wanted


def test_registers_keep_their_names():
    """A register that OpenQASM 3 calls otherwise has its own name again in the result."""
    circuit = QuantumCircuit(QuantumRegister(1, "q"))
    circuit.add_register(ClassicalRegister(1, "input"), ClassicalRegister(1, "ok"))
    pubs = [SamplerPub.coerce(QuantumCircuit(1, 1), 3), SamplerPub.coerce(circuit, 3)]
    encoded = gate.encode_sampler(pubs, device=_device("qasm3"), options={})
    text = _body(encoded)["pubs"][1][0]
    assert "bit[1] input;" not in text
    [renamed] = [line[7:-1] for line in text.splitlines() if line.startswith("bit[1] input")]
    array = BitArray(np.zeros((3, 1), dtype=np.uint8), 1)
    result = PrimitiveResult(
        [
            SamplerPubResult(DataBin(c=array, shape=())),
            SamplerPubResult(DataBin(**{renamed: array, "ok": array}, shape=())),
        ]
    )
    notes = json.loads(json.dumps(encoded.notes))
    found = gate.decode_result([gate.encode_result(result)], notes)
    assert list(found[0].data.keys()) == ["c"]
    assert list(found[1].data.keys()) == ["input", "ok"]


@pytest.mark.parametrize("name", ["U", "a-b", "cé", "r[0]", "Measured", "_x", "register_0"])
def test_names_that_readers_change_do_not_travel(name):
    """A reader of OpenQASM 3 leaves the names in the text; the result has the circuit's own."""
    loose = Clbit()
    register = ClassicalRegister(2, name)
    circuit = QuantumCircuit(QuantumRegister(2, "q"), [loose], register, ClassicalRegister(1, "ok"))
    circuit.x(1)
    circuit.measure([1, 0, 1], [register[1], loose, 3])
    encoded = gate.encode_sampler(
        [SamplerPub.coerce(circuit, 3)], device=_device("qasm3"), options={}
    )
    text = _body(encoded)["pubs"][0][0]
    read = qasm3.loads(text)
    declared = [line.split()[1].rstrip(";") for line in text.splitlines() if line[:4] == "bit["]
    assert [register.name for register in read.cregs] == declared
    measured = StatevectorSampler(seed=1).run([read], shots=3).result()
    notes = json.loads(json.dumps(encoded.notes))
    [found] = gate.decode_result([gate.encode_result(measured)], notes)
    assert {key: array.get_counts() for key, array in found.data.items()} == {
        name: {"10": 3},
        "ok": {"1": 3},
    }


def test_a_delay_of_unknown_length_is_refused():
    """Qiskit writes it as OpenQASM 3 that nobody can read."""
    circuit = QuantumCircuit(1)
    circuit.delay(Parameter("d"), 0, "ns")
    pub = SamplerPub.coerce((circuit, [1.0]), 3)
    with pytest.raises(InvalidInputError, match="delay whose length is a parameter"):
        gate.encode_sampler([pub], device=_device("qasm3"), options={})


@pytest.mark.parametrize("dialect", ["qpy", "qasm3"])
def test_observables_with_two_axes_without_parameters(dialect):
    """They are flattened as others are."""
    observables = [["ZI", "IZ", "ZZ"], ["XX", "YY", "XZ"]]
    circuit = QuantumCircuit(2)
    circuit.x(0)
    encoded = gate.encode_estimator(
        [EstimatorPub.coerce((circuit, observables), 0.0)], device=_device(dialect), options={}
    )
    estimated = StatevectorEstimator().run(gate.decode_pubs(encoded.payloads[0])).result()
    [found] = gate.decode_result([gate.encode_result(estimated)], encoded.notes)
    assert found.data.evs.tolist() == pytest.approx(np.array([[1, -1, -1], [0, 0, 0]]))


def test_a_circuit_that_does_nothing_is_as_wide_as_the_observables():
    """A program in a device's own qubits that names none of them declares no qubits at all."""
    text = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'
    pub = [text, {"ZII": 1.0}, None, 0.1]
    payload = QiskitPrimitive(json.dumps({"pubs": [pub], "version": 2}), "estimator")
    [read] = gate.decode_pubs(payload)
    assert read.circuit.num_qubits == 3


def test_registers_that_share_bits_are_found_again():
    """OpenQASM 3 has no such registers: all bits travel as one, and come back as what they were."""
    bits = ClassicalRegister(3, "x")
    circuit = QuantumCircuit(QuantumRegister(2, "q"), bits)
    circuit.add_register(ClassicalRegister(bits=[bits[2], bits[0]], name="y"))
    circuit.x(0)
    circuit.measure([0, 1], [bits[2], bits[1]])
    pub = SamplerPub.coerce(circuit, 4)
    encoded = gate.encode_sampler([pub], device=_device("qasm3"), options={})
    sent = gate.decode_pubs(encoded.payloads[0])
    assert "let" not in _body(encoded)["pubs"][0][0]
    measured = StatevectorSampler(seed=1).run(sent).result()
    bare = PrimitiveResult([SamplerPubResult(entry.data) for entry in measured])
    notes = json.loads(json.dumps(encoded.notes))
    [found] = gate.decode_result([gate.encode_result(bare)], notes)
    assert found.data.x.get_counts() == {"100": 4}
    assert found.data.y.get_counts() == {"01": 4}


@pytest.mark.parametrize(("dialect", "axes"), [("", 2), ("qpy", 1), ("qasm3", 1)])
def test_services_with_flat_observables_give_values_of_the_pubs_shape(dialect, axes):
    """Observables with two axes are flattened for IBM, and the values get their shape again."""
    observables = [["ZI", "IZ", "ZZ"], ["XX", "YY", "XZ"]]
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("a"), 0)
    angles = np.array([[0.1], [0.2], [0.3]])
    pub = EstimatorPub.coerce((circuit, observables, angles), 0.0)
    encoded = gate.encode_estimator([pub], device=_device(dialect), options={})
    [sent] = gate.decode_pubs(encoded.payloads[0])
    assert sent.observables.ndim == axes
    estimated = StatevectorEstimator().run([sent]).result()
    stripped = PrimitiveResult([PubResult(pub.data, metadata={}) for pub in estimated])
    [found] = gate.decode_result([gate.encode_result(stripped)], encoded.notes)
    [exact] = StatevectorEstimator().run([(circuit, observables, angles)], precision=0).result()
    assert found.data.shape == (2, 3)
    assert np.allclose(found.data.evs, exact.data.evs)


@pytest.mark.parametrize("texts", [[], ["{}", "{}"], ["[1]"]])
def test_another_number_of_results_is_refused(texts):
    """One payload has one result."""
    with pytest.raises(UnexpectedAnswerError):
        gate.decode_result(texts, {})


def test_limits_are_those_of_the_configuration():
    """What it does not tell has no limit; what is no number is the vendor's mistake."""
    text = json.dumps({"configuration": {"max_shots": 9, "max_experiments": 2, "simulator": True}})
    assert gate.read_limits(text) == Limits(max_shots=9, max_circuits=2, simulator=True)
    assert gate.read_limits("{}") == Limits()
    for junk in ('{"configuration": {"max_shots": "many"}}', '{"configuration": [1]}', "<html>"):
        with pytest.raises(UnexpectedAnswerError):
            gate.read_limits(junk)
