"""Answers that no service should give, and values that no request can hold."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import requests

from qrmi.errors import (
    AnswerLostError,
    ConfigError,
    InvalidInputError,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.settings import Secret
from qrmi.transport import (
    JSON,
    Client,
    HttpConfig,
    Problem,
    Request,
    RequestsTransport,
    SendError,
    StaticAuth,
    Token,
    TokenAuth,
    join,
)
from qrmi_sandbox.faults import Fault

Make = Callable[..., Client]
OK = b"HTTP/1.1 200 OK\r\n"


def post(server: object, **arguments: object) -> Request:
    url = join(server.url, "jobs")  # type: ignore[attr-defined]
    return Request("POST", url, headers=JSON, body=b"{}", **arguments)  # type: ignore[arg-type]


@pytest.fixture
def raw() -> Iterator[Callable[[bytes], str]]:
    """Serve bytes as they are, to any request, and close: ``raw(answer)`` is the URL."""
    listening: list[socket.socket] = []

    def serve(listener: socket.socket, answer: bytes) -> None:
        while True:
            try:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)
            except OSError:
                return

    def made(answer: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listening.append(listener)
        threading.Thread(target=serve, args=(listener, answer), daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/x"

    yield made
    for listener in listening:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        OK + b"content-length: -5\r\n\r\n{}",
        OK + b"content-length: 99999999999999999999\r\n\r\n{}",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}",
        OK + b"content-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
        OK + b"x: " + b"y" * 300_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
def test_an_answer_that_is_no_http_is_an_error_of_ours_or_read(raw, make: Make, answer) -> None:
    config = HttpConfig(read_seconds=1.0, budget_seconds=1.0, most_attempts=2)
    for method in ("GET", "POST"):
        try:
            make(config=config).send(Request(method, raw(answer), body=b"{}" * (method == "POST")))
        except QrmiError as error:
            expected = AnswerLostError if method == "POST" else ResourceUnavailableError
            assert isinstance(error, expected)  # noqa: PT017 (some transports can read some)


@pytest.mark.parametrize("location", ["http://[", "//[::1", "file:///x"])
def test_a_redirect_to_no_url_is_an_error_of_ours(raw, make: Make, location: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    with pytest.raises((UnexpectedAnswerError, ResourceUnavailableError)):
        make().send(Request("GET", raw(answer.encode())))


def test_a_location_is_quoted_where_it_was_not(server, make: Make) -> None:
    place = "/jobs/a b\u00e9?q=%20".encode().decode("latin-1")  # UTF-8 as it travels in a header
    answer = make().json(Request("GET", join(server.url, "moved", "302", to=place)))
    assert (answer["id"], answer["query"]) == ("a b\u00e9", {"q": " "})


@pytest.mark.parametrize("value", ["a\r\nx-evil: b", "a\n", "caf\u00e9", "\ud800", "a\0"])
def test_what_a_header_cannot_hold_is_not_sent(server, make: Make, value: str) -> None:
    """From the configuration or from a token service; neither error shows it."""
    fixed = make(auth=StaticAuth("authorization", Secret(value), "Bearer {}"))
    fetched = make(auth=TokenAuth(lambda: Token(value=Secret(value))))
    for client, error in ((fixed, ConfigError), (fetched, ResourceUnavailableError)):
        with pytest.raises(error) as caught:
            client.send(Request("GET", join(server.url, "jobs", "1")))
        assert value not in str(caught.value)
    assert not server.requests


def test_half_a_character_is_no_part_of_a_url() -> None:
    with pytest.raises(InvalidInputError, match="no text"):
        join("http://host", "\ud800")
    assert join("http://host", "x", q="\ud800") == "http://host/x?q=%3F"


@pytest.mark.parametrize("status", [507, 520, 522, 524, 599])
def test_statuses_of_gateways_are_passing_and_perhaps_done(server, make: Make, status) -> None:
    """A GET is repeated; a POST may have been carried out."""
    server.faults.add(Fault(kind="status", status=status))
    assert make().json(Request("GET", join(server.url, "jobs", "1")))["id"] == "1"
    server.faults.add(Fault(kind="status", status=status))
    with pytest.raises(AnswerLostError):
        make().send(post(server))


@pytest.mark.parametrize("first", ["reset_after", "status"])
def test_a_refusal_after_a_lost_answer_says_so(server, make: Make, first: str) -> None:
    """An idempotent request may have been carried out before it was refused."""
    server.faults.add(Fault(kind=first, status=504))
    server.faults.add(Fault(kind="status", status=403))
    with pytest.raises(QrmiError) as caught:
        make().send(post(server, idempotent=True))
    assert isinstance(caught.value.__cause__, SendError)
    assert caught.value.__cause__.sent
    server.faults.add(Fault(kind="status", status=403))
    with pytest.raises(QrmiError) as caught:
        make().send(post(server, idempotent=True))
    assert caught.value.__cause__ is None


def test_the_first_attempt_keeps_within_the_budget(server, make: Make) -> None:
    server.faults.add(Fault(kind="silence", times=None, seconds=8.0))
    config = HttpConfig(read_seconds=30.0, budget_seconds=1.0)
    before = threading.Event()
    timer = threading.Timer(5.0, before.set)
    timer.start()
    with pytest.raises(ResourceUnavailableError):
        make(config=config).send(Request("GET", join(server.url, "x")))
    timer.cancel()
    assert not before.is_set()


def test_a_vendors_code_is_told_on_one_line_and_short(server, make: Make) -> None:
    server.faults.add(Fault(kind="status", status=409))
    client = make(problem=lambda _: Problem(message="a\x1b[2Jb", code="1\r\n" * 1000))
    with pytest.raises(InvalidInputError) as caught:
        client.send(Request("GET", join(server.url, "jobs", "1")))
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


def test_a_sessions_credentials_stay_on_their_host(server, other_server) -> None:
    """A caller's session may have credentials of its own; another host gets none of them."""
    session = requests.Session()
    session.auth = ("user", "password")
    session.cookies.set("sid", "1")
    client = Client(RequestsTransport(session), HttpConfig())
    there = join(other_server.url.replace("127.0.0.1", "localhost"), "jobs", "2")
    assert client.json(Request("GET", join(server.url, "moved", "302", to=there)))["id"] == "2"
    assert {"authorization", "cookie"} <= server.requests[0].headers.keys()
    assert not {"authorization", "cookie"} & other_server.requests[0].headers.keys()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_child_does_not_wait_for_a_token_that_its_parent_fetches() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def fetch() -> Token:
        begun.set()
        go_on.wait(10.0)
        return Token(value=Secret("t"))

    auth = TokenAuth(fetch)
    thread = threading.Thread(target=auth.headers)
    thread.start()
    begun.wait(10.0)
    child = os.fork()
    if child == 0:
        go_on.set()
        free = auth._lock.acquire(timeout=5.0)
        os._exit(0 if free else 1)
    _, status = os.waitpid(child, 0)
    go_on.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 0
