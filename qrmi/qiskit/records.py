"""What is kept of pubs between sending them and reading their results.

In the process that sent them, everything; in another one, what the journal has (shapes, when they
are few) and what the resource gives back in the results' metadata.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from qiskit import QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.errors import UnexpectedAnswerError
from qrmi.qiskit.errors import InvalidPubError

__all__ = [
    "PubRecord",
    "check_registers",
    "complete",
    "context",
    "portable",
    "records_of",
    "shapes_in",
]

_LARGEST_CONTEXT = 1000  # characters


@attrs.frozen(kw_only=True)
class PubRecord:
    """One pub, as far as its result needs it.

    Attributes:
        shape: the pub's shape after broadcasting.
        metadata: the keys that Qiskit's own primitives put into the pub result's metadata.
    """

    shape: tuple[int, ...]
    metadata: Mapping[str, Any] = attrs.field(factory=dict)


def records_of(pubs: Iterable[SamplerPub | EstimatorPub]) -> list[PubRecord]:
    """What to keep of these pubs."""
    return [
        PubRecord(
            shape=pub.shape,
            metadata={**_setting(pub), "circuit_metadata": pub.circuit.metadata},
        )
        for pub in pubs
    ]


def _setting(pub: SamplerPub | EstimatorPub) -> dict[str, Any]:
    if isinstance(pub, SamplerPub):
        return {"shots": pub.shots}
    return {"target_precision": pub.precision}


def context(kind: str, records: Sequence[PubRecord]) -> dict[str, Any]:
    """What the journal keeps for another process: shapes, unless they are too many."""
    made: dict[str, Any] = {"sdk": "qiskit", "kind": kind}
    shapes = [list(record.shape) for record in records]
    if any(shapes) and len(json.dumps(shapes)) <= _LARGEST_CONTEXT:
        made["shapes"] = shapes
    return made


def shapes_in(context: Mapping[str, Any]) -> list[PubRecord] | None:
    """Records with the shapes of a journalled context; ``None`` when it has none."""
    shapes = context.get("shapes")
    return None if shapes is None else [PubRecord(shape=tuple(shape)) for shape in shapes]


def check_registers(circuit: QuantumCircuit) -> None:
    """Refuse registers that a ``DataBin`` has no room for, before anything is sent.

    Raises:
        InvalidPubError: naming the register.
    """
    for register in circuit.cregs:
        if hasattr(DataBin, register.name) or register.name == "self":
            raise InvalidPubError(
                f"a result cannot have a register called {register.name!r}",
                hint="rename the register",
            )


def portable(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit, or a copy without its metadata when that cannot be written as JSON."""
    try:
        json.dumps(circuit.metadata)
    except (TypeError, ValueError):
        bare = circuit.copy()
        bare.metadata = {}
        return bare
    return circuit


def complete(result: PrimitiveResult, records: Sequence[PubRecord] | None) -> PrimitiveResult:
    """The result with the shapes and the metadata that Qiskit's own primitives give.

    Other metadata that the resource sent is kept. Arrays are shared, not copied.

    Raises:
        UnexpectedAnswerError: it gave back another number of results than there were pubs.
    """
    if records is not None and len(records) != len(result):
        raise UnexpectedAnswerError(
            f"the resource gave {len(result)} results for {len(records)} pubs"
        )
    known = itertools.repeat(None) if records is None else records
    pubs = [_completed(pub, record) for pub, record in zip(result, known, strict=False)]
    return PrimitiveResult(pubs, metadata={"version": 2, **result.metadata})


def _completed(pub: PubResult, record: PubRecord | None) -> PubResult:
    data = pub.data if record is None else _shaped(pub.data, record.shape)
    sampled = _sampled(data)
    metadata = {"circuit_metadata": {}, **pub.metadata}
    if sampled:
        metadata = {"shots": _shots(data), **metadata}
    metadata.update(record.metadata if record else {})
    return (SamplerPubResult if sampled else PubResult)(data, metadata=metadata)


def _sampled(data: DataBin) -> bool:
    return all(isinstance(value, BitArray) for value in data.values())


def _shots(data: DataBin) -> int:
    return next((value.num_shots for value in data.values()), 0)


def _shaped(data: DataBin, shape: tuple[int, ...]) -> DataBin:
    """The same values under the pub's own shape, where the resource had flattened it."""
    if data.shape == shape:
        return data
    flat = {name: value.reshape(*shape) for name, value in data.items()}
    return DataBin(**flat, shape=shape)
