"""A small HTTP/1.1 server on loopback: routes, a record of requests, faults on cue.

Every vendor's server is a subclass with one method a route::

    class FelisServer(Server):
        @route("GET", "/v1/jobs/{id}")
        def job(self, call: Call) -> Reply:
            return Reply(self._jobs[call.path["id"]])

Requests are handled in threads; handlers that touch shared state hold ``self.lock``.
"""

from __future__ import annotations

import contextlib
import json
import re
import secrets
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from qrmi_sandbox.faults import Fault, Faults

__all__ = ["Call", "Recorded", "Refusal", "Reply", "Server", "route"]

_LONGEST_CUT_SECONDS = 0.5


@attrs.frozen
class Recorded:
    """A request as it arrived; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Call:
    """A request as a handler sees it.

    Attributes:
        method: upper case.
        raw_path: the path as it was sent, percent-encoded, without the query.
        path: the values of the route's placeholders, decoded.
        query: decoded; of a repeated key the last value.
        query_list: decoded pairs in order.
        headers: names in lower case.
        body: the whole body.
    """

    method: str
    raw_path: str
    target: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    query_list: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON; anything else is refused with 400."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Refusal(400, {"message": "the body is not JSON"}) from None


@attrs.frozen
class Reply:
    """An answer. A body that is neither bytes nor text is sent as JSON; ``None`` sends none."""

    body: Any = None
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)

    def content(self) -> bytes:
        """The body's bytes."""
        if self.body is None:
            return b""
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode()


class Refusal(Exception):  # noqa: N818 (an answer, not an error)
    """Raised by a handler to answer with a status of 400 or more."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.reply = Reply(body, status, headers=headers)


Handler = Callable[[Any, Call], Reply]


def route(method: str, pattern: str) -> Callable[[Handler], Handler]:
    """Make a method the handler of a route; ``{name}`` stands for one path component."""

    def mark(handler: Handler) -> Handler:
        routes = getattr(handler, "routes", ())
        handler.routes = (*routes, (method, pattern))  # type: ignore[attr-defined]
        return handler

    return mark


class Server:
    """A server on 127.0.0.1.

    Args:
        port: 0 for any free one; kept over `restart`.
        tls: serves HTTPS with this context.

    Attributes:
        REQUEST_IDS: headers in which answers name their request, as the real service's do.
        requests: all requests so far.
        ids_given: the ids in those headers, newest last.
        clock_ahead_seconds: how much its clock is ahead, as the dates of its answers show.
        faults: what to do wrong.
        lock: held by handlers that touch shared state.
        seen_as: the URL under which clients see it, when something stands in between.
    """

    REQUEST_IDS: ClassVar[tuple[str, ...]] = ()
    _table: ClassVar[list[tuple[str, re.Pattern[str], Handler]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._table = []
        for base in cls.__mro__:
            for handler in vars(base).values():
                for method, pattern in getattr(handler, "routes", ()):
                    expression = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]*)", re.escape(pattern))
                    cls._table.append((method, re.compile(expression), handler))

    def __init__(self, *, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Recorded] = []
        self.ids_given: list[str] = []
        self.clock_ahead_seconds = 0.0
        self.faults = Faults()
        self.lock = threading.RLock()
        self.seen_as: str | None = None
        self._port = port
        self._tls = tls
        self._http: _HttpServer | None = None
        self._thread: threading.Thread | None = None

    # --- life -----------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Its base URL as clients see it, without a trailing slash."""
        if self.seen_as is not None:
            return self.seen_as
        scheme = "https" if self._tls else "http"
        return f"{scheme}://{'localhost' if self._tls else '127.0.0.1'}:{self._port}"

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    def start(self) -> Self:
        """Listen; requests are served from now on."""
        self._http = _HttpServer(("127.0.0.1", self._port), self, self._tls)
        self._port = self._http.server_address[1]
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening and cut open connections."""
        if self._http is None or self._thread is None:
            return
        self._http.shutdown()
        self._http.server_close()
        self._http.cut()
        self._thread.join()
        self._http = None

    def restart(self) -> None:
        """Stop and listen again on the same port; state is kept."""
        self.stop()
        self.start()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_error: object) -> None:
        self.stop()

    # --- for subclasses -------------------------------------------------------------------------

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a ``qrmi_config.json`` that uses this server."""
        raise NotImplementedError

    def program_texts(self) -> dict[str, str]:
        """The program of every job by its id, of those that the service was ever given."""
        raise NotImplementedError

    def check(self, call: Call) -> None:
        """Called before each handler; raises `Refusal` for what is not to be served."""

    def unknown(self, call: Call) -> Reply:
        """The answer to a request that no route takes."""
        return Reply({"message": f"no route {call.method} {call.raw_path}"}, 404)

    # --- serving --------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Reply:
        """Answer one request."""
        path = target.partition("?")[0]  # as it was sent: nothing is collapsed
        pairs = parse_qsl(urlsplit(target).query, keep_blank_values=True)
        with self.lock:
            self.requests.append(Recorded(method, path, dict(pairs), headers, body))
        call = Call(
            method=method,
            raw_path=path,
            target=target,
            path={},
            query=dict(pairs),
            query_list=pairs,
            headers=headers,
            body=body,
        )
        for wanted, pattern, handler in self._table:
            match = pattern.fullmatch(path) if wanted == method else None
            if match:
                found = {name: unquote(value) for name, value in match.groupdict().items()}
                return self._handled(handler, attrs.evolve(call, path=found))
        return self._handled(lambda server, call: server.unknown(call), call)

    def _handled(self, handler: Handler, call: Call) -> Reply:
        try:
            self.check(call)
            return handler(self, call)
        except Refusal as refusal:
            return refusal.reply
        except Exception as error:  # a handler's own mistake is seen, not swallowed
            return Reply({"message": f"the server failed: {error!r}"}, 500)


