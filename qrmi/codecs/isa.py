"""Whether a circuit is written in a device's own instructions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, ControlFlowOp, ParameterExpression
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.transpiler import Target

from qrmi.errors import IsaError

__all__ = ["check"]

_HINT = (
    "translate it first: generate_preset_pass_manager(optimization_level=1, backend=backend)"
    ".run(circuit)"
)
_ALWAYS = frozenset({"barrier", "store", "break_loop", "continue_loop"})
_ROUNDING = 1e-10


def check(circuit: QuantumCircuit, target: Target, values: BindingsArray | None = None) -> None:
    """Make sure that a device takes a circuit as it is.

    Looks into the bodies of control flow. Barriers and stores are always allowed. Angles are
    compared with the target's bounds, with room for rounding.

    Args:
        circuit: the circuit; qubit i is the device's qubit i.
        target: what the device can do.
        values: values of the circuit's parameters, to check parametrised angles too.

    Raises:
        IsaError: it has too many qubits, or an instruction that the device lacks there; the
            message names the first one.
    """
    if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
        raise IsaError(
            f"the circuit has {circuit.num_qubits} qubits, the device {target.num_qubits}",
            hint="use fewer qubits, or a larger device",
        )
    _check_block(circuit, tuple(range(circuit.num_qubits)), target, values)


def _check_block(
    circuit: QuantumCircuit,
    places: Sequence[int],
    target: Target,
    values: BindingsArray | None,
) -> None:
    """Check a circuit whose qubit i is the device's qubit ``places[i]``."""
    index = {qubit: places[position] for position, qubit in enumerate(circuit.qubits)}
    fine: set[tuple[str, tuple[int, ...]]] = set()  # whatever their angles are
    for item in circuit.data:
        name = item.name
        if name in _ALWAYS:
            continue
        qargs = tuple([index[qubit] for qubit in item.qubits])
        if (name, qargs) in fine:
            continue
        if item.is_control_flow():
            _check_control_flow(item, qargs, target, values)
        elif not target.instruction_supported(name, qargs):
            raise IsaError(_refusal(item, qargs, target), hint=_HINT)
        elif _has_bounds(name, target):
            _check_angles(item, qargs, target, values)
        else:
            fine.add((name, qargs))


def _check_control_flow(
    item: CircuitInstruction,
    qargs: tuple[int, ...],
    target: Target,
    values: BindingsArray | None,
) -> None:
    if item.name not in target.operation_names:
        raise IsaError(_refusal(item, qargs, target), hint=_HINT)
    operation = item.operation
    assert isinstance(operation, ControlFlowOp)
    for block in operation.blocks:
        _check_block(block, qargs, target, values)


def _has_bounds(name: str, target: Target) -> bool:
    has_bounds = getattr(target, "gate_has_angle_bounds", None)  # absent from older versions
    return has_bounds is not None and bool(has_bounds(name))


def _check_angles(
    item: CircuitInstruction,
    qargs: tuple[int, ...],
    target: Target,
    values: BindingsArray | None,
) -> None:
    for angles in _bound_angles(item, values):
        near = (angles + shift for shift in (0.0, -_ROUNDING, _ROUNDING))
        if not any(target.supported_angle_bound(item.name, list(row)) for row in near):
            written = ", ".join(f"{angle:.6g}" for angle in angles)
            raise IsaError(
                f"the device does not take {item.name}({written}) on {_qubits(qargs)}: "
                "the angle is out of its range",
                hint=_HINT,
            )


def _bound_angles(item: CircuitInstruction, values: BindingsArray | None) -> np.ndarray:
    """The angles that an instruction takes, one row for each binding."""
    if not any(isinstance(angle, ParameterExpression) for angle in item.params):
        return np.array([item.params], dtype=float)
    if values is None or not values.num_parameters:
        return np.empty((0, len(item.params)))
    names = [name for key in values.data for name in key]
    table = values.as_array(names).reshape(-1, len(names))
    rows = [[_bind(angle, names, row) for angle in item.params] for row in table]
    return np.array(rows, dtype=float).reshape(len(rows), len(item.params))


def _bind(angle: ParameterExpression | float, names: list[str], row: np.ndarray) -> float:
    if not isinstance(angle, ParameterExpression):
        return float(angle)
    given = dict(zip(names, row, strict=True))
    return float(angle.bind({p: given[p.name] for p in angle.parameters}).numeric())


def _qubits(qargs: tuple[int, ...]) -> str:
    noun = "qubit" if len(qargs) == 1 else "qubits"
    return f"{noun} {', '.join(map(str, qargs))}"


def _refusal(item: CircuitInstruction, qargs: tuple[int, ...], target: Target) -> str:
    if item.name not in target.operation_names:
        offered = ", ".join(sorted(target.operation_names))
        return f"the device has no {item.name} (used on {_qubits(qargs)}); it has {offered}"
    offered = (
        ", ".join(sorted(target.operation_names_for_qargs(qargs))) if _known(target, qargs) else ""
    )
    there = f"there it has {offered}" if offered else "there it has nothing"
    return f"the device has no {item.name} on {_qubits(qargs)}; {there}"


def _known(target: Target, qargs: tuple[int, ...]) -> bool:
    return qargs in (target.qargs or ())
