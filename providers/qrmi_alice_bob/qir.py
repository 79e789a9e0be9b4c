"""A circuit as human-readable QIR: LLVM's text, QIR 1.0, as Felis takes it.

Qubit i and classical bit i of the circuit are qubit i and result i of the program. All results are
recorded as one array, the last bit first, so that an outcome reads as in Qiskit: bit 0 rightmost,
whether the service goes by the records or by the results' numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyqir
from pyqir import qis, rt
from qiskit import QuantumCircuit
from qiskit.circuit import CircuitInstruction, Clbit, Qubit

from qrmi.errors import InvalidInputError, IsaError
from qrmi_alice_bob.instructions import PREPARE

__all__ = ["write_qir"]

_MICROSECONDS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3, "ps": 1e-6}
_PREPARATIONS = frozenset({"reset", "initialize"})
_SKIPPED = frozenset({"barrier"})
_TOLERANCE = 1e-9
_STATES = {
    "0": (1, 0),
    "1": (0, 1),
    "+": (1, 1),
    "-": (1, -1),
    "r": (1, 1j),
    "l": (1, -1j),
}  # not normalised

_Places = Mapping[Qubit | Clbit, int]


def write_qir(circuit: QuantumCircuit, functions: Mapping[str, str]) -> str:
    """Write a circuit.

    A qubit whose first instruction is no preparation is prepared in 0 first, because the service
    does not promise that it is (qiskit-alice-bob-provider 3.0 does the same).

    Args:
        circuit: without parameters, in the target's instructions.
        functions: the target's, as `instructions.functions_of` gives them.

    Raises:
        InvalidInputError: it has parameters without values.
        IsaError: it has an instruction that the target or QIR lacks.
    """
    if circuit.parameters:
        names = ", ".join(parameter.name for parameter in circuit.parameters)
        raise InvalidInputError(f"parameters without values: {names}")
    writer = _Writer(circuit, functions)
    writer.extend(circuit, {bit: circuit.find_bit(bit).index for bit in _bits(circuit)})
    return writer.finished()


def _bits(circuit: QuantumCircuit) -> Iterator[Qubit | Clbit]:
    yield from circuit.qubits
    yield from circuit.clbits


class _Writer:
    """Writes the calls of a module's entry point."""

    def __init__(self, circuit: QuantumCircuit, functions: Mapping[str, str]) -> None:
        self._circuit = circuit
        self._functions = functions
        self._module = pyqir.SimpleModule("circuit", circuit.num_qubits, circuit.num_clbits)
        self._null = pyqir.Constant.null(pyqir.PointerType(pyqir.IntType(self._module.context, 8)))
        self._declared: dict[str, Any] = {}
        self._touched: set[int] = set()
        rt.initialize(self._module.builder, self._null)

    def extend(self, block: QuantumCircuit, places: _Places) -> None:
        """Append the instructions of a block whose bits are those of the circuit at ``places``."""
        for item in block.data:
            if item.name not in _SKIPPED:
                self._append(item, places)

    def _append(self, item: CircuitInstruction, places: _Places) -> None:
        """Append an instruction, and before it what prepares its qubits."""
        qubits = [places[qubit] for qubit in item.qubits]
        if item.name not in _PREPARATIONS:
            for qubit in qubits:
                if qubit not in self._touched:
                    self._prepare_zero(qubit)
        self._touched.update(qubits)
        if item.name == "if_else":
            self._choose(item, places)
        elif item.name == "initialize":
            for qubit, state in zip(qubits, _labels(item), strict=True):
                name, flag = PREPARE[state]
                self._call(name, [self._bit(flag), self._module.qubits[qubit]])
        else:
            numbers = [self._double(value) for value in _numbers(item)]
            acted = [self._module.qubits[qubit] for qubit in qubits]
            results = [self._module.results[places[clbit]] for clbit in item.clbits]
            self._call(item.name, [*numbers, *acted, *results])

    def _choose(self, item: CircuitInstruction, places: _Places) -> None:
        """Append both branches of an ``if``, on one bit or on a register."""
        self._must_have("if_else")
        condition = item.operation.condition
        if not isinstance(condition, tuple):
            raise IsaError("the device compares one bit or one register with a number, no more")
        told, value = condition
        bits = [told] if isinstance(told, Clbit) else list(told)
        inner = item.qubits, item.clbits

        def branch(number: int) -> None:
            if number < len(item.operation.blocks):
                block = item.operation.blocks[number]
                own = zip((*block.qubits, *block.clbits), (*inner[0], *inner[1]), strict=True)
                self.extend(block, {bit: places[outer] for bit, outer in own})

        wanted = [(places[bit], bool(int(value) >> i & 1)) for i, bit in enumerate(bits)]
        self._when(wanted, lambda: branch(0), lambda: branch(1))

    def _when(
        self,
        wanted: list[tuple[int, bool]],
        met: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        """Call ``met`` where all results are as wanted, ``failed`` everywhere else."""
        if not wanted:
            met()
            return
        (result, value), *rest = wanted

        def further() -> None:
            self._when(rest, met, failed)

        one, zero = (further, failed) if value else (failed, further)
        qis.if_result(self._module.builder, self._module.results[result], one=one, zero=zero)

    def finished(self) -> str:
        """Record all results and return the module's text."""
        size = pyqir.const(pyqir.IntType(self._module.context, 64), self._circuit.num_clbits)
        rt.array_record_output(self._module.builder, size, self._null)
        for result in reversed(self._module.results):
            rt.result_record_output(self._module.builder, result, self._null)
        text: str = self._module.ir()
        return text

    def _prepare_zero(self, qubit: int) -> None:
        """Bring a qubit to 0, with whatever the target has for that."""
        if "reset" in self._functions:
            self._call("reset", [self._module.qubits[qubit]])
        elif "prepare_z" in self._functions:
            self._call("prepare_z", [self._bit(False), self._module.qubits[qubit]])

    def _must_have(self, name: str) -> None:
        if name not in self._functions:
            offered = ", ".join(sorted(self._functions))
            raise IsaError(f"the target has no {name}; it has {offered}")

    def _call(self, name: str, arguments: list[Any]) -> None:
        self._must_have(name)
        self._module.builder.call(self._declaration(name, arguments), arguments)

    def _declaration(self, name: str, arguments: list[Any]) -> Any:
        if name not in self._declared:
            kind = pyqir.FunctionType(
                pyqir.Type.void(self._module.context), [argument.type for argument in arguments]
            )
            function = self._module.add_external_function(self._functions[name], kind)
            if name.startswith("measure") or name == "reset":
                pyqir.add_string_attribute(function, "irreversible")
            self._declared[name] = function
        return self._declared[name]

    def _bit(self, value: bool) -> Any:
        return pyqir.const(pyqir.IntType(self._module.context, 1), value)

    def _double(self, value: float) -> Any:
        return pyqir.const(pyqir.Type.double(self._module.context), value)


def _numbers(item: CircuitInstruction) -> Iterator[float]:
    """The numbers that a function takes before its qubits."""
    if item.name == "delay":
        unit = item.operation.unit
        if unit not in _MICROSECONDS:
            raise IsaError(
                f"a delay in {unit!r} cannot be written", hint="give it in s, ms, us, ns or ps"
            )
        yield float(item.operation.duration) * _MICROSECONDS[unit]
        return
    for value in item.params:
        yield float(value)


def _labels(item: CircuitInstruction) -> list[str]:
    """The state of each qubit that an initialize prepares, first qubit first."""
    values, width = item.params, len(item.qubits)
    if values and isinstance(values[0], str):
        labels = list(reversed("".join(values)))
    elif len(values) == 1:
        labels = list(reversed(f"{int(np.real(values[0])):0{width}b}"))
    else:
        labels = [_state(np.asarray(values, dtype=complex))]
    if len(labels) != width or set(labels) - set(PREPARE):
        raise _unpreparable()
    return labels


def _state(vector: np.ndarray) -> str:
    """The label of a state of one qubit, whatever its global phase."""
    for label, amplitudes in _STATES.items():
        wanted = np.asarray(amplitudes, dtype=complex)
        wanted = wanted / np.linalg.norm(wanted)
        if len(vector) == 2 and abs(abs(np.vdot(wanted, vector)) - 1.0) < _TOLERANCE:
            return label
    raise _unpreparable()


def _unpreparable() -> IsaError:
    return IsaError(
        "initialize prepares a state that the device cannot prepare",
        hint="prepare each qubit in one of 0, 1, +, -, r and l: circuit.initialize('+', qubit)",
    )
