"""URLs, bodies and answers."""

from __future__ import annotations

import json
from urllib.parse import unquote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import ConfigError, InvalidInputError, QrmiError, UnexpectedAnswerError
from qrmi.transport import (
    Client,
    HttpConfig,
    Request,
    Response,
    Timeout,
    answer_field,
    join,
    json_body,
    polled,
    reading,
)
from qrmi.transport.messages import Headers
from qrmi.transport.urls import origin_of


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


class _Answers:
    """A transport that gives one body after the other."""

    def __init__(self, *bodies: bytes) -> None:
        self._bodies = list(bodies)

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        return Response(200, {}, self._bodies.pop(0))


def _read_in_turn(request: Request, *bodies: bytes) -> list[object]:
    client = Client(_Answers(*bodies), HttpConfig())
    return [client.json(request) for _ in bodies]


@polled
def _look(number: int) -> Request:
    return Request("GET", f"https://host/{number}")


def test_a_polled_answer_that_stays_the_same_is_read_once() -> None:
    """Only the last one is known, and only of this request."""
    queued, running = b'{"status": "queued"}', b'{"status": "running"}'
    one, two, three, four = _read_in_turn(_look(1), queued, queued, running, queued)
    assert one is two
    assert (one, three, four) == ({"status": "queued"}, {"status": "running"}, one)
    assert four is not one
    (other,) = _read_in_turn(_look(2), running)
    assert other == three
    assert other is not three


@pytest.mark.parametrize("request_", [Request("GET", "https://host/1"), _look(3)])
def test_other_answers_are_read_each_time(request_: Request) -> None:
    """Those of requests that are not polled, and long ones, which would be kept in vain."""
    long = json.dumps({"result": "0" * 5000}).encode()
    short = long if request_.known else b'{"result": "0"}'
    one, two = _read_in_turn(request_, short, short)
    assert one == two
    assert one is not two


def test_an_empty_polled_answer_is_no_json() -> None:
    with pytest.raises(UnexpectedAnswerError):
        _read_in_turn(_look(4), b"")
    assert _read_in_turn(_look(4), b"null", b"null") == [None, None]


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
