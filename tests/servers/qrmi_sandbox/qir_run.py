"""Human-readable QIR, read by pyqir and run on Aer.

Qiskit is imported with this module: Qiskit 2.6 crashes when it is first imported in a thread that
ends before another uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pyqir
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

__all__ = ["Branch", "Program", "QirError", "Step", "read_qir", "run_program"]

_PREFIX = "__quantum__qis__"
_RECORD = "__quantum__rt__result_record_output"
_READ = "__quantum__qis__read_result__body"
_SILENT = frozenset({"__quantum__rt__initialize", "__quantum__rt__array_record_output"})


class QirError(Exception):
    """The program is malformed, or does what is not emulated."""


@attrs.frozen
class Step:
    """A call: its function without prefix, the numbers, qubits and results that it is given."""

    name: str
    numbers: list[float]
    qubits: list[int]
    results: list[int]


@attrs.frozen
class Branch:
    """What happens when a result is one, and when it is zero."""

    result: int
    one: list[Step | Branch]
    zero: list[Step | Branch]


@attrs.frozen(kw_only=True)
class Program:
    """A program as its steps.

    Attributes:
        steps: calls and branches.
        recorded: results in the order in which they are output.
        num_qubits: how many it needs.
        num_results: likewise.
    """

    steps: list[Step | Branch]
    recorded: list[int]
    num_qubits: int
    num_results: int

    def calls(self) -> Iterator[Step]:
        """All calls, in both branches."""
        return _flat(self.steps)


def _flat(steps: list[Step | Branch]) -> Iterator[Step]:
    for step in steps:
        if isinstance(step, Step):
            yield step
        else:
            yield Step("read_result__body", [], [], [step.result])
            yield from _flat([*step.one, *step.zero])


def read_qir(text: str) -> Program:
    """Read a program without loops.

    Raises:
        QirError: it is no such program.
    """
    try:
        module = pyqir.Module.from_ir(pyqir.Context(), text)
    except ValueError as error:
        raise QirError(str(error).splitlines()[0][:200]) from error
    if problem := module.verify():
        raise QirError(problem.splitlines()[0][:200])
    entries = [function for function in module.functions if pyqir.is_entry_point(function)]
    if len(entries) != 1 or not entries[0].basic_blocks:
        raise QirError("a program has one entry point")
    recorded: list[int] = []
    steps, _ = _walk(entries[0].basic_blocks[0], recorded)
    return Program(
        steps=steps,
        recorded=recorded,
        num_qubits=pyqir.required_num_qubits(entries[0]) or 0,
        num_results=pyqir.required_num_results(entries[0]) or 0,
    )


def _walk(block: Any, recorded: list[int]) -> tuple[list[Step | Branch], Any]:
    """The steps from a block on until it jumps or returns; and where it jumps to."""
    steps: list[Step | Branch] = []
    while True:
        chosen: int | None = None
        for instruction in block.instructions:
            if not isinstance(instruction, pyqir.Call):
                continue
            name = instruction.callee.name
            if name == _READ:
                chosen = pyqir.result_id(instruction.args[0])
            elif name == _RECORD:
                recorded.append(pyqir.result_id(instruction.args[0]))
            elif name not in _SILENT:
                steps.append(_step(name, instruction.args))
        following = block.terminator.successors
        if len(following) < 2:
            return steps, following[0] if following else None
        if chosen is None or len(following) != 2:
            raise QirError("a branch depends on a result that was just read")
        # pyqir lists where a branch goes in the order of its operands: the last one is for true.
        (zero, other), (one, end) = (_walk(each, recorded) for each in following)
        if end is None or other is None or end.name != other.name:
            raise QirError("branches do not meet again")
        steps.append(Branch(chosen, one, zero))
        block = end


def _step(name: str, arguments: list[Any]) -> Step:
    if not name.startswith(_PREFIX):
        raise QirError(f"the function {name} is not known")
    step = Step(name.removeprefix(_PREFIX), [], [], [])
    for argument in arguments:
        if isinstance(argument, pyqir.FloatConstant | pyqir.IntConstant):
            step.numbers.append(float(argument.value))
        elif (qubit := pyqir.qubit_id(argument)) is not None:
            step.qubits.append(qubit)
        elif (result := pyqir.result_id(argument)) is not None:
            step.results.append(result)
        else:
            raise QirError(f"{name} has an argument that is not a constant")
    return step


def run_program(program: Program, shots: int) -> dict[str, int]:
    """Run it without noise; outcomes read in the order in which results are recorded."""
    circuit = _circuit(program)
    if not any(step.name.startswith("m") for step in program.calls()):  # nothing is measured
        return {"0" * len(program.recorded): shots}
    counts = AerSimulator().run(circuit, shots=shots).result().get_counts()
    found: dict[str, int] = {}
    for bits, count in counts.items():
        value = bits[::-1]
        outcome = "".join(value[result] for result in program.recorded)
        found[outcome] = found.get(outcome, 0) + count
    return found


def _circuit(program: Program) -> Any:
    """The circuit of its steps, on the qubits that are touched only."""
    touched = sorted({qubit for step in program.calls() for qubit in step.qubits})
    place = {qubit: index for index, qubit in enumerate(touched)}
    circuit = QuantumCircuit(len(touched), program.num_results)
    _extend(circuit, program.steps, place, set())
    return circuit


def _extend(
    circuit: Any, steps: list[Step | Branch], place: dict[int, int], used: set[int]
) -> None:
    for step in steps:
        if isinstance(step, Branch):
            with circuit.if_test((circuit.clbits[step.result], True)) as otherwise:
                _extend(circuit, step.one, place, used)
            with otherwise:
                _extend(circuit, step.zero, place, used)
            continue
        base = step.name.removesuffix("__body")
        if base not in _APPEND:
            raise QirError(f"the function {step.name} is not emulated")
        places = [place[qubit] for qubit in step.qubits]
        prepares = base == "reset" or base.startswith("prepare")
        if prepares and places[0] in used:
            circuit.reset(places[0])
        if base != "reset":
            _APPEND[base](circuit, step.numbers, places, step.results)
        used.update(places)


def _gate(name: str) -> Callable[..., None]:
    def append(circuit: Any, numbers: list[float], qubits: list[int], results: list[int]) -> None:
        getattr(circuit, name)(*numbers, *qubits, *results)

    return append


def _along(*turn: str, back: tuple[str, ...]) -> Callable[..., None]:
    def append(circuit: Any, numbers: list[float], qubits: list[int], results: list[int]) -> None:
        for gate in turn:
            getattr(circuit, gate)(qubits[0])
        circuit.measure(qubits[0], results[0])
        for gate in back:
            getattr(circuit, gate)(qubits[0])

    return append


def _prepare(*turn: str) -> Callable[..., None]:
    def append(circuit: Any, numbers: list[float], qubits: list[int], results: list[int]) -> None:
        for gate in ("x", *turn) if numbers[0] else turn:
            getattr(circuit, gate)(qubits[0])

    return append


def _names() -> Iterator[tuple[str, Callable[..., None]]]:
    for name in ("x", "y", "z", "h", "s", "t", "cz", "ccx", "swap", "rx", "ry", "rz", "rzz"):
        yield name, _gate(name)


_APPEND: dict[str, Callable[..., None]] = {
    **dict(_names()),
    "cx": _gate("cx"),
    "cnot": _gate("cx"),
    "toffoli": _gate("ccx"),
    "s__adj": _gate("sdg"),
    "t__adj": _gate("tdg"),
    "mz": _gate("measure"),
    "m": _gate("measure"),
    "measure": _gate("measure"),
    "mx": _along("h", back=("h",)),
    "my": _along("sdg", "h", back=("h", "s")),
    "reset": lambda circuit, numbers, qubits, results: None,  # done before
    "prepare_z": _prepare(),
    "prepare_x": _prepare("h"),
    "prepare_y": _prepare("h", "s"),
    "delay": lambda circuit, numbers, qubits, results: None,
}
"""How each function, without ``__body``, is done in Qiskit."""
