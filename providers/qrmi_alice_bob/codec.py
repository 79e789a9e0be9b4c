"""Gate programs for Felis, format ``alice-bob-felis``: QIR programs and CSV histograms.

A job runs one circuit without parameters, so a pub becomes one job for each set of its values. An
outcome's text has bit 0 rightmost, as in Qiskit. A histogram does not keep the order of shots: they
come grouped by outcome.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qrmi.codecs import bases, binding, notes
from qrmi.codecs.interface import GATE, Device, Encoded, Limits
from qrmi.errors import (
    InvalidInputError,
    MissingExtraError,
    Owner,
    UnexpectedAnswerError,
    UnsupportedPayloadError,
)
from qrmi.payloads import AliceBobFelis
from qrmi.transport import reading
from qrmi_alice_bob.axes import measured_natively
from qrmi_alice_bob.discovery import most_shots
from qrmi_alice_bob.inputs import settled
from qrmi_alice_bob.instructions import functions_of, target_of

__all__ = [
    "KIND",
    "decode_result",
    "encode_estimator",
    "encode_sampler",
    "read_limits",
    "read_target",
]

KIND = GATE

_VERSION = 1
_HEADER = ["memory", "count"]


def read_target(text: str) -> Target:
    """What circuits have to fit: the target's instructions, on all of its qubits.

    A target that prepares states has ``initialize``; ``measure_x`` and ``measure_y`` are the
    instructions of `qrmi_alice_bob.instructions`.
    """
    description = _description(text)
    with reading("GET targets"):
        return target_of(description)


def read_limits(text: str) -> Limits:
    """The most shots of a job. An emulator emulates noise, and gives no exact values."""
    description = _description(text)
    with reading("GET targets"):
        return Limits(max_shots=most_shots(description))


def encode_sampler(
    pubs: Sequence[SamplerPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write sampler pubs; options are the target's input parameters, such as the photon number."""
    payloads, described = _encoded(pubs, _description(device.target_text), options)
    return Encoded(payloads=payloads, notes=notes.pack({"felis": _VERSION, "pubs": described}))


def encode_estimator(
    pubs: Sequence[EstimatorPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write estimator pubs as sampling in other bases, with what the target has for that."""
    description = _description(device.target_text)
    sampled, kept = measured_natively(pubs, target_of(description))
    payloads, described = _encoded(sampled, description, options)
    body = {"felis": _VERSION, "pubs": described, "bases": kept}
    return Encoded(payloads=payloads, notes=notes.pack(body))


def decode_result(texts: Sequence[str], notes_: Mapping[str, Any]) -> PrimitiveResult:
    """Read the histograms of all jobs."""
    kept = notes.unpack(notes_)
    if kept.get("felis") != _VERSION:
        raise UnexpectedAnswerError(
            f"the notes of the task have version {kept.get('felis')!r}, not {_VERSION}",
            owner=Owner.USER,
            hint="read the result with the version of openqrmi that started the task",
        )
    remaining = iter(texts)
    results = []
    for pub in kept["pubs"]:
        count = int(np.prod(pub["shape"]))
        measured = [_outcomes(text, pub["bits"]) for text in itertools.islice(remaining, count)]
        data = binding.assemble(measured, pub["registers"], pub["shape"], pub["shots"])
        results.append(SamplerPubResult(data, metadata={"shots": pub["shots"]}))
    result = PrimitiveResult(results, metadata={"version": 2})
    return bases.combine(result, kept["bases"]) if "bases" in kept else result


def _description(text: str) -> dict[str, Any]:
    try:
        description = json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedAnswerError("the target is not JSON") from None
    if not isinstance(description, dict) or "instructions" not in description:
        raise UnsupportedPayloadError("this resource's target lists no instructions for circuits")
    return description


def _encoded(
    pubs: Sequence[SamplerPub], description: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[list[AliceBobFelis], list[dict[str, Any]]]:
    write = _writer()
    with reading("GET targets"):
        functions = functions_of(description)
        declared = description.get("inputParams") or {}
    payloads: list[AliceBobFelis] = []
    described: list[dict[str, Any]] = []
    for pub in map(binding.measuring, pubs):
        if pub.shots is None:
            raise InvalidInputError("a sampler pub needs its number of shots")
        parameters = json.dumps(settled(declared, options, int(pub.shots)))
        if pub.parameter_values.num_parameters:
            programs = [write(circuit, functions) for circuit in binding.bound(pub)]
        else:
            programs = [write(pub.circuit, functions)] * pub.parameter_values.size
        payloads += [AliceBobFelis(program, parameters) for program in programs]
        described.append(
            {
                "shape": list(pub.parameter_values.shape),
                "shots": int(pub.shots),
                "bits": pub.circuit.num_clbits,
                "registers": binding.registers(pub.circuit),
            }
        )
    return payloads, described


def _writer() -> Any:
    try:
        from qrmi_alice_bob.qir import write_qir
    except ImportError as error:
        raise MissingExtraError(
            "writing QIR needs pyqir", hint="pip install 'openqrmi[alice-bob]'"
        ) from error
    return write_qir


def _outcomes(text: str, num_bits: int) -> NDArray[np.uint8]:
    """A histogram's shots, column i for bit i. A line of headings is passed over."""
    with reading("GET output"):
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row]
        counts = {bits: int(count) for bits, count in rows if [bits, count] != _HEADER}
    return binding.columns(counts, num_bits)
