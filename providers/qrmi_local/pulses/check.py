"""What the embedded emulators take, told from a payload's JSON alone, before anything is queued.

Nothing here imports Pulser, so a driver can refuse a program at once and in any process.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from typing import Any

from qrmi.codecs.analog import program_kind
from qrmi.errors import InvalidInputError, IsaError, MissingExtraError, UnsupportedPayloadError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch

__all__ = ["MAX_ATOMS", "MAX_QUTIP_ATOMS", "check", "jobs_of"]

MAX_QUTIP_ATOMS = 12
"""QuTiP takes 4 s for this many atoms and ten times as long for two more."""

MAX_ATOMS = 20
"""The most atoms that a state vector on CPUs is offered for."""


def jobs_of(payload: PasqalCloud | PulserBatch) -> tuple[AnalogJob, ...]:
    """The jobs of a payload, in order."""
    if isinstance(payload, PasqalCloud):
        return (AnalogJob(runs=payload.job_runs),)
    return tuple(payload.jobs)


def check(payload: PasqalCloud | PulserBatch, device: str | None = None) -> None:
    """Refuse what could only fail: too many atoms or runs, unbound variables, another device type.

    Args:
        payload: the sequence and its jobs; an open batch may have none yet.
        device: the imitated Pulser device, abstract representation; ``None`` for no imitation.

    Raises:
        InvalidInputError: the sequence is malformed, or a job's variables do not match it.
        IsaError: too many atoms for the emulators, or too many atoms or runs for the device.
        MissingExtraError: this many atoms need emu-sv, which is not installed.
        UnsupportedPayloadError: the payload asks for a device type that is not emulated here.
    """
    kind = program_kind(payload.sequence)
    program = json.loads(payload.sequence)
    specs: Mapping[str, Any] = {} if device is None else json.loads(device)
    _check_device_type(payload, program, specs)
    jobs = jobs_of(payload)
    for job in jobs or (AnalogJob(),):
        if kind == "pulser" and jobs:
            _check_variables(program, job)
        _check_atoms(_atoms(program, job, kind), specs)
        _check_runs(job, specs)


def _check_device_type(
    payload: PasqalCloud | PulserBatch, program: Mapping[str, Any], specs: Mapping[str, Any]
) -> None:
    wanted = getattr(payload, "device_type", None)
    own = program.get("device")  # without an imitated device, a sequence runs on its own one
    device = specs or (own if isinstance(own, Mapping) else {})
    if wanted is None or str(wanted).startswith("EMU_") or wanted == device.get("name"):
        return
    raise UnsupportedPayloadError(
        f"device type {str(wanted)[:40]!r} is not emulated here",
        hint="leave the device type out, or take the device's name or one of EMU_FREE, EMU_SV and "
        "EMU_MPS",
    )


def _check_variables(program: Mapping[str, Any], job: AnalogJob) -> None:
    variables = program.get("variables") or {}
    if not isinstance(variables, Mapping) or not isinstance(job.variables, Mapping):
        raise InvalidInputError("variables, of a sequence and of a job, are objects")
    declared = set(variables)
    given = set(job.variables) - {"qubits"}
    if missing := declared - given:
        raise InvalidInputError(
            f"no value for the sequence's variables {', '.join(sorted(missing))}",
            hint="give each job's values under `variables`",
        )
    if unknown := given - declared:
        raise InvalidInputError(f"the sequence has no variables {', '.join(sorted(unknown))}")


def _atoms(program: Mapping[str, Any], job: AnalogJob, kind: str) -> int:
    if kind == "ahs":
        try:
            places = program["setup"]["ahs_register"]
            return sum(map(bool, places.get("filling") or places["sites"]))
        except (AttributeError, KeyError, TypeError) as error:
            raise InvalidInputError("the AHS program has no register") from error
    register = program["register"]
    if not isinstance(register, list):
        raise InvalidInputError("the sequence's register is not a list of atoms")
    qubits = job.variables.get("qubits")
    mappable = any(isinstance(atom, dict) and "qid" in atom for atom in register)
    if mappable and isinstance(qubits, Mapping):
        return len(qubits)
    return 0 if mappable else len(register)


def _check_atoms(atoms: int, specs: Mapping[str, Any]) -> None:
    limit = specs.get("max_atom_num")
    if limit is not None and atoms > limit:
        raise IsaError(f"{atoms} atoms: the device {specs.get('name')} takes at most {limit}")
    if atoms > MAX_ATOMS:
        raise IsaError(
            f"{atoms} atoms: the embedded emulators take at most {MAX_ATOMS}",
            hint="use fewer atoms, or a resource with a tensor-network emulator or a QPU",
        )
    if atoms > MAX_QUTIP_ATOMS and importlib.util.find_spec("emu_sv") is None:
        raise MissingExtraError(
            f"{atoms} atoms: beyond {MAX_QUTIP_ATOMS}, sequences run on emu-sv, "
            "which is not installed",
            hint="pip install 'openqrmi[emu]'",
        )


def _check_runs(job: AnalogJob, specs: Mapping[str, Any]) -> None:
    limit = specs.get("max_runs")
    if limit is not None and job.runs is not None and job.runs > limit:
        raise IsaError(f"{job.runs} runs: the device {specs.get('name')} takes at most {limit}")
