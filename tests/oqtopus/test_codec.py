"""Circuits to OpenQASM 3 jobs and results back, without a server."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Parameter, Qubit
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.errors import InvalidInputError, UnexpectedAnswerError, UnsupportedPayloadError
from qrmi_oqtopus import archives, codec, documents
from qrmi_oqtopus.spec import read_spec
from qrmi_sandbox.oqtopus_devices import DEVICES, TOPOLOGY
from qrmi_sandbox.oqtopus_run import run_job

QULACS = {**DEVICES["qulacs"], "basis_gates": ["x", "h", "ry", "cx", "sdg"]}


def document(name):
    device = DEVICES[name]
    return json.dumps(documents.device_document(device, device.get("device_info")))


class Device:
    """What an adapter tells the codec."""

    resource = None
    target_text = document("qulacs")


def run(encoded):
    """The results of encoded jobs, as the sandbox computes them."""
    texts = []
    for payload in encoded.payloads:
        spec = read_spec(payload)
        result = run_job(spec.request["job_type"], spec.content, spec.request, QULACS)
        job = {"job_info": {"result": "https://h/result.zip"}}
        content = archives.unpack(archives.pack("result.json", result))
        texts.append(documents.result_text(job, {"result": content}))
    return texts


def sampled(circuit, shots=50, **options):
    pub = SamplerPub.coerce((circuit,), shots=shots)
    encoded = codec.encode_sampler([pub], device=Device, options=options)
    return codec.decode_result(run(encoded), encoded.notes)[0]


# --- the target -----------------------------------------------------------------------------------


def test_a_target_with_a_topology():
    """Couplings are directed; errors, durations and lifetimes are in SI units."""
    target = codec.read_target(document("ring"))
    assert target.num_qubits == 4
    assert set(target.operation_names) == {"sx", "x", "rz", "cx", "measure", "reset"}
    assert set(target["cx"]) == {(0, 1), (0, 2), (1, 3), (2, 3)}
    assert target["cx"][0, 1].error == pytest.approx(0.01)
    assert target["cx"][0, 1].duration == pytest.approx(40e-9)
    assert target["sx"][(2,)].duration == pytest.approx(20e-9)
    assert target["measure"][(3,)].error == pytest.approx(0.015)
    assert target.qubit_properties[1].t2 == pytest.approx(80e-6)
    assert codec.read_limits(document("ring")).max_shots == 10_000_000


def test_a_target_without_a_topology():
    """Everything is allowed everywhere."""
    target = codec.read_target(document("qulacs"))
    assert (target.num_qubits, target.build_coupling_map()) == (20, None)
    assert target.instruction_supported("cx", (7, 3))


def test_a_topology_without_numbers():
    """What a topology does not tell stays unknown."""
    info = {"qubits": [{"id": 0}, {"id": 1}], "couplings": [{"control": 1, "target": 0}]}
    device = {**DEVICES["ring"], "n_qubits": None, "device_info": info}
    target = codec.read_target(json.dumps(device))
    assert target.num_qubits == 2
    assert target["cx"] == {(1, 0): None}


@pytest.mark.parametrize("text", ["{}", "[]", "3"])
def test_what_is_no_gate_device(text):
    """A description without gates is refused as a kind of program."""
    with pytest.raises(UnsupportedPayloadError):
        codec.read_target(text)


@pytest.mark.parametrize("change", [{"basis_gates": 7}, {"n_qubits": "x"}, {"device_info": [1]}])
def test_a_target_that_is_junk(change):
    """A malformed description is the service's fault."""
    with pytest.raises(UnexpectedAnswerError):
        codec.read_target(json.dumps({**DEVICES["ring"], "device_info": TOPOLOGY, **change}))


# --- jobs -----------------------------------------------------------------------------------------


