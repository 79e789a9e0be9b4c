"""A CUDA-Q kernel, specialised to its arguments, becomes a Qiskit circuit.

Qubits keep the order in which the kernel allocates them: CUDA-Q's qubit i is Qiskit's qubit i.
Qubits that a called kernel allocates and gives back come last. Every measurement writes a
classical bit of its own, in order of execution.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import attrs
import numpy as np
from qiskit.circuit import (
    ClassicalRegister,
    Gate,
    Measure,
    QuantumCircuit,
    QuantumRegister,
    Reset,
    library,
)
from qiskit.circuit.library import StatePreparation

from qrmi.cudaq import gates, values
from qrmi.cudaq.classical import Interpreter
from qrmi.cudaq.kernels import MEASURED, Measurement, Program
from qrmi.cudaq.values import UNKNOWN, Pointer, known
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["convert"]

_REFUSED = {
    "quake.apply_noise": "the kernel calls apply_noise, which belongs to a simulator",
}
_STATE = "!cc.ptr<!quake.state>"


def convert(module: Any, states: Sequence[Sequence[complex]] = ()) -> Program:
    """Convert a flattened Quake module (MLIR) to a circuit.

    Args:
        module: the module.
        states: the amplitudes of the kernel's arguments of type ``cudaq.State``.

    Raises:
        UnsupportedFunctionError: the kernel branches on a measurement, or does what a circuit
            cannot hold.
    """
    if len(states) > 1:
        raise UnsupportedFunctionError(
            "a kernel with several arguments of type cudaq.State is not supported",
            hint="pass the amplitudes of all but one as list[complex]",
        )
    converter = _Converter(states[0] if states else ())
    converter.run(_entry(module))
    return converter.program()


def _entry(module: Any) -> Any:
    for operation in module.body.operations:
        if "cudaq-entrypoint" in operation.attributes and operation.operation.regions[0].blocks:
            return operation.operation
    raise UnsupportedFunctionError("CUDA-Q handed over a module without a kernel")


class _Converter(Interpreter):
    """Collects the instructions of a kernel. A qubit or a view of qubits is a tuple of indices."""

    def __init__(self, state: Sequence[complex] = ()) -> None:
        super().__init__()
        self._state = list(state)
        self._allocated = 0
        self._outputs: list[int] = []
        self._instructions: list[tuple[Any, tuple[int, ...], tuple[int, ...]]] = []
        self._measurements: list[Measurement] = []
        self._phase = 0.0
        self.handlers |= {
            "quake.alloca": self._allocate,
            "quake.concat": self._concat,
            "quake.create_state": self._create_state,
            "quake.dealloc": self._ignore,
            "quake.delete_state": self._ignore,
            "quake.discriminate": self._unknown,
            "quake.exp_pauli": self._exp_pauli,
            "quake.extract_ref": self._extract,
            "quake.get_member": self._member,
            "quake.get_number_of_qubits": self._state_size,
            "quake.init_state": self._prepare,
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
        self.handlers["cc.cast"] = self._cast_state
        self.handlers |= dict.fromkeys(gates.GATES, self._gate)
        self.handlers |= {
            name: functools.partial(self._refuse, why) for name, why in _REFUSED.items()
        }

    def program(self) -> Program:
        """What was collected, with the qubits of helper kernels behind the user's."""
        outputs = sorted(set(self._outputs)) or list(range(self._allocated))
        order = [*outputs, *sorted(set(range(self._allocated)) - set(outputs))]
        place = {qubit: position for position, qubit in enumerate(order)}
        circuit = QuantumCircuit(QuantumRegister(self._allocated, "q"), global_phase=self._phase)
        if self._measurements:
            circuit.add_register(ClassicalRegister(len(self._measurements), MEASURED))
        for gate, qubits, clbits in self._instructions:
            circuit.append(gate, [place[qubit] for qubit in qubits], clbits, copy=False)
        return Program(
            circuit=circuit,
            measurements=tuple(
                attrs.evolve(item, qubit=place[item.qubit]) for item in self._measurements
            ),
            outputs=len(outputs),
        )

    # --- qubits -------------------------------------------------------------------------------

    def _allocate(self, operation: Any) -> None:
        kind = str(operation.results[0].type)
        operands = self.operands(operation)
        if operands:
            count = known(operands[0])
        elif kind == "!quake.ref":
            count = 1
        else:
            count = int(kind.removeprefix("!quake.veq<").removesuffix(">"))
        qubits = tuple(range(self._allocated, self._allocated + count))
        self._allocated += count
        self._set(operation, qubits)

    def _extract(self, operation: Any) -> None:
        qubits, *dynamic = self.operands(operation)
        index = known(dynamic[0]) if dynamic else operation.attributes["rawIndex"].value
        if not 0 <= index < len(qubits):
            raise InvalidInputError(f"the kernel uses qubit {index} of a register of {len(qubits)}")
        self._set(operation, (qubits[index],))

    def _slice(self, operation: Any) -> None:
        qubits, *dynamic = self.operands(operation)
        _veq, has_lower, has_upper = operation.attributes["operandSegmentSizes"]
        lower = known(dynamic.pop(0)) if has_lower else operation.attributes["rawLower"].value
        upper = known(dynamic.pop(0)) if has_upper else operation.attributes["rawUpper"].value
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
        raise UnsupportedFunctionError(why)

    # --- states -------------------------------------------------------------------------------

    def _cast_state(self, operation: Any) -> None:
        """An argument of type ``cudaq.State`` is an address; we have its amplitudes."""
        known = self._state and str(operation.results[0].type) == _STATE
        if known and isinstance(self.operands(operation)[0], int):
            self._set(operation, self._state)
        else:
            self._cast(operation)

    def _create_state(self, operation: Any) -> None:
        data, size = self.operands(operation)
        if isinstance(data, Pointer):
            data = data.cells[data.offset : data.offset + known(size)]
        self._set(operation, data)

    def _state_size(self, operation: Any) -> None:
        self._set(operation, len(values.amplitudes(self.operands(operation)[0])).bit_length() - 1)

    def _prepare(self, operation: Any) -> None:
        """Qubits that start in a state; its amplitudes have the first qubit as lowest bit."""
        qubits, state = self.operands(operation)
        amplitudes = np.array(values.amplitudes(state), dtype=complex)
        if amplitudes.size != 1 << len(qubits):
            raise InvalidInputError(
                f"a state of {amplitudes.size} amplitudes does not fit {len(qubits)} qubits"
            )
        self._emit(StatePreparation(amplitudes / np.linalg.norm(amplitudes)), qubits)
        self._set(operation, qubits)

    # --- instructions -------------------------------------------------------------------------

    def _emit(self, gate: Any, qubits: Iterable[int], clbits: Iterable[int] = ()) -> None:
        self._instructions.append((gate, tuple(qubits), tuple(clbits)))

    def _gate(self, operation: Any) -> None:
        parameters, controls, state, targets = self._split(operation)
        adjoint = "is_adj" in operation.attributes
        name = operation.name
        gate = gates.GATES[name](*parameters)
        gate = gate.inverse() if adjoint else gate
        controlled = gates.controlled(gate, len(controls), state)
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
        return [values.angle(value) for value in operands[:first]], controls, state, targets

    def _global_phase(self, operation: Any) -> None:
        (angle,), controls, state, _targets = self._split(operation)
        angle = -angle if "is_adj" in operation.attributes else angle
        self._phase_on(angle, controls, state)

    def _phase_on(self, angle: float, controls: list[int], state: str) -> None:
        """The phase exp(i angle), when the controls are in their state."""
        if not controls:
            self._phase += angle
            return
        for gate, qubits in gates.phase(angle, controls, state):
            self._emit(gate, qubits)

    def _exp_pauli(self, operation: Any) -> None:
        """The gate exp(i angle P)."""
        (angle,), controls, state, targets = self._split(operation)
        angle = -angle if "is_adj" in operation.attributes else angle
        word = self._word(operation)
        if len(word) != len(targets):
            raise InvalidInputError(
                f"exp_pauli: the word {word!r} does not have one letter for each of "
                f"{len(targets)} qubits"
            )
        if not word.strip("I"):
            self._phase_on(angle, controls, state)
        else:
            for gate, qubits in gates.exp_pauli(angle, word, targets, controls, state):
                self._emit(gate, qubits)

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
