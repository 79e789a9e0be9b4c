"""Bodies that libcurl hands over in pieces, small and large, and what is kept of them."""

from __future__ import annotations

import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.transport import CurlTransport, HttpConfig, Request, Timeout, join
from qrmi.transport.messages import Headers
from qrmi.transport.received import LargeBody
from qrmi_sandbox.server import Call, Reply, Server, route

_PIECE = bytes(range(256)) * 64
_TIMEOUT = Timeout(5.0, 20.0)


class Sized(Server):
    """Answers of the size asked for."""

    @route("GET", "/sized/{size}")
    def sized(self, call: Call) -> Reply:
        return Reply(body=_of_size(int(call.path["size"])))


def _of_size(size: int) -> bytes:
    return (_PIECE * (size // len(_PIECE) + 1))[:size]


@given(
    st.lists(st.integers(0, 900_000), max_size=8),
    st.sampled_from([b"", b"content-length: 3000000\r\n", b"Content-Length: 12\r\n"]),
)
def test_what_came_is_given_whole(sizes: list[int], line: bytes) -> None:
    """However much was foreseen; and the next body begins anew."""
    taken = LargeBody([b"HTTP/1.1 200 OK\r\n", line])
    for turn in (sizes, sizes[::-1]):
        pieces = [_of_size(size) for size in turn]
        for piece in pieces:
            taken.write(piece)
        assert bytes(taken.content()) == b"".join(pieces)


@pytest.mark.parametrize("size", [0, 1, 2 * 1024 * 1024, 2 * 1024 * 1024 + 1, 9_000_001])
def test_a_large_answer_is_the_same_as_any(size: int) -> None:
    """Between small ones on the same connection."""
    transport = CurlTransport(HttpConfig())
    with Sized() as server:
        url = join(server.url, "sized", str(size))
        for large in (False, True, True, False):
            request = Request("GET", url, large=large)
            answer = transport.send(request, Headers(()), _TIMEOUT)
            assert bytes(answer.body) == _of_size(size)
            assert answer.header("content-length") == str(size)
    transport.close()


def test_an_answer_is_not_kept_by_its_connection() -> None:
    """Once the caller has let it go, its memory is free, although the connection waits."""
    transport = CurlTransport(HttpConfig())
    with Sized() as server:
        request = Request("GET", join(server.url, "sized", "5000000"), large=True)
        answer = transport.send(request, Headers(()), _TIMEOUT)
        assert isinstance(answer.body, memoryview)
        held = weakref.ref(answer.body.obj)
        assert held() is not None
        del answer
        assert held() is None
    transport.close()
