"""Whether two payloads hold the same program, though their bytes differ.

Qiskit numbers circuits without a name through the life of a process, and gives each parameter a
random identifier, so the same program is other bytes in each run.
"""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

from qiskit import QuantumCircuit, qpy

from qrmi.codecs.tagged import decode_circuit
from qrmi.payloads import Payload, QiskitPrimitive

__all__ = ["comparable"]


def comparable(payload: Payload) -> str:
    """A text that is equal for equal programs, whatever their circuits are called.

    Raises:
        InvalidInputError: a circuit cannot be read.
        ValueError: the payload is not JSON.
    """
    assert isinstance(payload, QiskitPrimitive)  # the codec's format has no other class
    data = json.loads(payload.input, object_hook=_without_names)
    return f"{payload.program_id} {json.dumps(data, sort_keys=True)}"


def _without_names(data: dict[str, Any]) -> dict[str, Any]:
    if data.get("__type__") != "QuantumCircuit":
        return data
    return {"circuit": _fingerprint(decode_circuit(str(data.get("__value__"))))}


def _fingerprint(circuit: QuantumCircuit) -> str:
    """SHA-256 of a circuit's QPY without its name, and with parameters known by theirs.

    Its layout tells where its qubits come from, not what is run; Qiskit writes it in an order that
    differs from one process to the next.
    """
    circuit.name = ""
    circuit._layout = None  # there is no public way to take it out
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer)
    data = buffer.getvalue()
    for parameter in circuit.parameters:
        named = hashlib.sha256(parameter.name.encode()).digest()[:16]
        data = data.replace(parameter.uuid.bytes, named)
    return hashlib.sha256(data).hexdigest()
