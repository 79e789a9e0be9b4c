"""Requests carried by `requests`: the default, and what a caller's own session goes through."""

from __future__ import annotations

import functools
import logging
import os
import re
import threading
from typing import Any

import attrs
import requests
import urllib3
from requests.adapters import HTTPAdapter

from qrmi.transport.messages import USER_AGENT, Headers, Request, Response, Timeout
from qrmi.transport.network import Route, route_to
from qrmi.transport.outcomes import SendError, refused_by_proxy
from qrmi.transport.settings import HttpConfig
from qrmi.transport.urls import origin_of

__all__ = ["RequestsTransport"]

_CONNECTIONS = 256
_MOST_HOSTS = 32
_PLAIN_HEADERS = {
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
    "user-agent": USER_AGENT,
}
_NO_REPEATS = urllib3.Retry(False, redirect=False)
_NOT_SENT = (
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.ConnectTimeoutError,
    urllib3.exceptions.ProxyError,
    requests.exceptions.ConnectTimeout,
    requests.exceptions.ProxyError,
)
_KNOWN = (*_NOT_SENT, urllib3.exceptions.SSLError, urllib3.exceptions.ReadTimeoutError)
_FAILURES = (  # of the last two: an answer whose head makes no sense
    urllib3.exceptions.HTTPError,
    requests.RequestException,
    OSError,
    ValueError,
    OverflowError,
)
_BY_PROXY = re.compile(r"Tunnel connection failed: (\d{3})").search
_CREDENTIALS = ("authorization", "cookie")
_REFUSED_CERTIFICATE = (urllib3.exceptions.SSLError, requests.exceptions.SSLError)


@attrs.frozen
class _Lane:
    """The connections to one host that a plain session keeps."""

    pool: urllib3.HTTPConnectionPool
    prefix: int


class RequestsTransport:
    """Sends requests over one keep-alive pool that all threads share.

    A session as `requests` makes it is used for its pool of connections: requests are prepared
    here and handed to that pool, which is twice as quick. A caller's session that has anything of
    its own (adapters, hooks, authentication, cookies, headers, proxies) carries requests whole.

    Args:
        session: the caller's; used as it is, with its proxies and certificates. Without one, a
            session is made by ``config``.
        config: time-outs, proxies and certificates.
    """

    def __init__(
        self, session: requests.Session | None = None, config: HttpConfig | None = None
    ) -> None:
        self._config = config or HttpConfig()
        self._given = session
        self._lock = threading.Lock()
        self._session = session
        self._pid = os.getpid()
        self._lanes: dict[str, _Lane | None] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._given, self._config)

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """The answer, whatever its status. Raises `SendError` when there was none."""
        origin = origin_of(request.url)
        if self._pid != os.getpid():
            self._after_fork()
        try:
            lane = self._lanes[origin] if origin in self._lanes else self._lane(origin)
            if lane is None:
                return self._whole(request, headers, timeout, origin)
            return self._lean(lane, request, headers, timeout)
        except _FAILURES as error:
            failure = _failure(error)
        raise failure  # without the other: its text and its locals show URLs and credentials

    # --- the two ways -------------------------------------------------------------------------

    @staticmethod
    def _lean(lane: _Lane, request: Request, headers: Headers, timeout: Timeout) -> Response:
        answer = lane.pool.urlopen(
            request.method,
            request.url[lane.prefix :] or "/",
            body=request.body,
            headers=_PLAIN_HEADERS | headers.mapping,
            retries=_NO_REPEATS,
            redirect=False,
            assert_same_host=False,
            timeout=_limits(timeout),
        )
        return Response(answer.status, answer.headers, answer.data)

    def _whole(self, request: Request, headers: Headers, timeout: Timeout, origin: str) -> Response:
        session = self._own_session()
        prepared = session.prepare_request(
            requests.Request(
                request.method,
                request.url,
                headers=_PLAIN_HEADERS | headers.mapping,
                data=request.body,
            )
        )
        prepared.url = request.url  # as it was made: not quoted once more
        if request.elsewhere:
            for name in _CREDENTIALS:
                prepared.headers.pop(name, None)
        answer = session.send(
            prepared,
            timeout=(timeout.connect_seconds, timeout.read_seconds),
            allow_redirects=False,
            **self._network(session, origin),
        )
        return Response(answer.status_code, answer.headers, answer.content)

    def _network(self, session: requests.Session, origin: str) -> dict[str, Any]:
        if self._given is not None:
            settled = session.merge_environment_settings(origin, {}, None, None, None)
            return dict(settled)
        route = route_to(origin, self._config)
        return {
            "proxies": {"http": route.proxy, "https": route.proxy} if route.proxy else {},
            "verify": route.certificates or False,
            "cert": _certificate(route),
        }

    # --- sessions and lanes -------------------------------------------------------------------

    def _own_session(self) -> requests.Session:
        with self._lock:
            if self._session is None:
                self._session = requests.Session()
                self._session.trust_env = False  # `route_to` has looked at the environment
                adapter = HTTPAdapter(pool_connections=_MOST_HOSTS, pool_maxsize=_CONNECTIONS)
                self._session.mount("http://", adapter)
                self._session.mount("https://", adapter)
            return self._session

    def _lane(self, origin: str) -> _Lane | None:
        session = self._own_session()
        network = self._network(session, origin)
        lane = None
        if not network["proxies"] and network["verify"] and _is_plain(session, origin):
            adapter = session.get_adapter(origin)
            prepared = requests.Request("GET", origin + "/").prepare()
            pool = adapter.get_connection_with_tls_context(  # type: ignore[attr-defined]
                prepared, network["verify"], cert=network["cert"]
            )
            adapter.cert_verify(  # type: ignore[attr-defined]
                pool, origin, network["verify"], network["cert"]
            )
            lane = _Lane(pool, len(origin))
        if len(self._lanes) >= _MOST_HOSTS:
            self._lanes = {}
        self._lanes[origin] = lane
        return lane

    def _after_fork(self) -> None:
        """A forked child makes connections of its own; those of its parent are left alone."""
        with self._lock:
            if self._pid != os.getpid():
                self._session = self._given
                self._lanes = {}
                self._pid = os.getpid()

    @property
    def insecure(self) -> bool:
        """Whether certificates count unseen, by the settings or in the caller's own session."""
        return self._config.insecure or (self._given is not None and self._given.verify is False)

    def close(self) -> None:
        """Close the connections of a session that was made here; the transport stays usable."""
        with self._lock:
            if self._given is None and self._session is not None:
                self._session.close()
                self._session, self._lanes = None, {}


