"""Qiskit's primitives on the quantum system: OpenQASM 3 out, both forms of results in."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import StatevectorEstimator
from qiskit.quantum_info import SparsePauliOp

from qrmi import QuantumResource
from qrmi.codecs import circuits
from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2
from qrmi_sandbox.quantum_system import QuantumSystemServer


@pytest.fixture
def backend(resource: QuantumResource) -> QRMIBackend:
    """The system as a backend."""
    return QRMIBackend(resource)


def _isa(circuit: QuantumCircuit, backend: QRMIBackend) -> QuantumCircuit:
    return generate_preset_pass_manager(1, backend).run(circuit)


def _inputs(server: QuantumSystemServer) -> list[Any]:
    return [json.loads(body) for name, body in server.objects.items() if name.startswith("input_")]


@pytest.mark.parametrize("plain", [False, True], ids=["tagged", "plain"])
def test_sampler(
    server: QuantumSystemServer, resource: QuantumResource, backend: QRMIBackend, plain: bool
) -> None:
    """Registers keep their names and bits; qubit 0 is rightmost."""
    server.plain_results = plain
    circuit = QuantumCircuit(
        QuantumRegister(3, "q"), ClassicalRegister(2, "low"), ClassicalRegister(1, "high")
    )
    circuit.x(0)
    circuit.x(2)
    circuit.measure([0, 1, 2], [0, 1, 2])
    data = SamplerV2(resource).run([_isa(circuit, backend)], shots=50).result()[0].data
    assert data.low.get_counts() == {"01": 50}
    assert data.high.get_counts() == {"1": 50}
    sent = _inputs(server)[0]
    assert sent["version"] == 2
    assert sent["support_qiskit"] is True
    assert sent["pubs"][0][0].startswith("OPENQASM 3")


def test_sampler_with_parameters(resource: QuantumResource, backend: QRMIBackend) -> None:
    """Values reach the parameters that they are for, whatever their names sort like."""
    circuit = QuantumCircuit(2)
    circuit.rx(Parameter("b[10]"), 0)
    circuit.rx(Parameter("b[9]"), 1)
    circuit.measure_all()
    isa = _isa(circuit, backend)
    values = {"b[10]": [0.0, np.pi], "b[9]": [np.pi, np.pi]}
    result = SamplerV2(resource).run([(isa, values)], shots=20).result()[0]
    assert result.data.meas.shape == (2,)
    assert result.data.meas[0].get_counts() == {"10": 20}
    assert result.data.meas[1].get_counts() == {"11": 20}


@pytest.mark.parametrize("plain", [False, True], ids=["tagged", "plain"])
def test_estimator(
    server: QuantumSystemServer, resource: QuantumResource, backend: QRMIBackend, plain: bool
) -> None:
    """Values are those of the ideal estimator within the precision asked for, and so shaped."""
    server.plain_results = plain
    circuit = efficient_su2(3, reps=1)
    isa = _isa(circuit, backend)
    operators = [
        SparsePauliOp.from_list(terms).apply_layout(isa.layout)
        for terms in ([("ZZI", 1.0), ("IXX", -0.5)], [("XIY", 2.0)])
    ]
    values = np.random.default_rng(5).uniform(0, 3, (4, 1, isa.num_parameters))
    pub = (isa, operators, values)
    found = EstimatorV2(resource).run([pub], precision=0.01).result()[0]
    wanted = StatevectorEstimator().run([pub]).result()[0]
    assert found.data.evs.shape == (4, 2)
    np.testing.assert_allclose(found.data.evs, wanted.data.evs, atol=0.08)


def test_a_circuit_that_does_not_use_the_last_qubits(
    resource: QuantumResource, backend: QRMIBackend
) -> None:
    """Observables are as wide as the system, whatever part of it the circuit names."""
    circuit = QuantumCircuit(1)
    circuit.x(0)
    isa = generate_preset_pass_manager(1, backend, initial_layout=[2]).run(circuit)
    observable = SparsePauliOp("Z").apply_layout(isa.layout)
    assert observable.num_qubits == backend.num_qubits
    found = EstimatorV2(resource).run([(isa, observable)], precision=0.01).result()[0]
    assert found.data.evs == pytest.approx(-1.0, abs=0.06)


def test_options_are_sent_as_they_are(
    server: QuantumSystemServer, resource: QuantumResource, backend: QRMIBackend
) -> None:
    """Whatever the service may know; this side does not judge."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    options = {"twirling": {"enable_gates": True}, "an_option_of_tomorrow": [1, None]}
    sampler = SamplerV2(resource, options={"run_options": options})
    sampler.run([_isa(circuit, backend)]).result()
    assert _inputs(server)[0]["options"] == options


def test_an_unchanged_circuit_is_written_once(
    server: QuantumSystemServer,
    resource: QuantumResource,
    backend: QRMIBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A variational loop pays for OpenQASM once; a circuit that did change is written again."""
    written = []
    inner = circuits.qasm3.dumps

    def counted(circuit: QuantumCircuit, **options: Any) -> str:
        written.append(circuit)
        return str(inner(circuit, **options))

    monkeypatch.setattr(circuits.qasm3, "dumps", counted)
    isa = _isa(efficient_su2(2, reps=1), backend)
    observable = SparsePauliOp("ZZ").apply_layout(isa.layout)
    estimator = EstimatorV2(resource)
    angles = np.zeros(isa.num_parameters)
    estimator.run([(isa, observable, angles)]).result()
    first = len(written)
    assert first >= 1
    for step in range(3):
        estimator.run([(isa, observable, angles + step)]).result()
    assert len(written) == first
    isa.x(0)
    found = estimator.run([(isa, observable, angles)], precision=0.01).result()[0]
    assert len(written) > first
    assert found.data.evs == pytest.approx(-1.0, abs=0.06)
    assert len({body["pubs"][0][0] for body in _inputs(server)}) == 2
