"""OQTOPUS's device document as Qiskit's `Target`.

``basis_gates`` and ``supported_instructions`` name the instructions. The ``device_info`` of a
quantum computer has ``qubits`` and ``couplings`` (OQTOPUS's device topology: fidelities, durations
in ns, lifetimes in µs); without couplings every pair of qubits is coupled.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from qiskit.circuit import Delay, Instruction, Parameter, Reset
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

__all__ = ["target_of"]

_log = logging.getLogger(__name__)

_NANO, _MICRO = 1e-9, 1e-6
_SILENT = frozenset({"barrier"})  # always allowed

_Places = dict[tuple[int, ...], InstructionProperties | None] | None


def target_of(device: Mapping[str, Any]) -> Target:
    """What circuits have to fit: qubit i is the topology's qubit with id i."""
    info = device.get("device_info") or {}
    qubits = {int(qubit["id"]): qubit for qubit in info.get("qubits") or ()}
    couplings = info.get("couplings") or ()
    num_qubits = int(device["n_qubits"] or 1 + max(qubits, default=-1))
    target = Target(num_qubits=num_qubits, qubit_properties=_properties(qubits, num_qubits))
    for name, instruction in _instructions(device).items():
        places = _places(name, instruction, qubits, couplings)
        if places is None or places:
            target.add_instruction(instruction, places, name=name)
    return target


def _instructions(device: Mapping[str, Any]) -> dict[str, Instruction]:
    """The instructions that Qiskit knows; a device measures even if it does not say so."""
    standard = {
        **get_standard_gate_name_mapping(),
        "reset": Reset(),
        "delay": Delay(Parameter("t")),
    }
    listed = [*device["basis_gates"], *(device.get("supported_instructions") or ()), "measure"]
    names = [str(name) for name in dict.fromkeys(listed) if name not in _SILENT]
    for name in names:
        if name not in standard:
            _log.info("instruction %s of the device is not known here", name)
    return {name: standard[name] for name in names if name in standard}


def _places(
    name: str,
    instruction: Instruction,
    qubits: Mapping[int, Mapping[str, Any]],
    couplings: Any,
) -> _Places:
    """Where an instruction is allowed; ``None`` for everywhere."""
    if instruction.num_qubits == 1 and qubits:
        return {(index,): _on_qubit(name, qubit) for index, qubit in qubits.items()}
    if instruction.num_qubits == 2 and couplings:
        return {
            (int(pair["control"]), int(pair["target"])): _calibrated(name, pair)
            for pair in couplings
        }
    return None


def _on_qubit(name: str, qubit: Mapping[str, Any]) -> InstructionProperties | None:
    if name != "measure":
        return _calibrated(name, qubit)
    error = (qubit.get("meas_error") or {}).get("readout_assignment_error")
    return None if error is None else InstructionProperties(error=float(error))


def _calibrated(name: str, entry: Mapping[str, Any]) -> InstructionProperties | None:
    """A gate's duration, and the error of its qubit or pair; they are given for all gates alike."""
    duration = (entry.get("gate_duration") or {}).get(name)
    fidelity = entry.get("fidelity")
    if duration is None and fidelity is None:
        return None
    return InstructionProperties(
        duration=None if duration is None else float(duration) * _NANO,
        error=None if fidelity is None else min(max(1.0 - float(fidelity), 0.0), 1.0),
    )


def _properties(
    qubits: Mapping[int, Mapping[str, Any]], num_qubits: int
) -> list[QubitProperties] | None:
    if not qubits:
        return None
    lifetimes = [qubits.get(index, {}).get("qubit_lifetime") or {} for index in range(num_qubits)]
    return [
        QubitProperties(t1=_micro(times.get("t1")), t2=_micro(times.get("t2")))
        for times in lifetimes
    ]


def _micro(value: Any) -> float | None:
    return None if value is None else float(value) * _MICRO
