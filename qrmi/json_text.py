"""JSON on one line, without blanks, in ASCII: what is sent, and what the journal keeps."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, cast

__all__ = ["writer"]


def _refuse(value: object) -> object:
    raise TypeError(f"{type(value).__name__} is not a JSON value")


def writer(*, allow_nan: bool = True) -> Callable[[Any], str]:
    """What writes values as JSON text.

    It is the encoder of `json`, whose inner part is made once instead of for each text.

    Args:
        allow_nan: whether it writes numbers that are not finite as Python reads them.

    Returns:
        A function, which raises `TypeError` for what has no form in JSON, and `ValueError` for a
        value that contains itself, is nested too deeply, or has a number that is not allowed.
    """
    chunks, join = _chunks(allow_nan), "".join

    def write(value: Any) -> str:
        try:
            return join(chunks(value, 0))
        except RecursionError as error:
            raise ValueError("it is nested too deeply, or contains itself") from error

    return write


def _chunks(allow_nan: bool) -> Callable[[Any, int], Iterable[str]]:
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is not None:
        escape = json.encoder.encode_basestring_ascii
        found = make(None, _refuse, escape, None, ":", ",", False, False, allow_nan)
        return cast("Callable[[Any, int], Iterable[str]]", found)
    made = json.JSONEncoder(  # an interpreter without it
        separators=(",", ":"), allow_nan=allow_nan, check_circular=False, default=_refuse
    )
    return lambda value, _level: made.iterencode(value)
