"""Pubs for services whose tasks are circuits without parameters.

A pub becomes one bound circuit for each set of values; the bits that come back become the pub's
data again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.circuit import Clbit
from qiskit.primitives import BitArray, DataBin
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import bits
from qrmi.errors import InvalidInputError, UnexpectedAnswerError

__all__ = ["Registers", "assemble", "bound", "columns", "measuring", "registers"]

Registers = list[list[Any]]
"""For each classical register its name, its size, and the circuit's bit of each of its bits; plain
JSON values."""


def bound(pub: SamplerPub | EstimatorPub) -> Iterator[QuantumCircuit]:
    """The circuits of a pub, one for each set of parameter values, in C order.

    A circuit without parameters is given as it is, for each element of the pub's
    ``parameter_values``: do not change what is yielded.

    Raises:
        InvalidInputError: at the first circuit: values for other parameters than the circuit has,
            or values that are not finite numbers.
    """
    values = pub.parameter_values
    try:
        finite = np.isfinite(values.as_array(pub.circuit.parameters)).all()
    except ValueError as error:
        raise InvalidInputError(f"the values do not fit the circuit: {error}") from error
    if not finite:
        raise InvalidInputError("the values of parameters must be finite numbers")
    for place in np.ndindex(values.shape):
        yield values.bind(pub.circuit, place) if values.num_parameters else pub.circuit


def measuring(pub: SamplerPub) -> SamplerPub:
    """The pub, with a circuit that measures something: some services refuse others.

    A circuit without any measurement outside of branches gets one, of its first qubit, into a
    classical bit more, behind its own. That bit is in no register, so results do not show it.

    Raises:
        InvalidInputError: a circuit without qubits.
    """
    if any(item.clbits and not item.is_control_flow() for item in pub.circuit.data):
        return pub
    if not pub.circuit.num_qubits:
        raise InvalidInputError("a circuit has no qubits: there is nothing to run")
    circuit = pub.circuit.copy()
    circuit.add_bits([Clbit()])
    circuit.measure(0, circuit.clbits[-1])
    return SamplerPub(circuit, pub.parameter_values, pub.shots, validate=False)


def registers(circuit: QuantumCircuit) -> Registers:
    """The classical registers of a circuit, in order, as `assemble` takes them."""
    index = {bit: position for position, bit in enumerate(circuit.clbits)}
    return [
        [register.name, register.size, [index[bit] for bit in register]]
        for register in circuit.cregs
    ]


def columns(counts: Mapping[str, int], num_bits: int) -> NDArray[np.uint8]:
    """Counts as an array with one row a shot and one column a bit.

    Args:
        counts: bit strings, the rightmost character for bit 0 (Qiskit's order), and how often
            each was seen. Shots come out grouped by outcome.
        num_bits: the length of each string.

    Raises:
        UnexpectedAnswerError: a string of another length or with other characters, or a negative
            count.
    """
    for text, number in counts.items():
        if len(text) != num_bits or set(text) - {"0", "1"} or number < 0:
            raise _malformed(f"not {num_bits} bits and a number of times")
    rows = np.frombuffer("".join(counts).encode("ascii"), dtype=np.uint8) - ord("0")
    rows = rows.reshape(len(counts), num_bits)[:, ::-1]
    return np.repeat(rows, list(counts.values()), axis=0).astype(np.uint8)


def assemble(
    measured: Sequence[NDArray[np.uint8]],
    held: Sequence[Sequence[Any]],
    shape: Sequence[int],
    shots: int,
) -> DataBin:
    """The data of one sampler pub, out of what its bound circuits measured.

    Args:
        measured: for each circuit that `bound` gave, in that order, an array of shape
            (shots, number of classical bits): column i is bit i of the circuit, 0 or 1.
        held: what `registers` said of the circuit.
        shape: of the pub's parameter values.
        shots: of the pub.

    Returns:
        A ``BitArray`` for each register: bit i of it is bit i of the register.

    Raises:
        UnexpectedAnswerError: another number of circuits, shots or bits than was asked for.
    """
    shape = tuple(shape)
    if len(measured) != int(np.prod(shape)):
        raise _malformed(f"{len(measured)} results for {int(np.prod(shape))} circuits")
    width = 1 + max((bit for _, _, places in held for bit in places), default=-1)
    for outcome in measured:
        if outcome.ndim != 2 or outcome.shape[0] != shots or outcome.shape[1] < width:
            raise _malformed(f"{outcome.shape} values for {shots} shots of {width} bits")
    fields = {
        name: BitArray(_register(measured, places, shape, shots), size)
        for name, size, places in held
    }
    return DataBin(**fields, shape=shape)


def _register(
    measured: Sequence[NDArray[np.uint8]], places: list[int], shape: tuple[int, ...], shots: int
) -> NDArray[np.uint8]:
    packed = np.empty((len(measured), shots, bits.num_bytes(len(places))), dtype=np.uint8)
    for row, outcome in enumerate(measured):
        packed[row] = bits.pack(outcome[:, places])
    return packed.reshape(*shape, shots, packed.shape[-1])


def _malformed(what: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"malformed result: {what}")
