"""What happens to a request, over every transport: the same configuration, the same outcome."""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import requests
import trustme

from qrmi.errors import (
    AccessDeniedError,
    AnswerLostError,
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskNotFoundError,
    UnexpectedAnswerError,
)
from qrmi.settings import Secret
from qrmi.testing import FakeClock
from qrmi.transport import (
    JSON,
    Client,
    CurlTransport,
    HttpConfig,
    Problem,
    Request,
    RequestsTransport,
    Response,
    StaticAuth,
    Token,
    TokenAuth,
    join,
)
from qrmi.transport.network import route_to
from qrmi.transport.outcomes import retry_after
from qrmi_sandbox.faults import Fault

Make = Callable[..., Client]


def get(server: object, *, job: str = "1", **arguments: object) -> Request:
    return Request("GET", join(server.url, "jobs", job), **arguments)  # type: ignore[attr-defined, arg-type]


def post(server: object, **arguments: object) -> Request:
    url = join(server.url, "jobs")  # type: ignore[attr-defined]
    return Request("POST", url, headers=JSON, body=b'{"a": 1}', **arguments)  # type: ignore[arg-type]


def test_a_request_arrives_as_it_was_made(server, make: Make) -> None:
    """Path as quoted, query, headers, body, whatever the method."""
    client = make()
    seen = client.json(Request("GET", join(server.url, "jobs", "a/b %", q="x y")))
    assert seen["id"] == "a/b %"
    assert seen["query"] == {"q": "x y"}
    assert client.json(post(server))["body"] == '{"a": 1}'
    for method in ("DELETE", "PUT", "PATCH"):
        request = Request(method, join(server.url, "jobs", "1"), body=b"text")
        assert client.json(request) == {"method": method, "body": "text"}
    assert client.json(Request("POST", join(server.url, "empty")))["body"] == ""
    assert client.json(get(server))["id"] == "1"
    assert server.requests[-1].headers["user-agent"] == "openqrmi"


def test_bodies_of_one_size_follow_each_other(server, make: Make) -> None:
    """With and without other requests in between, each is sent whole."""
    client = make()
    for number, method in enumerate(("PUT", "PUT", "PATCH", "DELETE", "PUT")):
        body = f"text {number}"
        request = Request(method, join(server.url, "jobs", "1"), body=body.encode())
        assert client.json(request) == {"method": method, "body": body}
        if number:
            assert client.json(get(server))["id"] == "1"


def test_a_large_body_comes_whole(server, make: Make) -> None:
    response = make().send(Request("GET", join(server.url, "large", bytes=5_000_000)))
    assert len(response.text) == 5_000_000
    assert response.header("content-type") == "text/plain; charset=utf-8"


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "half_body"])
def test_a_get_is_repeated_after_a_broken_connection(server, make: Make, kind: str) -> None:
    server.faults.add(Fault(kind=kind))
    assert make().json(get(server))["id"] == "1"


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "half_body", "silence"])
def test_a_post_is_sent_once_and_its_lost_answer_is_said(server, make: Make, kind: str) -> None:
    """Over a new connection and over a kept one."""
    client = make()
    for _ in range(2):
        server.faults.add(Fault(kind=kind, seconds=3.0))
        before = len(server.requests)
        with pytest.raises(AnswerLostError) as caught:
            client.send(post(server))
        assert len(server.requests) == before + 1
        assert (caught.value.owner, caught.value.retryable) == (Owner.NETWORK, False)
        client.send(get(server))  # the next one has a kept connection


def test_a_post_without_a_body_is_sent_once_too(server, make: Make) -> None:
    client = make()
    client.send(get(server))
    server.faults.add(Fault(kind="reset_after"))
    with pytest.raises(AnswerLostError):
        client.send(Request("POST", join(server.url, "empty")))
    assert server.executions == 1


def test_a_post_that_is_marked_idempotent_is_repeated(server, make: Make) -> None:
    server.faults.add(Fault(kind="reset_after"))
    assert make().json(post(server, idempotent=True))["id"] == "j-1"
    assert server.executions == 2


def test_a_kept_connection_that_the_server_closed_costs_no_answer(server, make: Make) -> None:
    """A restarted server gets the next POST over a new connection."""
    client = make()
    for _ in range(2):
        client.send(post(server))
        server.restart()
    client.send(post(server))
    assert server.executions == 3


