"""What a hook says to the site's daemon: one request, one answer, over a UNIX socket or TCP.

Hooks are started for every job: this needs the standard library only, and little of that.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from qrmi.schedulers.plain_json import json_read, json_written

__all__ = ["Away", "Daemon", "Lost", "Refusal", "asker", "pause"]

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
_MOST_BYTES = 16 * 1024 * 1024


class Away(Exception):  # noqa: N818 (a state of the daemon)
    """Nobody answers there: nothing was done."""


class Lost(Exception):  # noqa: N818
    """The request was sent and its answer never came: it was done, or not."""


class Refusal(Exception):  # noqa: N818
    """The daemon answered with an error.

    Attributes:
        status: of the HTTP answer.
        told: class, message, owner, hint and retryable, as far as they were given.
    """

    def __init__(self, status: int, told: dict[str, Any]) -> None:
        super().__init__(str(told.get("message") or f"the site's daemon answered {status}"))
        self.status = status
        self.told = told


class Daemon:
    """The site's daemon.

    Args:
        socket: its UNIX socket; empty where it is not on this host.
        url: ``http://host:port``, used where that socket is not there; such requests are signed.
        munge_socket: where this host's munged listens; empty for its usual place.
    """

    def __init__(self, *, socket: str = "", url: str = "", munge_socket: str = "") -> None:
        self._socket = "" if url and not os.access(socket, os.F_OK) else socket
        self._url = url
        self._munge_socket = munge_socket

    def ask(
        self, method: str, path: str, body: Any = None, *, seconds: float = _ANSWER_SECONDS
    ) -> Any:
        """Send one request, once, and return its answer's JSON value.

        Args:
            method: in capitals.
            path: with the query, percent-encoded.
            body: a JSON value; ``None`` sends none.
            seconds: how long the answer is waited for.

        Raises:
            Away: nobody listens, or this host cannot sign; nothing was done.
            Lost: there was no answer, or none that makes sense.
            Refusal: the daemon answered with an error.
        """
        data = b"" if body is None else json_written(body)
        connection = self._connected(seconds)
        try:
            connection.sendall(self._request(method, path, data))
            status, text = _answer(connection)
        except OSError as error:
            raise Lost(f"the site's daemon did not answer: {_why(error)}") from error
        finally:
            connection.close()
        try:
            value = json_read(text)
        except ValueError as error:
            raise Lost("what answered is not the site's daemon") from error
        if status < 400:
            return value
        told = value.get("error") if isinstance(value, dict) else None
        raise Refusal(status, told if isinstance(told, dict) else {})

    def _connected(self, seconds: float) -> Any:
        try:
            if self._socket or not self._url:
                import _socket  # `socket` takes longer to import than all else that is done here

                connection: Any = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
                connection.settimeout(_CONNECT_SECONDS)
                connection.connect(self._socket)
            else:
                import socket

                connection = socket.create_connection(_address(self._url), _CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise Away(f"the site's daemon is not there: {_why(error)}") from error
        connection.settimeout(seconds)
        return connection

    def _request(self, method: str, path: str, data: bytes) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", "Host: qrmid", "Connection: close"]
        if data:
            lines.append("Content-Type: application/json")
        lines.append(f"Content-Length: {len(data)}")
        if self._url and not self._socket:
            lines.append(self._signed(method, path, data))
        return "\r\n".join([*lines, "", ""]).encode() + data

    def _signed(self, method: str, path: str, data: bytes) -> str:
        from qrmi.libmunge import MungeFailure, load
        from qrmi.site.doors.signing import HEADER, signature

        library = load()
        if library is None:
            raise Away("this host has no libmunge, so the site's daemon cannot be told who asks")
        try:
            made = library.encode(signature(method, path, data), socket=self._munge_socket or None)
        except MungeFailure as error:
            raise Away(f"this host's munged makes no credential: {error}") from error
        return f"{HEADER}: {made}"


def asker(settings: Mapping[str, Any]) -> Callable[..., Any]:
    """`Daemon.ask` of the daemon that settings name: ``socket``, ``url``, ``munge_socket``.

    The same settings serve all hosts: where there is no such socket, the daemon is at the address.
    """
    names = ("socket", "url", "munge_socket")
    values = {name: str(settings.get(name) or "") for name in names}
    if values["url"] and not os.path.exists(values["socket"]):  # noqa: PTH110 (pathlib is slow)
        values["socket"] = ""
    return Daemon(**values).ask


def pause(seconds: float) -> None:
    """Wait before asking again."""
    time.sleep(seconds)


def _address(url: str) -> tuple[str, int]:
    host, _, port = url.partition("//")[2].rstrip("/").rpartition(":")
    return host.strip("[]"), int(port)


def _answer(connection: Any) -> tuple[int, bytes]:
    """Status and body; the daemon closes the connection after them."""
    parts, size = [], 0
    while True:  # no `:=` here: Python 3.6 runs this inside of PBS
        chunk = connection.recv(65536)
        if not chunk:
            break
        parts.append(chunk)
        size += len(chunk)
        if size > _MOST_BYTES:
            raise OSError("it is too long")
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    words = lines[0].split()
    if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdecimal():
        raise OSError("it hung up")
    headers = {name.strip().lower(): value.strip() for name, _, value in _split(lines[1:])}
    length = headers.get("content-length", "")
    if not length.isdecimal() or len(body) < int(length):
        raise OSError("it hung up in the middle")
    return int(words[1]), body[: int(length)]


def _split(lines: list[str]) -> list[tuple[str, str, str]]:
    return [line.partition(":") for line in lines]


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
