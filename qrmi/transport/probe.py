"""Looking at the way to a host, step by step: name, connection, certificate, one answer."""

from __future__ import annotations

import base64
import http.client
import os
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from urllib.parse import unquote, urlsplit

import attrs

from qrmi.transport.messages import USER_AGENT
from qrmi.transport.network import Route, route_to
from qrmi.transport.settings import HttpConfig

__all__ = ["Probe", "probe"]

_PORTS = {"http": 80, "https": 443}


@attrs.define(kw_only=True)
class Probe:
    """What was found on the way to a host; what was not reached is ``None``.

    Attributes:
        origin: scheme, host and port.
        proxy: host and port of the proxy in between, or ``None``; never its password.
        addresses: of the host, or of the proxy.
        name_seconds: how long the name took.
        connect_seconds: how long the connection took, through the proxy if there is one.
        tls_seconds: how long the TLS handshake took.
        certificate_ends_at: when the certificate ends, in seconds since the epoch.
        unchecked: whether the settings say that the certificate is not to be checked.
        status: of the answer to ``HEAD /``, whichever it is.
        date: that answer's ``Date``.
        sent_at: this machine's clock when that request left.
        received_at: and when the answer had come.
        failed: the step that failed: ``name``, ``connection``, ``certificate``, ``tls`` or
            ``answer``; ``None`` when none did.
        reason: why, in words.
    """

    origin: str
    proxy: str | None = None
    addresses: tuple[str, ...] = ()
    name_seconds: float | None = None
    connect_seconds: float | None = None
    tls_seconds: float | None = None
    certificate_ends_at: float | None = None
    unchecked: bool = False
    status: int | None = None
    date: str | None = None
    sent_at: float = 0.0
    received_at: float = 0.0
    failed: str | None = None
    reason: str = ""


class _Failed(Exception):  # noqa: N818 (it ends the probe, no more)
    def __init__(self, step: str, reason: str) -> None:
        super().__init__(step)
        self.step = step
        self.reason = reason


def probe(origin: str, config: HttpConfig, timeout_seconds: float) -> Probe:
    """Go to a host the way that requests to it go; credentials are not sent.

    Args:
        origin: scheme, host and port.
        config: proxies and certificates.
        timeout_seconds: of each step; looking up a name may take longer.
    """
    route = route_to(origin, config)
    found = Probe(origin=origin, unchecked=route.certificates is None)
    try:
        _go(found, route, timeout_seconds)
    except _Failed as failure:
        found.failed, found.reason = failure.step, failure.reason
    return found


def _go(found: Probe, route: Route, timeout_seconds: float) -> None:
    url = urlsplit(route.origin)
    host, port = url.hostname or "", url.port or _PORTS[url.scheme]
    first_host, first_port = host, port
    if route.proxy:
        proxy = urlsplit(route.proxy if "//" in route.proxy else f"http://{route.proxy}")
        first_host, first_port = proxy.hostname or "", proxy.port or 80
        found.proxy = f"{first_host}:{first_port}"
    begun = time.monotonic()
    with _step("name"):
        infos = socket.getaddrinfo(first_host, first_port, type=socket.SOCK_STREAM)
    found.name_seconds = time.monotonic() - begun
    found.addresses = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
    connection = http.client.HTTPConnection(first_host, first_port, timeout=timeout_seconds)
    secure = url.scheme == "https"
    with closing(connection):
        if route.proxy and secure:
            connection.set_tunnel(host, port, _proxy_headers(route.proxy))
        begun = time.monotonic()
        with _step("connection"):
            connection.connect()
        found.connect_seconds = time.monotonic() - begun
        if secure:
            _shake_hands(found, route, connection, host)
        _ask(
            found, connection, "/" if secure or not route.proxy else route.origin + "/", url.netloc
        )


def _shake_hands(
    found: Probe, route: Route, connection: http.client.HTTPConnection, host: str
) -> None:
    begun = time.monotonic()
    with _step("tls"):
        secured = _context(route).wrap_socket(connection.sock, server_hostname=host)
    connection.sock = secured
    found.tls_seconds = time.monotonic() - begun
    ends = (secured.getpeercert() or {}).get("notAfter")  # nothing of one that was not checked
    if isinstance(ends, str):
        found.certificate_ends_at = ssl.cert_time_to_seconds(ends)


def _context(route: Route) -> ssl.SSLContext:
    if route.certificates is None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    is_folder = os.path.isdir(route.certificates)  # noqa: PTH112 (a text from settings)
    context = ssl.create_default_context(
        cafile=None if is_folder else route.certificates,
        capath=route.certificates if is_folder else None,
    )
    if route.client_certificate:
        context.load_cert_chain(route.client_certificate, route.client_key)
    return context


def _ask(found: Probe, connection: http.client.HTTPConnection, path: str, host: str) -> None:
    """One request without credentials: its answer's status and date."""
    with _step("answer"):
        found.sent_at = time.time()
        headers = {"user-agent": USER_AGENT, "host": host.rpartition("@")[2]}
        connection.request("HEAD", path, headers=headers)
        answer = connection.getresponse()
        found.received_at = time.time()
        found.status, found.date = answer.status, answer.getheader("date")


def _proxy_headers(proxy: str) -> dict[str, str]:
    url = urlsplit(proxy if "//" in proxy else f"http://{proxy}")
    if not url.username:
        return {}
    pair = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
    return {"proxy-authorization": "Basic " + base64.b64encode(pair).decode()}


@contextmanager
def _step(name: str) -> Iterator[None]:
    """Errors of a step end the probe; their texts hold no secret."""
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        raise _Failed("certificate", error.verify_message) from error
    except socket.gaierror as error:
        raise _Failed("name", error.strerror or "unknown name") from error
    except TimeoutError as error:
        raise _Failed(name, "no answer in time") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _Failed(name, str(reason)[:120]) from error
