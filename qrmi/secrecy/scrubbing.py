"""Secrets are taken out of texts that others wrote, before anybody reads them.

A service may quote a credential in its error, in a redirect or in a log. `scrub` takes out what any
living `qrmi.settings.Secret` of this process holds, also percent-encoded, in base64, escaped or cut
short, and what looks like a credential by itself: signatures of URLs, bearer tokens, passwords in
URLs. All messages and hints of `qrmi.errors.QrmiError` go through it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import weakref
from collections.abc import Iterator
from typing import Any, Protocol
from urllib.parse import quote, quote_plus, unquote

__all__ = [
    "MASK",
    "Hidden",
    "HiddenList",
    "HiddenObject",
    "Holder",
    "encodings",
    "forms_of",
    "hidden",
    "holders",
    "scrub",
    "watch",
]

MASK = "***"
"""What stands in a secret's place."""

_SHORTEST = 4
_PROBE = 8  # a secret that a message cuts short is known by so many characters
_IS_WORD = re.compile(r"[a-z]{1,11}").fullmatch  # such a text cannot be told from prose
_IS_PLAIN = re.compile(r"[A-Za-z0-9_.~-]*").fullmatch  # such a text is the same when escaped
_STARTS = (0, 2, 3)  # of the part of a base64 text that does not depend on what stands before
_IN_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"})
_NAMES = (
    "access_token|api_?key|client_secret|credential|id_token|password|refresh_token|secret|sig|"
    "signature|token|x-amz-credential|x-amz-security-token|x-amz-signature"
)
_LOOKS = (
    (
        re.compile(rf"(?i)(^|[?&;\s\"'(]|%20|%26|%3f)({_NAMES})(=|%3d)[^&\s\"'<>)]+"),
        rf"\1\2\3{MASK}",
    ),
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]{16,}"), rf"\1 {MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+(\.[\w-]*)?"), MASK),
    (re.compile(r"://[^/\s@\"'<>]+@"), f"://{MASK}@"),
)
_IN_ALL_LOOKS = re.compile(r"[=%@\s]|eyJ").search  # a text without any of these is clean


class Hidden(str):
    """A text that is used like any other and shows itself as ``***`` in ``repr``.

    Tracebacks with local variables, and ``repr`` of what holds it, therefore do not show it.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return MASK


class HiddenObject(dict[str, Any]):
    """A JSON object that may hold secrets: its ``repr`` shows none of it."""

    def __repr__(self) -> str:
        return "{…}"


class HiddenList(list[Any]):
    """A JSON list that may hold secrets: its ``repr`` shows none of it."""

    def __repr__(self) -> str:
        return "[…]"


_HIDDEN: dict[type, type] = {dict: HiddenObject, list: HiddenList, str: Hidden}


def hidden(value: Any) -> Any:
    """The same JSON value, with a ``repr`` that does not show it; of what it holds it may."""
    kind = _HIDDEN.get(type(value))
    return kind(value) if kind else value


class Holder(Protocol):
    """Something that holds a secret for as long as it lives."""

    def forms(self) -> tuple[str, ...]:
        """The texts that give the secret away; asks nobody, empty as long as it is not known."""


_watched: dict[int, weakref.ref[Holder]] = {}


def watch(holder: Holder) -> None:
    """Keep what ``holder`` holds out of all texts, until it is no more."""
    number = id(holder)
    _watched[number] = weakref.ref(holder, lambda _: _watched.pop(number, None))


def holders() -> Iterator[Holder]:
    """Those that live."""
    for reference in list(_watched.values()):
        holder = reference()
        if holder is not None:
            yield holder


def scrub(text: str) -> str:
    """The text with ``***`` in the place of every secret."""
    near = _near(text)
    if near:
        for form in sorted(near, key=len, reverse=True):
            if form in text:
                text = _without(text, form)
        text = _without_parts(text, near)
    if _IN_ALL_LOOKS(text):
        for pattern, replacement in _LOOKS:
            text = pattern.sub(replacement, text)
    return text


def _near(text: str) -> set[str]:
    """What may be in a text: its beginning is. Ids pass here at each start."""
    found = set()
    for reference in list(_watched.values()):
        holder = reference()
        if holder is not None:
            for form in holder.forms():
                if form[:_PROBE] in text:
                    found.add(form)
    return found


def _without(text: str, form: str) -> str:
    if len(form) < _PROBE:  # such a one may be a part of a word
        return re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", MASK, text)
    return text.replace(form, MASK)


def _without_parts(text: str, forms: set[str]) -> str:
    """Without the beginnings of secrets that a message cuts short."""
    for probe in {form[:_PROBE] for form in forms if len(form) >= _PROBE}:
        begin = text.find(probe)
        while begin >= 0:
            begun = (form for form in forms if form.startswith(probe))
            end = begin + max(_shared(form, text[begin:]) for form in begun)
            text = text[:begin] + MASK + text[end:]
            begin = text.find(probe, begin + len(MASK))
    return text


def _shared(form: str, text: str) -> int:
    """How many characters of a form a text begins with."""
    for place, (one, other) in enumerate(zip(form, text, strict=False)):
        if one != other:
            return place
    return min(len(form), len(text))


def forms_of(secret: str) -> tuple[str, ...]:
    """What gives a secret away: itself, and what encodings make of it; the longest first.

    Of a URL only the user's name and password are secret. Texts that cannot be told from prose
    (plain words, three characters) are left alone: taking them out would make messages unreadable.
    """
    found: set[str] = set()
    for part in _parts(secret.strip()):
        found |= {form for form in encodings(part) if len(form) >= _SHORTEST and not _IS_WORD(form)}
    return tuple(sorted(found, key=len, reverse=True))


def _parts(secret: str) -> set[str]:
    if "://" in secret:
        user_info = secret.partition("://")[2].rpartition("@")[0]  # also of what is no good URL
        password = user_info.partition(":")[2]
        return {user_info, password, unquote(password)} - {""}
    return {secret, _inside_base64(secret)} - {""}


def _inside_base64(secret: str) -> str:
    """The password of a base64 text of ``user:password``; empty when it is none."""
    try:
        pair = base64.b64decode(secret, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    password = pair.partition(":")[2]
    return password if password.isprintable() else ""


def encodings(text: str) -> Iterator[str]:
    """What encodings make of a text, which is the first of them."""
    yield text
    if len(text) < _PROBE:
        return
    text = text.encode("utf-8", "replace").decode()  # half a character is in no message
    if not _IS_PLAIN(text):
        yield from _escaped(text)
    data = text.encode()
    for offset, start in enumerate(_STARTS):
        coded = base64.b64encode(b"\0" * offset + data).decode()
        whole = coded if not (len(data) + offset) % 3 else coded.rstrip("=")[:-1]
        yield whole[start:]
        yield whole[start:].replace("+", "-").replace("/", "_")


def _escaped(text: str) -> Iterator[str]:
    """As URLs, JSON, Python and markup have it."""
    for once in (quote(text, safe=""), quote(text), quote_plus(text)):
        yield once
        yield re.sub("%..", lambda code: code[0].lower(), once)
    yield from (json.dumps(text)[1:-1], repr(text)[1:-1], text.translate(_IN_MARKUP))
