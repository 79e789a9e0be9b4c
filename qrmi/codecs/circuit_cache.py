"""Circuits that were written before, so that writing an unchanged one costs a comparison.

In a variational loop that is most of the work. An entry lives as long as its circuit, and is used
only while all that the text depends on is the same: a circuit may be changed at any time.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import attrs
from qiskit import QuantumCircuit
from qiskit.circuit import (
    Barrier,
    Delay,
    ForLoopOp,
    IfElseOp,
    Instruction,
    Measure,
    Reset,
    SwitchCaseOp,
    WhileLoopOp,
)

__all__ = ["CircuitCache", "fingerprint"]

_PLAIN = (Barrier, Delay, Measure, Reset)
_MOST_CHARACTERS = 64 * 2**20


@attrs.frozen(kw_only=True)
class _Entry:
    circuit: weakref.ref[QuantumCircuit]
    fingerprint: tuple[Any, ...]
    text: str


class CircuitCache:
    """The texts of circuits; threads may share it.

    Args:
        most_characters: how much text is kept for circuits that still exist; the circuits that
            were not used for the longest time are dropped first.
    """

    def __init__(self, most_characters: int = _MOST_CHARACTERS) -> None:
        self._most = most_characters
        self._size = 0
        self._entries: OrderedDict[tuple[int, Hashable], _Entry] = OrderedDict()
        # Circuits may be collected, and their entries dropped, while this thread holds it.
        self._lock = threading.RLock()

    def get(self, circuit: QuantumCircuit, form: Hashable, write: Callable[[], str]) -> str:
        """The text of a circuit: kept from before, or written now.

        Args:
            circuit: the circuit.
            form: all that the text depends on besides the circuit.
            write: writes the circuit.
        """
        found = fingerprint(circuit)
        if found is None:
            return write()
        key = (id(circuit), form)
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.fingerprint == found:
                self._entries.move_to_end(key)
                return entry.text
        text = write()
        reference = weakref.ref(circuit, lambda gone: self._drop(key, gone))
        self._keep(key, _Entry(circuit=reference, fingerprint=found, text=text))
        return text

    def _keep(self, key: tuple[int, Hashable], entry: _Entry) -> None:
        with self._lock:
            self._drop(key)
            self._entries[key] = entry
            self._size += len(entry.text)
            while self._size > self._most:
                self._drop(next(iter(self._entries)))

    def _drop(self, key: tuple[int, Hashable], gone: object = None) -> None:
        """Forget an entry; if a circuit is gone, only when the entry is still that circuit's."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and gone in (None, entry.circuit):
                self._size -= len(entry.text)
                del self._entries[key]


def fingerprint(circuit: QuantumCircuit) -> tuple[Any, ...] | None:
    """All that the text of a circuit depends on, or ``None`` when that cannot be told cheaply.

    Two circuits with equal fingerprints have the same text, whatever object they are: an
    identity that Python used again can do no harm. Operations that are Python objects and could
    be changed in place (unitaries, custom gates) have no fingerprint.
    """
    if circuit.num_vars or circuit.num_stretches:
        return None
    instructions: list[Any] = []
    for item in circuit.data:
        detail: Any = None
        params = item.params
        if not item.is_standard_gate():
            operation = item.operation
            if isinstance(operation, _PLAIN):
                detail = getattr(operation, "unit", None)
            else:
                detail, params = _control_flow(operation), ()
                if detail is None:
                    return None
        instructions.append((item.name, *params, item.label, detail, item.qubits, item.clbits))
    metadata = json.dumps(circuit.metadata, default=repr) if circuit.metadata else None
    # The layout is compared by identity: Qiskit replaces it and never edits it.
    return (
        type(circuit),
        circuit.name,
        circuit.global_phase,
        metadata,
        _Same(circuit.layout),
        circuit.qregs[:],
        circuit.cregs[:],
        circuit.qubits,
        circuit.clbits,
        instructions,
    )


_CONTROL: dict[type[Instruction], Callable[[Any], tuple[Any, ...]]] = {
    IfElseOp: lambda operation: (operation.condition,),
    WhileLoopOp: lambda operation: (operation.condition,),
    SwitchCaseOp: lambda operation: (operation.target, [c for c, _ in operation.cases_specifier()]),
    ForLoopOp: lambda operation: operation.params[:2],
}
"""What control flow depends on besides its blocks."""


def _control_flow(operation: Instruction) -> tuple[Any, ...] | None:
    read = _CONTROL.get(type(operation))
    if read is None:
        return None
    blocks = [fingerprint(block) for block in operation.blocks]
    return None if None in blocks else (type(operation), *read(operation), *blocks)


class _Same:
    """Equal to another only if both hold the same object."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]
