"""JSON for programs that are started for every job.

`json` brings regular expressions along, and to load both takes as long as half a hook's other work.
CPython's own reader and writer, which stand behind `json`, are called without it; where there are
none, or others than are known here, `json` itself is used.
"""

from __future__ import annotations

from typing import Any

__all__ = ["json_read", "json_written"]

_BLANKS = " \t\r\n"


class _Plainly:
    """How the reader reads: what the standard says, and the three numbers that `json` adds."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = float


def json_written(value: Any) -> bytes:
    """A JSON value as text. Raises `TypeError` when it is none."""
    try:
        import _json

        own: Any = _json
        escaped = own.encode_basestring_ascii
        write = own.make_encoder(None, None, escaped, None, ":", ",", False, False, True)
        return "".join(write(value, 0)).encode()
    except (ImportError, AttributeError, TypeError):
        import json

        return json.dumps(value).encode()


def json_read(text: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises `ValueError` when it is none."""
    try:
        import _json

        own: Any = _json
        scan = own.make_scanner(_Plainly())
    except (ImportError, AttributeError, TypeError):
        import json

        return json.loads(text)
    plain = text.decode("utf-8").strip(_BLANKS)
    try:
        value, end = scan(plain, 0)
    except (StopIteration, RecursionError):
        raise ValueError("no JSON value, or one that is nested too deeply") from None
    if end != len(plain):
        raise ValueError("more than a JSON value")
    return value
