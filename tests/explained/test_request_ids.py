"""Ids for support: taken from where each vendor puts them, checked, kept to the end."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from planting import Planting
from plants import IQM, OQTOPUS

from qrmi.cli.main import main
from qrmi.errors import QrmiError, ResourceUnavailableError, UnexpectedAnswerError
from qrmi.transport import Request, Response, checked_ids, request_ids
from qrmi.transport.outcomes import Problem, error_of

_HEADERS = {
    "x-request-id": "a1",
    "x-amz-request-id": "TX7",
    "x-amz-id-2": "Zm9v+/bar=",
    "cf-ray": "9ed26368c834167e-FRA",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}


@pytest.mark.parametrize("name", sorted(_HEADERS))
def test_headers_that_name_a_request(name: str) -> None:
    """Gateways, storage and proxies each have a header of their own."""
    response = Response(500, {name: _HEADERS[name]}, b"")
    assert request_ids(response) == (_HEADERS[name],)


def test_an_id_in_the_body_comes_first_and_once() -> None:
    """The service's own id is worth more than its gateway's; the same id is not told twice."""
    headers = {"x-request-id": "abc", "cf-ray": "ray"}
    response = Response(503, headers, b"{}")
    error = error_of(
        Request("GET", "http://x/y"),
        response,
        lambda _: Problem(request_id="trace"),
        resource_id="r",
    )
    assert error.request_ids == ("trace", "abc", "ray")
    assert error.resource_id == "r"
    assert request_ids(response, "abc") == ("abc", "ray")


@given(st.lists(st.text() | st.integers() | st.none(), max_size=9))
def test_ids_are_short_printable_words(texts: list[object]) -> None:
    """Whatever a service sends, what is quoted fits on a line and can do a terminal no harm."""
    found = checked_ids(*texts)
    assert len(found) <= 4
    assert all(i.isascii() and i.isprintable() and " " not in i and len(i) <= 100 for i in found)


def test_junk_has_ids_too(planting: Planting) -> None:
    """An answer that is no JSON is reported by the id that its gateway gave."""
    planting.fault(OQTOPUS, kind="not_json")
    with pytest.raises(UnexpectedAnswerError) as caught:
        planting.resource(OQTOPUS).status()
    assert set(caught.value.request_ids) & set(planting.given)


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_both_transports_tell_them(transport: str, planting: Planting) -> None:
    """What carries a request makes no difference."""
    planting.fault(OQTOPUS, kind="status", status=503)
    with pytest.raises(ResourceUnavailableError) as caught:
        planting.resource(OQTOPUS, hasty=True, QRMI_HTTP_TRANSPORT=transport).status()
    assert set(caught.value.request_ids) & set(planting.given)


@pytest.mark.parametrize("transport", ["curl", "requests"])
def test_a_lost_answer_has_the_ids_of_earlier_ones(transport: str, planting: Planting) -> None:
    """A 503 with an id, then silence: the id is all that there is to quote."""
    planting.fault(OQTOPUS, kind="status", status=503, times=1)
    planting.fault(OQTOPUS, kind="reset_before")
    with pytest.raises(ResourceUnavailableError) as caught:
        planting.resource(OQTOPUS, hasty=True, QRMI_HTTP_TRANSPORT=transport).status()
    assert set(caught.value.request_ids) & set(planting.given)


def test_ids_survive_pickling() -> None:
    """An error of a worker process says as much as one of this process."""
    error = QrmiError("no", request_ids=("a", "b"), key="night-run")
    again = pickle.loads(pickle.dumps(error))
    assert (again.request_ids, again.key) == (("a", "b"), "night-run")


def test_commands_show_them(planting: Planting, capsys: pytest.CaptureFixture[str]) -> None:
    """What to quote to the support is below the error, and in its JSON."""
    body = {"error_code": "broken", "message": "m", "request_id": "req-4711"}
    planting.fault(IQM, kind="status", status=400, body=body, match="GET /api/v1/jobs")
    path = planting.file("qrmi_config.json", {"resources": [planting.settings(IQM)]})
    path.chmod(0o600)
    planting.environment.setenv("QRMI_CONFIG", str(path))
    assert main(["status", "some-id", "--resource", "garnet"]) == 2
    assert "quote to support: req-4711" in capsys.readouterr().err
    assert main(["status", "some-id", "--resource", "garnet", "--json"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["request_ids"], error["resource"]) == (["req-4711"], "garnet")


def test_many_requests_at_once_have_them_too(planting: Planting) -> None:
    """Among many requests libcurl's answers bring few headers; errors still have their ids."""
    resource = planting.resource(OQTOPUS, QRMI_HTTP_TRANSPORT="curl")
    planting.fault(OQTOPUS, kind="status", status=404)

    def ask(_number: int) -> QrmiError:
        with pytest.raises(QrmiError) as caught:
            resource.status()
        return caught.value

    with ThreadPoolExecutor(12) as pool:
        errors = list(pool.map(ask, range(60)))
    assert all(set(error.request_ids) & set(planting.given) for error in errors)
