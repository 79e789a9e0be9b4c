"""AHS programs: their JSON text as checked values, and back. Units are SI."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from qrmi.codecs.analog_text import json_object
from qrmi.errors import InvalidInputError, UnsupportedFunctionError

__all__ = ["Program", "Series", "read", "write"]


def _numbers(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(values)


def _places(values: Iterable[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    return tuple(values)


@attrs.frozen(kw_only=True)
class Series:
    """A function of time by its points.

    Attributes:
        times: seconds from the start, ascending, the first 0.
        values: rad/s, or rad for a phase.
    """

    times: tuple[float, ...] = attrs.field(converter=_numbers)
    values: tuple[float, ...] = attrs.field(converter=_numbers)

    def __attrs_post_init__(self) -> None:
        """Check the points."""
        if len(self.times) != len(self.values):
            raise InvalidInputError("a time series has as many times as values")
        if not all(map(math.isfinite, (*self.times, *self.values))):
            raise InvalidInputError("a time series has a number that is not finite")
        ascending = all(a < b for a, b in zip(self.times, self.times[1:], strict=False))
        if self.times and (not ascending or self.times[0] != 0):
            raise InvalidInputError("the times of a series start at 0 and ascend")


@attrs.frozen(kw_only=True)
class Program:
    """An analog program of one uniform driving field.

    Attributes:
        sites: coordinates of the atoms in metres; the first is the leftmost bit of a result.
        amplitude: the Rabi frequency.
        detuning: the detuning.
        phase: the phase.
    """

    sites: tuple[tuple[float, float], ...] = attrs.field(converter=_places)
    amplitude: Series
    detuning: Series
    phase: Series


def read(text: str) -> Program:
    """Read an AHS program.

    Raises:
        InvalidInputError: the text is not one, or its schedule is empty.
        UnsupportedFunctionError: it has what this codec refuses.
    """
    data = json_object(text, "the analog program")
    try:
        return _program(data)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"malformed analog program: {error!r}") from error


def write(program: Program) -> str:
    """Write an AHS program, with plain numbers; `read` gives an equal program back."""

    def field(series: Series) -> dict[str, Any]:
        points = {"times": list(series.times), "values": list(series.values)}
        return {"pattern": "uniform", "time_series": points}

    driving = {
        "amplitude": field(program.amplitude),
        "phase": field(program.phase),
        "detuning": field(program.detuning),
    }
    filling = [1] * len(program.sites)
    register = {"sites": [list(site) for site in program.sites], "filling": filling}
    hamiltonian = {"drivingFields": [driving], "localDetuning": []}
    return json.dumps({"setup": {"ahs_register": register}, "hamiltonian": hamiltonian})


def _program(data: Mapping[str, Any]) -> Program:
    register = data["setup"]["ahs_register"]
    hamiltonian = data["hamiltonian"]
    if hamiltonian.get("localDetuning"):
        raise UnsupportedFunctionError("local detuning is not supported")
    fields = hamiltonian["drivingFields"]
    if len(fields) != 1:
        raise UnsupportedFunctionError(
            f"one driving field is supported, the program has {len(fields)}"
        )
    filling = register.get("filling") or [1] * len(register["sites"])
    if len(filling) != len(register["sites"]):
        raise InvalidInputError("the register has as many fillings as sites")
    pairs = zip(register["sites"], filling, strict=True)
    sites = [(float(x), float(y)) for (x, y), filled in pairs if int(filled)]
    if not sites:
        raise InvalidInputError("the register has no atoms")
    if not all(math.isfinite(value) for site in sites for value in site):
        raise InvalidInputError("a site has a coordinate that is not finite")
    read_series = functools.partial(_series, fields[0])
    return Program(
        sites=sites,
        amplitude=read_series("amplitude", required=True),
        detuning=read_series("detuning"),
        phase=read_series("phase"),
    )


def _series(driving: Mapping[str, Any], name: str, *, required: bool = False) -> Series:
    field = driving.get(name) or {}
    if field.get("pattern", "uniform") != "uniform":
        raise UnsupportedFunctionError(
            f"the {name} of the driving field must be uniform; patterns are not supported"
        )
    points = field.get("time_series") or {}
    times = [float(time) for time in points.get("times", ())]
    values = [float(value) for value in points.get("values", ())]
    if required and len(times) < 2:
        raise InvalidInputError(
            f"the {name} of the driving field has fewer than two points in time",
            hint="a cudaq.Schedule can be used once: call schedule.reset() before the next evolve",
        )
    return Series(times=times, values=values)
