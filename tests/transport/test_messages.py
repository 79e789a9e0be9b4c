"""URLs, bodies and answers."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import ConfigError, InvalidInputError, QrmiError, UnexpectedAnswerError
from qrmi.transport import Request, Response, answer_field, join, json_body, polled, reading
from qrmi.transport.messages import origin_of


@given(st.text(min_size=1).filter(lambda text: text not in (".", "..")))
def test_a_path_component_is_quoted_whole(text: str) -> None:
    """Whatever it holds, it stays one component and can be read back."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    path = urlsplit(join("https://host/base", "jobs", text)).path
    assert path.split("/")[:3] == ["", "base", "jobs"]
    assert [unquote(part) for part in path.split("/")[3:]] == [text]


@pytest.mark.parametrize("component", ["", ".", ".."])
def test_components_that_would_lead_elsewhere_are_refused(component: str) -> None:
    with pytest.raises(InvalidInputError):
        join("https://host", "sessions", component)


@pytest.mark.parametrize("base", ["https://host/api", "https://host/api/", "https://host/api//"])
def test_a_base_may_end_with_slashes(base: str) -> None:
    assert join(base, "v1", "jobs") == "https://host/api/v1/jobs"
    assert join(base, "v1", "jobs", slash=True) == "https://host/api/v1/jobs/"


def test_query_values() -> None:
    """None is left out, lists repeat, booleans are JSON's words, the rest is form-encoded."""
    url = join("http://h", "x", a=None, b=True, c="my tag&x", d=["1", "2"])
    assert url == "http://h/x?b=true&c=my+tag%26x&d=1&d=2"


@pytest.mark.parametrize("url", ["ftp://h", "h:80/x", "", "https://", "http:///x"])
def test_what_is_no_url_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError):
        origin_of(url)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text(), max_size=4))
def test_a_query_is_encoded_as_forms_are(query: dict[str, str]) -> None:
    """Whatever its names and values hold."""
    named = {f"q{name}": text for name, text in query.items()}  # "base" is a parameter of join
    url = join("https://a.example", "jobs", **named)
    assert url.partition("?")[2] == urlencode(named, errors="replace")


def test_what_is_polled_is_made_once() -> None:
    """Equal requests are one; others, of other tasks, are not."""
    made: list[str] = []

    @polled
    def look(task_id: str, *, held: bool = False) -> Request:
        made.append(task_id)
        return Request("GET", join("https://a.example", "jobs", task_id, held=held or None))

    assert look("a") is look("a")
    assert look("a", held=True) is not look("a")
    assert look("b").url == "https://a.example/jobs/b"
    assert made == ["a", "a", "b"]


def test_a_request_shows_neither_its_query_nor_its_headers() -> None:
    request = Request("GET", "http://h/x?X-Amz-Signature=secret", headers=(("a", "secret"),))
    assert "secret" not in repr(request) + request.name


@given(st.binary())
def test_any_body_is_json_or_an_error_of_ours(body: bytes) -> None:
    response = Response(200, {}, body)
    try:
        value = response.json()
    except UnexpectedAnswerError:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(body)
    else:
        assert value == json.loads(body) or value != value


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_a_missing_field_is_named(data: object) -> None:
    with pytest.raises(UnexpectedAnswerError, match="'id'"):
        answer_field(data, "id", str)


def test_numbers_that_json_does_not_have_are_refused() -> None:
    with pytest.raises(InvalidInputError):
        json_body({"value": float("nan")})


def test_reading_names_what_was_asked_and_lets_our_errors_through() -> None:
    with pytest.raises(UnexpectedAnswerError, match="GET job"), reading("GET job"):
        {}["id"]
    with pytest.raises(ConfigError), reading("GET job"):
        raise ConfigError("x")
    assert issubclass(ConfigError, QrmiError)