@functools.lru_cache(maxsize=64)
def _limits(timeout: Timeout) -> urllib3.Timeout:
    return urllib3.Timeout(connect=timeout.connect_seconds, read=timeout.read_seconds)


def _is_plain(session: requests.Session, origin: str) -> bool:
    """Whether a session adds nothing of its own to a request."""
    return (
        type(session) is requests.Session
        and type(session.get_adapter(origin)) is HTTPAdapter
        and not session.auth
        and not session.cookies
        and not session.params
        and not any(session.hooks.values())
        and session.headers == requests.utils.default_headers()
        and not (session.trust_env and requests.utils.get_netrc_auth(origin))
    )


def _certificate(route: Route) -> str | tuple[str, str] | None:
    if route.client_certificate and route.client_key:
        return route.client_certificate, route.client_key
    return route.client_certificate


def _without_signature(record: logging.LogRecord) -> bool:
    """Keep the signatures of presigned URLs out of urllib3's log, which shows whole paths."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            argument.partition("?")[0] + "?…"
            if isinstance(argument, str) and "signature=" in argument.lower()
            else argument
            for argument in record.args
        )
    return True


logging.getLogger("urllib3.connectionpool").addFilter(_without_signature)


def _failure(error: Exception) -> SendError:
    """What went wrong, in words that hold no address and no header."""
    cause: object = error
    while isinstance(cause, Exception):  # `requests` wraps urllib3's errors, which wrap others
        inner = getattr(cause, "reason", None) or (cause.args[0] if cause.args else None)
        if isinstance(cause, _KNOWN) or not isinstance(inner, Exception):
            break
        cause = inner
    if isinstance(error, _REFUSED_CERTIFICATE) or isinstance(cause, _REFUSED_CERTIFICATE):
        return SendError("the TLS connection was refused", sent=False, permanent=True)
    refused = _BY_PROXY(str(error))
    if refused:
        return refused_by_proxy(int(refused[1]))
    if isinstance(error, _NOT_SENT) or isinstance(cause, _NOT_SENT):
        return SendError("no connection", sent=False)
    if isinstance(cause, urllib3.exceptions.ReadTimeoutError | TimeoutError):
        return SendError("no answer in time", sent=True)
    if isinstance(error, requests.exceptions.InvalidURL | urllib3.exceptions.LocationValueError):
        return SendError("the URL is malformed", sent=False, permanent=True)
    return SendError("the connection broke off", sent=True)
