"""CUDA-Q's analog Hamiltonian program (AHS) to a Pulser sequence, and back.

An AHS program is JSON in SI units: sites in metres, times in seconds, frequencies in rad/s;
numbers may be strings (CUDA-Q writes 8 decimals: 10 ns and 10 nm). Pulser has micrometres,
nanoseconds and rad/µs. Source: ``RydbergHamiltonian`` of CUDA-Q 0.16; the schema is that of Amazon
Braket's AHS programs.

What is kept and what is not:

* amplitude and detuning are piecewise linear between their points;
* the phase is piecewise constant, as in Braket: a point's value holds until the next point. AHS has
  exp(+i phase) on ``|g><r|``, Pulser exp(-i phase): the sign is turned;
* points are moved to the nearest multiple of the channel's clock period (at least 1 ns), the end is
  moved up to it: with a clock period of 4 ns a point moves by 2 ns at most;
* sites whose filling is 0 hold no atom and are dropped, so they have no bit in the result;
* several driving fields, patterns other than ``uniform``, and local detuning are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from qrmi.codecs.ahs_program import Program, Series, read, write
from qrmi.codecs.analog_text import guarded, import_pulser
from qrmi.errors import InvalidInputError, IsaError, UnsupportedFunctionError

if TYPE_CHECKING:
    import pulser
    from pulser.devices import Device

__all__ = ["Program", "Series", "choose_device", "from_sequence", "read", "to_sequence", "write"]

_CHANNEL = "rydberg_global"
_MICRO = 1e6  # micrometres in a metre; rad/s in a rad/µs
_NANO = 1e9  # nanoseconds in a second
_LONGEST = 1e-3  # seconds; a pulse sequence has a sample for each nanosecond


def choose_device(devices: Mapping[str, Device]) -> Device:
    """The device for an AHS program, which names none.

    A resource's only device; of several, the first that has no physical limits (Pulser's virtual
    devices), whose interaction is that of the Rydberg level 70 usual in CUDA-Q; else the first.
    """
    pulser = import_pulser()
    virtual = [d for d in devices.values() if isinstance(d, pulser.devices.VirtualDevice)]
    return next(iter(virtual or devices.values()))


def to_sequence(text: str, device: Device) -> pulser.Sequence:
    """The Pulser sequence of an AHS program, measured in the ground-Rydberg basis.

    Atoms are called ``q0``, ``q1``, … in the order of the filled sites.

    Raises:
        InvalidInputError: the text is not an AHS program, or it lasts longer than 1 ms.
        UnsupportedFunctionError: it has what this codec refuses.
        IsaError: the device cannot play it; the message gives Pulser's reason.
    """
    program = read(text)
    if max(program.amplitude.times, default=0.0) > _LONGEST:
        raise InvalidInputError(
            f"the program lasts {program.amplitude.times[-1]:g} s, the longest is {_LONGEST:g} s",
            hint="times are in seconds: two microseconds are 2e-6",
        )
    pulser = import_pulser()
    if _CHANNEL not in device.channels:
        raise IsaError(f"{device.name} has no channel {_CHANNEL} for one uniform driving field")
    try:
        return _sequence(pulser, program, device)
    except (TypeError, ValueError, NotImplementedError) as error:
        raise IsaError(f"{device.name} cannot play the program: {error}") from error


def _sequence(pulser: Any, program: Program, device: Device) -> pulser.Sequence:
    coordinates = {f"q{i}": _MICRO * np.array(site) for i, site in enumerate(program.sites)}
    register = pulser.Register(coordinates)
    if device.requires_layout:
        register = register.with_automatic_layout(device)
    sequence = pulser.Sequence(register, device)
    sequence.declare_channel(_CHANNEL, _CHANNEL)
    clock = device.channels[_CHANNEL].clock_period
    total = 0
    for start, stop, phase in _constant_phases(program, clock):
        pulse = pulser.Pulse(
            _waveform(pulser, program.amplitude, start, stop, clock),
            _waveform(pulser, program.detuning, start, stop, clock),
            phase=-phase % (2 * math.pi),
        )
        sequence.add(pulse, _CHANNEL)
        total += stop - start
    if sequence.get_duration() != total:
        raise IsaError(
            f"{device.name} needs a pause between two phases; the program has none",
            hint="keep the phase constant",
        )
    sequence.measure("ground-rydberg")
    return sequence


def _nanoseconds(series: Series, clock: int) -> NDArray[np.int64]:
    """The times of a series on the clock."""
    ticks = np.rint(np.asarray(series.times) * _NANO / clock)
    return (ticks * clock).astype(np.int64)


def _duration(program: Program, clock: int) -> int:
    """The end of the longest series, up to the clock."""
    ends = [s.times[-1] for s in (program.amplitude, program.detuning, program.phase) if s.times]
    return math.ceil(round(max(ends) * _NANO / clock, 6)) * clock


def _constant_phases(program: Program, clock: int) -> list[tuple[int, int, float]]:
    """Stretches of time (start and end in ns) with the phase (rad) that holds in each."""
    end = _duration(program, clock)
    stretches: list[tuple[int, int, float]] = []
    times = [*_nanoseconds(program.phase, clock).tolist(), end] if program.phase.times else [0, end]
    values = program.phase.values or (0.0,)
    for start, stop, value in zip(times[:-1], times[1:], values, strict=True):
        if stretches and stretches[-1][2] == value:
            stretches[-1] = (stretches[-1][0], stop, value)
        elif stop > start:
            stretches.append((start, stop, value))
    return stretches


def _waveform(pulser: Any, series: Series, start: int, stop: int, clock: int) -> Any:
    """The part of a series from ``start`` to ``stop`` (ns), as ramps, in rad/µs.

    After its last point a series keeps its value.
    """
    if not series.times:
        return pulser.waveforms.ConstantWaveform(stop - start, 0.0)
    times = _nanoseconds(series, clock)
    values = np.asarray(series.values) / _MICRO
    inside = times[(times > start) & (times < stop)]
    points = [start, *dict.fromkeys(inside.tolist()), stop]
    levels = np.interp(points, times, values).tolist()
    parts = [
        pulser.waveforms.RampWaveform(b - a, from_, to)
        if from_ != to
        else pulser.waveforms.ConstantWaveform(b - a, from_)
        for a, b, from_, to in zip(points, points[1:], levels, levels[1:], strict=False)
    ]
    return parts[0] if len(parts) == 1 else pulser.waveforms.CompositeWaveform(*parts)


# --- from Pulser ---------------------------------------------------------------------------------


def from_sequence(sequence: pulser.Sequence) -> Program:
    """The AHS program of a Pulser sequence that drives all its atoms alike.

    Of what the channel does at each nanosecond, the fewest points are kept that give it back
    linearly. Atoms keep their order; their names are lost.

    Raises:
        UnsupportedFunctionError: it is parametrised, addresses single atoms or another basis, or is
            not in a plane.
    """
    pulser = import_pulser()
    if sequence.is_parametrized() or sequence.is_register_mappable():
        raise UnsupportedFunctionError("the sequence has open variables", hint="build() it first")
    places = [np.asarray(position, dtype=float) for position in sequence.register.qubits.values()]
    if any(place.size != 2 for place in places):
        raise UnsupportedFunctionError("an AHS program has its atoms in a plane")
    samples = guarded("the pulse sequence", pulser.sampler.sample, sequence)
    channels = samples.channel_samples
    used = {
        name
        for name, c in channels.items()
        if np.any(np.asarray(c.amp)) or np.any(np.asarray(c.det))
    }
    driving = [name for name in channels if name in used or len(channels) == 1]
    declared = [sequence.declared_channels[name] for name in driving]
    if len(declared) != 1 or declared[0].addressing != "Global":
        raise UnsupportedFunctionError("an AHS program has one driving field for all atoms")
    if declared[0].basis != "ground-rydberg":
        raise UnsupportedFunctionError("an AHS program drives the Rydberg transition only")
    channel = channels[driving[0]]
    phase = -np.asarray(channel.phase, dtype=float) % (2 * math.pi)
    return Program(
        sites=[(float(x) / _MICRO, float(y) / _MICRO) for x, y in places],
        amplitude=_ramps(_MICRO * np.asarray(channel.amp, dtype=float)),
        detuning=_ramps(_MICRO * np.asarray(channel.det, dtype=float)),
        phase=_steps(phase),
    )


def _ramps(samples: NDArray[np.float64]) -> Series:
    """A piecewise linear function of time through samples 1 ns apart; the last one is held."""
    values = np.append(samples, samples[-1])
    bends = np.abs(np.diff(values, 2)) > 1e-9 * max(1.0, float(np.abs(values).max()))
    kept = np.concatenate(([0], 1 + np.flatnonzero(bends), [len(values) - 1]))
    return Series(times=(kept / _NANO).tolist(), values=values[kept].tolist())


def _steps(samples: NDArray[np.float64]) -> Series:
    """A piecewise constant function of time."""
    kept = np.concatenate(([0], 1 + np.flatnonzero(np.diff(samples))))
    times = [*(kept / _NANO).tolist(), len(samples) / _NANO]
    return Series(times=times, values=[*samples[kept].tolist(), float(samples[-1])])