@pytest.mark.parametrize("status", [408, 423, 425, 429, 500, 502, 503, 504])
def test_a_get_is_repeated_after_a_passing_status(server, make: Make, status: int) -> None:
    server.faults.add(Fault(kind="status", status=status, times=2))
    assert make().json(get(server))["id"] == "1"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "error", "owner", "retryable"),
    [
        (400, InvalidInputError, Owner.USER, False),
        (401, AuthenticationFailedError, Owner.USER, False),
        (403, AccessDeniedError, Owner.SITE, False),
        (404, TaskNotFoundError, Owner.USER, False),
        (409, InvalidInputError, Owner.USER, False),
        (418, InvalidInputError, Owner.USER, False),
        (422, InvalidInputError, Owner.USER, False),
        (423, ResourceUnavailableError, Owner.VENDOR, True),
        (429, ResourceUnavailableError, Owner.VENDOR, True),
        (503, ResourceUnavailableError, Owner.VENDOR, True),
        (500, AnswerLostError, Owner.NETWORK, False),
        (502, AnswerLostError, Owner.NETWORK, False),
    ],
)
def test_the_table_of_statuses(server, make: Make, status, error, owner, retryable) -> None:
    """A POST is not repeated; after 500, 502 and 504 it may have been carried out."""
    server.faults.add(Fault(kind="status", status=status, times=None))
    with pytest.raises(error) as caught:
        make().send(post(server, missing=TaskNotFoundError, task_id="j-1"))
    assert type(caught.value) is error
    assert (caught.value.owner, caught.value.retryable) == (owner, retryable)
    assert len(server.requests) == 1
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again), again.task_id) == (error, str(caught.value), "j-1")


def test_a_404_is_what_the_request_says(server, make: Make) -> None:
    with pytest.raises(ResourceNotFoundError):
        make().send(Request("GET", join(server.url, "nothing")))
    accepted = Request("GET", join(server.url, "nothing"), accept=frozenset({404}))
    assert make().send(accepted).status == 404


def test_a_service_that_fails_for_ever_ends_within_the_budget(server, make: Make) -> None:
    server.faults.add(Fault(kind="status", status=503, times=None))
    clock = FakeClock()
    with pytest.raises(ResourceUnavailableError):
        make(clock=clock).send(get(server))
    assert sum(clock.slept) <= 2.0
    assert 3 <= len(server.requests) <= 8


def test_retry_after_is_honoured_and_capped(server, make: Make) -> None:
    """A short wait is waited; one that the budget has no room for is an error that tells it."""
    clock = FakeClock()
    server.faults.add(Fault(kind="status", status=429, retry_after=1.5))
    make(clock=clock).send(get(server))
    assert clock.slept == [1.5]
    server.faults.add(Fault(kind="status", status=429, retry_after=3600))
    with pytest.raises(ResourceUnavailableError, match="3600 s"):
        make(clock=clock).send(get(server))
    assert clock.slept == [1.5]


def test_a_silent_server_ends_in_an_error(server, make: Make) -> None:
    server.faults.add(Fault(kind="silence", seconds=30.0, times=None))
    with pytest.raises(ResourceUnavailableError, match="no answer in time") as caught:
        make().send(get(server))
    assert caught.value.owner is Owner.NETWORK


def test_a_refused_connection_is_the_networks(server, make: Make) -> None:
    server.stop()
    for request in (get(server), post(server)):
        with pytest.raises(ResourceUnavailableError, match="no connection") as caught:
            make().send(request)
        assert type(caught.value) is ResourceUnavailableError  # nothing was lost
        assert caught.value.owner is Owner.NETWORK
        assert caught.value.retryable


def test_web_pages_and_half_json_are_not_taken_for_answers(server, make: Make) -> None:
    server.faults.add(Fault(kind="html"))
    with pytest.raises(UnexpectedAnswerError, match="web page"):
        make().json(get(server))
    server.faults.add(Fault(kind="not_json"))
    with pytest.raises(UnexpectedAnswerError, match="no JSON"):
        make().json(get(server))


# --- credentials --------------------------------------------------------------------------------


def token_auth(tokens: list[str], clock: FakeClock | None = None, lifetime: float = 3600.0):
    given = iter(tokens)
    return TokenAuth(
        lambda: Token(value=Secret(next(given)), lifetime_seconds=lifetime), clock=clock
    )


def test_a_token_is_renewed_once_after_a_401(server, make: Make) -> None:
    client = make(auth=token_auth(["old", "new"]))
    client.send(get(server))
    server.faults.add(Fault(kind="status", status=401))
    assert client.json(post(server))["headers"]["authorization"] == "Bearer new"
    assert server.executions == 1


def test_refused_twice_is_an_error(server, make: Make) -> None:
    server.faults.add(Fault(kind="status", status=401, times=None))
    with pytest.raises(AuthenticationFailedError):
        make(auth=token_auth(["old", "new", "newer"])).send(get(server))
    assert len(server.requests) == 2


