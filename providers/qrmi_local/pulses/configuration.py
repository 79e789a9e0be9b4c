"""From what a payload asks for to the configuration of the emulator that runs it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.codecs.analog_text import guarded, json_object
from qrmi.errors import InvalidInputError
from qrmi_local.pulses.check import MAX_QUTIP_ATOMS

if TYPE_CHECKING:
    import pulser
    from pulser.backend import EmulationConfig

__all__ = ["MAX_DENSITY_ATOMS", "MAX_JUMP_ATOMS", "Wish", "configuration"]

MAX_DENSITY_ATOMS = 6
"""Most atoms of a density matrix (noise with collapse operators, master equation)."""

MAX_JUMP_ATOMS = 8
"""Most atoms with collapse operators on QuTiP's Monte-Carlo solver."""

_TRAJECTORIES = 40  # Pulser's own default when a device's noise is preferred
_COLLAPSES = {"relaxation", "dephasing", "depolarizing", "eff_noise", "leakage"}
_ONE_STATES = {"ground-rydberg": "r", "digital": "h", "XY": "d"}
_FORCED = {"print_progress", "progress_bar", "log_level", "log_file", "gpu"}


@attrs.frozen(kw_only=True)
class Wish:
    """What one job asks of the emulator.

    Attributes:
        runs: shots; ``None`` leaves it to the configuration.
        configuration: Pulser's `EmulationConfig`, abstract representation; ``None`` for bit
            strings at the end.
        imitate: whether the sequence's device is imitated: its noise and output modulation.
        seeded: whether the outcome must be the same each time.
    """

    runs: int | None
    configuration: str | None
    imitate: bool
    seeded: bool


def configuration(
    sequence: pulser.Sequence, wish: Wish, engine: type[Any], log: Callable[[str], None]
) -> EmulationConfig:
    """The emulator's configuration.

    Args:
        sequence: the sequence to run, built.
        wish: what the job asks for.
        engine: the emulator's configuration class: `QutipConfig`, or emu-sv's `SVConfig`.
        log: takes a line on each thing that is not done as asked.

    Raises:
        InvalidInputError: the emulator cannot do what is asked.
    """
    if wish.configuration is None:
        made = _default(sequence, wish, engine)
    else:
        made = _replayed(sequence, wish, wish.configuration, engine, log)
    made = _with_device_noise(made, sequence)
    return _with_solver(made, len(sequence.register.qubit_ids), wish.seeded, engine, log)


def _one_state(sequence: pulser.Sequence) -> str | None:
    """The state that reads as 1, where Pulser cannot infer it: several bases are addressed."""
    if len(sequence.get_addressed_bases()) < 2 or not sequence.is_measured():
        return None
    return _ONE_STATES.get(sequence.get_measurement_basis())


def _default(sequence: pulser.Sequence, wish: Wish, engine: type[Any]) -> EmulationConfig:
    from pulser.backend import BitStrings

    shots = {} if wish.runs is None else {"default_num_shots": wish.runs}
    noisy = wish.imitate and sequence.device.noise_model is not None
    return engine(
        observables=[BitStrings(evaluation_times=[1.0], one_state=_one_state(sequence))],
        prefer_device_noise_model=noisy,
        n_trajectories=min(wish.runs or _TRAJECTORIES, _TRAJECTORIES) if noisy else 1,
        with_modulation=wish.imitate,
        **shots,
        **_quiet(engine),
    )


def _replayed(
    sequence: pulser.Sequence,
    wish: Wish,
    text: str,
    engine: type[Any],
    log: Callable[[str], None],
) -> EmulationConfig:
    data = json_object(text, "the emulator's configuration")
    if data.get("interaction_matrix") is not None and _is_qutip(engine):
        raise InvalidInputError(
            f"an interaction matrix cannot be used with up to {MAX_QUTIP_ATOMS} atoms: "
            "they run on QuTiP, which has none"
        )
    if data.get("default_evaluation_times") == "Full" and not _is_qutip(engine):
        raise InvalidInputError(
            'the evaluation times "Full" cannot be used with more than '
            f"{MAX_QUTIP_ATOMS} atoms: they run on emu-sv, which has none such",
            hint="list the evaluation times",
        )
    foreign = data.keys() - _options(engine)
    if foreign:
        log(f"ignored options of another emulator: {', '.join(sorted(foreign))}")
    kept = {key: data[key] for key in data.keys() - foreign - _FORCED} | _quiet(engine)
    if wish.runs is not None:
        kept["default_num_shots"] = wish.runs
    _name_one_state(kept.get("observables"), _one_state(sequence))
    return guarded("the emulator's configuration", engine.from_abstract_repr, json.dumps(kept))


def _name_one_state(observables: Any, one_state: str | None) -> None:
    for observable in observables if isinstance(observables, list) and one_state else ():
        if isinstance(observable, dict) and observable.get("one_state", "") is None:
            observable["one_state"] = one_state


def _options(engine: type[Any]) -> set[str]:
    """The options that the configuration class knows, its own and those of Pulser."""
    names: set[str] = set()
    for base in engine.__mro__:
        if "__init__" in vars(base):
            parameters = inspect.signature(base).parameters.values()
            names.update(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
    # Solvers of one emulator mean nothing to another.
    return names if _is_qutip(engine) else names - {"solver"}


def _is_qutip(engine: type[Any]) -> bool:
    return engine.__name__ == "QutipConfig"


def _quiet(engine: type[Any]) -> dict[str, Any]:
    return {} if _is_qutip(engine) else {"gpu": False, "log_level": logging.WARNING}


def _with_device_noise(made: EmulationConfig, sequence: pulser.Sequence) -> EmulationConfig:
    """Name the device's noise outright: Pulser takes readout errors from `noise_model` alone."""
    model = sequence.device.noise_model
    if not made.prefer_device_noise_model or model is None:
        return made
    # The configuration says how often; its counterparts in the model are ignored, with a warning.
    model = dataclasses.replace(model, runs=None, samples_per_run=1)
    return made.with_changes(noise_model=model, prefer_device_noise_model=False)


def _with_solver(
    made: EmulationConfig, atoms: int, seeded: bool, engine: type[Any], log: Callable[[str], None]
) -> EmulationConfig:
    """Choose how to solve noise with collapse operators, within what the machine can hold."""
    if not _COLLAPSES & set(made.noise_model.noise_types):
        return made
    asked = made.solver.value if _is_qutip(engine) else "default"
    qutip = _is_qutip(engine)
    limit = MAX_JUMP_ATOMS if qutip and asked != "MasterEquation" else MAX_DENSITY_ATOMS
    if atoms > limit:
        raise InvalidInputError(
            f"{atoms} atoms: at most {limit} with noise such as dephasing or relaxation",
            hint="use fewer atoms, or leave that noise out of the noise model",
        )
    if not qutip or asked != "default":
        return made
    if atoms <= MAX_DENSITY_ATOMS:
        return made.with_changes(solver="MasterEquation") if seeded else made
    if seeded:
        log("the seed does not reach QuTiP's Monte-Carlo solver: results will differ")
    return made.with_changes(solver="MonteCarlo")
