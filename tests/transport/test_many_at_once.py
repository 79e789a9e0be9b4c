"""What libcurl's answers bring when many requests to a host are under way at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from qrmi.transport import CurlTransport, HttpConfig, Request, Response, Timeout, join
from qrmi.transport.messages import Headers
from qrmi_sandbox.faults import Fault

_TIMEOUT = Timeout(5.0, 5.0)


@pytest.fixture
def transport() -> CurlTransport:
    return CurlTransport(HttpConfig())


def _answer(transport: CurlTransport, server, method: str, *path: str, **query: str) -> Response:
    request = Request(method, join(server.url, *path, **query), body=None)
    return transport.send(request, Headers(()), _TIMEOUT)


@contextmanager
def _busy(transport: CurlTransport, server) -> Iterator[None]:
    """Four requests that the server answers when the block is over."""
    delay = server.faults.add(Fault(kind="delay", match="GET /jobs/slow", times=4, seconds=1.0))
    threads = [
        threading.Thread(target=_answer, args=(transport, server, "GET", "jobs", "slow"))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    while delay.hits < 4:
        threading.Event().wait(0.005)
    try:
        yield
    finally:
        for thread in threads:
            thread.join()


def _limited(server) -> None:
    server.faults.add(Fault(kind="status", status=429, retry_after=7))


def _read(answer: Response) -> tuple[str | None, bool]:
    """What libcurl reads of it, and whether the other headers are there."""
    return answer.header("retry-after"), answer.header("date") is not None


def test_alone_an_answer_has_all_its_headers(server, transport: CurlTransport) -> None:
    _limited(server)
    assert _read(_answer(transport, server, "GET", "jobs", "1")) == ("7", True)


def test_among_many_a_get_brings_what_libcurl_reads(server, transport: CurlTransport) -> None:
    """Until the host has answered with an error: then all headers are taken again."""
    with _busy(transport, server):
        good = _answer(transport, server, "GET", "jobs", "1")
        moved = _answer(transport, server, "GET", "moved", "302", to="/jobs/2")
        _limited(server)
        first = _answer(transport, server, "GET", "jobs", "1")
        _limited(server)
        second = _answer(transport, server, "GET", "jobs", "1")
    assert (good.header("content-type"), good.header("date")) == ("application/json", None)
    assert good.json()["id"] == "1"
    assert moved.header("location") == join(server.url, "jobs", "2")
    assert _read(first) == ("7", False)
    assert _read(second) == ("7", True)


def test_among_many_a_post_has_all_its_headers(server, transport: CurlTransport) -> None:
    with _busy(transport, server):
        _limited(server)
        assert _read(_answer(transport, server, "POST", "empty")) == ("7", True)
