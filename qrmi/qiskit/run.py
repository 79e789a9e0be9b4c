"""``backend.run``: circuits to one sampler program, and its result to a ``qiskit.result.Result``.

A result needs a header for each circuit: its name, its registers, which classical bits they hold.
Headers travel inside the circuits' metadata, which resources give back, so that a job can be
opened in another process however many circuits it has; a few small ones are journalled too, for
resources that drop metadata.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.result import Result
from qiskit.result.models import ExperimentResult, ExperimentResultData

from qrmi.codecs import bits
from qrmi.codecs.interface import Encoded
from qrmi.errors import UnexpectedAnswerError
from qrmi.qiskit.errors import pub_errors
from qrmi.qiskit.records import check_registers, portable

if TYPE_CHECKING:
    from qrmi.qiskit.backends import QRMIBackend

__all__ = ["Header", "Program", "prepare", "read", "recovered", "registered"]

_KEY = "qrmi.run"
_LARGEST_CONTEXT = 1000  # characters


@attrs.frozen(kw_only=True)
class Header:
    """What a result says of the circuit it belongs to.

    Attributes:
        name: the circuit's name.
        qreg_sizes: names and sizes of the quantum registers.
        creg_sizes: names and sizes of the classical registers.
        clbits: for each classical register, by name, the circuit's bits that it holds.
        memory_slots: the number of classical bits.
        n_qubits: the number of qubits.
        global_phase: in radians.
        metadata: the circuit's own metadata.
    """

    name: str
    qreg_sizes: list[list[Any]]
    creg_sizes: list[list[Any]]
    clbits: dict[str, list[int]]
    memory_slots: int
    n_qubits: int
    global_phase: float = 0.0
    metadata: Mapping[str, Any] = attrs.field(factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The header as Qiskit's results carry it.

        ``creg_sizes``, from which Qiskit puts spaces between registers, is there only when the
        registers hold all bits once and in order; a text of the bits has no other spelling.
        """
        header = attrs.asdict(self)
        ordered = [bit for name, _ in self.creg_sizes for bit in header["clbits"][name]]
        del header["clbits"]
        if ordered != list(range(self.memory_slots)):
            del header["creg_sizes"]
        return header


@attrs.frozen(kw_only=True)
class Program:
    """What `prepare` makes: a program to send, a context to journal, headers to keep."""

    encoded: Encoded
    context: dict[str, Any]
    headers: list[Header]


def prepare(
    backend: QRMIBackend,
    circuits: Sequence[QuantumCircuit],
    shots: int,
    seed: int | None,
    more: Mapping[str, Any] | None = None,
) -> Program:
    """Make one sampler program of these circuits.

    Args:
        backend: what they are for.
        circuits: without unbound parameters.
        shots: of each circuit.
        seed: for simulators, or ``None``.
        more: options of the resource's service beyond those.

    Raises:
        InvalidPubError: zero shots, unbound parameters, a register whose name a result cannot hold.
        InvalidPubTypeError: shots or a seed that are no integers.
    """
    headers, pubs = [], []
    for circuit in circuits:
        check_registers(circuit)
        header, sent = _headed(circuit)
        headers.append(header)
        with pub_errors():
            pubs.append(SamplerPub.coerce(sent, shots))
    with pub_errors():
        options = dict(more or {})
        if seed is not None:
            options["simulator"] = {"seed_simulator": operator.index(seed)}
    return Program(
        encoded=backend.codec.encode_sampler(pubs, device=backend, options=options),
        context=_context(headers),
        headers=headers,
    )


def _context(headers: Sequence[Header]) -> dict[str, Any]:
    context = {"sdk": "qiskit", "kind": "run"}
    bare = [attrs.asdict(attrs.evolve(header, metadata={})) for header in headers]
    if len(json.dumps(bare)) > _LARGEST_CONTEXT:
        return context
    return {**context, "headers": bare}


def _headed(circuit: QuantumCircuit) -> tuple[Header, QuantumCircuit]:
    """A circuit's header, and a copy to send, all of whose bits are in some register."""
    sent = registered(circuit)
    header = Header(
        name=circuit.name,
        qreg_sizes=[[register.name, register.size] for register in circuit.qregs],
        creg_sizes=[[register.name, register.size] for register in circuit.cregs],
        clbits={
            register.name: [sent.find_bit(bit).index for bit in register] for register in sent.cregs
        },
        memory_slots=circuit.num_clbits,
        n_qubits=circuit.num_qubits,
        global_phase=float(circuit.global_phase) if not circuit.parameters else 0.0,
        metadata=circuit.metadata,
    )
    travelling = attrs.evolve(header, metadata=portable(circuit).metadata)
    sent.metadata = {_KEY: attrs.asdict(travelling)}
    return header, sent