def test_a_token_is_renewed_before_its_end_by_the_monotonic_clock(server, make: Make) -> None:
    clock = FakeClock()
    client = make(auth=token_auth(["a", "b", "c"], clock, lifetime=600.0))
    assert client.json(get(server))["headers"]["authorization"] == "Bearer a"
    clock.sleep(500.0)
    assert client.json(get(server))["headers"]["authorization"] == "Bearer a"
    clock.sleep(50.0)
    assert client.json(get(server))["headers"]["authorization"] == "Bearer b"


def test_many_threads_fetch_one_token() -> None:
    fetched = []

    def fetch() -> Token:
        fetched.append(1)
        return Token(value=Secret(f"t{len(fetched)}"), lifetime_seconds=60.0)

    auth = TokenAuth(fetch)
    threads = [threading.Thread(target=auth.headers) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(fetched) == 1


def test_credentials_are_not_added_where_they_do_not_belong(server, make: Make) -> None:
    client = make(
        auth=StaticAuth("authorization", Secret("s3cret"), "Bearer {}"),
        headers=(("service-crn", "crn"),),
    )
    assert client.json(get(server))["headers"]["service-crn"] == "crn"
    seen = client.json(get(server, authorized=False))["headers"]
    assert "authorization" not in seen
    assert "service-crn" not in seen


# --- redirects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_get_is_redirected_with_its_credentials_on_the_same_host(
    server, make: Make, status: int
) -> None:
    client = make(auth=StaticAuth("authorization", Secret("s3cret")))
    url = join(server.url, "moved", str(status), to="/jobs/9")
    assert client.json(Request("GET", url))["headers"]["authorization"] == "s3cret"


def test_another_host_gets_no_credentials(server, other_server, make: Make) -> None:
    client = make(auth=StaticAuth("authorization", Secret("s3cret")))
    url = join(server.url, "moved", "302", to=join(other_server.url, "jobs", "9"))
    seen = client.json(Request("GET", url, headers=(("x-warden-session", "s3cret"),)))
    assert "s3cret" not in str(seen["headers"])
    assert seen["id"] == "9"


def test_a_post_goes_nowhere_else(server, other_server, make: Make) -> None:
    """Its body stays on the host that it was for; after 302 it would be another method."""
    to = join(other_server.url, "jobs")
    for status in ("302", "307"):
        with pytest.raises(UnexpectedAnswerError, match="elsewhere"):
            make().send(Request("POST", join(server.url, "moved", status, to=to), body=b"{}"))
    assert other_server.executions == 0


def test_circles_end(server, make: Make) -> None:
    with pytest.raises(UnexpectedAnswerError, match="circles"):
        make().send(Request("GET", join(server.url, "circle")))


# --- vendor's words, TLS, processes --------------------------------------------------------------


def test_the_vendors_reason_is_told_on_one_line_and_short(server, make: Make) -> None:
    server.faults.add(Fault(kind="status", status=409, times=None))

    def read(response) -> Problem:
        return Problem(message="lanes\nfull " + "x" * 1000, code="1232")

    with pytest.raises(InvalidInputError, match=r"lanes full x+… \[1232\]") as caught:
        make(problem=read).send(get(server))
    assert len(str(caught.value)) < 450


def test_an_error_body_that_cannot_be_read_changes_nothing(server, make: Make) -> None:
    server.faults.add(Fault(kind="status", status=409))
    with pytest.raises(InvalidInputError):
        make(problem=lambda response: 1 / 0).send(get(server))


def test_tls_is_verified_and_a_bundle_can_be_given(
    tls_server, make: Make, authority: trustme.CA, tmp_path
) -> None:
    with pytest.raises(ResourceUnavailableError, match=r"TLS|trusted") as caught:
        make().send(get(tls_server))
    assert not caught.value.retryable
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    config = HttpConfig(ca_bundle=str(bundle), read_seconds=5.0)
    assert make(config=config).json(get(tls_server))["id"] == "1"


def test_a_client_certificate_is_shown(
    tls_server, make: Make, authority: trustme.CA, tmp_path
) -> None:
    bundle, pair = tmp_path / "ca.pem", tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(bundle))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(pair))
    config = HttpConfig(ca_bundle=str(bundle), client_certificate=str(pair))
    assert make(config=config).json(get(tls_server))["id"] == "1"


def test_ssl_cert_file_is_honoured(
    tls_server, make: Make, authority: trustme.CA, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))  # what a caller's session looks at
    assert make(config=HttpConfig(read_seconds=2.5)).json(get(tls_server))["id"] == "1"


def test_a_proxy_is_used(server, other_server, make: Make, monkeypatch) -> None:
    """An HTTP proxy gets the request with its absolute URL."""
    route_to.cache_clear()
    monkeypatch.setenv("HTTP_PROXY", other_server.url)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", other_server.url)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(QrmiError):
        make(config=HttpConfig(read_seconds=2.25)).send(
            Request("GET", "http://service.invalid/jobs/1")
        )
    assert other_server.requests[-1].path == "http://service.invalid/jobs/1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.parametrize("kind", ["curl", "requests"])
