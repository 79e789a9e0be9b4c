"""URLs and ids from outside: what passes can be used as it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.util import parse_url

from qrmi.errors import UnexpectedAnswerError
from qrmi.references import created_id, is_link, service_url

_PIECES = [
    "http",
    "https",
    "://",
    "[",
    "]",
    "::1",
    ":",
    "80",
    "99999",
    "@",
    "/",
    "?",
    "h",
    ".",
    " ",
]


@pytest.mark.parametrize(
    "text",
    [
        "http://h",
        "https://h.example:8443/base/",
        "http://127.0.0.1:80",
        "http://[::1]:8080/x",
        "https://bucket.s3.example/a%20b?X-Signature=a%2Bb&x=1",
    ],
)
def test_urls_are_links(text: str) -> None:
    """Names, addresses, ports, paths and queries."""
    assert is_link(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h.example",
        "ftp://h",
        "file:///etc/passwd",
        "http://",
        "http:///x",
        "http://[::1",
        "http://h:port",
        "http://h:99999",
        "http://two words",
        "http://h/\n",
        "https://h/ä",
        "http://\ud800",
        None,
        7,
        b"http://h",
    ],
)
def test_what_no_request_can_be_sent_to_is_no_link(text: object) -> None:
    """Half an address, a port that is none, blanks, other schemes and other types."""
    assert not is_link(text)


@given(st.lists(st.sampled_from(_PIECES), max_size=8).map("".join) | st.text())
def test_a_link_can_be_read_by_those_who_send_requests(text: str) -> None:
    """What passes has a host, and nothing below stumbles over it."""
    if is_link(text):
        assert text.encode("ascii")
        assert parse_url(text).host


def test_a_services_url_ends_without_a_slash() -> None:
    """Paths are put behind it, so it has no query."""
    assert service_url("https://h/base//") == "https://h/base"
    for text in ("https://h?x=1", "https://h/#top", "h", "  "):
        with pytest.raises(ValueError, match="expected a URL that begins with https://"):
            service_url(text)


@pytest.mark.parametrize("value", ["", ".", "..", "a\nb", "\ud800", None, 7, 1.5, True, [], {}])
def test_what_is_no_id(value: object) -> None:
    """An id is a text that a path, a file and a terminal can hold."""
    with pytest.raises(UnexpectedAnswerError):
        created_id(value)
    assert created_id("a/b c") == "a/b c"
