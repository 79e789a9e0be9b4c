"""Gate programs and the ``iqm-server`` payload; its results as Qiskit's.

A payload of the job type ``circuit`` is IQM's run request::

    {"circuits": [{"name": …, "instructions": [{"name": …, "locus": […], "args": {…}}, …]}, …],
     "shots": 1000, "calibration_set_id": …, …}

Circuits of a request share their shots, so pubs with different shots go into several payloads.
Requests have no parameters: each set of values is a circuit of its own. A result is
``{"measurement_counts": […] or null, "measurements": [{key: [[bit], …]}, …] or null}`` with one
row a shot, circuits in the order of the request.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qrmi.codecs import bases
from qrmi.codecs.binding import assemble, bound, registers
from qrmi.codecs.interface import GATE, Device, Encoded, Limits
from qrmi.codecs.notes import pack, unpack
from qrmi.errors import InvalidInputError, Owner, UnexpectedAnswerError
from qrmi.payloads import IQMServer
from qrmi.transport import json_body, reading
from qrmi_iqm.architecture import Architecture, read_architecture, read_parts
from qrmi_iqm.circuits import write_circuit
from qrmi_iqm.measurements import flattened, outcomes
from qrmi_iqm.options import read_options
from qrmi_iqm.target import make_target

__all__ = [
    "KIND",
    "component_names",
    "decode_result",
    "encode_estimator",
    "encode_sampler",
    "read_limits",
    "read_target",
]

KIND = GATE

_VERSION = 1
_LARGEST_METADATA = 600  # characters of a circuit's metadata that travel in the notes


def read_target(text: str) -> Target:
    """What circuits have to fit; see `qrmi_iqm.target.make_target`.

    Raises:
        UnsupportedPayloadError: the device is not calibrated for circuits.
        UnexpectedAnswerError: the text is malformed.
    """
    architecture = read_architecture(text)
    parts = read_parts(text)
    with reading("GET calibration set"):
        return make_target(architecture, parts)


def component_names(text: str) -> tuple[str, ...]:
    """Names of the device's qubits and then resonators, in the order of their numbers."""
    return tuple(read_architecture(text).index)


def read_limits(text: str) -> Limits:
    """Nothing is known of limits: the server's answers for a target do not tell them."""
    return Limits()


def encode_sampler(
    pubs: Sequence[SamplerPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Run requests for sampler pubs: one for each number of shots that occurs.

    Args:
        pubs: each with its shots; circuits in the device's instructions.
        device: what they are for: its calibration set is the one that the request names.
        options: see `qrmi_iqm.options.read_options`.

    Raises:
        InvalidInputError: an unknown option, a parameter without a value, no pubs.
        IsaError: an instruction that the device does not have.
    """
    architecture = read_architecture(device.target_text)
    chosen = read_options(options)
    circuits: dict[int, list[dict[str, Any]]] = {}
    kept = []
    for number, pub in enumerate(pubs):
        if pub.shots is None:
            raise InvalidInputError("a sampler pub needs its number of shots")
        shots = int(pub.shots)  # NumPy's integers are no JSON
        made = circuits.setdefault(shots, [])
        payload = list(circuits).index(shots)
        kept.append(_kept(pub, payload, shots))
        made += [
            write_circuit(circuit, architecture, chosen.names, f"pub{number}-{index}")
            for index, circuit in enumerate(bound(pub))
        ]
    if not any(circuits.values()):
        raise InvalidInputError("there is no circuit to run")
    requests = [
        _request(made, shots, architecture, chosen.fields) for shots, made in circuits.items()
    ]
    payloads = [IQMServer(text, "circuit", chosen.use_timeslot, chosen.tag) for text in requests]
    return Encoded(payloads=payloads, notes=pack({"version": _VERSION, "pubs": kept}))


def encode_estimator(
    pubs: Sequence[EstimatorPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Run requests that measure the observables' terms; see `qrmi.codecs.bases`."""
    sampled, plan = bases.plan(pubs, target=read_target(device.target_text))
    encoded = encode_sampler(sampled, device=device, options=options)
    return Encoded(payloads=encoded.payloads, notes={**encoded.notes, "bases": plan})


def decode_result(texts: Sequence[str], notes: Mapping[str, Any]) -> PrimitiveResult:
    """The result of all payloads.

    With heralding the server may return fewer shots than were asked for: a pub then has as many
    as its circuit with the fewest, and says so in its metadata.

    Raises:
        UnexpectedAnswerError: a text is malformed, or has other circuits than were sent.
    """
    kept = unpack(notes)
    if kept.get("version") != _VERSION:
        raise UnexpectedAnswerError(
            f"the notes of the task have version {kept.get('version')!r}, not {_VERSION}",
            owner=Owner.USER,
            hint="read the result with the version of openqrmi that started the task",
        )
    with reading("GET measurements"):
        names = {held[0] for entry in kept["pubs"] for held in entry["registers"]}
        results = [_circuits_of(flattened(text, names)) for text in texts]
        read = [_pub_result(entry, results) for entry in kept["pubs"]]
        if any(next(rest, None) is not None for rest in results):
            raise UnexpectedAnswerError("the result has more circuits than were sent")
    result = PrimitiveResult(read, metadata={"version": 2})
    return bases.combine(result, notes["bases"]) if "bases" in notes else result


# --- requests -------------------------------------------------------------------------------------


def _request(
    circuits: list[dict[str, Any]],
    shots: int,
    architecture: Architecture,
    fields: Mapping[str, Any],
) -> str:
    body = {
        "circuits": circuits,
        "calibration_set_id": architecture.calibration_set_id,
        "shots": shots,
        **fields,
    }
    return json_body(body).decode()


def _kept(pub: SamplerPub, payload: int, shots: int) -> dict[str, Any]:
    entry = {
        "payload": payload,
        "shape": list(pub.parameter_values.shape),
        "shots": shots,
        "registers": registers(pub.circuit),
    }
    metadata = pub.circuit.metadata
    try:
        if metadata and len(json.dumps(metadata)) <= _LARGEST_METADATA:
            entry["metadata"] = metadata
    except (TypeError, ValueError):  # not JSON: it stays here
        pass
    return entry


# --- results --------------------------------------------------------------------------------------


def _circuits_of(text: str) -> Iterator[tuple[Any, Any]]:
    """Measurements and counts of each circuit, either of which may be ``None``."""
    parts = read_parts(text)
    measured, counted = parts.get("measurements"), parts.get("measurement_counts")
    known = [part for part in (measured, counted) if isinstance(part, list)]
    if not known:
        raise UnexpectedAnswerError("the result has neither measurements nor counts")
    length = len(known[0])
    return iter(list(zip(measured or [None] * length, counted or [None] * length, strict=False)))


def _pub_result(
    entry: Mapping[str, Any], results: Sequence[Iterator[tuple[Any, Any]]]
) -> SamplerPubResult:
    shape, held = tuple(entry["shape"]), entry["registers"]
    source = results[entry["payload"]]
    found = []
    for _ in range(int(np.prod(shape))):
        measured, counted = next(source, (None, None))
        if measured is None and counted is None:
            raise UnexpectedAnswerError("the result has fewer circuits than were sent")
        found.append(outcomes(measured, counted, held, entry["shots"]))
    shots = min((len(rows) for rows in found), default=entry["shots"])
    metadata: dict[str, Any] = {"shots": shots, "circuit_metadata": entry.get("metadata") or {}}
    if shots < entry["shots"]:
        metadata["requested_shots"] = entry["shots"]
    data = assemble([rows[:shots] for rows in found], held, shape, shots)
    return SamplerPubResult(data, metadata=metadata)
