"""Errors of a driver as JSON and back: the class, the text, and what the reader can do."""

from __future__ import annotations

import builtins
from collections.abc import Iterator, Mapping
from typing import Any

from qrmi.errors import Owner, QrmiError

__all__ = ["error_from", "error_told", "named"]

_FIELDS = ("message", "owner", "retryable", "hint", "resource_id", "task_id", "key", "request_ids")


def error_told(error: BaseException) -> dict[str, Any]:
    """What an error says, as plain values; ``class`` is its name."""
    if not isinstance(error, QrmiError):
        return {"class": type(error).__name__, "message": str(error)}
    kinds = [kind.__name__ for kind in type(error).__mro__ if issubclass(kind, QrmiError)]
    fields = {name: getattr(error, name, None) for name in _FIELDS}
    fields["owner"] = str(fields["owner"])
    fields["request_ids"] = list(fields["request_ids"] or ())
    told = {name: value for name, value in fields.items() if value not in (None, [])}
    return {"class": kinds[0], **({"kinds": kinds[1:-1]} if len(kinds) > 2 else {}), **told}


def error_from(told: Mapping[str, Any]) -> Exception:
    """The error again; of a class that is not known here, the nearest of its bases.

    An error that is none of ours becomes one of Python's own when that has the name.
    """
    names = [str(told["class"]), *map(str, told.get("kinds", ()))]
    kind = next((known for name in names if (known := named(name))), None)
    message = str(told.get("message", ""))
    if kind is None and "owner" not in told:
        plain = getattr(builtins, names[0], None)
        if isinstance(plain, type) and issubclass(plain, Exception):
            return plain(message)
        return QrmiError(f"{names[0]}: {message}", owner=Owner.VENDOR)
    error = (kind or QrmiError)(message)
    for name in _FIELDS[1:]:
        if name in told:
            setattr(error, name, told[name])
    error.owner = Owner(told.get("owner", error.owner))
    error.request_ids = tuple(told.get("request_ids", ()))
    return error


def named(name: str) -> type[QrmiError] | None:
    """The error class of that name, among those that are loaded."""
    return next((kind for kind in _kinds_of(QrmiError) if kind.__name__ == name), None)


def _kinds_of(base: type[QrmiError]) -> Iterator[type[QrmiError]]:
    yield base
    for kind in base.__subclasses__():
        yield from _kinds_of(kind)
