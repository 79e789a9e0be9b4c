"""Numbered points of a process's life, at one of which it is killed with SIGKILL.

The points are outside the library: in the journal's door to the file system, in the transport that
a handle is given, and in the HTTP connection below it.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import urllib3.connection

from qrmi.journal.files import Files
from qrmi.transport import RequestsTransport
from qrmi.transport.messages import Headers, Request, Response, Timeout

__all__ = ["KillingFiles", "KillingTransport", "Points", "between", "watch_connections"]

_MOST_OF_A_KIND = 3
_EVENT = re.compile(rb'"event":"(\w+)"')
_NUMBERS = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|[^/ ]*\d[^/ ]*")


class Points:
    """Counts points, and ends the process at one.

    A point that comes again and again, as those of looks do, is counted a few times.

    Args:
        last: the number of the point, from 1, at which the process is killed; 0 for none.
        tell: is given the point's label just before.
    """

    def __init__(self, last: int = 0, tell: Callable[[str], None] = lambda label: None) -> None:
        self.last = last
        self.labels: list[str] = []
        self.told = ""
        self._tell = tell
        self._lock = threading.Lock()

    def at(self, label: str) -> None:
        """The process is at a point."""
        with self._lock:
            if self.labels.count(label) >= _MOST_OF_A_KIND:
                return
            self.labels.append(label)
            if len(self.labels) == self.last:
                self._tell(label)
                os.kill(os.getpid(), signal.SIGKILL)

    def is_last(self, label: str) -> bool:
        """Whether the process is killed at the point that comes next, which is this one."""
        is_counted = self.labels.count(label) < _MOST_OF_A_KIND
        return is_counted and len(self.labels) + 1 == self.last


class KillingFiles(Files):
    """The file system, with points before, in the middle of and after all that is written."""

    def __init__(self, points: Points) -> None:
        self._points = points

    def append(self, descriptor: int, data: bytes, flush: bool) -> None:
        """A line of a journal file, or the whole content of a claim."""
        found = _EVENT.search(data)
        what = f"journal {found[1].decode()}" if found else "claim"
        self._points.at(f"{what}: before")
        if self._points.is_last(f"{what}: half of it"):
            os.write(descriptor, data[: len(data) // 2])
        self._points.at(f"{what}: half of it")
        super().append(descriptor, data, flush)
        self._points.at(f"{what}: after")

    def create(self, path: Path) -> int:
        """A new file; it is empty after that."""
        made = super().create(path)
        self._points.at(f"{path.suffix} file: empty")
        return made

    def link(self, old: Path, new: Path) -> bool:
        """A claim gets its name."""
        self._points.at("claim: before its name")
        made = super().link(old, new)
        self._points.at("claim: after its name")
        return made


class KillingTransport:
    """A transport with points around each request; see `watch_connections` for those within."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self._inner = RequestsTransport()

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """Send it."""
        self._points.told = _NUMBERS.sub("*", request.name)
        self._points.at(f"{self._points.told}: before it is sent")
        answer = self._inner.send(request, headers, timeout)
        self._points.at(f"{self._points.told}: its answer is read")
        return answer

    def close(self) -> None:
        """Close connections."""
        self._inner.close()


def watch_connections(points: Points) -> None:
    """Points in the middle of each request, and before its answer is read; for good."""
    send = http.client.HTTPConnection.send
    read = urllib3.connection.HTTPConnection.getresponse

    def send_with_point(self: Any, data: Any) -> None:
        label = f"{points.told}: half of it is sent"
        if points.is_last(label) and isinstance(data, bytes):
            send(self, data[: len(data) // 2])
        points.at(label)
        send(self, data)

    def read_with_point(self: Any, *arguments: Any, **more: Any) -> Any:
        points.at(f"{points.told}: before its answer is read")
        return read(self, *arguments, **more)

    http.client.HTTPConnection.send = send_with_point  # type: ignore[method-assign]
    urllib3.connection.HTTPConnection.getresponse = read_with_point  # type: ignore[method-assign]


def between(points: Points, owner: type, name: str) -> None:
    """Points before and after each call of a method; for good."""
    call: Callable[..., Any] = getattr(owner, name)

    def with_points(self: Any, *arguments: Any, **more: Any) -> Any:
        told = _word(arguments)
        points.at(f"{owner.__name__}.{name}{told}: before")
        given = call(self, *arguments, **more)
        points.at(f"{owner.__name__}.{name}{told}: after")
        return given

    setattr(owner, name, with_points)


def _word(arguments: tuple[Any, ...]) -> str:
    first = arguments[0] if arguments else None
    return f" {json.dumps(first.get('do'))}" if isinstance(first, dict) else ""