class _HttpServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, address: tuple[str, int], owner: Server, tls: ssl.SSLContext | None) -> None:
        self.owner = owner
        self.stopping = threading.Event()
        self._tls = tls
        self._open: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def get_request(self) -> tuple[Any, Any]:
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            connection = self._tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def cut(self) -> None:
        self.stopping.set()
        for connection in list(self._open):
            with contextlib.suppress(OSError):  # at once, so that none serves one more request
                connection.shutdown(socket.SHUT_RDWR)
            _reset(connection)
        ends = time.monotonic() + _LONGEST_CUT_SECONDS
        while self._open and time.monotonic() < ends:  # so that no handler reads one more request
            threading.Event().wait(0.001)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Connections that clients or faults cut are no news."""


def _reset(connection: socket.socket) -> None:
    linger = struct.pack("ii", 1, 0)  # close at once: the peer sees a reset
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        connection.shutdown(socket.SHUT_RD)
    with contextlib.suppress(OSError):
        connection.close()


class _Cut(Exception):  # noqa: N818
    """The connection was cut on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _HttpServer
    wbufsize = -1  # an answer leaves in one piece

    def handle(self) -> None:
        try:
            super().handle()
        except (_Cut, OSError, ValueError):
            self.close_connection = True

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        target = self._target()
        if self.server.stopping.is_set():
            self._cut()
        fault = self.server.owner.faults.take(self.command, target.partition("?")[0])
        if fault is None:
            self._send(self.server.owner.answer(self.command, target, headers, body))
        else:
            self._misbehave(fault, target, headers, body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815

    def _target(self) -> str:
        """The request target as it was sent (`path` has leading slashes collapsed)."""
        return self.requestline.split(" ")[1]

    def _body(self, headers: Mapping[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        size = int(headers.get("content-length", 0))
        body = self.rfile.read(size)
        if len(body) < size:
            raise _Cut  # the client left in the middle of its request, which is none then
        return body

    def _misbehave(self, fault: Fault, target: str, headers: dict[str, str], body: bytes) -> None:
        owner = self.server.owner
        if fault.kind in ("status", "reset_before", "silence"):
            owner.requests.append(
                Recorded(self.command, target.partition("?")[0], {}, headers, body)
            )
        if fault.kind == "status":
            extra = {} if fault.retry_after is None else {"retry-after": f"{fault.retry_after:g}"}
            body = {"message": "planted fault"} if fault.body is None else fault.body
            headings = {**extra, **fault.headers}
            self._send(Reply(body, fault.status, fault.content_type, headings))
            return
        if fault.kind == "reset_before":
            self._cut()
        if fault.kind == "silence":
            self.server.stopping.wait(fault.seconds)
            self._cut()
        if fault.kind == "delay":
            self.server.stopping.wait(fault.seconds)
        reply = owner.answer(self.command, target, headers, body)
        if fault.kind == "reset_after":
            self._cut()
        if fault.kind == "half_body":
            self._send(Reply(reply.content() or b"{}", reply.status, reply.content_type), half=True)
            self._cut()
        page = "<!DOCTYPE html><html><body><h1>Gateway</h1></body></html>"
        spoilt = {
            "not_json": Reply("}{ not JSON", 200),
            "html": Reply(page, 200, "text/html; charset=utf-8"),
            "drop_fields": Reply({}, 200),
        }
        self._send(spoilt.get(fault.kind, reply))

    def _cut(self) -> None:
        self.wfile.flush()
        _reset(self.connection)
        raise _Cut

    def date_time_string(self, timestamp: float | None = None) -> str:
        """The date of an answer, by the server's own clock."""
        now = time.time() if timestamp is None else timestamp
        return super().date_time_string(now + self.server.owner.clock_ahead_seconds)

    def _send(self, reply: Reply, *, half: bool = False) -> None:
        content = reply.content()
        self.send_response(reply.status)
        if content or reply.body is not None:
            self.send_header("content-type", reply.content_type)
        for name, value in reply.headers.items():
            self.send_header(name.replace("_", "-"), value)
        for name in self.server.owner.REQUEST_IDS:
            self.server.owner.ids_given.append(secrets.token_hex(8))
            self.send_header(name, self.server.owner.ids_given[-1])
        if reply.status != 204:
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD" and reply.status != 204:
            self.wfile.write(content[: len(content) // 2] if half else content)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing is printed."""
