"""A CUDA-Q kernel, specialised to its arguments, becomes a Qiskit circuit.

Qubits keep the order in which the kernel allocates them: CUDA-Q's qubit i is Qiskit's qubit i.
Every measurement writes a classical bit of its own, in order of execution. What CUDA-Q makes of
these bits is `Program.outcome` and `Program.registers`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import attrs
from qiskit.circuit import (
    ClassicalRegister,
    Gate,
    Measure,
    QuantumCircuit,
    QuantumRegister,
    Reset,
    library,
)

from qrmi.cudaq.classical import UNKNOWN, Interpreter
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["MEASURED", "Measurement", "Program", "convert"]

MEASURED = "meas"
"""The name of the classical register that holds all measurements."""

_GATES: dict[str, Callable[..., Gate]] = {
    "quake.h": library.HGate,
    "quake.x": library.XGate,
    "quake.y": library.YGate,
    "quake.z": library.ZGate,
    "quake.s": library.SGate,
    "quake.t": library.TGate,
    "quake.rx": library.RXGate,
    "quake.ry": library.RYGate,
    "quake.rz": library.RZGate,
    "quake.r1": library.PhaseGate,
    "quake.phased_rx": library.RGate,
    "quake.u2": lambda phi, lam: library.U2Gate(phi, lam),
    "quake.u3": library.UGate,
    "quake.swap": library.SwapGate,
}
_DAGGER: dict[str, Callable[..., Gate]] = {
    "quake.s": library.SdgGate,
    "quake.t": library.TdgGate,
}
_REFUSED = {
    "quake.apply_noise": "the kernel calls apply_noise, which belongs to a simulator",
    "quake.create_state": "the kernel builds a state that cannot be computed before the run",
    "quake.get_number_of_qubits": "the kernel takes a cudaq.State",
    "quake.init_state": "the kernel starts from a state that cannot be computed before the run",
}
_STATE_HINT = "pass the amplitudes, as list[complex], instead of a cudaq.State"


@attrs.frozen(kw_only=True)
class Measurement:
    """One measured qubit; its place in `Program.measurements` is its classical bit.

    Attributes:
        qubit: the qubit.
        register: the name that the kernel gives the result, or ``""``.
    """

    qubit: int
    register: str = ""


@attrs.frozen(kw_only=True)
class Program:
    """A kernel as a circuit.

    Attributes:
        circuit: the circuit; with measurements, it has one classical register `MEASURED`.
        measurements: what each classical bit is.
        outputs: the qubits that are the user's, in order of allocation.
    """

    circuit: QuantumCircuit
    measurements: tuple[Measurement, ...]
    outputs: tuple[int, ...]

    def measured(self) -> Program:
        """The program itself, or with all outputs measured when it measures nothing.

        Raises:
            InvalidInputError: there is no qubit.
        """
        if self.measurements:
            return self
        if not self.outputs:
            raise InvalidInputError("the kernel has no qubits to measure")
        circuit = self.circuit.copy_empty_like()
        register = ClassicalRegister(len(self.outputs), MEASURED)
        circuit.add_register(register)
        circuit.compose(self.circuit, inplace=True)
        circuit.measure(list(self.outputs), register)
        everything = tuple(Measurement(qubit=qubit) for qubit in self.outputs)
        return attrs.evolve(self, circuit=circuit, measurements=everything)

    def outcome(self) -> list[int]:
        """The classical bits of CUDA-Q's global register, leftmost first.

        These are the measured qubits in order of allocation, each with its last measurement.
        """
        return _last_bits(enumerate(self.measurements))

    def registers(self) -> dict[str, list[int]]:
        """The classical bits of each named register, leftmost first; ordered as `outcome`."""
        names = dict.fromkeys(item.register for item in self.measurements if item.register)
        return {
            name: _last_bits(
                (bit, item) for bit, item in enumerate(self.measurements) if item.register == name
            )
            for name in names
        }


def _last_bits(numbered: Iterable[tuple[int, Measurement]]) -> list[int]:
    last = {item.qubit: bit for bit, item in numbered}
    return [last[qubit] for qubit in sorted(last)]


def convert(module: Any) -> Program:
    """Convert a flattened Quake module (MLIR) to a circuit.

    Raises:
        UnsupportedFunctionError: the kernel branches on a measurement, or does what a circuit
            cannot hold.
    """
    converter = _Converter()
    converter.run(_entry(module))
    return converter.program()


def _entry(module: Any) -> Any:
    for operation in module.body.operations:
        if "cudaq-entrypoint" in operation.attributes and operation.operation.regions[0].blocks:
            return operation.operation
    raise UnsupportedFunctionError("CUDA-Q handed over a module without a kernel")


class _Converter(Interpreter):
    """Collects the instructions of a kernel. A qubit or a view of qubits is a tuple of indices."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0
        self._outputs: list[int] = []
        self._instructions: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = []
        self._measurements: list[Measurement] = []
        self._phase = 0.0
        self.handlers |= {
            "quake.alloca": self._allocate,
            "quake.concat": self._concat,
            "quake.dealloc": self._ignore,
            "quake.delete_state": self._ignore,
            "quake.discriminate": self._unknown,
            "quake.exp_pauli": self._exp_pauli,
            "quake.extract_ref": self._extract,
            "quake.get_member": self._member,
            "quake.log_output": self._log_output,
            "quake.make_struq": self._make_struct,
            "quake.mx": functools.partial(self._measure, [library.HGate()]),
            "quake.my": functools.partial(self._measure, [library.SdgGate(), library.HGate()]),
            "quake.mz": functools.partial(self._measure, []),
            "quake.phase": self._global_phase,
            "quake.relax_size": self._same,
            "quake.reset": self._reset,
            "quake.subveq": self._slice,
            "quake.veq_size": self._count,
        }
        self.handlers |= dict.fromkeys(_GATES, self._gate)
        self.handlers |= {
            name: functools.partial(self._refuse, why) for name, why in _REFUSED.items()
        }

    def program(self) -> Program:
        """What was collected."""
        circuit = QuantumCircuit(QuantumRegister(self._size, "q"), global_phase=self._phase)
        if self._measurements:
            circuit.add_register(ClassicalRegister(len(self._measurements), MEASURED))
        for gate, qubits, clbits in self._instructions:
            circuit.append(gate, qubits, clbits, copy=False)
        return Program(
            circuit=circuit,
            measurements=tuple(self._measurements),
            outputs=tuple(sorted(set(self._outputs)) or range(self._size)),
        )

    # --- qubits -------------------------------------------------------------------------------

    def _allocate(self, operation: Any) -> None:
        kind = str(operation.results[0].type)
        operands = self.operands(operation)
        if operands:
            count = _number(operands[0])
        elif kind == "!quake.ref":
            count = 1
        else:
            count = int(kind.removeprefix("!quake.veq<").removesuffix(">"))
        qubits = tuple(range(self._size, self._size + count))
        self._size += count
        self._set(operation, qubits)

    def _extract(self, operation: Any) -> None:
        qubits, *dynamic = self.operands(operation)
        index = _number(dynamic[0]) if dynamic else operation.attributes["rawIndex"].value
        if not 0 <= index < len(qubits):
            raise InvalidInputError(
                f"the kernel uses qubit {index} of a register of {len(qubits)}"
            )
        self._set(operation, (qubits[index],))

    def _slice(self, operation: Any) -> None:
        qubits, *dynamic = self.operands(operation)
        _veq, has_lower, has_upper = operation.attributes["operandSegmentSizes"]
        lower = _number(dynamic.pop(0)) if has_lower else operation.attributes["rawLower"].value
        upper = _number(dynamic.pop(0)) if has_upper else operation.attributes["rawUpper"].value
        if lower < 0 or upper >= len(qubits):
            raise InvalidInputError(
                f"the kernel takes qubits {lower} to {upper} of a register of {len(qubits)}"
            )
        self._set(operation, qubits[lower : upper + 1])

    def _concat(self, operation: Any) -> None:
        self._set(operation, sum(self.operands(operation), ()))

    def _make_struct(self, operation: Any) -> None:
        self._set(operation, self.operands(operation))

    def _member(self, operation: Any) -> None:
        self._set(operation, self.operands(operation)[0][operation.attributes["index"].value])

    def _count(self, operation: Any) -> None:
        self._set(operation, len(self.operands(operation)[0]))

    def _log_output(self, operation: Any) -> None:
        for qubits in self.operands(operation):
            self._outputs.extend(qubits)

    def _ignore(self, operation: Any) -> None:
        """An operation that means nothing to a circuit."""

    def _refuse(self, why: str, _operation: Any) -> None:
        raise UnsupportedFunctionError(why, hint=_STATE_HINT if "state" in why.lower() else None)

    # --- instructions -------------------------------------------------------------------------

    def _emit(self, gate: Any, qubits: Iterable[int], clbits: Iterable[int] = ()) -> None:
        self._instructions.append((gate, tuple(qubits), tuple(clbits)))

    def _gate(self, operation: Any) -> None:
        parameters, controls, state, targets = self._split(operation)
        adjoint = "is_adj" in operation.attributes
        name = operation.name
        if adjoint and name in _DAGGER:
            gate = _DAGGER[name](*parameters)
        else:
            gate = _GATES[name](*parameters)
            gate = gate.inverse() if adjoint else gate
        controlled = _controlled(gate, len(controls), state)
        groups = [targets] if gate.num_qubits > 1 else [(qubit,) for qubit in targets]
        for group in groups:
            self._emit(controlled, (*controls, *group))

    def _split(self, operation: Any) -> tuple[list[float], list[int], str, list[int]]:
        """Parameters, controls, control state (Qiskit's: control 0 rightmost) and targets."""
        operands = self.operands(operation)
        sizes = list(operation.attributes["operandSegmentSizes"])
        first, second = sizes[0], sizes[0] + sizes[1]
        third = second + sizes[2]
        negated = [False] * sizes[1]
        if "negated_qubit_controls" in operation.attributes:
            negated = list(operation.attributes["negated_qubit_controls"])
        controls: list[int] = []
        state = ""
        for qubits, negative in zip(operands[first:second], negated, strict=True):
            controls.extend(qubits)
            state = ("0" if negative else "1") * len(qubits) + state
        targets = [qubit for qubits in operands[second:third] for qubit in qubits]
        return [_angle(value) for value in operands[:first]], controls, state, targets

    def _global_phase(self, operation: Any) -> None:
        (angle,), controls, state, _targets = self._split(operation)
        angle = -angle if "is_adj" in operation.attributes else angle
        self._phase_on(angle, controls, state)

    def _phase_on(self, angle: float, controls: list[int], state: str) -> None:
        """The phase exp(i angle), when the controls are in their state."""
        if not controls:
            self._phase += angle
            return
        flips = [qubit for qubit, bit in zip(controls, reversed(state), strict=True) if bit == "0"]
        for qubit in flips:
            self._emit(library.XGate(), [qubit])
        gate = _controlled(library.PhaseGate(angle), len(controls) - 1, "1" * (len(controls) - 1))
        self._emit(gate, controls)
        for qubit in flips:
            self._emit(library.XGate(), [qubit])

    def _exp_pauli(self, operation: Any) -> None:
        """exp(i angle P): into the basis of Z, the parity's rotation, and back."""
        (angle,), controls, state, targets = self._split(operation)
        angle = -angle if "is_adj" in operation.attributes else angle
        word = self._word(operation)
        if len(word) != len(targets):
            raise InvalidInputError(
                f"exp_pauli: the word {word!r} does not have one letter for each of "
                f"{len(targets)} qubits"
            )
        support = [qubit for letter, qubit in zip(word, targets, strict=True) if letter != "I"]
        if not support:
            self._phase_on(angle, controls, state)
            return
        before = [(letter, q) for letter, q in zip(word, targets, strict=True) if letter in "XY"]
        for letter, qubit in before:
            self._emit(library.HGate() if letter == "X" else library.SXGate(), [qubit])
        ladder = list(zip(support, support[1:], strict=False))
        for pair in ladder:
            self._emit(library.CXGate(), pair)
        rotation = _controlled(library.RZGate(-2.0 * angle), len(controls), state)
        self._emit(rotation, (*controls, support[-1]))
        for pair in reversed(ladder):
            self._emit(library.CXGate(), pair)
        for letter, qubit in before:
            self._emit(library.HGate() if letter == "X" else library.SXdgGate(), [qubit])

    def _word(self, operation: Any) -> str:
        if "pauliLiteral" in operation.attributes:
            return str(operation.attributes["pauliLiteral"].value)
        word = self.operands(operation)[-1]
        if not isinstance(word, str):
            raise UnsupportedFunctionError("exp_pauli takes a word that is not known")
        return word

    def _measure(self, basis: list[Gate], operation: Any) -> None:
        attributes = operation.attributes
        name = str(attributes["registerName"].value) if "registerName" in attributes else ""
        for qubits in self.operands(operation):
            for qubit in qubits:
                for gate in basis:
                    self._emit(gate, [qubit])
                self._emit(Measure(), [qubit], [len(self._measurements)])
                self._measurements.append(Measurement(qubit=qubit, register=name))
        self._set(operation, UNKNOWN)

    def _reset(self, operation: Any) -> None:
        for qubits in self.operands(operation):
            for qubit in qubits:
                self._emit(Reset(), [qubit])




def _controlled(gate: Gate, count: int, state: str) -> Gate:
    return gate.control(count, ctrl_state=state, annotated=False) if count else gate


def _angle(value: Any) -> float:
    if value is UNKNOWN:
        raise UnsupportedFunctionError(
            "the kernel turns by an angle that cannot be computed before the run"
        )
    return float(value)


def _number(value: Any) -> int:
    if value is UNKNOWN:
        raise UnsupportedFunctionError(
            "the kernel uses a measured value as an index or a size; that is not supported"
        )
    return int(value)
