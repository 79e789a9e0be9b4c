"""The noise of an imitated device, from the figures in its `Target`.

A gate's error is the relaxation of its qubits (T1, T2) during its duration, followed by as much
depolarisation as it takes to reach the gate's average error. A measurement flips its outcome with
the probability that the target gives as its error, or, where IBM's properties tell them apart,
with one for each outcome.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Delay
from qiskit.transpiler import PassManager, Target
from qiskit_aer.noise import NoiseModel, ReadoutError, RelaxationNoisePass
from qiskit_aer.noise.device import basic_device_gate_errors

from qrmi_local.gates.circuits import Use

__all__ = ["Flips", "has_noise", "noise_model", "read_flips", "relax_delays"]

Flips = Mapping[int, tuple[float, float]]
"""By qubit, the chances to read 1 when it is 0, and 0 when it is 1."""

_FLIPS = ("prob_meas1_prep0", "prob_meas0_prep1")


def has_noise(target: Target) -> bool:
    """Whether the target gives any figure that makes results noisy."""
    relaxes = any(
        qubit is not None and (qubit.t1 or qubit.t2) for qubit in target.qubit_properties or ()
    )
    return any(
        entry is not None and (entry.error or (relaxes and entry.duration))
        for name in target.operation_names
        for entry in (target[name] or {}).values()
    )


def read_flips(properties: Mapping[str, Any] | None) -> Flips:
    """The readout errors in IBM's properties that differ between outcomes.

    Args:
        properties: such that a `Target` could be made of them, or ``None``.
    """
    found: dict[int, tuple[float, float]] = {}
    for qubit, entries in enumerate((properties or {}).get("qubits") or ()):
        values = {entry["name"]: entry.get("value") for entry in entries}
        up, down = (values.get(name) for name in _FLIPS)
        if _is_chance(up) and _is_chance(down):
            found[qubit] = (up, down)
    return found


def _is_chance(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and 0 <= value <= 1


def noise_model(target: Target, uses: Iterable[Use], flips: Flips) -> NoiseModel:
    """The noise of the given instructions on the given qubits.

    ``flips`` come before the errors that the target gives to measurements.
    """
    model = NoiseModel(basis_gates=list(target.operation_names))
    gates = Target(
        num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties
    )
    places: dict[str, dict[tuple[int, ...], object]] = {}
    for name, qubits in sorted(uses):
        if name not in target.operation_names:
            continue
        entry = (target[name] or {}).get(qubits)
        if entry is None:
            continue
        if name == "measure":
            error = entry.error or 0.0
            _add_readout(model, qubits, flips.get(qubits[0], (error, error)))
        else:
            places.setdefault(name, {})[qubits] = entry
    for name, entries in places.items():
        gates.add_instruction(target.operation_from_name(name), entries, name=name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = basic_device_gate_errors(
            target=gates, thermal_relaxation=bool(target.qubit_properties)
        )
    for name, qubits, error in errors:
        model.add_quantum_error(error, name, qubits, warnings=False)
    return model


def relax_delays(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    """Put the relaxation of idle qubits behind each delay of a circuit."""
    qubits = [qubit for qubit in target.qubit_properties or () if qubit is not None]
    if len(qubits) < circuit.num_qubits:
        return circuit
    t1s = [qubit.t1 or np.inf for qubit in qubits]
    t2s = [min(qubit.t2 or np.inf, 2 * t1) for qubit, t1 in zip(qubits, t1s, strict=True)]
    relax = RelaxationNoisePass(t1s=t1s, t2s=t2s, dt=target.dt, op_types=Delay, target=target)
    return PassManager([relax]).run(circuit)


def _add_readout(model: NoiseModel, qubits: tuple[int, ...], flips: tuple[float, float]) -> None:
    if any(flips):
        up, down = flips
        model.add_readout_error(ReadoutError([[1 - up, up], [down, 1 - down]]), qubits)
