"""Qiskit's primitives on OQTOPUS, end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qrmi.errors import IsaError
from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2
from qrmi.qiskit import job as reopened


@pytest.fixture(params=["qulacs", "ring"])
def backend(request, make):
    return QRMIBackend(make(request.param))


@pytest.fixture
def circuit():
    angle = Parameter("angle")
    circuit = QuantumCircuit(3)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    circuit.cx(1, 2)
    return circuit


def test_sampler(backend, circuit):
    """A simulator, and a computer whose couplings want another layout."""
    measured = circuit.measure_all(inplace=False)
    isa = generate_preset_pass_manager(1, backend=backend, seed_transpiler=7).run(measured)
    result = SamplerV2(backend).run([(isa, [[0.0], [np.pi], [np.pi / 2]])], shots=100).result()
    counts = [result[0].data.meas.get_counts(index) for index in range(3)]
    assert counts[:2] == [{"000": 100}, {"111": 100}]
    assert set(counts[2]) == {"000", "111"}


def test_estimator(backend, circuit):
    """The service estimates; observables follow the layout."""
    isa = generate_preset_pass_manager(1, backend=backend, seed_transpiler=7).run(circuit)
    operator = SparsePauliOp.from_list([("IZZ", 1.0), ("XXX", 0.5), ("IIZ", 1.0)])
    observable = operator.apply_layout(isa.layout)
    estimator = EstimatorV2(backend)
    result = estimator.run([(isa, observable, [[0.3], [np.pi / 2]])], precision=0.02).result()
    exact = [1 + 0.5 * np.sin(0.3) + np.cos(0.3), 1.5]
    assert np.allclose(result[0].data.evs, exact, atol=0.15)
    assert (result[0].data.stds < 0.1).all()


def test_a_circuit_that_does_not_fit(make):
    """What the device lacks is refused before anything is sent."""
    circuit = QuantumCircuit(2)
    circuit.cx(1, 0)
    circuit.measure_all()
    with pytest.raises(IsaError, match="cx"):
        SamplerV2(QRMIBackend(make("ring"))).run([circuit])


def test_a_job_in_another_process(make, server):
    """The first task's id is enough to get the whole result again; options are forwarded."""
    resource = make()
    backend = QRMIBackend(resource)
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    options = {"run_options": {"description": "from a test"}}
    started = SamplerV2(backend, options=options).run([(circuit,)], shots=20)
    assert started.result()[0].data.meas.get_counts() == {"0": 20}
    again = reopened(started.job_id(), resource=resource)
    assert again.result()[0].data.meas.get_counts() == {"0": 20}
    submitted = next(r for r in server.requests if r.path.endswith("/submit"))
    assert json.loads(submitted.body)["description"].startswith("from a test")


def test_a_circuit_that_measures_nothing(make):
    """Its bits are 0, as everywhere in Qiskit."""
    result = SamplerV2(QRMIBackend(make("ring"))).run([QuantumCircuit(2, 3)], shots=6).result()
    assert result[0].data.c.get_counts() == {"000": 6}


def test_observables_on_qubits_that_the_circuit_does_not_use(make):
    """The program names them, so that the service knows them."""
    backend = QRMIBackend(make("ring"))
    circuit = QuantumCircuit(1)
    circuit.x(0)
    isa = generate_preset_pass_manager(1, backend=backend, initial_layout=[1]).run(circuit)
    result = EstimatorV2(backend).run([(isa, ["ZIII", "IIZI"])], precision=0.1).result()
    assert result[0].data.evs.tolist() == [1.0, -1.0]
