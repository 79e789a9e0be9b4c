"""What a payload comes to on Warden, which runs one built sequence a job."""

from __future__ import annotations

from qrmi.codecs import analog
from qrmi.codecs.analog_text import guarded
from qrmi.errors import InvalidInputError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch

__all__ = ["as_pulser", "is_ahs", "single"]


def single(payload: PasqalCloud | PulserBatch, resource_id: str) -> tuple[str, int]:
    """The sequence and the number of shots of a payload with one job.

    Variables are given their values here: Warden takes built sequences alone.

    Raises:
        InvalidInputError: there is not exactly one job, it has no number of runs, or its
            variables do not fit the sequence.
        UnsupportedPayloadError: an emulator, or another device, is asked for.
        MissingExtraError: it has variables, and Pulser is not installed.
    """
    if isinstance(payload, PasqalCloud):
        return payload.sequence, payload.job_runs
    _check(payload, resource_id)
    (job,) = payload.jobs
    if job.runs is None:
        raise InvalidInputError(
            "a QPU needs the number of runs", hint="give the job `runs`", resource_id=resource_id
        )
    return _built(payload.sequence, job), job.runs


def _built(text: str, job: AnalogJob) -> str:
    if not job.variables:
        return text
    sequence = analog.decode_sequence(text)
    unknown = job.variables.keys() - sequence.declared_variables.keys() - {"qubits"}
    if unknown:
        raise InvalidInputError(f"the sequence has no variables {', '.join(sorted(unknown))}")
    built = guarded("the job's variables", lambda: sequence.build(**job.variables))
    return analog.encode_single(built, 1).sequence


def _check(payload: PulserBatch, resource_id: str) -> None:
    if len(payload.jobs) != 1:
        raise InvalidInputError(
            f"Warden runs one job a task, and this batch has {len(payload.jobs)}",
            hint="start a task for each job, as qrmi.pulser does",
            resource_id=resource_id,
        )
    if payload.configuration is not None:
        raise UnsupportedPayloadError(
            "there is a QPU behind Warden, which takes no emulator's configuration",
            hint="leave the configuration out, or run on an emulator",
            resource_id=resource_id,
        )
    wanted = payload.device_type
    if wanted is not None and wanted.lower() != resource_id.lower():
        raise UnsupportedPayloadError(
            f"{resource_id} is one device and cannot choose the device type {wanted!r}",
            hint="leave the device type out",
            resource_id=resource_id,
        )


def is_ahs(sequence: str) -> bool:
    """Whether a program is an AHS program; a text that is no program at all is none."""
    if '"hamiltonian"' not in sequence:  # spares most sequences the parsing
        return False
    try:
        return analog.program_kind(sequence) == "ahs"
    except InvalidInputError:
        return False


def as_pulser(sequence: str, target_value: str) -> str:
    """An AHS program as a Pulser sequence for the target's device.

    Raises:
        InvalidInputError: it is malformed, or the device cannot play it.
        MissingExtraError: Pulser is not installed.
    """
    from qrmi.codecs import ahs  # needs NumPy

    device = ahs.choose_device(analog.read_devices(target_value))
    return analog.encode_single(ahs.to_sequence(sequence, device), 1).sequence
