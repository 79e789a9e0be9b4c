"""Estimators by measurement: with a device's noise, and for circuits that measure on the way.

Terms that agree on every qubit in the basis they are measured in form a group and share shots
(Z with 0 and 1, X with + and -, Y with r and l). A shot's value of an observable is the sum over
the group's terms; its spread gives the standard error, in which the terms' correlations are in.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache

import attrs
import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparseObservable
from qiskit.transpiler import StagedPassManager, Target, generate_preset_pass_manager

from qrmi.codecs import bits
from qrmi.errors import InvalidInputError, IsaError
from qrmi_local.gates.aer import Experiment, simulate
from qrmi_local.gates.circuits import Prepared, prepare
from qrmi_local.gates.device import GateDevice
from qrmi_local.gates.estimator import pair_up, pub_result

__all__ = ["estimate_by_measuring"]

_PRECISION = 1 / 64
_BASIS = {"Z": "Z", "0": "Z", "1": "Z", "X": "X", "+": "X", "-": "X", "Y": "Y", "r": "Y", "l": "Y"}
# What a term's factor is worth when its qubit is measured as 0 and as 1.
_WORTH = {
    **dict.fromkeys("XYZ", (1.0, -1.0)),
    **dict.fromkeys("0+r", (1.0, 0.0)),
    **dict.fromkeys("1-l", (0.0, 1.0)),
}

_Term = tuple[float, tuple[tuple[int, str], ...]]


@attrs.frozen(kw_only=True, eq=False)
class _Group:
    """Terms measured together.

    Attributes:
        basis: the basis of each measured qubit.
        terms: the column of the observable, the coefficient and the factors of each term.
    """

    basis: dict[int, str] = attrs.field(factory=dict)
    terms: list[tuple[int, _Term]] = attrs.field(factory=list)


def estimate_by_measuring(
    pub: EstimatorPub, device: GateDevice, rng: np.random.Generator
) -> PubResult:
    """Run one pub with ``ceil(1 / precision**2)`` shots for each group of terms.

    Raises:
        InvalidInputError: the precision is zero or takes more shots than the device allows, or
            Aer cannot run the circuit.
        IsaError: the imitated device cannot measure an observable's qubits.
    """
    precision = _PRECISION if pub.precision is None else float(pub.precision)
    if precision <= 0:
        raise InvalidInputError(
            "this circuit's values come from measurements, which cannot have a precision of 0",
            hint="ask for a precision above 0, such as 0.01",
        )
    shots = math.ceil(1 / precision**2)
    device.check_shots(shots)
    pairs = pair_up(pub)
    means = np.zeros((len(pairs.values), len(pairs.observables)))
    variances = np.zeros_like(means)
    prepared = prepare(device.with_delays(pub.circuit))
    for positions, runs in pairs.groups().items():
        groups = _group([pairs.observables[position] for position in positions])
        values = pairs.values[runs]
        measured = _measure(prepared, groups, values, device, shots, rng)
        for group, samples in zip(groups, measured, strict=True):
            for row, packed in zip(runs, samples, strict=True):
                mean, variance = _evaluate(group, packed, len(positions))
                means[row, positions] += mean
                variances[row, positions] += variance
    evs = means[pairs.run, pairs.observable]
    stds = np.sqrt(variances[pairs.run, pairs.observable])
    return pub_result(pub, evs, stds, precision)


def _group(observables: Sequence[SparseObservable]) -> list[_Group]:
    groups: list[_Group] = []
    for column, observable in enumerate(observables):
        for factors, qubits, coefficient in observable.to_sparse_list():
            term = tuple(zip(qubits, factors, strict=True))
            group = next((group for group in groups if _fits(term, group.basis)), None)
            if group is None:
                group = _Group()
                groups.append(group)
            group.basis.update({qubit: _BASIS[factor] for qubit, factor in term})
            group.terms.append((column, (float(np.real(coefficient)), term)))
    return groups


def _fits(term: Sequence[tuple[int, str]], basis: dict[int, str]) -> bool:
    return all(basis.get(qubit, _BASIS[factor]) == _BASIS[factor] for qubit, factor in term)


def _measure(
    prepared: Prepared,
    groups: Sequence[_Group],
    values: NDArray[np.float64],
    device: GateDevice,
    shots: int,
    rng: np.random.Generator,
) -> Iterator[list[NDArray[np.uint8]]]:
    """For each group and each row of values the packed outcomes, bit i the i-th qubit measured."""
    circuits = [_with_measurement(prepared.circuit, group.basis, device) for group in groups]
    experiments = [
        Experiment(prepared=prepared, circuit=circuit, values=values) for circuit in circuits
    ]
    noise = device.noise_model(circuits)
    data = simulate(experiments, rng=rng, shots=shots, memory=True, noise=noise)
    for group, circuit, runs in zip(groups, circuits, data, strict=True):
        first = prepared.circuit.num_clbits
        wanted = range(first, first + len(group.basis))
        width = circuit.num_clbits
        yield [
            bits.take(bits.pack_hex(run.memory, width), wanted)
            if wanted
            else np.zeros((shots, 0), dtype=np.uint8)
            for run in runs
        ]


def _with_measurement(
    circuit: QuantumCircuit, basis: dict[int, str], device: GateDevice
) -> QuantumCircuit:
    """The circuit, followed by a measurement of each qubit in its basis."""
    measured = circuit.copy()
    if not basis:
        return measured
    register = ClassicalRegister(len(basis))
    measured.add_register(register)
    rotation = QuantumCircuit(circuit.num_qubits)
    for qubit, axis in basis.items():
        if axis == "Y":
            rotation.sdg(qubit)
        if axis != "Z":
            rotation.h(qubit)
    measured.compose(_native(rotation, device.target), inplace=True)
    measured.barrier()
    for clbit, qubit in zip(register, basis, strict=True):
        measured.measure(qubit, clbit)
    device.check(measured)
    return measured


def _native(circuit: QuantumCircuit, target: Target | None) -> QuantumCircuit:
    """Rotations of single qubits in the device's own gates."""
    if target is None or not circuit.data:
        return circuit
    try:
        return _passes(target).run(circuit)
    except Exception as error:
        raise IsaError(f"the device cannot measure in the basis of X or Y: {error}") from error


@lru_cache(maxsize=4)
def _passes(target: Target) -> StagedPassManager:
    layout = list(range(target.num_qubits))
    return generate_preset_pass_manager(1, target=target, initial_layout=layout)


def _evaluate(
    group: _Group, packed: NDArray[np.uint8], columns: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and its variance of what a group adds to each observable."""
    outcomes = bits.unpack(packed, len(group.basis))
    column_of = {qubit: index for index, qubit in enumerate(group.basis)}
    shots = len(outcomes)
    samples = np.zeros((columns, shots))
    for column, (coefficient, term) in group.terms:
        value = np.full(shots, coefficient)
        for qubit, factor in term:
            value *= np.asarray(_WORTH[factor])[outcomes[:, column_of[qubit]]]
        samples[column] += value
    spread = samples.var(axis=1, ddof=1) if shots > 1 else np.zeros(columns)
    return samples.mean(axis=1), spread / shots
