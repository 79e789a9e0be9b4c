"""Who asks: other users, other hosts, and those who pretend to be."""

from __future__ import annotations

import http.client
import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from site_lab import Doors, PlainLeases, as_user, job

from qrmi import libmunge
from qrmi.errors import AccessDeniedError, AuthenticationFailedError, ResourceUnavailableError
from qrmi.munge import MungeCredentials
from qrmi.site.client import SiteClient
from qrmi.site.doors.peers import Claim, Peers
from qrmi.site.doors.signing import HEADER, signature
from qrmi_sandbox.munge import PrivateMunge

Opened = Callable[..., Doors]
ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become others")
USER = 4242
ACQUIRE = {"job": job(uid=USER).as_json(), "want": {"names": ["emu"]}}


def _sent(
    url: str, method: str, path: str, body: bytes, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


@ROOT
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/leases", ACQUIRE),
        ("/v1/leases/end", {"job": job().as_json()}),
        ("/v1/resources/emu/drain", {"reason": "mine"}),
        ("/v1/resources/emu/resume", {}),
    ],
)
def test_users_are_refused_what_admins_do(doors: Opened, path: str, body: dict[str, Any]) -> None:
    """The system's word on who connects counts; the error says who may, and whom to ask."""
    opened = doors()
    told = as_user(USER, lambda: opened.client().post(path, body))["error"]
    assert told["class"] == "AccessDeniedError"
    assert told["owner"] == "site"
    assert f"user {USER} is none" in told["message"]
    assert "admins" in told["hint"]
    assert opened.leases.asked == []
    assert opened.leases.ended == []


@ROOT
def test_an_admin_need_not_be_root(doors: Opened) -> None:
    """Slurm's own user, say."""
    opened = doors(admins=frozenset({USER}))
    told = as_user(USER, lambda: opened.client().post("/v1/leases", ACQUIRE))
    assert told["value"]["outcome"] == "granted"


@ROOT
def test_users_see_their_own_leases(doors: Opened) -> None:
    """Not those of others; an admin sees all."""
    opened = doors()
    for number, uid in enumerate((USER, USER + 1)):
        opened.client().post(
            "/v1/leases",
            {"job": job(number, uid=uid).as_json(), "want": {"names": [f"q{number}"]}},
        )
    mine = as_user(USER, lambda: opened.client().get("/v1/leases"))["value"]
    assert [row["job"]["uid"] for row in mine] == [USER]
    assert len(opened.client().get("/v1/leases")) == 2


def test_a_signed_request_is_answered(doors: Opened, site_munge: PrivateMunge) -> None:
    """Over TCP as over the socket, with a query, a body and neither."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    client = SiteClient(url=opened.url, munge_socket=site_munge.socket)
    assert client.post("/v1/leases", ACQUIRE)["outcome"] == "granted"
    assert len(client.get("/v1/leases", {"scheduler": "slurm", "id": "7"})) == 1


@ROOT
def test_over_tcp_munge_says_who(doors: Opened, site_munge: PrivateMunge) -> None:
    """A user of another host is that user."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    client = SiteClient(url=opened.url, munge_socket=site_munge.socket)
    told = as_user(USER, lambda: client.post("/v1/leases", ACQUIRE))
    assert told["error"]["class"] == "AccessDeniedError"
    assert str(USER) in told["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/leases", "/v1/resources", "/v1/drivers/emu/status"])
@pytest.mark.parametrize(
    ("credential", "word"),
    [("", "no credential"), ("MUNGE:AAAA:", "no credential of this cluster"), ("x", "no cred")],
)
def test_absent_and_forged_credentials(
    doors: Opened, site_munge: PrivateMunge, path: str, credential: str, word: str
) -> None:
    """No route of the site answers without one; the error says what it was."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    headers = {HEADER: credential} if credential else {}
    status, told = _sent(opened.url, "POST", path, b"{}", headers)
    if path == "/v1/resources":  # it has no POST at all
        assert status == 405
        status, told = _sent(opened.url, "GET", path, b"", headers)
    assert status == 401
    assert told["error"]["class"] == "AuthenticationFailedError"
    assert word in told["error"]["message"]


def _signed(
    munge: PrivateMunge, method: str, path: str, body: bytes, ttl_seconds: int | None = None
) -> dict[str, str]:
    library = libmunge.load()
    assert library is not None
    text = signature(method, path, body)
    return {HEADER: library.encode(text, socket=munge.socket, ttl_seconds=ttl_seconds)}


def test_a_replayed_request_is_refused(doors: Opened, site_munge: PrivateMunge) -> None:
    """Word for word the same request: 401, and the engine hears of it once."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    body = json.dumps(ACQUIRE).encode()
    headers = _signed(site_munge, "POST", "/v1/leases", body)
    assert _sent(opened.url, "POST", "/v1/leases", body, headers)[0] == 200
    status, told = _sent(opened.url, "POST", "/v1/leases", body, headers)
    assert status == 401
    assert "replayed" in told["error"]["message"]
    assert len(opened.leases.asked) == 1


