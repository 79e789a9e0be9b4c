"""How URLs are made and taken apart."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, quote_plus

from qrmi.errors import ConfigError, InvalidInputError

__all__ = ["join", "origin_of"]

_PLAIN = re.compile(r"[A-Za-z0-9_~-][A-Za-z0-9_.~-]*").fullmatch


def origin_of(url: str) -> str:
    """Scheme, host and port of an absolute URL, without a trailing slash.

    Raises:
        ConfigError: it is no absolute ``http`` or ``https`` URL.
    """
    end = url.find("/", 8)
    origin = url if end < 0 else url[:end]
    if not origin.startswith(("http://", "https://")) or origin.endswith("/") or "///" in url[:9]:
        raise ConfigError(f"{url.partition('?')[0]!r} is not an http or https URL")
    return origin.partition("?")[0]


def join(base: str, *components: str, slash: bool = False, **query: Any) -> str:
    """Make a URL.

    Args:
        base: with or without a trailing slash.
        *components: of the path, each percent-encoded whole.
        slash: whether the path ends with a slash.
        **query: values; ``None`` is left out, a list repeats its key, booleans are ``true`` and
            ``false``.

    Raises:
        InvalidInputError: a component is empty, ``.`` or ``..``, or has half a character.
    """
    url = "/".join((base.rstrip("/"), *map(_quoted, components)))
    if slash:
        url += "/"
    mark = "?"
    for name, value in query.items():
        for text in _texts(value):
            url = f"{url}{mark}{_name(name)}={_in_query(text)}"
            mark = "&"
    return url


@functools.lru_cache(maxsize=1024)
def _quoted(text: str) -> str:
    if _PLAIN(text):
        return text
    if text in ("", ".", ".."):
        raise InvalidInputError(f"{text!r} cannot be a part of a URL's path")
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        raise InvalidInputError(f"{text[:60]!a} is no text that a URL can hold") from None


def _in_query(text: str) -> str:
    return text if _PLAIN(text) else quote_plus(text, errors="replace")


def _texts(value: Any) -> Sequence[str]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, bool):
        return ("true" if value else "false",)
    if isinstance(value, list | tuple):
        return [str(item) for item in value]
    return () if value is None else (str(value),)


_name = functools.lru_cache(maxsize=256)(_in_query)
