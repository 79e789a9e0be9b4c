"""A proxy on loopback between clients and a server, which does a planned thing to each request.

::

    with FelisServer() as server, Proxy(server, plan) as proxy:
        entry = server.resource()      # leads through the proxy
        ...
        proxy.passages                 # what was done to which request

The server's own links lead through the proxy too (`Server.seen_as`).
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

import attrs

from qrmi_sandbox.http_wire import Message, Wire, reset
from qrmi_sandbox.mishaps import Heard, Mishap, Plan
from qrmi_sandbox.server import Server

__all__ = ["Passage", "Proxy"]

_NOTHING = "nothing"
_PIECES = 8
_REASONS = {500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable"}


@attrs.define(kw_only=True)
class Passage:
    """One request and what was done to it.

    Attributes:
        method: of the request.
        path: of the request, without its query.
        kind: of the mishap; ``nothing`` for none.
        label: what `Proxy.label` made of it.
        forwarded: how often all of it went to the server.
        status: what the server answered last; ``None`` when nothing was heard of it.
    """

    method: str
    path: str
    kind: str
    label: str = ""
    forwarded: int = 0
    status: int | None = None


def _calm(_heard: Heard) -> Mishap | None:
    return None


class Proxy:
    """Listens on 127.0.0.1 and forwards to one server, byte for byte, where nothing is planned.

    Args:
        server: where requests go; it listens already.
        plan: what happens to each request; nothing by default.
        latest_seconds: no request is forwarded later than this after it was read: one that would
            be is dropped. So what a client was told of late requests is true on a busy machine.

    Attributes:
        plan: likewise; may be replaced at any time.
        passages: all requests so far, in the order in which their heads were read.
        label: what a passage is to be known by, made of its request as it is on the wire.
    """

    def __init__(
        self, server: Server, plan: Plan | None = None, *, latest_seconds: float = 60.0
    ) -> None:
        self.plan = plan or _calm
        self.label: Callable[[bytes], str] = lambda request: ""
        self.passages: list[Passage] = []
        self.latest_seconds = latest_seconds
        self.stopping = threading.Event()
        self._server = server
        self.upstream = ("127.0.0.1", server.port)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """What clients take for the server."""
        assert self._listener is not None
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def start(self) -> Self:
        """Listen; the server's links lead here from now on."""
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self._server.seen_as = self.url
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Cut all connections; the server is seen as itself again."""
        self.stopping.set()
        if self._listener is None or self._thread is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._listener.close()
        self._thread.join()
        self._server.seen_as = None
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._open.add(connection)
        link = _Link(self, Wire(connection))
        try:
            while not self.stopping.is_set() and link.pass_one():
                pass
        except (OSError, ValueError):  # a side is gone, or speaks no HTTP
            pass
        finally:
            link.close()
            with self._lock:
                self._open.discard(connection)

    def note(self, heard: Heard, mishap: Mishap | None) -> Passage:
        """Record a request."""
        kind = mishap.kind if mishap else _NOTHING
        passage = Passage(method=heard.method, path=heard.path, kind=kind)
        with self._lock:
            self.passages.append(passage)
        return passage


class _Link:
    """A client's connection and the one to the server that belongs to it; used by one thread."""

    def __init__(self, proxy: Proxy, client: Wire) -> None:
        self._proxy = proxy
        self._client = client
        self._upstream: Wire | None = None
        self._passage = Passage(method="", path="", kind=_NOTHING)
        self._read_at = 0.0

    def close(self) -> None:
        """End both connections."""
        for wire in (self._client, self._upstream):
            if wire is not None:
                wire.close()

    def pass_one(self) -> bool:
        """Pass one request on; false when the client's connection is at its end."""
        head = self._client.request_head()
        if head is None:
            return False
        method, target, _ = head.first_line
        heard = Heard(method, target.partition("?")[0])
        mishap = self._proxy.plan(heard)
        self._passage = self._proxy.note(heard, mishap)
        self._passage.label = self._proxy.label(head.head)
        if mishap is not None and mishap.kind == "cut_before":
            return self._cut()
        if head.header("expect") == "100-continue":
            self._client.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = self._client.request_body(head)
        if body is None:
            return False
        self._read_at = time.monotonic()
        request = attrs.evolve(head, body=body)
        self._passage.label = self._proxy.label(request.whole)
        if mishap is None:
            return self._give(self._forwarded(request))
        return _DOINGS[mishap.kind](self, request, mishap)

    # --- the parts that mishaps are made of ---------------------------------------------------

    def _connected(self) -> Wire:
        if self._upstream is None:
            connection = socket.create_connection(self._proxy.upstream)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._upstream = Wire(connection)
        return self._upstream

    def _forwarded(self, request: Message) -> Message | None:
        """The server's answer to the request; ``None`` when it is too late, or there is none."""
        if time.monotonic() - self._read_at > self._proxy.latest_seconds:
            return None
        wire = self._connected()
        wire.send(request.whole)
        self._passage.forwarded += 1
        answer = wire.answer(self._passage.method)
        if answer is None or answer.header("connection") == "close":
            wire.close()
            self._upstream = None
        if answer is not None:
            self._passage.status = answer.status
        return answer

    def _give(self, answer: Message | None) -> bool:
        if answer is None:
            return self._cut()
        self._client.send(answer.whole)
        return answer.header("connection") != "close"

    def _cut(self) -> bool:
        reset(self._client.connection)
        return False

    def _after(self, seconds: float) -> None:
        self._proxy.stopping.wait(seconds)

    # --- mishaps ------------------------------------------------------------------------------

    def cut_request(self, request: Message, _mishap: Mishap) -> bool:
        wire = self._connected()
        kept = len(request.whole) - max(1, len(request.body) or len(request.head)) // 2
        with contextlib.suppress(OSError):
            wire.send(request.whole[:kept])
        reset(wire.connection)
        return self._cut()

    def cut_unanswered(self, request: Message, _mishap: Mishap) -> bool:
        self._cut()
        self._forwarded(request)
        return False

    def cut_head(self, request: Message, _mishap: Mishap) -> bool:
        return self._part(request, lambda answer: len(answer.head) // 2)

    def cut_body(self, request: Message, _mishap: Mishap) -> bool:
        return self._part(request, lambda answer: len(answer.head) + len(answer.body) // 2)

    def _part(self, request: Message, length: Callable[[Message], int]) -> bool:
        answer = self._forwarded(request)
        if answer is not None:
            self._client.send(answer.whole[: length(answer)])
        return self._cut()

    def truncated(self, request: Message, _mishap: Mishap) -> bool:
        answer = self._forwarded(request)
        if answer is not None:
            self._client.send(answer.head + answer.body[: len(answer.body) // 2])
        return False

    def close_after(self, request: Message, _mishap: Mishap) -> bool:
        self._give(self._forwarded(request))
        return False

    def late_request(self, request: Message, mishap: Mishap) -> bool:
        self._after(mishap.seconds)
        return self._give(self._forwarded(request))

    def late_answer(self, request: Message, mishap: Mishap) -> bool:
        answer = self._forwarded(request)
        self._after(mishap.seconds)
        return self._give(answer)

    def twice(self, request: Message, _mishap: Mishap) -> bool:
        self._forwarded(request)
        return self._give(self._forwarded(request))

    def twice_first(self, request: Message, _mishap: Mishap) -> bool:
        answer = self._forwarded(request)
        self._forwarded(request)
        return self._give(answer)

    def garbled(self, request: Message, _mishap: Mishap) -> bool:
        answer = self._forwarded(request)
        if answer is None:
            return self._cut()
        status = 200 if answer.status == 204 else answer.status
        return self._give(_made(status, b"}{ no JSON"))

    def status_before(self, _request: Message, mishap: Mishap) -> bool:
        return self._give(_made(mishap.status, b'{"message": "gateway"}', mishap.retry_after))

    def status_after(self, request: Message, mishap: Mishap) -> bool:
        self._forwarded(request)
        return self.status_before(request, mishap)

    def silent_before(self, _request: Message, mishap: Mishap) -> bool:
        self._after(mishap.seconds)
        return self._cut()

    def silent_after(self, request: Message, mishap: Mishap) -> bool:
        self._forwarded(request)
        return self.silent_before(request, mishap)

    def trickle(self, request: Message, mishap: Mishap) -> bool:
        answer = self._forwarded(request)
        if answer is None:
            return self._cut()
        size = max(1, -(-len(answer.whole) // _PIECES))
        for start in range(0, len(answer.whole), size):
            self._after(mishap.seconds / _PIECES)
            self._client.send(answer.whole[start : start + size])
        return True


_DOINGS: dict[str, Callable[[_Link, Message, Mishap], bool]] = {
    name: doing
    for name, doing in vars(_Link).items()
    if not name.startswith("_") and name not in ("close", "pass_one")
}


def _made(status: int, body: bytes, retry_after: float | None = None) -> Message:
    """An answer of the proxy's own."""
    lines = [
        f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}",
        "content-type: application/json",
        f"content-length: {len(body)}",
    ]
    if retry_after is not None:
        lines.append(f"retry-after: {retry_after:g}")
    return Message(("\r\n".join(lines) + "\r\n\r\n").encode(), body)
