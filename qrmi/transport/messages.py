"""Requests and answers, and how bodies are made; nothing here opens a socket."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable
from functools import cached_property
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import attrs

from qrmi import json_text
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    UnexpectedAnswerError,
)
from qrmi.secrecy.scrubbing import hidden, scrub
from qrmi.transport.request_ids import request_ids

__all__ = [
    "JSON",
    "USER_AGENT",
    "Headers",
    "Request",
    "Response",
    "Timeout",
    "json_body",
    "polled",
]

_Make = TypeVar("_Make", bound="Callable[..., Request]")

_NOTHING: frozenset[int] = frozenset()
_ALWAYS_SAFE = frozenset({"GET", "HEAD"})
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # what `json.loads` comes to
_BLANKS = " \t\r\n"
_MOST_POLLED = 1024
_NOT_YET = (None, None)

USER_AGENT = "openqrmi"
"""How requests name their sender; no version, because services need none and logs are read."""

JSON = (("content-type", "application/json"),)
"""Headers of a request whose body is JSON."""


class Request:
    """One request, complete but for credentials.

    Args:
        method: in upper case.
        url: absolute; see `join`.
        headers: names in lower case; a constant of the driver where possible.
        body: the body; ``None`` for none.
        idempotent: whether sending it twice does what sending it once does. Only such requests
            are repeated. ``None`` means: ``GET`` and ``HEAD`` are, others are not.
        missing: the error that a 404 means.
        task_id: the task that it is about, for errors.
        authorized: whether credentials are added; false for presigned URLs.
        hold_seconds: how long the server may stay silent beyond the usual, because it was asked
            to hold the request.
        accept: statuses of 400 and more that are answers here, not errors.
        large: whether the answer may be large, as a result is.

    Attributes:
        origin: scheme, host and port as the URL has them; nobody has looked whether they are any.
        known: of a request that is `polled`, the last short answer: its body, and its value, which
            the next answer with the same body has too. ``None`` for any other request.
    """

    __slots__ = (
        "accept",
        "authorized",
        "body",
        "elsewhere",
        "headers",
        "hold_seconds",
        "idempotent",
        "known",
        "large",
        "method",
        "missing",
        "origin",
        "task_id",
        "url",
    )

    def __init__(
        self,
        method: str,
        url: str,
        *,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes | None = None,
        idempotent: bool | None = None,
        missing: type[QrmiError] = ResourceNotFoundError,
        task_id: str | None = None,
        authorized: bool = True,
        hold_seconds: float = 0.0,
        accept: frozenset[int] = _NOTHING,
        large: bool = False,
    ) -> None:
        self.method = method
        self.url = url
        end = url.find("/", 8)
        self.origin = url if end < 0 else url[:end]
        self.headers = headers
        self.body = body
        self.idempotent = method in _ALWAYS_SAFE if idempotent is None else idempotent
        self.missing = missing
        self.task_id = task_id
        self.authorized = authorized
        self.hold_seconds = hold_seconds
        self.accept = accept
        self.large = large
        self.known: tuple[Any, Any] | None = None
        self.elsewhere = False  # a redirect to another host: a session's credentials stay behind

    def __repr__(self) -> str:
        return f"<Request {self.name}>"

    @property
    def name(self) -> str:
        """Method and path, for messages; queries may hold signatures and are left out."""
        return scrub(f"{self.method} {urlsplit(self.url).path or '/'}")

    def to(self, url: str, *, same_host: bool) -> Request:
        """The same request to a redirect's URL; another host gets no header and no credentials."""
        there = type(self)(
            self.method,
            url,
            headers=self.headers if same_host else (),
            body=self.body,
            idempotent=self.idempotent,
            missing=self.missing,
            task_id=self.task_id,
            authorized=self.authorized and same_host,
            hold_seconds=self.hold_seconds,
            accept=self.accept,
            large=self.large,
        )
        there.elsewhere = self.elsewhere or not same_host
        return there


class Headers:
    """Headers in the forms that transports want, each made once."""

    def __init__(self, items: tuple[tuple[str, str], ...]) -> None:
        self._items = items

    def __repr__(self) -> str:
        return f"<{len(self._items)} headers>"

    @cached_property
    def mapping(self) -> dict[str, str]:
        """By name."""
        return dict(self._items)

    @cached_property
    def lines(self) -> list[str]:
        """As they are sent, without line ends."""
        return [f"{name}: {value}" for name, value in self._items]


class _Lookup(Protocol):
    def get(self, name: str, /) -> str | None: ...


class Response:
    """An answer, whatever its status.

    Attributes:
        status: the HTTP status.
        body: the whole body, decompressed.
    """

    __slots__ = ("_headers", "body", "status")

    def __init__(self, status: int, headers: _Lookup, body: bytes | bytearray | memoryview) -> None:
        self.status = status
        self.body = body
        self._headers = headers

    def __repr__(self) -> str:
        return f"<Response {self.status}>"

    def header(self, name: str) -> str | None:
        """A header's value by its name, in lower case; ``None`` when it is absent."""
        return self._headers.get(name)

    @property
    def text(self) -> str:
        """The body as UTF-8 text.

        Raises:
            UnexpectedAnswerError: it is something else.
        """
        with contextlib.suppress(UnicodeDecodeError):  # whose traceback would show the body
            return str(self.body, "utf-8")
        raise UnexpectedAnswerError(
            "the service's answer is not UTF-8 text", request_ids=request_ids(self)
        )

    def json(self) -> Any:
        """The body as JSON; an object's ``repr`` does not show it.

        Raises:
            UnexpectedAnswerError: it is something else; a web page is named as such.
        """
        value = _read(self.body)
        if value is not _NO_JSON:
            return hidden(value)
        kind = "a web page" if b"<html" in bytes(self.body[:400]).lower() else "no JSON"
        raise UnexpectedAnswerError(
            f"the service answered with {kind} (status {self.status})",
            hint="check the endpoint in the configuration; a proxy may answer in its place",
            request_ids=request_ids(self),
        )


_NO_JSON: Any = object()


def _read(body: bytes | bytearray | memoryview) -> Any:
    """A body as JSON; no error, whose traceback would show the body, leaves here."""
    try:
        text = str(body, "utf-8")
        value, end = _scan(text, 0)
        if end == len(text) or not text[end:].strip(_BLANKS):
            return value
    except (ValueError, RecursionError, StopIteration):
        pass  # blanks before it, another encoding, or no JSON
    try:
        return json.loads(body)  # type: ignore[arg-type]
    except (ValueError, RecursionError, TypeError):
        return _NO_JSON


@attrs.frozen
class Timeout:
    """How long to wait, in seconds: for a connection, and for the next byte of an answer."""

    connect_seconds: float
    read_seconds: float


def polled(make: _Make) -> _Make:
    """A pure function whose requests are sent again and again: equal ones are made once.

    An answer that is what it was the last time is not read again: `Client.json` gives the same
    object, which nobody may change.
    """

    @functools.lru_cache(maxsize=_MOST_POLLED)
    @functools.wraps(make)
    def once(*args: Any, **kwargs: Any) -> Request:
        request = make(*args, **kwargs)
        request.known = _NOT_YET
        return request

    return cast("_Make", once)


def json_body(value: Any) -> bytes:
    """A JSON body.

    Raises:
        InvalidInputError: the value has numbers that are not finite, or no JSON form.
    """
    try:
        return _text(value).encode()
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"cannot be written as JSON: {error}") from error


_text = json_text.writer(allow_nan=False)
