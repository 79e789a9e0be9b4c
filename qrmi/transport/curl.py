"""Requests carried by libcurl: the quick transport, in the extra ``fast``.

A libcurl handle keeps its connection; handles wait in a pool for each host and configuration that
all threads and resources of the process share, so an idle resource costs nothing.
"""

from __future__ import annotations

import collections
import contextlib
import os
import time

from qrmi.transport.curl_line import Line
from qrmi.transport.messages import Headers, Request, Response, Timeout
from qrmi.transport.network import route_to
from qrmi.transport.outcomes import REPEATABLE
from qrmi.transport.settings import HttpConfig
from qrmi.transport.urls import origin_of

__all__ = ["CurlTransport"]

_FEW = 4
_WARY_SECONDS = 60.0
_MOST_IDLE = 256
_MOST_HOSTS = 32


class CurlTransport:
    """Sends requests over libcurl.

    An answer has all its headers, with one exception. Each header that libcurl hands over is a
    struggle for the interpreter's lock when many threads work, so a GET among more than four
    requests to its host brings only what libcurl itself reads: ``content-type``, ``location`` and
    ``retry-after`` in seconds. Once such a host has answered with an error, all headers are taken
    for a minute, and the request is sent once more if nobody else would do so: an error's headers
    say by which id support finds it.

    Args:
        config: time-outs, proxies and certificates.
    """

    def __init__(self, config: HttpConfig | None = None) -> None:
        self._config = config or HttpConfig()
        self._hosts: dict[str, _Host] = {}
        self._pid = os.getpid()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._config,)

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """The answer, whatever its status. Raises `SendError` when there was none."""
        if self._pid != os.getpid():
            self._after_fork()
        host = self._hosts.get(request.origin)
        if host is None:  # one that is not known yet, or a URL that is none
            host = self._new_host(origin_of(request.url))
        host.busy.append(None)
        try:
            try:
                line = host.idle.pop()
            except IndexError:
                line = Line(route_to(origin_of(request.url), self._config))
            lean = len(host.busy) > _FEW and request.method == "GET" and not host.is_wary()
            response = line.send(request, headers, timeout, lean=lean)
        finally:
            host.busy.pop()
        host.idle.append(line)
        if lean and response.status >= 400:
            host.wary_until = time.monotonic() + _WARY_SECONDS
            if response.status not in REPEATABLE:  # the client repeats those
                return self.send(request, headers, timeout)
        return response

    @property
    def insecure(self) -> bool:
        """Whether certificates count unseen."""
        return self._config.insecure

    def _new_host(self, origin: str) -> _Host:
        """Room for the connections to another host; the host known longest gives up its own."""
        while len(self._hosts) >= _MOST_HOSTS:
            oldest = next(iter(self._hosts), "")
            self._hosts.pop(oldest, _Host()).close()
        return self._hosts.setdefault(origin, _Host())

    def _after_fork(self) -> None:
        """A forked child leaves its parent's connections alone: closing them would end them."""
        _abandoned.append(self._hosts)
        self._hosts = {}
        self._pid = os.getpid()

    def close(self) -> None:
        """Close idle connections; the transport stays usable."""
        if self._pid != os.getpid():
            self._after_fork()
        for host in list(self._hosts.values()):
            host.close()


class _Host:
    """The connections to one host that wait, and one entry for each request that is under way."""

    def __init__(self) -> None:
        self.idle: collections.deque[Line] = collections.deque(maxlen=_MOST_IDLE)
        self.busy: collections.deque[None] = collections.deque()
        self.wary_until = 0.0

    def is_wary(self) -> bool:
        """Whether an error came without all its headers a short while ago."""
        return self.wary_until > 0 and time.monotonic() < self.wary_until

    def close(self) -> None:
        """Close what is idle."""
        while self.idle:
            with contextlib.suppress(IndexError):  # another thread took the last one
                self.idle.pop().close()


_abandoned: list[object] = []
