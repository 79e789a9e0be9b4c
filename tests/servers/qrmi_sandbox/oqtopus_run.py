"""Jobs of the OQTOPUS sandbox: OpenQASM 3 on Aer.

Qiskit is imported with this module: Qiskit 2.6 crashes when it is first imported in a thread that
ends before another uses it.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from qiskit import ClassicalRegister, QuantumCircuit, qasm3
from qiskit_aer import AerSimulator

__all__ = ["JobError", "run_job"]

_SPARSE = re.compile(r"([IXYZ]) *(\d+)")
_ALWAYS = frozenset({"barrier", "measure"})


class JobError(Exception):
    """The job cannot be run; the message is for its user."""


def run_job(
    kind: str, content: Mapping[str, Any], request: Mapping[str, Any], device: Mapping[str, Any]
) -> dict[str, Any]:
    """Run a job and return its result file.

    Raises:
        JobError: it cannot be run.
    """
    circuits = [_read(program) for program in content.get("program") or ()]
    if request["transpiler_info"].get("transpiler_lib", "") is None:
        for circuit in circuits:
            _check(circuit, device)
    shots = request["shots"]
    if kind == "sampling":
        return {"sampling": {"counts": _counts(circuits[0], shots), "divided_counts": None}}
    if kind == "multi_manual":
        return {"sampling": _combined(circuits, shots)}
    if kind == "estimation":
        return {"estimation": _estimated(circuits[0], content["operator"], shots)}
    raise JobError(f"jobs of type {kind} are not emulated")


def _read(program: str) -> Any:
    try:
        return qasm3.loads(program)
    except Exception as error:
        raise JobError(f"the program cannot be read: {str(error)[:200]}") from error


def _check(circuit: Any, device: Mapping[str, Any]) -> None:
    """Without the service's transpiler a circuit has to fit the device."""
    if circuit.num_qubits > device["n_qubits"]:
        raise JobError(f"the device has {device['n_qubits']} qubits")
    info = json.loads(device.get("device_info") or "{}")
    pairs = {(pair["control"], pair["target"]) for pair in info.get("couplings", ())}
    allowed = {*device["basis_gates"], *device["supported_instructions"], *_ALWAYS}
    for item in circuit.data:
        places = tuple(circuit.find_bit(qubit).index for qubit in item.qubits)
        if item.name not in allowed:
            raise JobError(f"the device has no gate {item.name}")
        if item.name not in _ALWAYS and len(places) == 2 and pairs and places not in pairs:
            raise JobError(f"the device does not couple {places}")


def _counts(circuit: Any, shots: int) -> dict[str, int]:
    if "measure" not in circuit.count_ops():
        raise JobError("the program measures nothing")
    counts = AerSimulator().run(_narrow(circuit), shots=shots).result().get_counts()
    return {bits.replace(" ", ""): count for bits, count in counts.items()}


def _narrow(circuit: Any) -> Any:
    """The circuit on the qubits that it uses."""
    used = [qubit for qubit in circuit.qubits if any(qubit in i.qubits for i in circuit.data)]
    place = {qubit: index for index, qubit in enumerate(used)}
    made = QuantumCircuit(len(used), circuit.num_clbits)
    for item in circuit.data:
        clbits = [circuit.find_bit(bit).index for bit in item.clbits]
        made.append(item.operation, [place[qubit] for qubit in item.qubits], clbits)
    return made


def _combined(circuits: Sequence[Any], shots: int) -> dict[str, Any]:
    """All programs at once: the first one's bits are the rightmost."""
    memories = [_memory(circuit, shots) for circuit in circuits]
    joint = Counter("".join(reversed(outcome)) for outcome in zip(*memories, strict=True))
    divided = {str(index): dict(Counter(memory)) for index, memory in enumerate(memories)}
    return {"counts": dict(joint), "divided_counts": divided}


def _memory(circuit: Any, shots: int) -> list[str]:
    counts = _counts(circuit, shots)
    return [bits for bits, count in counts.items() for _ in range(count)]


def _estimated(circuit: Any, operator: Sequence[Any], shots: int) -> dict[str, float]:
    """Each term by sampling; what ends the circuit's qubits is taken off, as the service does."""
    bare = circuit.remove_final_measurements(inplace=False)
    value, error = 0.0, 0.0
    for term in operator:
        mean = _mean(bare, term["pauli"], shots)
        coefficient = term.get("coeff", 1.0)
        value += coefficient * mean
        error += abs(coefficient) * math.sqrt(max(1.0 - mean * mean, 0.0) / shots)
    return {"exp_value": value, "stds": error}


def _mean(circuit: Any, pauli: str, shots: int) -> float:
    acting = [(letter, int(qubit)) for letter, qubit in _SPARSE.findall(pauli) if letter != "I"]
    if not acting:
        return 1.0
    measured = circuit.copy()
    measured.add_register(ClassicalRegister(len(acting), "parity"))
    for bit, (letter, qubit) in enumerate(acting):
        if qubit >= circuit.num_qubits:
            raise JobError(f"the operator acts on qubit {qubit}, which the program does not have")
        for gate in {"X": ("h",), "Y": ("sdg", "h"), "Z": ()}[letter]:
            getattr(measured, gate)(qubit)
        measured.measure(qubit, measured.cregs[-1][bit])
    width = len(acting)
    counts = _counts(measured, shots)
    signs = (count * (-1) ** bits[:width].count("1") for bits, count in counts.items())
    return sum(signs) / shots