def test_a_replay_after_munged_forgot(doors: Opened, site_munge: PrivateMunge) -> None:
    """Munged forgets when it is restarted; the daemon does not."""
    own = PrivateMunge()
    own.start()
    try:
        opened = doors(tcp=True, munge_socket=own.socket)
        headers = _signed(own, "GET", "/v1/leases", b"")
        assert _sent(opened.url, "GET", "/v1/leases", b"", headers)[0] == 200
        own.stop()
        own.start()
        status, told = _sent(opened.url, "GET", "/v1/leases", b"", headers)
    finally:
        own.stop()
    assert status == 401
    assert "replayed" in told["error"]["message"]


def test_an_expired_credential_is_refused(doors: Opened, site_munge: PrivateMunge) -> None:
    """A recorded request is of no use later."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    headers = _signed(site_munge, "GET", "/v1/leases", b"", ttl_seconds=1)
    time.sleep(2.2)
    status, told = _sent(opened.url, "GET", "/v1/leases", b"", headers)
    assert status == 401
    assert "expired" in told["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/leases", json.dumps(ACQUIRE).replace("emu", "qpu").encode()),
        ("POST", "/v1/leases/end", json.dumps(ACQUIRE).encode()),
        ("POST", "/v1/leases?x=1", json.dumps(ACQUIRE).encode()),
        ("GET", "/v1/leases", b""),
    ],
)
def test_a_credential_is_for_one_request(
    doors: Opened, site_munge: PrivateMunge, method: str, path: str, body: bytes
) -> None:
    """Another body, path, query or method under a good credential is refused."""
    opened = doors(tcp=True, munge_socket=site_munge.socket)
    headers = _signed(site_munge, "POST", "/v1/leases", json.dumps(ACQUIRE).encode())
    status, told = _sent(opened.url, method, path, body, headers)
    assert status == 401
    assert "another request" in told["error"]["message"]
    assert opened.leases.asked == opened.leases.ended == []


def test_munged_is_away(doors: Opened) -> None:
    """503: nobody is let in, and it is worth another try."""
    opened = doors(tcp=True, munge_socket="/nowhere/munged")
    status, told = _sent(opened.url, "GET", "/v1/leases", b"", {HEADER: "MUNGE:x:"})
    assert status == 503
    assert told["error"]["retryable"]


def test_a_client_without_munged_says_so(doors: Opened) -> None:
    """Nothing is sent."""
    opened = doors(tcp=True)
    with pytest.raises(ResourceUnavailableError, match="munge encode failed"):
        SiteClient(url=opened.url, munge_socket="/nowhere/munged").get("/v1/leases")


_TEXTS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)


@given(
    one=st.tuples(st.sampled_from(["GET", "POST"]), _TEXTS, st.binary(max_size=60)),
    other=st.tuples(st.sampled_from(["GET", "POST"]), _TEXTS, st.binary(max_size=60)),
)
def test_signatures_tell_requests_apart(
    one: tuple[str, str, bytes], other: tuple[str, str, bytes]
) -> None:
    """Two requests have one signature exactly when they are the same."""
    assert (signature(*one) == signature(*other)) == (one == other)


@given(payload=st.binary(max_size=100))
def test_only_the_right_payload_proves(payload: bytes) -> None:
    """Whatever else a credential carries proves nothing."""
    peers = Peers(frozenset({0}))
    right = signature("GET", "/v1/leases", b"")
    assert peers.proved(Claim(uid=0, payload=right), "GET", "/v1/leases", b"").is_admin
    if payload != right:
        with pytest.raises(AuthenticationFailedError):
            peers.proved(Claim(uid=0, payload=payload), "GET", "/v1/leases", b"")


def test_admins_alone_pass() -> None:
    """The error names the user and what was asked."""
    peers = Peers(frozenset({0}))
    claim = Claim(uid=5, payload=signature("GET", "/", b""))
    with pytest.raises(AccessDeniedError, match="draining is for the site's administrators"):
        peers.proved(claim, "GET", "/", b"").must_be_admin("draining")


class _Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(hours=st.integers(1, 5))
def test_the_memory_of_credentials_ends(site_munge: PrivateMunge, hours: int) -> None:
    """What munged would refuse as expired need not be remembered."""
    clock = _Clock()
    peers = Peers(frozenset({0}), munge_socket=site_munge.socket, clock=clock)
    for _ in range(hours):
        peers.claimed(MungeCredentials(socket=site_munge.socket).make().reveal())
        clock.sleep(3601.0)
    peers.claimed(MungeCredentials(socket=site_munge.socket).make().reveal())
    assert len(peers._seen) == 1


def test_the_scripted_engine_is_fair() -> None:
    """These tests' engine lends a name once."""
    leases = PlainLeases()
    want = {"names": ["emu"]}
    from qrmi.site.terms import Want

    assert leases.acquire(job(1), Want.from_json(want)).outcome == "granted"
    assert leases.acquire(job(2), Want.from_json(want)).outcome == "later"