def registered(circuit: QuantumCircuit) -> QuantumCircuit:
    """A copy with a register more for the bits that are in none: results have no place for them."""
    copied = circuit.copy()
    loose = [bit for bit in circuit.clbits if not circuit.find_bit(bit).registers]
    if loose:
        copied.add_register(ClassicalRegister(bits=loose, name=_unused_name(circuit)))
    return copied


def _unused_name(circuit: QuantumCircuit) -> str:
    taken = {register.name for register in (*circuit.cregs, *circuit.qregs)}
    return next(name for n in range(len(taken) + 1) if (name := f"loose{n}") not in taken)


# --- results --------------------------------------------------------------------------------------


def recovered(result: PrimitiveResult, context: Mapping[str, Any]) -> list[Header]:
    """Headers of a result whose circuits are not at hand.

    Those that came back with the result are taken; else the journalled ones; else such as the
    result's own registers suggest, one after the other.
    """
    journalled = context.get("headers") or [None] * len(result)
    return [
        _returned(pub) or (Header(**kept) if kept else _suggested(pub, number))
        for number, (pub, kept) in enumerate(zip(result, journalled, strict=True))
    ]


def _returned(pub: PubResult) -> Header | None:
    metadata = pub.metadata.get("circuit_metadata") or {}
    return Header(**metadata[_KEY]) if _KEY in metadata else None


def _suggested(pub: PubResult, number: int) -> Header:
    clbits, start = {}, 0
    for name, values in pub.data.items():
        clbits[name] = list(range(start, start + values.num_bits))
        start += values.num_bits
    return Header(
        name=f"circuit-{number}",
        qreg_sizes=[],
        creg_sizes=[[name, len(held)] for name, held in clbits.items()],
        clbits=clbits,
        memory_slots=start,
        n_qubits=0,
        metadata=pub.metadata.get("circuit_metadata") or {},
    )


def read(
    result: PrimitiveResult, headers: Sequence[Header], *, backend_name: str, job_id: str
) -> Result:
    """Turn a sampler's result, one pub a circuit, into what ``backend.run`` gives."""
    if len(headers) != len(result):
        raise UnexpectedAnswerError(
            f"the resource gave {len(result)} results for {len(headers)} circuits",
            task_id=job_id,
        )
    pairs = zip(result, headers, strict=True)
    return Result(
        backend_name=backend_name,
        job_id=job_id,
        success=True,
        status="COMPLETED",
        results=[_experiment(pub, header) for pub, header in pairs],
    )


def _experiment(pub: PubResult, header: Header) -> ExperimentResult:
    shots = pub.metadata["shots"]
    measured = header.memory_slots > 0  # without bits Qiskit says "No counts"
    data = _PackedData(_memory(pub.data, header)) if measured else ExperimentResultData()
    return ExperimentResult(
        shots=shots, success=True, data=data, status="DONE", header=header.to_dict()
    )


def _memory(data: DataBin, header: Header) -> NDArray[np.uint8]:
    """Packed shots over all classical bits of the circuit, out of those of its registers."""
    sources = [0] * header.memory_slots
    columns, width = [], 0
    for name, held in header.clbits.items():
        for position, bit in enumerate(held):
            sources[bit] = 8 * width + position
        columns.append(data[name].array)
        width += columns[-1].shape[-1]
    return bits.take(np.concatenate(columns[::-1], axis=-1), sources)


class _PackedData(ExperimentResultData):  # type: ignore[misc]  # Qiskit is untyped
    """Counts and memory as Qiskit has them, in hexadecimal, made at first use."""

    def __init__(self, packed: NDArray[np.uint8]) -> None:
        super().__init__()
        self._packed = packed
        self._data_attributes = ["counts", "memory"]

    @cached_property
    def memory(self) -> list[str]:
        """Each shot, in order."""
        return _hexadecimal(self._packed)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each outcome was seen."""
        outcomes, numbers = np.unique(self._packed, axis=0, return_counts=True)
        return dict(zip(_hexadecimal(outcomes), numbers.tolist(), strict=True))


def _hexadecimal(packed: NDArray[np.uint8]) -> list[str]:
    width = packed.shape[-1]
    text = packed.tobytes()
    steps = range(0, len(text), width)
    return [hex(int.from_bytes(text[start : start + width])) for start in steps]
