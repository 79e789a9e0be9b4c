"""Parameters of a Felis job, as its target declares them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from qrmi.errors import InvalidInputError

__all__ = ["SHOTS", "settled"]

SHOTS = "nbShots"
"""The parameter that a pub's shots become."""

_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str": (str,),
}


def settled(declared: Mapping[str, Any], options: Mapping[str, Any], shots: int) -> dict[str, Any]:
    """The parameters of a job: those given, and the target's defaults for others that it requires.

    Args:
        declared: the target's ``inputParams``.
        options: by the service's name (``averageNbPhotons``) or in Python's spelling
            (``average_nb_photons``).
        shots: of the pub.

    Raises:
        InvalidInputError: an option that the target does not have, or shots among them; a value of
            the wrong type or out of its range; a required parameter that is not given.
    """
    names = {_snake(name): name for name in declared} | {name: name for name in declared}
    given: dict[str, Any] = {}
    for option, value in options.items():
        if option not in names or names[option] == SHOTS:
            raise InvalidInputError(
                f"the target has no option {option!r}", hint=f"it has: {_known(declared)}"
            )
        given[names[option]] = _plain(value)
    if SHOTS in declared:
        given[SHOTS] = shots
    for name, description in declared.items():
        if name not in given and description.get("required"):
            given[name] = _default(name, description)
    for name, value in given.items():
        _check(name, value, declared[name])
    return given


def _default(name: str, description: Mapping[str, Any]) -> Any:
    if description.get("default") is None:
        raise InvalidInputError(
            f"the target requires a value for {name}",
            hint=f"give it as an option: {_snake(name)}={_example(description)}",
        )
    return description["default"]


def _known(declared: Mapping[str, Any]) -> str:
    return ", ".join(sorted(name for name in declared if name != SHOTS)) or "none"


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


def _plain(value: Any) -> Any:
    """A number of NumPy's as one of Python's."""
    item = getattr(value, "item", None)
    return item() if callable(item) else value


def _check(name: str, value: Any, description: Mapping[str, Any]) -> None:
    kinds = _KINDS.get(str(description.get("type")), (object,))
    truth = isinstance(value, bool) and kinds not in ((bool,), (object,))
    fits = isinstance(value, kinds) and not truth
    if not fits:
        raise InvalidInputError(f"{name} is of type {description['type']}, not {value!r}")
    for limits in description.get("constraints") or ():
        low, high = limits.get("min"), limits.get("max")
        if (low is not None and value < low) or (high is not None and value > high):
            raise InvalidInputError(f"{name} is {value!r}; the target takes {low} to {high}")


def _example(description: Mapping[str, Any]) -> Any:
    limits: Mapping[str, Any] = next(iter(description.get("constraints") or ()), {})
    return limits.get("min", "…")