def test_a_job():
    """One program, the pub's shots, and no transpilation; options are the job's own fields."""
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    pub = SamplerPub.coerce((circuit,), shots=7)
    (payload,) = codec.encode_sampler([pub], device=Device, options={}).payloads
    job = json.loads(payload.job_spec)
    assert job.pop("program")[0].startswith("OPENQASM 3")
    assert job == {
        "job_type": "sampling", "transpiler_info": {"transpiler_lib": None}, "shots": 7,
    }  # fmt: skip
    options = {"transpiler_info": {}, "mitigation_info": {"ro_error_mitigation": "pseudo_inverse"}}
    (payload,) = codec.encode_sampler([pub], device=Device, options=options).payloads
    assert options.items() <= json.loads(payload.job_spec).items()
    with pytest.raises(InvalidInputError, match="mitigation_info"):
        codec.encode_sampler([pub], device=Device, options={"shots": 3})
    with pytest.raises(InvalidInputError, match="JSON"):
        codec.encode_sampler([pub], device=Device, options={"simulator_info": {"x": float("nan")}})


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 5), st.data())
def test_bits_come_back_where_they_belong(width, data):
    """Known bits come back in their registers: in order, loose, or shared by two registers."""
    qubits = data.draw(st.permutations(range(width)))
    ones = data.draw(st.lists(st.booleans(), min_size=width, max_size=width))
    clbits = [Clbit() for _ in range(width)]
    chosen = data.draw(st.lists(st.permutations(range(width)), min_size=1, max_size=2))
    circuit = QuantumCircuit([Qubit() for _ in range(width)], clbits)
    for number, order in enumerate(chosen):
        circuit.add_register(ClassicalRegister(bits=[clbits[i] for i in order], name=f"r{number}"))
    for clbit, qubit in enumerate(qubits):
        if ones[clbit]:
            circuit.x(qubit)
        circuit.measure(qubit, clbit)
    result = sampled(circuit, shots=3)
    for number, order in enumerate(chosen):
        text = "".join("1" if ones[i] else "0" for i in reversed(order))
        assert result.data[f"r{number}"].get_counts() == {text: 3}


def test_a_pub_with_values_becomes_as_many_jobs():
    """One job for each set of values, in C order."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(QuantumRegister(1, "q"))
    circuit.ry(angle, 0)
    circuit.measure_all()
    pub = SamplerPub.coerce((circuit, [[0.0], [np.pi]]), shots=4)
    encoded = codec.encode_sampler([pub, pub], device=Device, options={})
    assert len(encoded.payloads) == 4
    result = codec.decode_result(run(encoded), encoded.notes)
    for pub_result in result:
        data = pub_result.data.meas
        assert [data.get_counts(i) for i in range(2)] == [{"0": 4}, {"1": 4}]


# --- expectation values ---------------------------------------------------------------------------


def test_expectation_values_are_the_services():
    """One job for each value: parameters and observables are broadcast; projectors are Paulis."""
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    observables = [["XX", {"ZZ": 0.5, "II": 2.0}], [{"0I": 1.0}, {"+r": 1.0}]]
    values = [0.3, 1.2]
    pub = EstimatorPub.coerce((circuit, observables, {angle: values}), precision=0.02)
    encoded = codec.encode_estimator([pub], device=Device, options={})
    assert len(encoded.payloads) == 4
    job = json.loads(encoded.payloads[0].job_spec)
    assert (job["job_type"], job["shots"]) == ("estimation", 2500)
    assert job["operator"] == [{"pauli": "X 0 X 1", "coeff": 1.0}]
    found = codec.decode_result(run(encoded), encoded.notes)[0]
    projectors = [{"II": 0.5, "ZI": 0.5}, {"II": 0.25, "XI": 0.25, "IY": 0.25, "XY": 0.25}]
    plain = [observables[0], projectors]
    exact = StatevectorEstimator().run([(circuit, plain, {angle: values})]).result()[0]
    assert found.data.evs.shape == (2, 2)
    assert np.allclose(found.data.evs, exact.data.evs, atol=0.15)
    assert found.metadata == {"target_precision": 0.02, "shots": 2500}


def test_an_observable_of_nothing():
    """An observable whose terms cancel is sent as zero times the identity."""
    pub = EstimatorPub.coerce((QuantumCircuit(1), [{"0": 1.0, "1": 1.0, "I": -1.0}]), precision=0.5)
    (payload,) = codec.encode_estimator([pub], device=Device, options={}).payloads
    assert json.loads(payload.job_spec)["operator"] == [{"pauli": "I", "coeff": 0.0}]


@pytest.mark.parametrize("precision", [0.0, 1e-9])
def test_a_precision_that_nobody_can_reach(precision):
    """More shots than a job can have are refused."""
    pub = EstimatorPub.coerce((QuantumCircuit(1), ["Z"]), precision=precision)
    with pytest.raises(InvalidInputError, match="precision"):
        codec.encode_estimator([pub], device=Device, options={})


@pytest.mark.parametrize(
    "result",
    [
        None,
        {},
        {"sampling": None},
        {"sampling": {}},
        {"sampling": {"counts": {"0": 5}}},
        {"sampling": {"counts": {"00": 4}}},
        {"sampling": {"counts": {"00": "many"}}},
    ],
)
def test_results_that_are_junk(result):
    """A result that is not this circuit's is the service's fault."""
    circuit = QuantumCircuit(2, 2)
    circuit.measure([0, 1], [0, 1])
    pub = SamplerPub.coerce((circuit,), shots=5)
    encoded = codec.encode_sampler([pub], device=Device, options={})
    with pytest.raises(UnexpectedAnswerError):
        codec.decode_result([json.dumps({"job_info": {"result": result}})], encoded.notes)
