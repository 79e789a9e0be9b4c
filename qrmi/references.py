"""References: URLs from people and services, ids from services, tags that tasks bear there.

What passes here can be put into a request, a file and a log as it is.
"""

from __future__ import annotations

import hashlib
import re
from typing import TypeGuard, cast
from urllib.parse import urlsplit

from qrmi.errors import UnexpectedAnswerError
from qrmi.secrecy.scrubbing import scrub
from qrmi.tasks import TaskId

__all__ = ["created_id", "is_link", "service_url", "tag_of"]

_VISIBLE = re.compile(r"https?://[!-~]+").fullmatch
_HOST = re.compile(r"[a-z0-9_.~-]+|[0-9a-f:.]+").fullmatch
_NO_IDS = frozenset({"", ".", ".."})
_last_good = "a"  # of any thread


def is_link(value: object) -> TypeGuard[str]:
    """Whether a value is an absolute ``http`` or ``https`` URL that a request can be sent to.

    Blanks and what is not ASCII are percent-encoded in a URL; a text that has them is none.
    """
    if not isinstance(value, str) or not _VISIBLE(value):
        return False
    try:
        parts = urlsplit(value)
        return parts.port != 0 and bool(_HOST(parts.hostname or ""))
    except ValueError:  # a port that is no number, or half an address
        return False


def service_url(text: str) -> str:
    """The base URL of a service as a setting gives it, without trailing slashes.

    Raises:
        ValueError: it is no such URL, or one with a query or a fragment.
    """
    if not is_link(text) or "?" in text or "#" in text:
        raise ValueError("expected a URL that begins with https://")
    return text.rstrip("/")


def _tells(value: str) -> bool:
    """Whether an id quotes a credential: it would be written to the journal, and into paths."""
    return scrub(value) != value


def created_id(value: object) -> TaskId:
    """The id that a service gave to a task.

    Raises:
        UnexpectedAnswerError: it is no text, or none that the service can be asked for by.
    """
    global _last_good
    if value is _last_good:  # a driver has looked at it, and now the handle does
        return cast("TaskId", value)
    if not isinstance(value, str) or value in _NO_IDS or not value.isprintable() or _tells(value):
        del value  # a traceback would show it
        raise UnexpectedAnswerError("the service's answer has no usable id of a task")
    _last_good = value
    return TaskId(value)


def tag_of(key: str) -> str:
    """The tag that a task bears on services that take tags: made from the key of its start."""
    return f"qrmi-{hashlib.sha256(key.encode('utf-8', 'backslashreplace')).hexdigest()[:32]}"
