"""The ``pulser-sequence`` format: a Pulser sequence to a payload, and its result back.

A program is Pulser's abstract representation (JSON text). A result is the JSON object
``{"counter": {"0110": 3}, "serialised_results": "<Results, abstract representation>"}``; a
batch's is ``{"jobs": [{"id", "status", "counter", "serialised_results", "reason"}, …]}``, with
the job words of Pasqal's services (``PENDING`` … ``ERROR``). Bit strings have the first atom of
the register leftmost, in the program's register as in every result here: nothing is turned round.

Telling what a text is (`program_kind`, `decode_counter`, `decode_batch`) needs no Pulser.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from qrmi.codecs.analog_results import (
    decode_batch,
    decode_counter,
    decode_result,
    encode_batch,
    encode_result,
)
from qrmi.codecs.analog_text import guarded, import_pulser, json_object
from qrmi.codecs.interface import ANALOG
from qrmi.errors import InvalidInputError, UnexpectedAnswerError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch

if TYPE_CHECKING:
    import pulser
    from pulser.backend import EmulationConfig
    from pulser.devices import Device

__all__ = [
    "KIND",
    "decode_batch",
    "decode_counter",
    "decode_result",
    "decode_sequence",
    "encode",
    "encode_batch",
    "encode_job",
    "encode_result",
    "encode_single",
    "program_kind",
    "read_devices",
]

KIND = ANALOG

_log = logging.getLogger(__name__)

_SEQUENCE_KEYS = frozenset({"version", "operations", "register"})
_AHS_KEYS = frozenset({"setup", "hamiltonian"})


@functools.lru_cache(maxsize=2)  # a start asks more than once
def program_kind(text: str) -> str:
    """What an analog program is: ``pulser`` (a sequence) or ``ahs`` (CUDA-Q's program).

    Raises:
        InvalidInputError: the text is neither.
    """
    data = json_object(text, "the analog program")
    if data.keys() >= _SEQUENCE_KEYS:
        return "pulser"
    if data.keys() >= _AHS_KEYS:
        return "ahs"
    raise InvalidInputError(
        "the analog program is neither a Pulser sequence nor an AHS program",
        hint="write a sequence with its to_abstract_repr()",
    )


def encode(
    sequence: pulser.Sequence | str,
    *,
    jobs: Iterable[AnalogJob | Mapping[str, Any]] = (),
    configuration: EmulationConfig | str | None = None,
    device_type: str | None = None,
) -> PulserBatch:
    """A batch of jobs of one sequence.

    Args:
        sequence: the sequence, which may have variables, or its abstract representation.
        jobs: the jobs, in order; as `AnalogJob`, or as Pulser's ``{"runs": …, "variables": …}``.
        configuration: how to emulate; ``None`` for the device's own defaults.
        device_type: the device or emulator wanted; ``None`` leaves it to the resource.

    Raises:
        InvalidInputError: Pulser cannot serialise it, or a job is malformed.
    """
    return PulserBatch(
        sequence=_sequence_text(sequence),
        jobs=[encode_job(job) for job in jobs],
        configuration=None if configuration is None else _configuration_text(configuration),
        device_type=device_type,
    )


def encode_single(sequence: pulser.Sequence | str, runs: int) -> PasqalCloud:
    """One run of a sequence without open variables: ``runs`` shots.

    Raises:
        InvalidInputError: ``runs`` is below 1, or the sequence has open variables.
    """
    text = _sequence_text(sequence)
    if not isinstance(sequence, str) and (
        sequence.is_parametrized() or sequence.is_register_mappable()
    ):
        raise InvalidInputError("the sequence has open variables", hint="build() it first")
    return PasqalCloud(text, runs)


def decode_sequence(text: str) -> pulser.Sequence:
    """The Pulser sequence of an abstract representation.

    Raises:
        InvalidInputError: the text is not one.
    """
    if program_kind(text) != "pulser":
        raise InvalidInputError("this is an AHS program, not a Pulser sequence")
    return guarded("the pulse sequence", import_pulser().Sequence.from_abstract_repr, text)


def _plain(value: Any) -> Any:
    """``value`` as plain JSON values; arrays, tensors and numpy numbers become lists, numbers."""
    try:
        return json.loads(json.dumps(value, default=lambda item: item.tolist()))
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise InvalidInputError(f"a job's values cannot be written as JSON: {error}") from error


def encode_job(job: AnalogJob | Mapping[str, Any]) -> AnalogJob:
    """A job of Pulser's form, ``{"runs": …, "variables": …}``, as plain JSON values.

    Raises:
        InvalidInputError: it is malformed.
    """
    if isinstance(job, AnalogJob):
        return job
    values = _plain(dict(job))
    unknown = values.keys() - {"runs", "variables"}
    if unknown:
        raise InvalidInputError(
            f"a job has the unknown keys {', '.join(sorted(unknown))}",
            hint="a job has `runs` and, when its sequence has variables, `variables`",
        )
    try:
        return AnalogJob(runs=values.get("runs"), variables=values.get("variables") or {})
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"`runs` of a job must be a positive integer: {error}") from error


def _sequence_text(sequence: pulser.Sequence | str) -> str:
    if isinstance(sequence, str):
        program_kind(sequence)
        return sequence
    # Pulser wrote it from a sequence that it built itself: its schema check would cost 5 ms.
    write: Callable[[], str] = functools.partial(sequence.to_abstract_repr, skip_validation=True)
    return guarded("the pulse sequence", write)


def _configuration_text(configuration: EmulationConfig | str) -> str:
    if isinstance(configuration, str):
        json_object(configuration, "the emulator's configuration")
        return configuration
    if configuration.callbacks:
        raise InvalidInputError(
            "callbacks cannot be sent: the emulator runs in another process",
            hint="ask for observables instead, or emulate with a local backend of Pulser's",
        )
    write: Callable[[], str] = configuration.to_abstract_repr
    return guarded("the emulator's configuration", write)


def read_devices(target_value: str) -> dict[str, Device]:
    """The Pulser devices of a target, by device type.

    Both forms are read: the list ``[{"device_type", "specs"}]`` of Pasqal's services, and the
    object of `local` that has such a list under ``devices``. A device that the installed Pulser
    cannot read is left out, with a warning.

    Raises:
        UnsupportedPayloadError: the target lists no devices.
        UnexpectedAnswerError: none of its devices can be read.
    """
    return dict(_devices(target_value))


@functools.lru_cache(maxsize=8)
def _devices(target_value: str) -> tuple[tuple[str, Device], ...]:
    entries = _device_entries(target_value)
    found = {}
    reasons = []
    for entry in entries:
        try:
            found[str(entry["device_type"])] = _device(entry["specs"])
        except (InvalidInputError, KeyError, TypeError) as error:
            reasons.append(str(error))
            _log.warning("a device of the target cannot be read: %s", error)
    if not found:
        raise UnexpectedAnswerError(
            f"no device of the target can be read: {'; '.join(reasons)}",
            hint="a newer Pulser may read it: pip install --upgrade pulser-core",
        )
    return tuple(found.items())


def _device_entries(target_value: str) -> list[Any]:
    try:
        data = json.loads(target_value)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswerError("the target is not JSON") from error
    entries = data.get("devices") if isinstance(data, dict) else data
    if not isinstance(entries, list) or not entries:
        raise UnsupportedPayloadError(
            "this resource has no device for pulse sequences; its target describes gates only",
            hint="`qrmi resources` shows what each resource takes",
        )
    return entries


def _device(specs: Any) -> Device:
    import_pulser()
    from pulser.abstract_repr import deserialize_device

    text = specs if isinstance(specs, str) else json.dumps(specs)
    return guarded("a device", deserialize_device, text)
