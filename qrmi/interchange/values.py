"""Values of the driver interface as JSON and back, exactly.

A text stays a text; a long one, a program or a result, is kept apart and named, by its digest
unless told otherwise. Everything that JSON has no word for is an object whose first key begins
with ``$``:

====================== ===================================================================
``{"$text": NAME}``    a long text, which is kept apart
``{"$bytes": BASE64}`` bytes
``{"$float": NAME}``   ``nan``, ``inf`` or ``-inf``
``{"$tuple": [...]}``  a tuple
``{"$dict": [[k, v]]}`` a mapping whose keys are no plain texts
``{"$word": NAME}``    a member of an enumeration: ``TaskStatus.COMPLETED``
``{"$value": CLASS}``  an attrs value, with its ``fields``; of a payload also its ``format`` and,
                       unless told otherwise, its ``digest``
====================== ===================================================================
"""

from __future__ import annotations

import base64
import enum
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from qrmi import payloads, tasks
from qrmi.payloads import Payload

__all__ = ["LONGEST_INLINE", "Decoder", "Encoder", "Foreign", "digest_of"]

LONGEST_INLINE = 120
"""Texts with more characters are kept apart."""

_VALUES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        payloads.AnalogJob,
        tasks.BatchJob,
        tasks.ResourceCapacity,
        tasks.ResourceStatus,
        tasks.Target,
        tasks.TaskResult,
    )
}
_WORDS: dict[str, type[enum.Enum]] = {
    kind.__name__: kind for kind in (tasks.TaskStatus, tasks.ResourceStatusCode)
}
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@attrs.frozen(kw_only=True)
class Foreign:
    """A value of a class that is not known here; equal to one with the same fields.

    Attributes:
        kind: the class's name.
        fields: its fields, by name.
    """

    kind: str
    fields: Mapping[str, Any] = attrs.field(repr=False)


def digest_of(text: str) -> str:
    """SHA-256 of a text's UTF-8, hexadecimal; half surrogate pairs count, too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Encoder:
    """Turns values into JSON values; collects the long texts.

    Args:
        cleaned: what a text is passed through first; takes secrets out.
        by_digest: whether long texts are named by their digests, which tells equal ones, and
            payloads bear theirs; false names texts by their number, and reads no text.

    Attributes:
        texts: long texts by name, since the encoder was made.
    """

    def __init__(self, cleaned: Callable[[str], str] = str, *, by_digest: bool = True) -> None:
        self._cleaned = cleaned
        self._by_digest = by_digest
        self.texts: dict[str, str] = {}

    def encode(self, value: Any) -> Any:
        """The JSON value that stands for ``value``.

        Raises:
            TypeError: it is no value of the driver interface.
        """
        if value is None or isinstance(value, bool):
            return value
        for kinds, write in self._WRITERS:
            if isinstance(value, kinds):
                return write(self, value)
        if attrs.has(type(value)):
            return self._attrs(value)
        raise TypeError(f"a {type(value).__name__} cannot be recorded")

    def text(self, value: str) -> Any:
        """A text, or the name of a long one."""
        clean = self._cleaned(value)
        if len(clean) <= LONGEST_INLINE:
            return clean
        name = digest_of(clean) if self._by_digest else str(len(self.texts))
        self.texts[name] = clean
        return {"$text": name}

    def _word(self, value: enum.Enum) -> Any:
        if type(value).__name__ not in _WORDS:
            return self.encode(value.value)
        return {"$word": f"{type(value).__name__}.{value.name}"}

    def _float(self, value: float) -> Any:
        return value if math.isfinite(value) else {"$float": str(value)}

    def _bytes(self, value: bytes) -> Any:
        return {"$bytes": base64.b64encode(value).decode()}

    def _list(self, value: list[Any]) -> Any:
        return [self.encode(item) for item in value]

    def _tuple(self, value: tuple[Any, ...]) -> Any:
        return {"$tuple": [self.encode(item) for item in value]}

    def _mapping(self, value: Mapping[Any, Any]) -> Any:
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {self._cleaned(key): self.encode(item) for key, item in value.items()}
        return {"$dict": [[self.encode(key), self.encode(item)] for key, item in value.items()]}

    def _set(self, value: frozenset[Any]) -> Any:
        return [self.encode(item) for item in sorted(value)]

    def _attrs(self, value: Any) -> Any:
        fields = {
            field.name: self.encode(getattr(value, field.name))
            for field in attrs.fields(type(value))
        }
        told: dict[str, Any] = {"$value": type(value).__name__}
        if isinstance(value, Payload):
            told["format"] = value.FORMAT
            if self._by_digest:
                told["digest"] = payloads.digest(value)
        return {**told, "fields": fields}

    _WRITERS: tuple[tuple[Any, Callable[[Encoder, Any], Any]], ...] = (
        (enum.Enum, _word),
        (str, text),
        (int, lambda _, value: int(value)),
        (float, _float),
        (bytes, _bytes),
        (list, _list),
        (tuple, _tuple),
        (Mapping, _mapping),
        ((set, frozenset), _set),
    )


class Decoder:
    """Turns what `Encoder` wrote into values again.

    Args:
        texts: the long texts by name.
    """

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def decode(self, data: Any) -> Any:
        """The value that JSON data stand for.

        Raises:
            ValueError: a text is missing, or a marked object is malformed.
        """
        if isinstance(data, list):
            return [self.decode(item) for item in data]
        if not isinstance(data, dict):
            return data
        mark = next(iter(data), "")
        if not mark.startswith("$"):
            return {key: self.decode(item) for key, item in data.items()}
        if mark not in self._READERS:
            raise ValueError(f"unknown mark {mark[:20]!r}")
        try:
            return self._READERS[mark](self, data)
        except (TypeError, KeyError, AttributeError, RuntimeError) as error:
            raise ValueError(f"malformed {mark}: {type(error).__name__}") from error

    def _text(self, data: Mapping[str, Any]) -> str:
        digest = data["$text"]
        if digest not in self._texts:
            raise ValueError(f"the text {str(digest)[:12]} is missing")
        return self._texts[digest]

    def _dict(self, data: Mapping[str, Any]) -> dict[Any, Any]:
        return {self.decode(key): self.decode(item) for key, item in data["$dict"]}

    def _word(self, data: Mapping[str, Any]) -> enum.Enum:
        kind, _, name = data["$word"].partition(".")
        return _WORDS[kind][name]

    def _value(self, data: Mapping[str, Any]) -> Any:
        fields = {str(name): self.decode(item) for name, item in data["fields"].items()}
        kind = _payload_class(data["$value"], data.get("format")) or _VALUES.get(data["$value"])
        return Foreign(kind=str(data["$value"]), fields=fields) if kind is None else kind(**fields)

    _READERS: Mapping[str, Callable[[Decoder, Any], Any]] = {
        "$text": _text,
        "$bytes": lambda _, data: base64.b64decode(data["$bytes"], validate=True),
        "$float": lambda _, data: _FLOATS[data["$float"]],
        "$tuple": lambda self, data: tuple(self.decode(item) for item in data["$tuple"]),
        "$dict": _dict,
        "$word": _word,
        "$value": _value,
    }


def _payload_class(name: str, payload_format: str | None) -> type | None:
    """The payload class of that name and format, among those that are loaded; nothing is."""
    for kind in _kinds_of(Payload):
        if kind.__name__ == name and getattr(kind, "FORMAT", None) == payload_format:
            return kind
    return None


def _kinds_of(base: type[Payload]) -> Iterator[type[Payload]]:
    for kind in base.__subclasses__():
        yield kind
        yield from _kinds_of(kind)
