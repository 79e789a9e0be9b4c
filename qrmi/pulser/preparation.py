"""What Pulser hands to a connection becomes a payload, and is checked before it is sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pulser
from pulser.backend.config import EmulationConfig
from pulser.backend.remote import RemoteBackend

from qrmi.codecs import analog
from qrmi.errors import InvalidInputError, IsaError
from qrmi.payloads import AnalogJob, PulserBatch

__all__ = ["SequenceRefusedError", "context_of", "is_emulated", "jobs_of", "payload_of", "refusing"]

_LONGEST_NAMES = 1000


class SequenceRefusedError(IsaError, ValueError):
    """A sequence or its jobs cannot run as asked; nothing was sent.

    It is also the `ValueError` that Pulser's own checks raise.
    """


def refusing(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """Call one of Pulser's checks; what it refuses is a `SequenceRefusedError`."""
    try:
        return function(*arguments, **keywords)
    except InvalidInputError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        message = str(error)
        if error.__cause__ is not None:
            message += f" Reason: {error.__cause__}"
        raise SequenceRefusedError(message) from error


def is_emulated(configuration: EmulationConfig | None, device_type: str | None) -> bool:
    """Whether a batch is for an emulator, to which the rules of a QPU do not apply."""
    return configuration is not None or (device_type or "").startswith("EMU_")


def jobs_of(
    sequence: pulser.Sequence,
    job_params: Sequence[Mapping[str, Any]] | None,
    *,
    emulated: bool,
    may_be_empty: bool,
) -> list[AnalogJob]:
    """The jobs, each checked against the sequence as Pulser would.

    Args:
        sequence: on the resource's own version of its device.
        job_params: Pulser's; without any, an emulator gets one job of its default shots.
        emulated: whether an emulator's rules apply: ``runs`` may be left out.
        may_be_empty: whether there may be no job yet (an open batch).

    Raises:
        SequenceRefusedError: a job lacks runs or a variable's value, or has too many runs.
    """
    params = [dict(each) for each in _listed(job_params)]
    if not params and may_be_empty:
        return []
    if emulated:
        params = params or [{}]
    else:
        refusing(RemoteBackend.validate_job_params, params, sequence.device.max_runs)
    return [_job(sequence, number, each) for number, each in enumerate(params, start=1)]


def payload_of(
    sequence: pulser.Sequence,
    jobs: Sequence[AnalogJob],
    configuration: EmulationConfig | None,
    device_type: str | None,
) -> PulserBatch:
    """The payload of a batch.

    Raises:
        InvalidInputError: the configuration holds something that cannot be sent.
    """
    return analog.encode(sequence, jobs=jobs, configuration=configuration, device_type=device_type)


def context_of(sequence: pulser.Sequence) -> dict[str, Any]:
    """What another process needs to rebuild results from counts alone."""
    atoms = [str(name) for name in sequence.get_register(include_mappable=True).qubit_ids]
    context: dict[str, Any] = {"sdk": "pulser", "kind": "analog"}
    if sum(map(len, atoms)) <= _LONGEST_NAMES and atoms != [f"q{i}" for i in range(len(atoms))]:
        context["atoms"] = atoms  # without them, results use Pulser's own names: q0, q1, …
    if not (sequence.is_parametrized() or sequence.is_register_mappable()):
        context["duration"] = int(sequence.get_duration())
    return context


def _listed(job_params: object) -> Sequence[Mapping[str, Any]]:
    if job_params is None:
        return []
    refusing(RemoteBackend._type_check_job_params, job_params)
    return job_params  # type: ignore[return-value]


def _job(sequence: pulser.Sequence, number: int, params: Mapping[str, Any]) -> AnalogJob:
    job = analog.encode_job(params)
    unknown = job.variables.keys() - sequence.declared_variables.keys() - {"qubits"}
    if unknown:
        raise SequenceRefusedError(
            f"job {number}: the sequence has no variables {', '.join(sorted(unknown))}"
        )
    if sequence.is_parametrized() or sequence.is_register_mappable():
        try:
            sequence.build(**job.variables)
        except (KeyError, TypeError, ValueError) as error:
            raise SequenceRefusedError(f"job {number}: {error}") from error
    elif job.variables:
        raise SequenceRefusedError(f"job {number}: the sequence's register is not mappable")
    return job
