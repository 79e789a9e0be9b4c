"""Qiskit circuits as IQM's lists of native operations.

Source: iqm-client 36, ``CircuitOperation``: an operation has a ``name``, a ``locus`` of component
names, and ``args``: prx ``angle`` and ``phase`` in radians, measure ``key``, delay ``duration`` in
seconds, cc_prx also ``feedback_qubit`` and ``feedback_key``; cz, move, barrier and reset have none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, Gate, IfElseOp
from qiskit.synthesis import OneQubitEulerDecomposer

from qrmi.codecs.binding import registers
from qrmi.errors import InvalidInputError, IsaError
from qrmi_iqm.architecture import Architecture
from qrmi_iqm.resonators import Visits

__all__ = ["keys", "write_circuit"]

_HALF_TURN = math.pi
_QUARTER_TURN = math.pi / 2
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9, "ps": 1e-12, "dt": 1e-9}
_FEEDBACK_HINT = "one bit compared with 1, no else, and only rotations about axes in the XY plane"

_ROTATIONS: Mapping[str, Callable[[Sequence[Any]], tuple[float, float]]] = {
    "r": lambda params: (float(params[0]), float(params[1])),
    "rx": lambda params: (float(params[0]), 0.0),
    "ry": lambda params: (float(params[0]), _QUARTER_TURN),
    "x": lambda _params: (_HALF_TURN, 0.0),
    "y": lambda _params: (_HALF_TURN, _QUARTER_TURN),
}
"""Gates that are one prx: its angle and phase."""

_Operation = dict[str, Any]


def keys(held: Sequence[Sequence[Any]]) -> dict[int, str]:
    """The measurement key of each classical bit that is in a register, by the bit's index.

    Keys are ``{register}_{size}_{index of the register}_{bit of the register}``, as IQM's own
    Qiskit package writes and reads them. A bit in several registers goes by the first.

    Args:
        held: what `qrmi.codecs.binding.registers` says of the circuit.
    """
    found: dict[int, str] = {}
    for number, (name, size, places) in enumerate(held):
        for bit, place in enumerate(places):
            found.setdefault(place, f"{name}_{size}_{number}_{bit}")
    return found


def write_circuit(
    circuit: QuantumCircuit,
    architecture: Architecture,
    names: Mapping[int, str] | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """A circuit as it stands in a run request.

    Args:
        circuit: without unbound parameters; in the device's instructions, or other gates on one
            qubit, which become at most two rotations.
        architecture: of the device.
        names: component names by qubit number, instead of the architecture's.
        name: what the circuit is called; its own name by default.

    Raises:
        IsaError: an instruction that the device does not have.
        InvalidInputError: a parameter without a value, or a qubit number without a name.
    """
    operations = _Writer(circuit, architecture, names).operations()
    return {"name": name or circuit.name or "circuit", "instructions": operations}


class _Writer:
    """Writes one circuit."""

    def __init__(
        self,
        circuit: QuantumCircuit,
        architecture: Architecture,
        names: Mapping[int, str] | None,
    ) -> None:
        self._circuit = circuit
        self._architecture = architecture
        self._names = _names(circuit, architecture, names)
        self._keys = keys(registers(circuit))
        self._measured: dict[int, _Operation] = {}  # by classical bit, the latest
        self._overwritten = 0
        self._coming: Collection[str] = ()  # qubits of the instruction that have a cz next
        self._made: list[_Operation] = []
        self._rotations = OneQubitEulerDecomposer("RR")
        self._visits = Visits(architecture, self._append)

    def operations(self) -> list[_Operation]:
        place = dict(zip(self._circuit.qubits, self._names, strict=True))
        bits = {bit: number for number, bit in enumerate(self._circuit.clbits)}
        self._block(self._circuit, place, bits)
        self._visits.leave()
        return self._made

    def _block(
        self, block: QuantumCircuit, place: Mapping[Any, str], bits: Mapping[Clbit, int]
    ) -> None:
        restless = _restless(block, place) if self._architecture.loci("move") else None
        for number, item in enumerate(block.data):
            self._coming = restless[number] if restless else ()
            locus = [place[qubit] for qubit in item.qubits]
            held = [bits[bit] for bit in item.clbits]
            if item.name == "if_else":  # looking at the operation would make an object of each gate
                self._controlled(item.operation, locus, bits)
            else:
                self._instruction(item, locus, held)

    def _instruction(self, item: CircuitInstruction, locus: list[str], held: list[int]) -> None:
        write = _WRITERS.get(item.name)
        if item.name in _ROTATIONS:
            self._rotate(item, locus)
        elif write is not None:
            write(self, item, locus, held)
        elif isinstance(item.operation, Gate) and len(locus) == 1:
            self._approach(item, locus)
        else:
            raise _not_native(item.name, locus)

    def _add(self, name: str, locus: Sequence[str], **args: Any) -> _Operation:
        self._visits.leave(locus)
        return self._append(name, locus, **args)

    def _append(self, name: str, locus: Sequence[str], **args: Any) -> _Operation:
        operation = {"name": name, "locus": list(locus), "args": args}
        self._made.append(operation)
        return operation

    # --- one instruction each ---------------------------------------------------------------------

    def _rotate(self, item: CircuitInstruction, locus: list[str]) -> None:
        try:
            angle, phase = _ROTATIONS[item.name](item.params)
        except Exception as error:
            raise _no_value() from error
        if not math.isfinite(angle) or not math.isfinite(phase):
            raise InvalidInputError("angles must be finite numbers")
        self._add("prx", locus, angle=angle, phase=phase)

    def _approach(self, item: CircuitInstruction, locus: list[str]) -> None:
        """Any other gate on one qubit, by its matrix."""
        try:
            matrix = item.operation.to_matrix()
        except Exception as error:
            raise _no_value() from error
        for rotation in self._rotations(matrix).data:
            self._rotate(rotation, locus)

    def _cz(self, item: CircuitInstruction, locus: list[str], _held: list[int]) -> None:
        direct = self._architecture.loci("cz")
        for order in (tuple(locus), tuple(locus[::-1])):
            if order in direct:
                self._add("cz", order)
                return
        if not self._visits.meet(locus[0], locus[1], self._coming):
            raise _not_native(item.name, locus)

    def _measure(self, _item: CircuitInstruction, locus: list[str], held: list[int]) -> None:
        (bit,) = held
        key = self._keys.get(bit, f"loose_{bit}")
        earlier = self._measured.get(bit)
        if earlier is not None:  # keys are used once: the latest value is the one that counts
            self._rename(earlier, key)
        self._measured[bit] = self._add("measure", locus, key=key)

    def _rename(self, earlier: _Operation, key: str) -> None:
        self._overwritten += 1
        earlier["args"]["key"] = f"{key}:overwritten{self._overwritten}"

    def _delay(self, item: CircuitInstruction, locus: list[str], _held: list[int]) -> None:
        unit = item.operation.unit
        if unit not in _SECONDS:
            raise IsaError(f"a delay in {unit!r} cannot be written", hint="give delays in seconds")
        try:
            duration = float(item.params[0]) * _SECONDS[unit]
        except Exception as error:
            raise _no_value() from error
        self._add("delay", locus, duration=duration)

    def _plain(self, item: CircuitInstruction, locus: list[str], _held: list[int]) -> None:
        self._add(item.name, locus)

    def _nothing(self, _item: CircuitInstruction, _locus: list[str], _held: list[int]) -> None:
        """An identity takes no operation."""

    # --- feedback -----------------------------------------------------------------------------

    def _controlled(self, operation: IfElseOp, locus: list[str], bits: Mapping[Clbit, int]) -> None:
        measured = self._condition(operation, bits)
        body, otherwise = operation.blocks[0], operation.blocks[1:]
        if any(block is not None and len(block.data) for block in otherwise):
            raise IsaError("the device has no else", hint=_FEEDBACK_HINT)
        start = len(self._made)
        place = dict(zip(body.qubits, locus, strict=True))
        self._block(body, place, dict.fromkeys(body.clbits, -1))
        key = measured["args"].setdefault("feedback_key", f"feedback_{self._made.index(measured)}")
        for done in self._made[start:]:
            if done["name"] != "prx":
                raise IsaError(f"{done['name']} cannot be conditional", hint=_FEEDBACK_HINT)
            done["name"] = "cc_prx"
            done["args"] |= {"feedback_qubit": measured["locus"][0], "feedback_key": key}

    def _condition(self, operation: IfElseOp, bits: Mapping[Clbit, int]) -> _Operation:
        condition = operation.condition
        subject, value = condition if isinstance(condition, tuple) else (None, None)
        bit = subject[0] if subject is not None and not isinstance(subject, Clbit) else subject
        if bit is None or int(value) != 1 or (bit is not subject and len(subject) != 1):
            raise IsaError("the condition is more than the device can do", hint=_FEEDBACK_HINT)
        measured = self._measured.get(bits.get(bit, -1))
        if measured is None:
            raise IsaError("a condition on a bit that was not measured", hint=_FEEDBACK_HINT)
        return measured


_WRITERS: Mapping[str, Callable[[_Writer, CircuitInstruction, list[str], list[int]], None]] = {
    "cz": _Writer._cz,
    "measure": _Writer._measure,
    "delay": _Writer._delay,
    "barrier": _Writer._plain,
    "reset": _Writer._plain,
    "move": _Writer._plain,
    "id": _Writer._nothing,
}


def _no_value() -> InvalidInputError:
    """For whatever Qiskit raises of a parameter without a value."""
    return InvalidInputError(
        "a gate has no value that can be computed", hint="give all parameters values"
    )


def _names(
    circuit: QuantumCircuit, architecture: Architecture, names: Mapping[int, str] | None
) -> list[str]:
    chosen = dict(enumerate(architecture.index)) if names is None else names
    try:
        return [chosen[number] for number in range(circuit.num_qubits)]
    except KeyError as error:
        raise InvalidInputError(
            f"qubit {error.args[0]} of the circuit has no name on the device",
            hint=f"the device has {len(architecture.qubits)} qubits",
        ) from None


def _restless(block: QuantumCircuit, place: Mapping[Any, str]) -> list[set[str]]:
    """For each instruction, those of its qubits whose next instruction is a ``cz``."""
    found: list[set[str]] = []
    coming: dict[str, bool] = {}
    for item in reversed(block.data):
        names = [place[qubit] for qubit in item.qubits]
        found.append({name for name in names if coming.get(name)})
        coming |= dict.fromkeys(names, item.name == "cz")
    return found[::-1]


def _not_native(name: str, locus: Sequence[str]) -> IsaError:
    return IsaError(
        f"{name} on {', '.join(locus)} is not among the device's instructions",
        hint="translate the circuit first: "
        "generate_preset_pass_manager(optimization_level=1, backend=backend).run(circuit)",
    )
