"""A small service, and every transport that can carry requests to it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
import trustme

from qrmi.transport import (
    Client,
    CurlTransport,
    HttpConfig,
    RequestsTransport,
    Transport,
)
from qrmi.transport.network import route_to
from qrmi_sandbox.server import Call, Reply, Server, route

TRANSPORTS = ("curl", "requests", "session")


@pytest.fixture(autouse=True)
def plain_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy and no certificates of the machine's."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    route_to.cache_clear()


class Jobs(Server):
    """Jobs that are counted; a mirror; redirects."""

    executions = 0

    @route("GET", "/jobs/{id}")
    def job(self, call: Call) -> Reply:
        return Reply({"id": call.path["id"], "headers": dict(call.headers), "query": call.query})

    @route("POST", "/jobs")
    def create(self, call: Call) -> Reply:
        with self.lock:
            self.executions += 1
        return Reply({"id": "j-1", "body": call.body.decode(), "headers": dict(call.headers)})

    @route("POST", "/empty")
    @route("DELETE", "/jobs/{id}")
    @route("PUT", "/jobs/{id}")
    @route("PATCH", "/jobs/{id}")
    def other(self, call: Call) -> Reply:
        with self.lock:
            self.executions += 1
        return Reply({"method": call.method, "body": call.body.decode()})

    @route("GET", "/moved/{status}")
    def moved(self, call: Call) -> Reply:
        return Reply(None, int(call.path["status"]), headers={"location": call.query["to"]})

    @route("POST", "/moved/{status}")
    def moved_post(self, call: Call) -> Reply:
        return self.moved(call)

    @route("GET", "/circle")
    def circle(self, call: Call) -> Reply:
        return Reply(None, 302, headers={"location": "/circle"})

    @route("GET", "/large")
    def large(self, call: Call) -> Reply:
        return Reply(b"x" * int(call.query["bytes"]), content_type="text/plain; charset=utf-8")


@pytest.fixture
def server() -> Iterator[Jobs]:
    with Jobs() as made:
        yield made


@pytest.fixture
def other_server() -> Iterator[Jobs]:
    with Jobs() as made:
        yield made


def transport(kind: str, config: HttpConfig) -> Transport:
    if kind == "curl":
        return CurlTransport(config)
    if kind == "requests":
        return RequestsTransport(config=config)
    session = requests.Session()
    session.headers["x-site"] = "ours"  # something of its own: it carries requests whole
    if config.ca_bundle:
        session.verify = config.ca_bundle
    if config.client_certificate:
        session.cert = config.client_certificate
    return RequestsTransport(session, config)


@pytest.fixture(params=TRANSPORTS)
def make(request: pytest.FixtureRequest) -> Callable[..., Client]:
    """Makes a client over each transport in turn."""

    def client(*, config: HttpConfig | None = None, **arguments: Any) -> Client:
        chosen = config or HttpConfig(read_seconds=1.0, budget_seconds=2.0)
        return Client(transport(request.param, chosen), chosen, **arguments)

    return client


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls_server(authority: trustme.CA) -> Iterator[Jobs]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with Jobs(tls=context) as made:
        yield made
