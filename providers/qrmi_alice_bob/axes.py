"""Measuring along other axes with what a target has: its own measurements, or gates in front."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Qubit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qrmi.codecs import bases
from qrmi_alice_bob.instructions import MeasureX, MeasureY

__all__ = ["measured_natively"]

_Way = tuple[frozenset[str], Callable[[QuantumCircuit, int, int], None]]


def _with_gates(*gates: str) -> Callable[[QuantumCircuit, int, int], None]:
    def append(circuit: QuantumCircuit, qubit: int, clbit: int) -> None:
        for gate in gates:
            getattr(circuit, gate)(qubit)
        circuit.measure(qubit, clbit)

    return append


_WAYS: Mapping[tuple[str, float], tuple[_Way, ...]] = {
    ("ry", -math.pi / 2): (
        (frozenset({"measure_x"}), lambda c, qubit, clbit: c.append(MeasureX(), [qubit], [clbit])),
        (frozenset({"h", "measure"}), _with_gates("h")),
    ),
    ("rx", math.pi / 2): (
        (frozenset({"measure_y"}), lambda c, qubit, clbit: c.append(MeasureY(), [qubit], [clbit])),
        (frozenset({"sdg", "h", "measure"}), _with_gates("sdg", "h")),
        (frozenset({"z", "s", "h", "measure"}), _with_gates("z", "s", "h")),
    ),
}
"""What does a quarter turn and a measurement: the instructions that it needs, and how."""


def measured_natively(
    pubs: Sequence[EstimatorPub], target: Target
) -> tuple[list[SamplerPub], dict[str, Any]]:
    """As `qrmi.codecs.bases.plan`, for targets that have no such rotations.

    Raises:
        IsaError: the target can neither measure along an axis nor turn it.
    """
    names = frozenset(target.operation_names)
    sampled, kept = bases.plan(pubs)
    rewritten = [_rewritten(pub, names) for pub in sampled]
    if all(pub is not None for pub in rewritten):
        return [pub for pub in rewritten if pub is not None], kept
    return bases.plan(pubs, target=target)


def _rewritten(pub: SamplerPub, names: frozenset[str]) -> SamplerPub | None:
    """The pub with the turns that end its circuit done in the target's way, if it has one."""
    circuit, items = pub.circuit, list(pub.circuit.data)
    first = len(items) - circuit.cregs[-1].size  # what follows measures the basis
    turns = _turns(items[:first])
    made = circuit.copy_empty_like()
    for item in items[: first - len(turns)]:
        made.append(item)
    for item in items[first:]:
        turn = turns.get(item.qubits[0])
        if turn is None:
            made.append(item)
            continue
        ways = _WAYS[turn]
        way = next((append for needs, append in ways if needs <= names), None)
        if way is None:
            return None
        way(made, made.find_bit(item.qubits[0]).index, made.find_bit(item.clbits[0]).index)
    return SamplerPub(made, pub.parameter_values, pub.shots, validate=False)


def _turns(items: Sequence[CircuitInstruction]) -> dict[Qubit, tuple[str, float]]:
    """The quarter turns that end a circuit, at most one for each qubit."""
    found: dict[Qubit, tuple[str, float]] = {}
    for item in reversed(items):
        turn = (item.name, item.params[0] if len(item.params) == 1 else 0.0)
        if turn not in _WAYS or item.qubits[0] in found:
            break
        found[item.qubits[0]] = turn
    return found
