"""Circuits as text: tagged QPY or OpenQASM 3, and back.

Encoding a circuit that has not changed since it was encoded last costs a comparison instead of a
serialisation, which is most of the work in a variational loop.
"""

from __future__ import annotations

import json
import re
import threading
from collections import OrderedDict
from typing import Any, Literal

import attrs
from qiskit import QuantumCircuit, qasm3
from qiskit.circuit import Barrier, Delay, Measure, Reset

from qrmi.codecs import tagged
from qrmi.errors import InvalidInputError, MissingExtraError, QrmiError

__all__ = ["CircuitForm", "decode", "encode", "parameter_names"]

CircuitForm = Literal["qpy", "qasm3"]
"""How a circuit is written."""

_CACHE_SIZE = 8
_PLAIN = (Barrier, Delay, Measure, Reset)
_INPUT = re.compile(r"^\s*input\s+\w+\s*(?:\[\s*\d+\s*\])?\s*(\w+)\s*;", re.MULTILINE)


def encode(circuit: QuantumCircuit, *, form: CircuitForm, qpy_version: int) -> Any:
    """Write a circuit as it stands in a pub: tagged QPY, or OpenQASM 3 text.

    Raises:
        InvalidInputError: the form cannot hold this circuit.
    """
    if form not in ("qpy", "qasm3"):
        raise InvalidInputError(f"circuits are written as qpy or qasm3, not {form!r}")
    text = _CACHE.text(circuit, form, qpy_version)
    return text if form == "qasm3" else {"__type__": "QuantumCircuit", "__value__": text}


def decode(value: Any) -> QuantumCircuit:
    """Read what `encode` writes.

    Raises:
        InvalidInputError: it is neither a tagged circuit nor OpenQASM 3 that can be read.
        MissingExtraError: it is OpenQASM 3 and qiskit-qasm3-import is not installed.
    """
    if isinstance(value, str):
        return _from_qasm3(value)
    if isinstance(value, dict) and value.get("__type__") == "QuantumCircuit":
        return tagged.decode_circuit(value.get("__value__"))  # type: ignore[arg-type]
    raise InvalidInputError("a circuit is tagged QPY or OpenQASM 3 text")


def parameter_names(value: Any, circuit: QuantumCircuit) -> list[str]:
    """The names that the columns of a pub's parameter array stand for, in order.

    For QPY this is the order of ``circuit.parameters``. For OpenQASM 3 it is the order of the
    ``input`` declarations, which differs when Qiskit sorts the names in another way (the elements
    of a vector, say); inputs that the program never uses are among them.
    """
    if isinstance(value, str):
        names: list[str] = _INPUT.findall(value)
        if {parameter.name for parameter in circuit.parameters} <= set(names):
            return names
    return [parameter.name for parameter in circuit.parameters]


def _to_qasm3(circuit: QuantumCircuit) -> str:
    try:
        # The options are those of the upstream library (PROTOCOLS section 12.1).
        text: str = qasm3.dumps(
            circuit,
            disable_constants=True,
            allow_aliasing=True,
            experimental=qasm3.ExperimentalFeatures.SWITCH_CASE_V1,
        )
    except Exception as error:
        raise InvalidInputError(
            f"circuit {circuit.name[:60]!r} cannot be written as OpenQASM 3: {error}"
        ) from error
    return text


def _from_qasm3(text: str) -> QuantumCircuit:
    try:
        return qasm3.loads(text)
    except ImportError as error:
        raise MissingExtraError(
            "reading OpenQASM 3 needs qiskit-qasm3-import",
            hint="pip install 'openqrmi[qiskit]'",
        ) from error
    except QrmiError:
        raise
    except Exception as error:
        raise InvalidInputError(f"OpenQASM 3 cannot be read: {error}") from error


@attrs.frozen
class _Entry:
    fingerprint: tuple[Any, ...]
    text: str


class _Cache:
    """The texts of the circuits encoded last; threads may share it."""

    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[int, str, int], _Entry] = OrderedDict()
        self._lock = threading.Lock()

    def text(self, circuit: QuantumCircuit, form: str, qpy_version: int) -> str:
        fingerprint = _fingerprint(circuit)
        key = (id(circuit), form, qpy_version)
        with self._lock:
            entry = self._entries.get(key)
        if entry and fingerprint is not None and entry.fingerprint == fingerprint:
            return entry.text
        if form == "qasm3":
            text = _to_qasm3(circuit)
        else:
            text = tagged.encode_circuit(circuit, qpy_version=qpy_version)
        if fingerprint is not None:
            with self._lock:
                self._entries[key] = _Entry(fingerprint, text)
                self._entries.move_to_end(key)
                while len(self._entries) > _CACHE_SIZE:
                    self._entries.popitem(last=False)
        return text


_CACHE = _Cache()


def _fingerprint(circuit: QuantumCircuit) -> tuple[Any, ...] | None:
    """All that the text of a circuit depends on, or ``None`` when that cannot be told cheaply.

    Two circuits with equal fingerprints have the same text, whatever object they are: an
    identity that Python used again can do no harm. Operations that are Python objects and could
    be changed in place (control flow, unitaries, custom gates) have no fingerprint.
    """
    if circuit.num_vars or circuit.num_stretches:
        return None
    instructions: list[Any] = []
    for item in circuit.data:
        unit = None
        if not item.is_standard_gate():
            operation = item.operation
            if not isinstance(operation, _PLAIN):
                return None
            unit = getattr(operation, "unit", None)
        instructions.append((item.name, *item.params, item.label, unit, item.qubits, item.clbits))
    metadata = json.dumps(circuit.metadata, default=repr) if circuit.metadata else None
    # The layout is compared by identity: Qiskit replaces it and never edits it.
    return (
        type(circuit),
        circuit.name,
        circuit.global_phase,
        metadata,
        _Same(circuit.layout),
        circuit.qregs,
        circuit.cregs,
        circuit.qubits,
        circuit.clbits,
        instructions,
    )


class _Same:
    """Equal to another only if both hold the same object."""

    def __init__(self, value: object) -> None:
        self._value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._value is other._value

    __hash__ = None  # type: ignore[assignment]
