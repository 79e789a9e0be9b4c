"""Values of a kernel's classical part, as the interpreter of Quake holds them."""

from __future__ import annotations

import re
from typing import Any

import attrs

from qrmi.errors import UnsupportedFunctionError

__all__ = [
    "ARRAY", "UNKNOWN", "Pointer", "Span", "amplitudes", "angle", "cell_count", "flat", "known",
    "plain", "plain_type", "pointee",
]  # fmt: skip

ARRAY = re.compile(r"!cc\.array<(.*) x (\d+)>$")
"""The type of an array: of what, and of how many."""


class _Unknown:
    """A value that only the run will tell: a measurement, or memory that was never written."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN = _Unknown()


@attrs.frozen
class Pointer:
    """A place in memory."""

    cells: list[Any]
    offset: int = 0


@attrs.frozen
class Span:
    """A list in memory: where it starts, and how many items it has."""

    start: Pointer
    length: int


def known(value: Any) -> int:
    """An index or a size, which has to be known before the run.

    Raises:
        UnsupportedFunctionError: it is not.
    """
    if value is UNKNOWN:
        raise UnsupportedFunctionError(
            "the kernel uses a measured value as an index or a size; that is not supported"
        )
    return int(value)


def plain(attribute: Any) -> Any:
    """The Python value of an MLIR attribute: number, text, or list of those."""
    if hasattr(attribute, "value"):
        return attribute.value
    return [plain(item) for item in attribute]


def plain_type(attribute: Any) -> str:
    """A type that is an attribute, in MLIR's words."""
    return str(getattr(attribute, "value", attribute))


def pointee(kind: str) -> str:
    """What a pointer of type ``kind`` points to."""
    return kind.removeprefix("!cc.ptr<").removesuffix(">")


def cell_count(kind: str) -> int:
    """How many scalars a type holds."""
    match = ARRAY.fullmatch(kind)
    return int(match[2]) * cell_count(match[1]) if match else 1


def flat(value: list[Any]) -> list[Any]:
    """The scalars of a nested list, in order."""
    cells: list[Any] = []
    for item in value:
        cells.extend(flat(item) if isinstance(item, list) else [item])
    return cells


def amplitudes(value: Any) -> list[complex]:
    """The amplitudes of a state.

    Raises:
        UnsupportedFunctionError: they are not known before the run.
    """
    if isinstance(value, Pointer):
        value = value.cells[value.offset :]
    if not isinstance(value, list) or any(item is UNKNOWN for item in value):
        raise UnsupportedFunctionError(
            "the kernel starts from a state that cannot be computed before the run",
            hint="pass its amplitudes as list[complex]",
        )
    return value


def angle(value: Any) -> float:
    """An angle in rad.

    Raises:
        UnsupportedFunctionError: it is not known before the run.
    """
    if value is UNKNOWN:
        raise UnsupportedFunctionError(
            "the kernel turns by an angle that cannot be computed before the run"
        )
    return float(value)
