"""What the journal's lines say: written as JSON, read with care, known by their names."""

from __future__ import annotations

import functools
import json
import logging
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from qrmi import json_text
from qrmi.journal.packing import slimmed, unpacked
from qrmi.tasks import TaskStatus

__all__ = [
    "FORMAT_VERSION",
    "Event",
    "Fields",
    "encoded",
    "line",
    "members",
    "names_of",
    "parsed",
    "published",
    "version_of",
]

FORMAT_VERSION = 1
_log = logging.getLogger("qrmi.journal")
_LONG = 2000  # characters: a longer line is looked at for what can be shortened
_TEXTS = {  # what must be there, as text, for an event to be understood
    "intent": ("key", "resource", "type", "format", "digest"),
    "created": ("key", "task"),
    "lost": ("key",),
    "started": ("key", "task"),
    "refused": ("key", "reason"),
    "uncertain": ("key",),
    "seen": ("resource", "task", "status"),
    "ended": ("resource", "task", "status"),
    "stopping": ("resource", "task"),
    "acquired": ("resource", "type", "token"),
    "released": ("resource", "token"),
}
_ALWAYS_TEXT = ("key", "resource", "task", "token", "type")
_MAPPINGS = ("context", "settings")
_STATUSES = frozenset(TaskStatus.__members__)
_OPEN_STATUSES = frozenset(name for name, s in TaskStatus.__members__.items() if not s.is_final)
_WITH_STATUS = {"ended": _STATUSES, "seen": _STATUSES}

Fields = dict[str, Any]
"""An event as it was read: its fields, with ``w`` and ``n`` for writer and line."""


@attrs.frozen(kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        at: when, by the clock of the machine that wrote it; seconds since the epoch.
        name: what happened, ``started`` for example; a later release may have names of its own.
        fields: what else was written of it.
        writer: the name of the file that it was first written to, one for each process.
    """

    at: float
    name: str
    fields: Mapping[str, Any]
    writer: str = ""


# --- writing ------------------------------------------------------------------------------------


encoded = json_text.writer()
"""A value as JSON on one line, in ASCII; raises `TypeError` and `ValueError` as it says."""


def members(**fields: Any) -> str:
    """Fields as `Journal.append` takes them in ``also``; at least one."""
    return encoded(fields)[1:-1] + ","


def line(at: float, event: str, also: str, fields: Fields) -> bytes:
    """One event as a line of a journal file. Raises as `encoded`."""
    text = encoded(fields)
    if len(text) > _LONG:
        text = encoded(slimmed(fields))
    comma = "," if fields else ""
    return f'{_HEAD}{at:.6f},{also}"event":{_quoted(event)}{comma}{text[1:]}\n'.encode()


_HEAD = f'{{"v":{FORMAT_VERSION},"at":'


@functools.cache
def _quoted(event: str) -> str:
    return encoded(event)


# --- reading ------------------------------------------------------------------------------------

_decoder: Any = json.JSONDecoder()
_scan = _decoder.scan_once


def parsed(text: bytes, writer: str = "", number: int = 0) -> Fields | None:
    """The event of one line; ``None`` for what is damaged, or of a later format.

    Args:
        text: the line; its own ``w`` and ``n`` count before the arguments.
        writer: the name of the file that it comes from.
        number: its number in there.
    """
    try:
        event, end = _scan(text.decode("utf-8"), 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    if type(event) is not dict or len(text) < end:
        return None
    if event.get("v") != FORMAT_VERSION:
        _warn_of_later_format(event.get("v"))
        return None
    if not _is_whole(event):
        return None
    event.setdefault("w", writer)
    event.setdefault("n", number)
    return unpacked(event) if "packed" in event else event


def version_of(text: bytes) -> int:
    """The format that a line says it has; 0 when it says nothing."""
    try:
        version = json.loads(text).get("v")
    except (ValueError, AttributeError, RecursionError):
        return 0
    return version if isinstance(version, int) else 0


def _is_whole(event: Fields) -> bool:
    """Whether an event has what its readers rely on; one of a later release may not."""
    kind = event.get("event")
    if type(kind) is not str or not isinstance(event.get("at"), int | float):
        return False
    for name in _TEXTS.get(kind, ()):
        if type(event.get(name)) is not str:
            return False
    for name, value in event.items():
        if name in _ALWAYS_TEXT and type(value) is not str:
            return False
        if name in _MAPPINGS and type(value) is not dict:
            return False
        if name == "owner" and type(value) is not (str if kind == "failed" else dict):
            return False  # whose a session is; in an error, who can act
    return kind not in _WITH_STATUS or event["status"] in _WITH_STATUS[kind]


_warned = threading.Event()


def _warn_of_later_format(version: object) -> None:
    if isinstance(version, int) and version > FORMAT_VERSION and not _warned.is_set():
        _warned.set()
        _log.warning(
            "the journal has entries of format %s, written by a later release of openqrmi; this "
            "one reads format %s and passes over them",
            version,
            FORMAT_VERSION,
        )


def names_of(event: Fields) -> Iterator[str]:
    """By what an event is found: its start's key, its task's id, its session's token."""
    if key := event.get("key"):
        yield f"k\0{key}"
    if task := event.get("task"):
        yield f"t\0{task}"
    if token := event.get("token"):
        yield f"l\0{token}"


def published(event: Fields) -> Event:
    """An event as callers get it."""
    fields = {k: v for k, v in event.items() if k not in ("v", "at", "event", "w", "n")}
    return Event(at=event["at"], name=event["event"], fields=fields, writer=event["w"])
