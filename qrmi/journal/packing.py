"""Keeping lines short: large parts of a context are compressed, long messages are cut."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any

__all__ = ["slimmed", "unpacked"]

_LARGE = 500  # characters of JSON: a larger part of a context is compressed
_LONGEST = 1500  # characters of a message
_MESSAGES = ("reason", "failure", "message", "hint")


def slimmed(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields in less room; `unpacked` gives a context back as it was.

    A message of more than 1,500 characters is cut.
    """
    short = dict(fields)
    for name in _MESSAGES:
        text = short.get(name)
        if isinstance(text, str) and len(text) > _LONGEST:
            short[name] = text[:_LONGEST] + " …"
    context = short.get("context")
    if isinstance(context, dict):
        large = {k: v for k, v in context.items() if len(json.dumps(v)) > _LARGE}
        if large:
            data = zlib.compress(json.dumps(large, separators=(",", ":")).encode(), 6)
            short["context"] = {k: v for k, v in context.items() if k not in large}
            short["packed"] = base64.b85encode(data).decode("ascii")
    return short


def unpacked(event: dict[str, Any]) -> dict[str, Any]:
    """An event with the whole of its context; without the large parts when they are damaged."""
    packed = event.pop("packed")
    try:
        large = json.loads(zlib.decompress(base64.b85decode(packed)))
        event["context"] = {**event.get("context", {}), **large}
    except (ValueError, TypeError, binascii.Error, zlib.error, RecursionError):
        pass
    return event
