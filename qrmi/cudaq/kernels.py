"""A kernel as a circuit, and what CUDA-Q makes of its measurements."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from qiskit.circuit import ClassicalRegister, QuantumCircuit

from qrmi.errors import InvalidInputError

__all__ = ["MEASURED", "Measurement", "Program"]

MEASURED = "meas"
"""The name of the classical register that holds all measurements."""


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
        outputs: how many qubits are the user's: the first ones, in order of allocation. Those
            behind them belonged to helper kernels that gave them back.
    """

    circuit: QuantumCircuit
    measurements: tuple[Measurement, ...]
    outputs: int

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
        register = ClassicalRegister(self.outputs, MEASURED)
        circuit.add_register(register)
        circuit.compose(self.circuit, inplace=True)
        circuit.measure(range(self.outputs), register)
        everything = tuple(Measurement(qubit=qubit) for qubit in range(self.outputs))
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
