"""A `Target` as IBM's configuration and properties; the inverse of `qrmi.codecs.target`."""

from __future__ import annotations

from typing import Any

from qiskit.circuit.controlflow import get_control_flow_name_mapping
from qiskit.transpiler import InstructionProperties, Target

from qrmi.codecs.target_form import NON_UNITARY, RZZ_BOUNDS, TIMING, UNITS
from qrmi.errors import InvalidInputError

__all__ = ["write_target"]

_DATE = "2026-01-01T00:00:00Z"


def write_target(target: Target, name: str) -> dict[str, Any]:
    """Describe a `Target` as configuration and properties.

    `from_configuration` of it has the same instruction names, qubits, errors, durations and qubit
    properties. Gates that are not Qiskit's standard ones keep name and width only.

    Args:
        target: a target with a number of qubits.
        name: the backend's name.

    Returns:
        ``{"configuration": ..., "properties": ...}``, ready for JSON.

    Raises:
        InvalidInputError: the target does not say how many qubits it has.
    """
    if not target.num_qubits:
        raise InvalidInputError("the target does not say how many qubits it has")
    gates = [_write_gate(target, operation) for operation in target.operation_names]
    fixed = [gate for gate in gates if gate["name"] not in get_control_flow_name_mapping()]
    configuration = {
        "backend_name": name,
        "backend_version": "1.0.0",
        "online_date": _DATE,
        "n_qubits": target.num_qubits,
        "basis_gates": [gate["name"] for gate in fixed if gate["name"] not in NON_UNITARY],
        "gates": fixed,
        "coupling_map": _coupling(target),
        "supported_instructions": sorted(target.operation_names),
        "angle_bounds": {"rzz": RZZ_BOUNDS} if _bounded(target) else {},
        "timing_constraints": {key: getattr(target, key) for key in TIMING},
        "local": True,
        "simulator": False,
        "conditional": False,
        "open_pulse": False,
        "memory": True,
        "max_shots": 1_000_000,
    }
    if target.dt is not None:
        configuration["dt"] = target.dt * 1e9
    return {"configuration": configuration, "properties": _write_properties(target, name)}


def _bounded(target: Target) -> bool:
    has_bounds = getattr(target, "gate_has_angle_bounds", None)
    return bool(has_bounds and "rzz" in target and has_bounds("rzz"))


def _places(target: Target, name: str) -> list[tuple[int, ...]] | None:
    qargs = target[name]
    if qargs is None or None in qargs:
        return None
    return sorted(qargs)


def _write_gate(target: Target, name: str) -> dict[str, Any]:
    operation = target.operation_from_name(name)
    if isinstance(operation, type):  # control flow, of any width
        return {"name": name}
    places = _places(target, name)
    return {
        "name": name,
        "num_qubits": operation.num_qubits,
        "parameters": [str(parameter) for parameter in operation.params],
        "qasm_def": "",
        "coupling_map": None if places is None else [list(place) for place in places],
    }


def _coupling(target: Target) -> list[list[int]] | None:
    """The pairs that some two-qubit gate acts on; ``None`` when every pair will do."""
    pairs: set[tuple[int, ...]] = set()
    for name in target.operation_names:
        operation = target.operation_from_name(name)
        if isinstance(operation, type) or operation.num_qubits != 2:
            continue
        places = _places(target, name)
        if places is None:
            return None
        pairs.update(places)
    return [list(pair) for pair in sorted(pairs)]


def _write_properties(target: Target, name: str) -> dict[str, Any] | None:
    qubits = [_write_qubit(target, index) for index in range(target.num_qubits)]
    gates = [
        {
            "gate": operation,
            "name": operation + "_".join(map(str, place)),
            "qubits": list(place),
            "parameters": entries,
        }
        for operation in target.operation_names
        if operation != "measure"
        for place in _places(target, operation) or ()
        if (entries := _write_instruction(target[operation][place], "gate_error", "gate_length"))
    ]
    if not gates and not any(qubits):
        return None
    return {
        "backend_name": name,
        "backend_version": "1.0.0",
        "last_update_date": _DATE,
        "qubits": qubits,
        "gates": gates,
        "general": [],
    }


def _entry(name: str, value: float | None, unit: str) -> list[dict[str, Any]]:
    if value is None:
        return []
    return [{"name": name, "value": value / UNITS[unit], "unit": unit, "date": _DATE}]


def _write_instruction(
    properties: InstructionProperties | None, error: str, duration: str
) -> list[dict[str, Any]]:
    if properties is None:
        return []
    return _entry(error, properties.error, "") + _entry(duration, properties.duration, "ns")


def _write_qubit(target: Target, index: int) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    known = target.qubit_properties
    if known and index < len(known) and known[index] is not None:
        qubit = known[index]
        entries += _entry("T1", qubit.t1, "us") + _entry("T2", qubit.t2, "us")
        entries += _entry("frequency", qubit.frequency, "GHz")
    if "measure" in target.operation_names and _places(target, "measure") is not None:
        measure = target["measure"].get((index,))
        entries += _write_instruction(measure, "readout_error", "readout_length")
    return entries
