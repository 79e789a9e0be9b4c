"""Whether two payloads are the same program in two runs of it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi import plugins
from qrmi.errors import QrmiError
from qrmi.payloads import Payload

__all__ = ["likeness", "renamed", "translation"]

_NUMBERED = re.compile(r"circuit-\d+")  # what Qiskit calls a circuit without a name
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\b")


def likeness(payload: Any) -> str:
    """SHA-256 of a payload without what changes from one run of a program to the next.

    The codec of the payload's format tells, where it has a function ``comparable``. Random
    identifiers in a text, of Pulser's observables for example, are told apart by their order only.
    """
    text = _NUMBERED.sub("circuit-", _comparable(payload) or _text(payload))
    order = {name: f"#{number}" for number, name in enumerate(_identifiers(text))}
    return hashlib.sha256(renamed(text, order).encode("utf-8", "surrogatepass")).hexdigest()


def translation(recorded: Any, asked: Any) -> dict[str, str]:
    """What the random identifiers of a recorded payload are in a like one; empty when the same."""
    names = zip(_identifiers(_text(recorded)), _identifiers(_text(asked)), strict=False)
    return {old: new for old, new in names if old != new}


def renamed(text: str, names: Mapping[str, str]) -> str:
    """The text with other identifiers; those without another name stay."""
    return _UUID.sub(lambda found: names.get(found[0], found[0]), text) if names else text


def _identifiers(text: str) -> list[str]:
    return list(dict.fromkeys(_UUID.findall(text)))


def _text(payload: Any) -> str:
    return json.dumps(attrs.asdict(payload), sort_keys=True, default=repr, skipkeys=True)


def _comparable(payload: Any) -> str:
    if not isinstance(payload, Payload):
        return ""
    try:
        codec = plugins.codec(payload.FORMAT)
        return str(codec.comparable(payload)) if hasattr(codec, "comparable") else ""
    except (QrmiError, ValueError):  # no codec, no SDK, or no program: the text decides
        return ""
