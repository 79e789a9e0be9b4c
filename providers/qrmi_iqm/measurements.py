"""What one circuit measured, as one column a classical bit."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qrmi.codecs.binding import columns
from qrmi.errors import UnexpectedAnswerError
from qrmi_iqm.circuits import keys

__all__ = ["flattened", "outcomes"]


def flattened(text: str, names: Iterable[str]) -> str:
    """The text of a result with ``0`` for ``[0]`` and ``1`` for ``[1]``.

    Reading millions of lists of one bit takes ten times as long. A text with such marks in the
    names of registers is left as it is.
    """
    if any("[0]" in name or "[1]" in name for name in names):
        return text
    return text.replace("[0]", "0").replace("[1]", "1")


def outcomes(
    measured: Mapping[str, Any] | None,
    counted: Mapping[str, Any] | None,
    held: Sequence[Sequence[Any]],
    shots: int,
) -> NDArray[np.uint8]:
    """An array of shape (shots, classical bits): column i is bit i of the circuit.

    Bits that no operation wrote are 0.

    Args:
        measured: by measurement key, one row a shot: ``{"m_1_0_0": [[0], [1]]}``; ``None`` when
            the server has counts only.
        counted: ``{"measurement_keys": ["m_1_0_0"], "counts": {"0": 1, "1": 1}}``, each text
            having one character a key, in the order of the keys.
        held: what `qrmi.codecs.binding.registers` says of the circuit.
        shots: how many were asked for; taken when nothing was measured.

    Raises:
        UnexpectedAnswerError: rows of other lengths, or values other than 0 and 1.
    """
    values = _by_key(measured) if measured is not None else _from_counts(counted or {})
    lengths = {len(column) for column in values.values()} or {shots}
    if len(lengths) > 1 or max(lengths) > shots:
        raise _malformed(f"{sorted(lengths)} shots")
    table = keys(held)
    width = 1 + max(table, default=-1)
    found = np.zeros((lengths.pop(), width), dtype=np.uint8)
    for bit, key in table.items():
        if key in values:
            found[:, bit] = values[key]
    return found


def _by_key(measured: Mapping[str, Any]) -> dict[str, NDArray[np.uint8]]:
    return {key: _column(rows) for key, rows in measured.items()}


def _column(rows: Sequence[Any]) -> NDArray[np.uint8]:
    """One column, out of a list with a bit, or a list of one bit, for each shot."""
    if rows and not isinstance(rows[0], int):
        if set(map(len, rows)) - {1}:
            raise _malformed("not one value a shot")
        rows = list(itertools.chain.from_iterable(rows))
    column = np.frombuffer(bytes(rows), dtype=np.uint8)
    if column.size and column.max() > 1:
        raise _malformed("not a bit")
    return column


def _from_counts(counted: Mapping[str, Any]) -> dict[str, NDArray[np.uint8]]:
    names = counted["measurement_keys"]
    table = columns({text[::-1]: number for text, number in counted["counts"].items()}, len(names))
    return {name: table[:, position] for position, name in enumerate(names)}


def _malformed(what: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(f"malformed measurements: {what}")
