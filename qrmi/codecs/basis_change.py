"""Turning qubits so that a measurement along Z measures along another axis."""

from __future__ import annotations

import functools
import math

from qiskit import QuantumCircuit
from qiskit.circuit.equivalence_library import SessionEquivalenceLibrary
from qiskit.transpiler import PassManager, Target, TranspilerError
from qiskit.transpiler.passes import BasisTranslator, Optimize1qGatesDecomposition

from qrmi.codecs.basis_plan import Basis
from qrmi.errors import IsaError

__all__ = ["BasisChange"]


class BasisChange:
    """Writes changes of basis for one device.

    Args:
        target: the device; ``None`` for rotations by a quarter turn, whatever it is.
    """

    def __init__(self, target: Target | None = None) -> None:
        self._target = target

    def append(self, circuit: QuantumCircuit, basis: Basis) -> None:
        """Turn the qubits of a circuit so that measuring them next measures in the basis.

        Raises:
            IsaError: the device's instructions cannot do that.
        """
        turned = _turned(circuit.num_qubits, basis)
        if self._target is not None and turned.data:
            try:
                turned = self._passes.run(turned)
            except TranspilerError as error:
                raise IsaError(
                    f"the device cannot measure along {'/'.join(sorted(set(basis.axes)))}: "
                    "its instructions have no such rotation",
                    hint="use observables of Z, 0 and 1 only",
                ) from error
        circuit.compose(turned, circuit.qubits, inplace=True)

    @functools.cached_property
    def _passes(self) -> PassManager:
        return PassManager(
            [
                BasisTranslator(SessionEquivalenceLibrary, None, target=self._target),
                Optimize1qGatesDecomposition(target=self._target),
            ]
        )


def _turned(num_qubits: int, basis: Basis) -> QuantumCircuit:
    """Quarter turns, which take the positive X or Y axis to the positive Z axis."""
    turned = QuantumCircuit(num_qubits)
    for axis, qubit in zip(basis.axes, basis.qubits, strict=True):
        if axis == "X":
            turned.ry(-math.pi / 2, qubit)
        elif axis == "Y":
            turned.rx(math.pi / 2, qubit)
    return turned
