"""The embedded simulator through the handle, beside Aer called directly."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from benchmarks.measure import Row, interleaved
from qrmi.qiskit import EstimatorV2, SamplerV2

__all__ = ["run"]

SHOTS = 1024


def run() -> list[Row]:
    """A large job, a small job, and a variational loop."""
    return [_large(), _small(), _loop()]


def _layered(qubits: int, gates: int) -> QuantumCircuit:
    generator = np.random.default_rng(7)
    circuit = QuantumCircuit(qubits)
    for number in range(gates - qubits):
        first, second = generator.choice(qubits, 2, replace=False)
        if number % 2:
            circuit.cx(int(first), int(second))
        else:
            circuit.ry(float(generator.uniform(0, 3)), int(first))
    for qubit in range(qubits):
        circuit.rx(0.3 + qubit, qubit)
    circuit.measure_all()
    return circuit


def _sampling(circuit: QuantumCircuit) -> tuple[Callable[[], object], Callable[[], object]]:
    sampler, aer = SamplerV2(), AerSimulator()
    return (
        lambda: sampler.run([circuit], shots=SHOTS).result(),
        lambda: aer.run(circuit, shots=SHOTS, memory=True).result(),
    )


def _large() -> Row:
    ours, theirs = _sampling(_layered(20, 200))
    mine, raw, _ = interleaved(ours, theirs, rounds=15, warm_up=1)
    return Row(
        what="sampler, 20 qubits, 200 gates",
        value=f"{mine:.3f} s, ratio {mine / raw:.3f}",
        baseline=f"Aer directly {raw:.3f} s",
        limit="ratio 1.10",
        holds=mine / raw <= 1.10,
    )


def _small() -> Row:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    ours, theirs = _sampling(circuit)
    mine, raw, over = interleaved(ours, theirs, rounds=200, warm_up=10)
    return Row(
        what="sampler, 2 qubits, journal on",
        value=f"{mine * 1e3:.2f} ms, {over * 1e3:+.2f} ms",
        baseline=f"Aer directly {raw * 1e3:.2f} ms",
        limit="+5 ms",
        holds=over <= 5e-3,
    )


def _loop() -> Row:
    ansatz, observable = _ansatz(), SparsePauliOp(["ZZII", "IZZI", "IIZZ", "XIII"])
    measured = ansatz.copy()
    measured.save_expectation_value(observable, range(4), label="energy")
    estimator, aer = EstimatorV2(), AerSimulator()
    values = iter(np.random.default_rng(1).uniform(0, 6, (2000, ansatz.num_parameters)))

    def ours() -> object:
        return estimator.run([(ansatz, observable, next(values))], precision=0.0).result()[0].data

    def theirs() -> object:
        bound = measured.assign_parameters(next(values))
        return aer.run(bound).result().data()["energy"]

    mine, raw, over = interleaved(ours, theirs, rounds=300, warm_up=10)
    return Row(
        what="estimator, 4 qubits, each of 300 steps",
        value=f"{mine * 1e3:.2f} ms, {over * 1e3:+.2f} ms",
        baseline=f"Aer directly {raw * 1e3:.2f} ms",
        limit="+5 ms",
        holds=over <= 5e-3,
    )


def _ansatz() -> QuantumCircuit:
    angles = ParameterVector("a", 16)
    circuit = QuantumCircuit(4)
    for layer in range(4):
        for qubit in range(4):
            circuit.ry(angles[4 * layer + qubit], qubit)
        for qubit in range(3):
            circuit.cx(qubit, qubit + 1)
    return circuit
