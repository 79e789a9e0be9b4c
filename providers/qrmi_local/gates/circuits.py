"""Circuits as Aer can run them, and what is worth knowing about them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import attrs
from qiskit import QuantumCircuit
from qiskit.circuit import Gate, Instruction
from qiskit.circuit.controlflow import get_control_flow_name_mapping
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import Target, generate_preset_pass_manager
from qiskit_aer import AerSimulator

from qrmi.codecs import circuits
from qrmi.errors import InvalidInputError

__all__ = ["Prepared", "prepare", "read_circuit", "used"]

_SIMULATED = frozenset(AerSimulator().configuration().basis_gates) | {
    *("barrier", "measure", "reset", "delay", "store"),
    *("if_else", "while_loop", "for_loop", "switch_case", "break_loop", "continue_loop"),
}
_STANDARD = get_standard_gate_name_mapping()
_CONTROL_FLOW = get_control_flow_name_mapping()
_PASSIVE = ("barrier", "delay")
_RENEWS = ("reset", "initialize")
_READ = 32
_PREPARED = 64

Use = tuple[str, tuple[int, ...]]
"""An instruction's name and its qubits."""


@attrs.frozen(kw_only=True, eq=False)
class Prepared:
    """A circuit that Aer runs, with the parameters and classical bits of its source.

    Attributes:
        source: the circuit as it was sent.
        circuit: the circuit to run.
        control_flow: it branches or loops.
        collapses: what it does to the state is random: it measures, or resets a qubit that was
            in use.
        repeats: Aer must run it anew for each shot, since it goes on after a measurement or reset.
        width: how many qubits it acts on.
    """

    source: QuantumCircuit
    circuit: QuantumCircuit
    control_flow: bool
    collapses: bool
    repeats: bool
    width: int


_read: OrderedDict[str, QuantumCircuit] = OrderedDict()
_prepared: OrderedDict[int, Prepared] = OrderedDict()


def read_circuit(value: Any) -> QuantumCircuit:
    """Read a circuit of a payload; one that was seen lately is the same object again."""
    text = value.get("__value__") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return circuits.decode(value)
    circuit = _read.get(text)
    if circuit is None:
        circuit = _read[text] = circuits.decode(value)
        _drop_oldest(_read, _READ)
    return circuit


def prepare(circuit: QuantumCircuit) -> Prepared:
    """Make a circuit ready for Aer, translating instructions that Aer does not know.

    The circuit must not change afterwards; those of `read_circuit` do not.

    Raises:
        InvalidInputError: an instruction has no definition that Aer could run, or the circuit has
            classical variables.
    """
    prepared = _prepared.get(id(circuit))
    if prepared is None or prepared.source is not circuit:
        prepared = _prepared[id(circuit)] = _prepare(circuit)
        _drop_oldest(_prepared, _PREPARED)
    return prepared


def used(circuit: QuantumCircuit) -> set[Use]:
    """Every instruction with the qubits that it acts on, also inside of control flow."""
    return {(name, places) for name, places, _ in _walk(circuit, tuple(range(circuit.num_qubits)))}


def _drop_oldest(cache: OrderedDict[Any, Any], size: int) -> None:
    while len(cache) > size:
        cache.popitem(last=False)


def _prepare(circuit: QuantumCircuit) -> Prepared:
    if circuit.num_identifiers:
        raise InvalidInputError(
            f"circuit {circuit.name[:80]!r} has classical variables, which Aer does not run",
            hint="keep values in classical bits and registers",
        )
    ready = circuit
    if any(_poses(item) for *_, item in _walk(circuit, ())):
        ready = _unmask(ready)
    if not {name for name, *_ in _walk(ready, ())} <= _SIMULATED:
        ready = _translate(ready)
    return Prepared(
        source=circuit,
        circuit=ready,
        control_flow=ready.has_control_flow_op(),
        collapses=_collapses(ready),
        repeats=_repeats(ready),
        width=len({q for item in ready.data if item.name != "barrier" for q in item.qubits}),
    )


def _walk(
    circuit: QuantumCircuit, places: tuple[int, ...]
) -> Iterator[tuple[str, tuple[int, ...], Any]]:
    """Name, qubits and item of every instruction; no qubits when `places` is empty."""
    index = dict(zip(circuit.qubits, places, strict=False))
    for item in circuit.data:
        qargs = tuple(index[qubit] for qubit in item.qubits) if index else ()
        yield item.name, qargs, item
        if item.is_control_flow():
            for block in item.operation.blocks:
                yield from _walk(block, qargs)


def _poses(item: Any) -> bool:
    """Whether a custom gate bears the name of one that Aer knows: Aer would trust the name."""
    if item.is_standard_gate() or item.name not in _SIMULATED:
        return False
    operation = item.operation
    return type(operation) in (Gate, Instruction) and operation.definition is not None


def _unmask(circuit: QuantumCircuit) -> QuantumCircuit:
    """Put definitions in the place of gates with a misleading name."""
    result = circuit.copy_empty_like()
    for item in circuit.data:
        if item.is_control_flow():
            blocks = [_unmask(block) for block in item.operation.blocks]
            operation = item.operation.replace_blocks(blocks)
            result.append(operation, item.qubits, item.clbits, copy=False)
        elif _poses(item):
            body = _unmask(item.operation.definition)
            result.compose(body, item.qubits, item.clbits, inplace=True)
        else:
            result.append(item)
    return result


def _translate(circuit: QuantumCircuit) -> QuantumCircuit:
    target = Target(num_qubits=max(circuit.num_qubits, 1))
    for name in sorted(_SIMULATED & _STANDARD.keys()):
        target.add_instruction(_STANDARD[name], name=name)
    for name in sorted(_SIMULATED & _CONTROL_FLOW.keys()):
        target.add_instruction(_CONTROL_FLOW[name], name=name)
    try:
        passes = generate_preset_pass_manager(optimization_level=0, target=target)
        return passes.run(circuit)
    except Exception as error:
        names = sorted({name for name, *_ in _walk(circuit, ())} - _SIMULATED)
        raise InvalidInputError(f"the simulator cannot run {', '.join(names)}: {error}") from error


def _collapses(circuit: QuantumCircuit) -> bool:
    touched: set[Any] = set()
    for item in circuit.data:
        if item.name == "measure" or item.is_control_flow():
            return True
        if item.name in _RENEWS and touched.intersection(item.qubits):
            return True
        if item.name not in (*_PASSIVE, "reset"):
            touched.update(item.qubits)
    return False


def _repeats(circuit: QuantumCircuit) -> bool:
    touched: set[Any] = set()
    measured: set[Any] = set()
    for item in circuit.data:
        if item.is_control_flow():
            return True
        if item.name in _PASSIVE:
            continue
        if measured.intersection(item.qubits):
            return True
        if item.name in _RENEWS and touched.intersection(item.qubits):
            return True
        (measured if item.name == "measure" else touched).update(item.qubits)
    return False
