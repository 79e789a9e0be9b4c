"""What is refused at once, without an SDK and before anything is written."""

from __future__ import annotations

import json
from typing import Any

from qrmi.errors import InvalidInputError, MissingExtraError, UnsupportedPayloadError
from qrmi.payloads import PasqalCloud, Payload, PulserBatch, QiskitPrimitive
from qrmi_local.device import Device, DeviceKind
from qrmi_local.target import is_installed

__all__ = ["check_payload", "missing_extra", "must_be_installed", "must_match"]

_PROGRAMS = ("estimator", "sampler")
_SCHEMA_VERSION = 2
_EXTRAS = {DeviceKind.GATE: "qiskit", DeviceKind.ANALOG: "pulser"}
_EXTRA_OF_MODULE = {
    "qiskit": "qiskit",
    "qiskit_aer": "qiskit",
    "pulser": "pulser",
    "pulser_simulation": "pulser",
}


def check_payload(payload: Payload, *, may_be_empty: bool = False) -> None:
    """Look at a payload before anything is written.

    Args:
        payload: what is to be started.
        may_be_empty: whether a batch needs no jobs yet.

    Raises:
        UnsupportedPayloadError: not a format, or not a program, that is run here.
        InvalidInputError: the payload cannot be right.
    """
    if isinstance(payload, QiskitPrimitive):
        _check_primitive(payload)
    elif isinstance(payload, PasqalCloud | PulserBatch):
        _object(payload.sequence, "sequence")
        if isinstance(payload, PulserBatch):
            _check_batch(payload, may_be_empty=may_be_empty)
    else:
        raise UnsupportedPayloadError(
            f"the embedded simulator does not take {payload.FORMAT} payloads",
            hint="it takes: pulser-sequence, qiskit-primitive",
        )


def must_match(kind: DeviceKind, device: Device, resource_id: str) -> None:
    """Raise `UnsupportedPayloadError` unless the imitated device takes programs of this kind."""
    if device.kind is not kind:
        raise UnsupportedPayloadError(
            f"{resource_id} imitates {device.name}, which takes {device.kind} programs, not "
            f"{kind} ones",
            hint="use a resource that imitates no device, or another one",
        )


def must_be_installed(kind: DeviceKind) -> None:
    """Raise `MissingExtraError` unless the simulator for this kind of programs is there."""
    if not is_installed(kind):
        raise MissingExtraError(
            f"the simulator for {kind} programs is not installed",
            hint=f"pip install 'openqrmi[{_EXTRAS[kind]}]'",
        )


def missing_extra(error: BaseException) -> MissingExtraError | None:
    """What to say of a failed import when an SDK is what is missing; ``None`` when it is not."""
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return None
    extra = _EXTRA_OF_MODULE.get(error.name.partition(".")[0])
    if extra is None:
        return None
    return MissingExtraError(
        f"the simulator needs {error.name}, which is not installed where it runs",
        hint=f"pip install 'openqrmi[{extra}]'",
    )


def _check_batch(payload: PulserBatch, *, may_be_empty: bool) -> None:
    if payload.configuration is not None:
        _object(payload.configuration, "configuration")
    if not payload.jobs and not may_be_empty:
        raise InvalidInputError(
            "the batch has no jobs", hint="give at least one, or start an open batch"
        )
    if payload.configuration is None and any(job.runs is None for job in payload.jobs):
        raise InvalidInputError(
            "a job has no number of runs, and there is no configuration that has one",
            hint="give each job its runs",
        )


def _check_primitive(payload: QiskitPrimitive) -> None:
    if payload.program_id not in _PROGRAMS:
        raise UnsupportedPayloadError(
            f"the embedded simulator has no program {payload.program_id!r}",
            hint="its programs are: estimator, sampler",
        )
    data = _object(payload.input, "input")
    if data.get("version", _SCHEMA_VERSION) != _SCHEMA_VERSION:
        raise InvalidInputError(
            f"input.version must be {_SCHEMA_VERSION}",
            hint="write the program with this release's SDKs, or in that version of the schema",
        )
    pubs = data.get("pubs")
    if not isinstance(pubs, list):
        raise InvalidInputError("input.pubs must be a list")
    options = data.get("options") or {}
    if not isinstance(options, dict):
        raise InvalidInputError("input.options must be an object")
    _check_shots(options.get("default_shots"), "input.options.default_shots")
    for index, pub in enumerate(pubs):
        _check_pub(pub, f"input.pubs[{index}]", payload.program_id)


def _check_pub(pub: Any, place: str, program_id: str) -> None:
    if not isinstance(pub, list) or not pub:
        raise InvalidInputError(f"{place} must be a list that begins with a circuit")
    if program_id == "sampler" and len(pub) > 2:
        _check_shots(pub[2], f"{place}[2] (shots)")


def _check_shots(value: Any, place: str) -> None:
    if isinstance(value, int) and value < 1:
        raise InvalidInputError(f"{place} must be at least 1, not {value}")


def _object(text: str, name: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{name} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInputError(f"{name} must be a JSON object")
    return data
