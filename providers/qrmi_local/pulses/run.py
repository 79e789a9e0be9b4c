"""Pulse sequences on the embedded emulators; this runs in a worker process.

Up to `MAX_QUTIP_ATOMS` atoms run on QuTiP, more on emu-sv.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from qrmi.codecs.analog import decode_sequence, encode_result, program_kind
from qrmi.codecs.analog_text import guarded, import_pulser
from qrmi.errors import InvalidInputError, IsaError, MissingExtraError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi_local.pulses.check import MAX_QUTIP_ATOMS, check, jobs_of
from qrmi_local.pulses.configuration import Wish, configuration

if TYPE_CHECKING:
    import pulser
    from pulser.backend import Results
    from pulser.devices import Device

__all__ = ["run"]

Log = Callable[[str], None]


def run(
    payload: PasqalCloud | PulserBatch,
    device: str | None = None,
    seed: int | None = None,
    log: Log = lambda line: None,
    *,
    noise: bool = True,
) -> str:
    """Emulate one job and return its result (`qrmi.codecs.analog.encode_result`).

    Without a configuration the result has bit strings at the end, exactly ``runs`` of them. A
    configuration is replayed: ``runs``, where given, replaces its default number of shots. A
    missing measurement is added when one basis is addressed, as Pulser's connections do.

    Args:
        payload: the sequence with exactly one job.
        device: the Pulser device to imitate, abstract representation: what it would refuse is
            refused. ``None`` runs a sequence on whatever device it was written for.
        seed: makes the outcome reproducible, but for QuTiP's Monte-Carlo solver; the log says
            when that was used. ``None`` for a new outcome each time.
        log: takes lines for the task's log.
        noise: whether an imitated device's noise and output modulation are applied.

    Raises:
        InvalidInputError: the sequence, its variables or the configuration are wrong.
        IsaError: the imitated device would refuse the sequence.
        MissingExtraError: an emulator is not installed.
    """
    check(payload, device)
    (job,) = jobs_of(payload)
    settings = getattr(payload, "configuration", None)
    import_pulser()
    imitated = None if device is None else _device(device)
    sequence = _built(_read(payload.sequence, imitated), job)
    if imitated is not None:
        sequence = _on_device(sequence, imitated, job, emulated=settings is not None)
    _measure(sequence, required=settings is None)
    wish = Wish(
        runs=job.runs,
        configuration=settings,
        imitate=device is not None and noise,
        seeded=seed is not None,
    )
    results = _emulate(sequence, wish, seed, log)
    if settings is None:
        results = _exactly(results, job.runs)
    return encode_result(results)


# --- the sequence ---------------------------------------------------------------------------


def _device(specs: str) -> Device:
    from pulser.abstract_repr import deserialize_device

    return guarded("the imitated device", deserialize_device, specs)


def _read(text: str, device: Device | None) -> pulser.Sequence:
    if program_kind(text) == "pulser":
        return decode_sequence(text)
    from pulser.devices import MockDevice

    from qrmi.codecs import ahs

    return ahs.to_sequence(text, device or MockDevice)


def _built(sequence: pulser.Sequence, job: AnalogJob) -> pulser.Sequence:
    if not (sequence.is_parametrized() or sequence.is_register_mappable()):
        return sequence
    return guarded("the job's variables", lambda: sequence.build(**job.variables))


def _on_device(
    sequence: pulser.Sequence, device: Device, job: AnalogJob, *, emulated: bool
) -> pulser.Sequence:
    """The sequence on the imitated device, if that would take it unchanged."""
    from pulser import QPUBackend
    from pulser.devices import Device

    try:
        if sequence.device != device:
            sequence = sequence.with_new_device(device, strict=True)
        if isinstance(device, Device):
            QPUBackend.validate_sequence(sequence, mimic_qpu=True)
    except (TypeError, ValueError) as error:
        raise IsaError(f"the device {device.name} refuses the sequence: {error}") from error
    if job.runs is None and not emulated:
        raise IsaError(f"the device {device.name} needs the number of runs of each job")
    return sequence


def _measure(sequence: pulser.Sequence, *, required: bool) -> None:
    if sequence.is_measured():
        return
    bases = sequence.get_addressed_bases()
    if len(bases) == 1:
        sequence.measure(bases[0])
    elif required:
        raise InvalidInputError(
            f"the sequence is not measured and addresses {len(bases)} bases",
            hint="end it with sequence.measure(basis)",
        )


# --- the emulators --------------------------------------------------------------------------


def _emulate(sequence: pulser.Sequence, wish: Wish, seed: int | None, log: Log) -> Results:
    atoms = len(sequence.register.qubit_ids)
    engine = _qutip if atoms <= MAX_QUTIP_ATOMS else _emu_sv
    if engine is _emu_sv and sequence.get_addressed_bases() != ("ground-rydberg",):
        raise IsaError(
            f"{atoms} atoms: beyond {MAX_QUTIP_ATOMS}, sequences run on emu-sv, which takes "
            "Rydberg channels alone",
            hint="use fewer atoms, or no Raman and microwave channels",
        )
    backend_class, config_class = engine(seed, log)
    config = configuration(sequence, wish, config_class, log)
    # Pulser draws from numpy's global generator, emu-sv also from Python's; None: fresh entropy.
    numpy.random.seed(seed)
    random.seed(seed)
    backend = guarded("the sequence", lambda: backend_class(sequence, config=config))
    log(f"{atoms} atoms, {sequence.get_duration()} ns, on {backend_class.__name__}")
    return backend.run()


def _qutip(_seed: int | None, _log: Log) -> tuple[Any, Any]:
    import_pulser()
    try:
        from pulser_simulation import QutipBackendV2, QutipConfig
    except ImportError as error:
        raise MissingExtraError(
            "pulse sequences need pulser-simulation, which is not installed",
            hint="pip install 'openqrmi[pulser]'",
        ) from error
    return QutipBackendV2, QutipConfig


def _emu_sv(seed: int | None, log: Log) -> tuple[Any, Any]:
    import torch
    from emu_sv import SVBackend, SVConfig

    threads = _granted_cpus()
    torch.set_num_threads(threads)
    if seed is None:
        torch.seed()
    else:
        torch.manual_seed(seed)
    log(f"emu-sv on {threads} CPU threads")
    return SVBackend, SVConfig


def _granted_cpus(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """CPUs that this process may use: its affinity, and its control group's quota (cgroup v2)."""
    granted = len(os.sched_getaffinity(0))
    try:
        limit, period = quota.read_text().split()
        return max(1, min(granted, int(limit) // int(period)))
    except (OSError, ValueError):  # no such file, or "max"
        return granted


def _exactly(results: Results, runs: int | None) -> Results:
    """Bit strings of exactly ``runs`` shots: noise multiplies them by its trajectories."""
    counter = results.final_bitstrings
    total = sum(counter.values())
    if runs is None or total <= runs:
        return results
    bits = sorted(counter)
    generator = numpy.random.default_rng(numpy.random.randint(2**31))  # follows the seed
    drawn = generator.multivariate_hypergeometric([counter[key] for key in bits], runs)
    kept = {key: int(count) for key, count in zip(bits, drawn, strict=True) if count}
    return type(results).from_final_bitstrings(results.atom_order, results.total_duration, kept)
