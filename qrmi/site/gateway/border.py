"""What crosses the gateway's border: requests as they are read, answers as they are let out."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from qrmi.errors import (
    AuthenticationFailedError,
    ConfigError,
    InvalidInputError,
    MissingExtraError,
    Owner,
    QrmiError,
)
from qrmi.interchange.values import Foreign
from qrmi.secrecy.scrubbing import hidden, scrub
from qrmi.site.gateway import packing

__all__ = ["Holds", "Request", "cleaned", "make_the_jobs", "read_request"]

_LONGEST_NAME = 1000
_OF_THE_SITE = (AuthenticationFailedError, ConfigError, MissingExtraError)


@attrs.frozen(kw_only=True)
class Request:
    """What a job sends."""

    token: str = attrs.field(repr=False)
    name: str
    arguments: Any = attrs.field(repr=False)

    @property
    def is_foreign(self) -> bool:
        """Whether its payload is of a class that was not loaded when it was read."""
        given = self.arguments
        return isinstance(given, Mapping) and isinstance(given.get("payload"), Foreign)


def read_request(body: bytes) -> Request:
    """The request, if it is one; no error that shows it leaves here."""
    try:
        told = packing.unpacked(body)
    except (ValueError, RecursionError) as error:
        reason = f": {error}" if isinstance(error, ValueError) else ""
        told = None
    else:
        reason = ""
    if not isinstance(told, dict):
        raise InvalidInputError(f"the request is malformed{reason}"[:200])
    token, name = told.get("token"), told.get("name")
    if not isinstance(token, str) or not isinstance(name, str) or len(name) > _LONGEST_NAME:
        raise InvalidInputError("the request lacks its token or name")
    return Request(token=hidden(token), name=name, arguments=told.get("arguments"))


def make_the_jobs(error: QrmiError, resource: str) -> None:
    """A driver's error becomes what the job's user needs: credentials are not theirs to mend."""
    error.resource_id = error.resource_id or resource
    if isinstance(error, _OF_THE_SITE):
        error.owner = Owner.SITE
        error.hint = f"tell the site: its own settings or credentials for {resource} do not work"


def cleaned(method: str, answer: Any, token: str) -> Any:
    """An answer without what is the site's own; ``token`` is the vendor's name of the session."""
    if method in ("task_logs", "task_reason"):
        return scrub(answer)
    if method == "metadata":
        told = {name: scrub(text) for name, text in answer.items()}
        return {name: text for name, text in told.items() if text != token}
    return answer


class Holds:
    """Counts the requests that are held for each resource; ``most`` of each at once."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._held: Counter[str] = Counter()

    @contextlib.contextmanager
    def one(self, resource: str) -> Iterator[bool]:
        """Whether one more may be held; it is, until the block ends."""
        with self._lock:
            is_free = self._held[resource] < self._most
            self._held[resource] += is_free
        try:
            yield is_free
        finally:
            with self._lock:
                self._held[resource] -= is_free
                if not self._held[resource]:
                    del self._held[resource]
