"""Notes of a codec, small enough for the journal."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

from qrmi.errors import UnexpectedAnswerError

__all__ = ["pack", "unpack"]

_PLAIN = 700  # characters: what is longer is compressed
_KEY = "zlib"


def pack(notes: Mapping[str, Any]) -> dict[str, Any]:
    """The notes as they are when they are short, else compressed; `unpack` gives them back.

    Args:
        notes: JSON values; tuples come back as lists.
    """
    text = json.dumps(notes, separators=(",", ":"))
    if len(text) <= _PLAIN:
        return dict(notes)
    return {_KEY: base64.b85encode(zlib.compress(text.encode(), 9)).decode("ascii")}


def unpack(notes: Mapping[str, Any]) -> dict[str, Any]:
    """What `pack` was given.

    Raises:
        UnexpectedAnswerError: they are damaged.
    """
    if _KEY not in notes:
        return dict(notes)
    try:
        found: dict[str, Any] = json.loads(zlib.decompress(base64.b85decode(notes[_KEY])))
    except (ValueError, TypeError, binascii.Error, zlib.error) as error:
        raise UnexpectedAnswerError(f"the notes of the task are damaged: {error}") from error
    return found
