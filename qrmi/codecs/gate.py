"""The codec of ``qiskit-primitive``: gate programs as the IBM services and ``local`` take them.

A resource's `Capabilities.dialect` says how circuits are written:

======================= ============================================================
``""``                  QPY, and observables of any shape: ``local``
``"qpy"``               QPY, as IBM's compute service takes it
``"qpy13"`` ... ``17``  the same with another version of QPY than the default one
``"qasm3"``             OpenQASM 3 text, as IBM's quantum system takes it
======================= ============================================================
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import binding, bits, circuits, notes, primitive, primitive_results
from qrmi.codecs.circuits import CircuitForm
from qrmi.codecs.interface import GATE, Device, Encoded, Limits
from qrmi.codecs.primitive import FORMAT, decode_program, decode_pubs
from qrmi.codecs.primitive_results import encode_result
from qrmi.codecs.sameness import comparable
from qrmi.codecs.tagged import QPY_DEFAULT, QPY_VERSIONS
from qrmi.codecs.target import configuration_in, read_target
from qrmi.errors import InvalidInputError, Owner, UnexpectedAnswerError

__all__ = [
    "FORMAT",
    "KIND",
    "comparable",
    "decode_program",
    "decode_pubs",
    "decode_result",
    "encode_estimator",
    "encode_result",
    "encode_sampler",
    "read_limits",
    "read_target",
]

KIND = GATE


@attrs.frozen(kw_only=True)
class _Dialect:
    """How programs are written for a service.

    Attributes:
        form: of circuits.
        qpy_version: of QPY, where it is used.
        flat: observables have at most one axis.
    """

    form: CircuitForm = "qpy"
    qpy_version: int = QPY_DEFAULT
    flat: bool = True


_DIALECTS = {
    "": _Dialect(flat=False),
    "qpy": _Dialect(),
    **{f"qpy{version}": _Dialect(qpy_version=version) for version in QPY_VERSIONS},
    "qasm3": _Dialect(form="qasm3"),
}


def read_limits(text: str) -> Limits:
    """What the device takes at most, by its configuration.

    Raises:
        UnexpectedAnswerError: the configuration is malformed.
    """
    configuration = configuration_in(text)
    return Limits(
        max_shots=_limit(configuration, "max_shots"),
        max_circuits=_limit(configuration, "max_experiments"),
        simulator=bool(configuration.get("simulator", False)),
    )


def encode_sampler(
    pubs: Sequence[SamplerPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write sampler pubs as one payload.

    Args:
        pubs: the pubs, each with its shots.
        device: what they are for; its dialect says how circuits are written.
        options: the ``options`` of the payload, verbatim.

    Raises:
        InvalidInputError: a pub has no shots, values that are not finite, or a circuit or an
            option that cannot be written.
    """
    dialect = _dialect(device)
    written = [primitive.sampler_pub(pub, dialect.form, dialect.qpy_version) for pub in pubs]
    payload = primitive.payload("sampler", written, options)
    return Encoded(payloads=(payload,), notes=_notes(dialect, pubs, written))


def encode_estimator(
    pubs: Sequence[EstimatorPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write estimator pubs as one payload; as `encode_sampler`.

    For the IBM services, whose observables have at most one axis, observables with more are
    sent flattened, and the values get their shape again.

    Raises:
        InvalidInputError: values, coefficients or a precision that are not finite, or a circuit or
            an option that cannot be written.
    """
    dialect = _dialect(device)
    written = [
        primitive.estimator_pub(pub, dialect.form, dialect.qpy_version, dialect.flat)
        for pub in pubs
    ]
    payload = primitive.payload("estimator", written, options)
    flattened = {
        str(number): list(pub.shape)
        for number, pub in enumerate(pubs)
        if dialect.flat and pub.observables.ndim > 1
    }
    return Encoded(payloads=(payload,), notes=_notes(dialect, pubs, written, flattened))


def decode_result(texts: Sequence[str], kept: Mapping[str, Any]) -> PrimitiveResult:
    """Read the result of a program: in the tagged form, or the plain one with hexadecimal samples.

    Raises:
        UnexpectedAnswerError: it is neither, or the notes are damaged.
    """
    if len(texts) != 1:
        raise UnexpectedAnswerError(f"{len(texts)} results for a program of one task")
    result = primitive_results.decode_result(texts[0])
    if not kept:
        return result
    told = notes.unpack(kept)
    pubs = [
        _restored(pub, {name: held.get(str(number)) for name, held in told.items()})
        for number, pub in enumerate(result)
    ]
    return PrimitiveResult(pubs, metadata=result.metadata)


def _dialect(device: Device) -> _Dialect:
    name = device.resource.capabilities.dialect
    if name not in _DIALECTS:
        raise InvalidInputError(
            f"{device.resource.resource_id()} wants circuits in the unknown dialect {name!r}",
            owner=Owner.SITE,
            hint=f"a driver declares one of: {', '.join(repr(known) for known in _DIALECTS)}",
        )
    return _DIALECTS[name]


def _limit(configuration: Mapping[str, Any], name: str) -> int | None:
    limit = configuration.get(name)
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise UnexpectedAnswerError(f"malformed configuration: {name} is {json.dumps(limit)[:40]}")
    return limit or None


def _notes(
    dialect: _Dialect,
    pubs: Iterable[SamplerPub | EstimatorPub],
    written: Iterable[Sequence[Any]],
    shapes: Mapping[str, list[int]] | None = None,
) -> dict[str, Any]:
    """What results do not tell, by the number of the pub.

    Shapes that were flattened; registers that OpenQASM 3 calls otherwise; registers that shared
    bits, and where these are among all bits.
    """
    renamed: dict[str, dict[str, str]] = {}
    shared: dict[str, binding.Registers] = {}
    if dialect.form == "qasm3":
        for number, (pub, (text, *_)) in enumerate(zip(pubs, written, strict=True)):
            if circuits.shares_bits(pub.circuit):
                shared[str(number)] = binding.registers(pub.circuit)
            elif changed := circuits.renamed_registers(pub.circuit, text):
                renamed[str(number)] = changed
    told = {"shape": shapes, "renamed": renamed, "shared": shared}
    told = {name: value for name, value in told.items() if value}
    return notes.pack(told) if told else {}


def _restored(pub: PubResult, told: Mapping[str, Any]) -> PubResult:
    """A pub's result with the registers and the shape that it was asked for with."""
    values: dict[str, Any] = dict(pub.data.items())
    if told.get("shared"):
        values = _carved(values.get(circuits.ALL_BITS), told["shared"])
    names: Mapping[str, str] = told.get("renamed") or {}
    shape = pub.data.shape if told.get("shape") is None else tuple(told["shape"])
    if shape != pub.data.shape:
        values = {name: value.reshape(shape) for name, value in values.items()}
    data = DataBin(**{names.get(name, name): value for name, value in values.items()}, shape=shape)
    return type(pub)(data, metadata=pub.metadata)


def _carved(array: object, registers: Sequence[Sequence[Any]]) -> dict[str, BitArray]:
    if not isinstance(array, BitArray):
        raise UnexpectedAnswerError("malformed result: it does not have all bits of the circuit")
    return {name: BitArray(bits.take(array.array, held), size) for name, size, held in registers}
