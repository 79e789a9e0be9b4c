"""A blocking client of `qrmid`, for the command line and for `qrmi.site.driver`."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import socket
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode, urlsplit

from qrmi.errors import (
    AnswerLostError,
    ConfigError,
    Owner,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.interchange.troubles import error_from
from qrmi.munge import MungeCredentials
from qrmi.secrecy.scrubbing import Hidden
from qrmi.site.doors.signing import HEADER, signature, signature_of
from qrmi.site.settings import DEFAULT_SOCKET

__all__ = ["SiteClient"]

_CONNECT_SECONDS = 10.0
_ANSWER_SECONDS = 120.0
_AWAY_HINT = "ask the site: `systemctl status qrmid` and `journalctl -u qrmid` there tell more"


class SiteClient:
    """Speaks to a site's daemon. Safe to use from several threads: each call has its connection.

    Args:
        socket_path: the daemon's UNIX socket; wins where it is there.
        url: the daemon's address for other hosts, ``http://host:port``; such requests are signed
            with MUNGE.
        munge_socket: where munged listens; empty for the library's default.
        answer_seconds: how long an answer is waited for.
    """

    def __init__(
        self,
        *,
        socket_path: Path | None = None,
        url: str = "",
        munge_socket: str = "",
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        if url and not (url.startswith("http://") and urlsplit(url).hostname):
            raise ConfigError(f"the site's address must be http://host:port, not {url!r}")
        use_url = url and not (socket_path is not None and socket_path.exists())
        self._url = urlsplit(url) if use_url else None
        self._path = socket_path or DEFAULT_SOCKET
        self._munge = MungeCredentials(socket=munge_socket or None)
        self._seconds = answer_seconds

    @property
    def where(self) -> str:
        """The daemon's address, for people."""
        return self._url.geturl() if self._url is not None else str(self._path)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Ask for a value. Raises as `call` does."""
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def post(self, path: str, body: Mapping[str, Any], *, answer_seconds: float = 0.0) -> Any:
        """Send an object. Raises as `call` does."""
        return self.call("POST", path, body, answer_seconds=answer_seconds)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        answer_seconds: float = 0.0,
    ) -> Any:
        """Send one request, once, and read the answer.

        Args:
            method: ``GET`` or ``POST``.
            path: with the query, percent-encoded.
            body: what is sent.
            answer_seconds: how long this answer is waited for; 0 for the client's own time.

        Raises:
            ResourceUnavailableError: no daemon answers there; nothing was done.
            AnswerLostError: the request was sent, and its answer never came.
            QrmiError: the daemon's own error, as it was raised there.
        """
        data = Hidden() if body is None else Hidden(json.dumps(body))
        status, text = self._sent(method, path, data.encode(), answer_seconds or self._seconds)
        if status >= 400:
            raise self._told(status, text)
        return _value(text, self.where)

    @contextlib.contextmanager
    def exchange(
        self,
        path: str,
        body: Iterable[bytes],
        *,
        length: int,
        content_type: str,
        answer_seconds: float = 0.0,
    ) -> Iterator[BinaryIO]:
        """Post bytes in pieces, once, and give the answer as a file.

        Args:
            path: percent-encoded.
            body: may be gone through twice: a signature covers it.
            length: of all pieces together.
            content_type: of the body.
            answer_seconds: as for `call`.

        Raises:
            QrmiError: as `call`.
        """
        headers = {"Content-Type": content_type, "Content-Length": str(length)}
        if self._url is not None:
            digest = hashlib.sha256()
            for piece in body:
                digest.update(piece)
            self._sign(headers, signature_of("POST", path, digest.hexdigest()))
        seconds = answer_seconds or self._seconds
        with self._answer("POST", path, iter(body), headers, seconds) as response:
            if response.status >= 400:
                raise self._told(response.status, response.read())
            yield cast(BinaryIO, response)

    def _sent(self, method: str, path: str, data: bytes, seconds: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json"} if data else {}
        if self._url is not None:
            self._sign(headers, signature(method, path, data))
        with self._answer(method, path, data or None, headers, seconds) as response:
            return response.status, response.read()

    def _sign(self, headers: dict[str, str], text: bytes) -> None:
        headers[HEADER] = self._munge.make(text).reveal()

    @contextlib.contextmanager
    def _answer(
        self,
        method: str,
        path: str,
        body: bytes | Iterator[bytes] | None,
        headers: dict[str, str],
        seconds: float,
    ) -> Iterator[http.client.HTTPResponse]:
        connection = self._connected()
        try:
            if connection.sock is not None:
                connection.sock.settimeout(seconds)
            connection.request(method, path, body=body, headers=headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise AnswerLostError(
                f"qrmid at {self.where} took the request and did not answer: "
                f"{type(error).__name__}",
                owner=Owner.SITE,
                hint=_AWAY_HINT,
            ) from error
        finally:
            connection.close()

    def _told(self, status: int, text: bytes) -> Exception:
        """The error that an answer tells."""
        value = _value(text, self.where)
        told = value.get("error") if isinstance(value, dict) else None
        if isinstance(told, dict) and "class" in told:
            return error_from(told)
        return UnexpectedAnswerError(
            f"qrmid at {self.where} answered status {status}", owner=Owner.SITE
        )

    def _connected(self) -> http.client.HTTPConnection:
        if self._url is None:
            connection: http.client.HTTPConnection = _UnixConnection(self._path)
        else:
            host, port = self._url.hostname or "", self._url.port or 80
            connection = http.client.HTTPConnection(host, port, timeout=_CONNECT_SECONDS)
        try:
            connection.connect()
        except OSError as error:
            raise self._away(error) from error
        return connection

    def _away(self, error: OSError) -> QrmiError:
        return ResourceUnavailableError(
            f"no qrmid answers at {self.where}: {error.strerror or error}",
            owner=Owner.SITE,
            hint=_AWAY_HINT,
        )


class _UnixConnection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_CONNECT_SECONDS)
        self._path = path

    def connect(self) -> None:
        """Connect to the path."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _value(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnexpectedAnswerError(
            f"what answers at {where} is no qrmid", owner=Owner.SITE
        ) from error
