"""Qiskit's primitives on Felis, end to end."""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2
from qrmi.qiskit import job as reopened


def test_sampler(make, server):
    """A Bell pair with three angles: three jobs, one result of the pub's shape."""
    backend = QRMIBackend(make())
    angle = Parameter("angle")
    circuit = QuantumCircuit(2)
    circuit.ry(angle, 0)
    circuit.cx(0, 1)
    circuit.measure_all()
    isa = generate_preset_pass_manager(1, backend=backend).run(circuit)
    result = SamplerV2(backend).run([(isa, [[0.0], [np.pi], [np.pi / 2]])], shots=100).result()
    counts = [result[0].data.meas.get_counts(index) for index in range(3)]
    assert counts[:2] == [{"00": 100}, {"11": 100}]
    assert set(counts[2]) == {"00", "11"}
    assert sum(server.executions.values()) == 3


def test_estimator_on_cats(make):
    """A GHZ state of cats: X by their own measurement, Z as always."""
    backend = QRMIBackend(make("ab_emu_40q_physical_cats"))
    circuit = QuantumCircuit(3)
    circuit.initialize("+", 0)
    circuit.cx(0, 1)
    circuit.cx(0, 2)
    isa = generate_preset_pass_manager(1, backend=backend).run(circuit)
    observables = [
        SparsePauliOp(text).apply_layout(isa.layout) for text in ("XXX", "IZZ", "ZZI", "IIZ")
    ]
    estimator = EstimatorV2(backend, options={"run_options": {"average_nb_photons": 16}})
    data = estimator.run([(isa, observables)], precision=0.05).result()[0].data
    assert np.allclose(data.evs, [1, 1, 1, 0], atol=0.3)


def test_a_job_in_another_process(make, monkeypatch):
    """The first task's id is enough to get the whole result again."""
    resource = make()
    backend = QRMIBackend(resource)
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.h(0)
    circuit.measure_all()
    started = SamplerV2(backend).run([(circuit,)], shots=20)
    assert started.result()[0].data.meas.get_counts() == {"0": 20}
    again = reopened(started.job_id(), resource=resource)
    assert again.result()[0].data.meas.get_counts() == {"0": 20}


def test_a_circuit_that_measures_nothing(make):
    """Its bits are 0, as everywhere in Qiskit."""
    result = SamplerV2(QRMIBackend(make())).run([QuantumCircuit(2, 3)], shots=6).result()
    assert result[0].data.c.get_counts() == {"000": 6}
