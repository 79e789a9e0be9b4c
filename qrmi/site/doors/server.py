"""The daemon's doors: HTTP over a UNIX socket, and over TCP where other hosts ask.

This and `bodies` are the modules with aiohttp; the daemon alone imports them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from qrmi.errors import (
    AuthenticationFailedError,
    InvalidInputError,
    MissingExtraError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
)
from qrmi.site.doors import answers, sockets
from qrmi.site.doors.one_core import keeper
from qrmi.site.doors.peers import Peer, Peers
from qrmi.site.doors.routes import Ask, Route, Routes
from qrmi.site.doors.signing import HEADER
from qrmi.site.gateway.packing import CONTENT_TYPE as PACKED
from qrmi.site.parts import Packed, Parts

try:
    from aiohttp import web

    from qrmi.site.doors.bodies import Bodies
except ModuleNotFoundError as _error:
    raise MissingExtraError(
        "qrmid needs aiohttp, which is not installed", hint="pip install 'openqrmi[site]'"
    ) from _error

__all__ = ["Server"]

_log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_BACKLOG = 1024
_STOP_SECONDS = 4.0


class Server:
    """Answers requests until it is stopped. Belongs to one event loop.

    Args:
        parts: who answers.
        peers: who asks.
        socket_path: the UNIX socket; one that nobody listens on is replaced.
        address: host and port for other hosts; ``None`` for none.
        one_core: keep the loop's thread, and those that lend, on one core: see `one_core`.
    """

    def __init__(
        self,
        parts: Parts,
        peers: Peers,
        *,
        socket_path: Path,
        address: tuple[str, int] | None = None,
        one_core: bool = False,
    ) -> None:
        self._parts = parts
        self._peers = peers
        self._path = socket_path
        self._address = address
        self._keep = keeper() if one_core else None
        self._routes = Routes(parts, self._keep)
        self._runner: web.AppRunner | None = None
        self._inode = 0
        self._bodies = Bodies()
        self.tcp_port = 0

    async def start(self) -> None:
        """Open the doors.

        Raises:
            ConfigError: another daemon listens there, or it cannot be listened there.
        """
        if self._keep is not None:
            self._keep()
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=_silent(),
            handle_signals=False,
            handler_cancellation=False,  # what was begun is carried out: a hook asks again
            shutdown_timeout=_STOP_SECONDS,
        )
        await self._runner.setup()
        listening = sockets.unix_socket(self._path)
        self._inode = self._path.stat().st_ino
        await web.SockSite(self._runner, listening, backlog=_BACKLOG).start()
        if self._address is not None:
            listening = sockets.tcp_socket(*self._address)
            self.tcp_port = listening.getsockname()[1]
            await web.SockSite(self._runner, listening, backlog=_BACKLOG).start()

    async def stop(self) -> None:
        """Close the doors; requests that are under way get a few seconds."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        self._routes.waiters.close()
        if self._runner is not None:
            await self._runner.cleanup()
        self._routes.close()

    @property
    def anybody_waits(self) -> bool:
        """Whether `changed` would concern anybody; any thread may ask."""
        return self._routes.waiters.anybody

    def changed(self) -> None:
        """Something is there again: requests that wait ask once more."""
        self._routes.waiters.changed()

    def _application(self) -> web.Application:
        application = web.Application(middlewares=[_errors_told])
        for route in self._routes.table():
            application.router.add_route(route.method, route.path, self._handler(route))
        application.router.add_get("/health", self._health)
        application.router.add_get("/metrics", self._metrics)
        return application

    def _handler(self, route: Route) -> _Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            async with self._asked(request, route.largest_body) as (peer, body):
                ask = Ask(
                    peer=peer,
                    body={} if route.is_packed else _object(body),
                    raw=body if route.is_packed else b"",
                    query=request.query,
                    place=request.match_info,
                    is_gone=lambda: request.transport is None or request.transport.is_closing(),
                )
                del body
                answer = await route.handle(ask)
            return await _packed(request, answer) if route.is_packed else _json(200, answer)

        return handle

    @contextlib.asynccontextmanager
    async def _asked(self, request: web.Request, largest: int) -> AsyncIterator[tuple[Peer, bytes]]:
        """Who asks, and what. Over TCP nobody's body is read before the credential is good."""
        connection = request.get_extra_info("socket")
        if (request.content_length or 0) > largest:
            raise InvalidInputError(f"the request's body is longer than {largest} bytes")
        if connection is not None and connection.family == socket.AF_UNIX:
            peer = self._peers.of_socket(connection)
            async with self._bodies.read(request.content, uid=peer.uid, largest=largest) as body:
                yield peer, body
            return
        if not request.raw_path.startswith("/"):
            raise AuthenticationFailedError("the request's address must begin with /")
        credential = request.headers.get(HEADER, "")
        claim = await self._routes.quick.run(lambda: self._peers.claimed(credential))
        async with self._bodies.read(request.content, uid=claim.uid, largest=largest) as body:
            yield self._peers.proved(claim, request.method, request.raw_path, body), body

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return _json(200, {"ok": True, **self._parts.about})

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        metrics = self._parts.metrics
        if metrics is None:
            raise ResourceNotFoundError("this qrmid has no metrics", owner=Owner.SITE, hint="")
        text, kind = await self._routes.quick.run(metrics.exposition)
        return web.Response(body=text, headers={"Content-Type": kind})


@web.middleware
async def _errors_told(request: web.Request, handler: _Handler) -> web.StreamResponse:
    where = f"{request.method} {request.path[:200]}"
    try:
        return await handler(request)
    except QrmiError as error:
        _log.debug("%s: %s", where, error)
        return _json(*answers.refusal(error))
    except web.HTTPException as error:
        hint = "docs/qrmid.md lists the routes"
        told = ResourceNotFoundError(f"{where}: {error.reason}", owner=Owner.USER, hint=hint)
        return _json(error.status, answers.refusal(told)[1])
    except Exception as error:
        return _json(*answers.unexpected(error, where))


def _silent() -> logging.Logger:
    """For the HTTP library, whose log quotes lines of requests: a header may be a credential."""
    logger = logging.Logger("http")
    logger.disabled = True
    return logger


def _json(status: int, value: Any) -> web.Response:
    text = json.dumps(value, separators=(",", ":"))
    return web.Response(status=status, body=text.encode(), content_type="application/json")


async def _packed(request: web.Request, answer: Packed) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": PACKED})
    response.content_length = answer.length
    await response.prepare(request)
    for piece in answer:
        await response.write(piece)
    await response.write_eof()
    return response


def _object(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidInputError("the request's body must be a JSON object")
    return value