def test_a_forked_child_has_connections_of_its_own(server, kind: str) -> None:
    """Parent and child both go on, and neither uses the other's connection."""
    config = HttpConfig(read_seconds=2.0)
    carrier = CurlTransport(config) if kind == "curl" else RequestsTransport(config=config)
    client = Client(carrier, config)
    client.send(get(server))
    child = os.fork()
    if child == 0:
        try:
            ok = all(client.json(get(server, job=str(n)))["id"] == str(n) for n in range(20))
        finally:
            os._exit(0 if ok else 1)
    assert all(client.json(get(server, job=f"p{n}"))["id"] == f"p{n}" for n in range(20))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def test_many_threads_share_one_client(server, make: Make) -> None:
    client = make()
    seen: list[str] = []

    def work(number: int) -> None:
        jobs = [f"{number}-{turn}" for turn in range(10)]
        seen.extend([client.json(get(server, job=job))["id"] for job in jobs])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(f"{n}-{t}" for n in range(16) for t in range(10))


def test_a_callers_session_has_its_way(server) -> None:
    """Its authentication, headers, hooks and adapters all act on our requests."""
    session = requests.Session()
    session.auth = ("user", "password")
    session.headers["x-site"] = "ours"
    hooked = []
    session.hooks["response"].append(lambda response, **_: hooked.append(response.status_code))
    config = HttpConfig()
    client = Client(RequestsTransport(session, config), config)
    seen = client.json(get(server))["headers"]
    assert seen["x-site"] == "ours"
    assert seen["authorization"].startswith("Basic ")
    assert hooked == [200]


def test_libcurl_works_beside_cudaqs_own(tmp_path: Path) -> None:
    """CUDA-Q shows another libcurl to the whole process; both go on, whichever comes first."""
    pytest.importorskip("cudaq")
    script = """
import cudaq
from qrmi.transport import CurlTransport

@cudaq.kernel
def flip():
    qubit = cudaq.qubit()
    x(qubit)

assert CurlTransport() and cudaq.sample(flip).most_probable() == "1"
"""
    file = tmp_path / "both.py"  # CUDA-Q reads a kernel's source from its file
    file.write_text(script)
    subprocess.run([sys.executable, "-W", "ignore", file], check=True, timeout=90)


def test_many_hosts_leave_few_connections_open(make: Make) -> None:
    """The connections to hosts of long ago are given up; the transport goes on."""
    from qrmi_sandbox.server import Call, Reply, Server, route

    class Host(Server):
        @route("GET", "/jobs/{id}")
        def job(self, call: Call) -> Reply:
            return Reply({"id": call.path["id"]})

    client, seen = make(), []
    opened = len(list(Path("/proc/self/fd").iterdir()))
    with contextlib.ExitStack() as stack:
        hosts = [stack.enter_context(Host()) for _ in range(40)]
        seen = [client.json(get(host))["id"] for host in (*hosts, *hosts)]
    assert seen == ["1"] * 80
    assert len(list(Path("/proc/self/fd").iterdir())) - opened <= 32 * 4


@pytest.mark.parametrize(
    ("text", "date", "seconds"),
    [
        ("7", None, 7.0),
        ("Sun, 22 Nov 2026 12:00:09 GMT", "Sun, 22 Nov 2026 12:00:00 GMT", 9.0),
        ("Sun, 22 Nov 2026 12:00:09 GMT", None, None),
        ("-1", None, None),
        ("nan", None, None),
        ("soon", "sooner", None),
    ],
)
def test_what_retry_after_says(text: str, date: str | None, seconds: float | None) -> None:
    headers = {"retry-after": text, **({"date": date} if date else {})}
    assert retry_after(Response(429, headers, b"")) == seconds


@pytest.mark.parametrize("fault", [None, "reset_before"])
def test_a_presigned_urls_signature_is_nowhere(
    server, make: Make, caplog: pytest.LogCaptureFixture, fault: str | None
) -> None:
    """Not in a log at any level, not in an error or what led to it."""
    caplog.set_level(logging.DEBUG)
    if fault:
        server.faults.add(Fault(kind=fault, times=None))
    url = join(server.url, "jobs", "1") + "?X-Amz-Signature=s3cret"
    shown = ""
    try:
        make().send(Request("PUT", url, body=b"x", authorized=False))
    except QrmiError as error:
        shown = "".join(traceback.format_exception(error))
    assert ("Error" in shown) == bool(fault)
    assert "s3cret" not in shown + caplog.text
