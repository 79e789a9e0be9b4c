"""Pure functions: what is asked, and what is made of any answer."""

from __future__ import annotations

import contextlib
import json
import pickle
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.errors import QrmiError, TaskNotFoundError, TaskNotReadyError
from qrmi.settings import Secret
from qrmi.tasks import ResourceCapacity, TaskStatus
from qrmi.transport import Request, Response
from qrmi_ibm.iam import read_token, token_request
from qrmi_ibm.quantum_system import answers, problems, wire
from qrmi_ibm.quantum_system.storage import Storage

_KEY = Secret("the-key")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("id", "status", "backends", "backend", "name", "jobs", "lanes", "errors"),
                    *("hpc_workload_manager", "created_time", "reason_code", "code", "message"),
                    *("access_token", "expires_in", "errorDetails", "locked", "title"),
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)
_STATUSES = st.sampled_from([200, 400, 401, 403, 404, 409, 422, 429, 500])


def _response(value: Any, status: int = 200) -> Response:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return Response(status, {}, body)


def _api() -> wire.Api:
    return wire.Api("https://qs.example.com/base/", "crn:v1:x")


@given(_JSON, _JSON)
def test_any_answer_is_understood_or_refused(first: Any, second: Any) -> None:
    """Junk in, our error out, or a value: never another exception."""
    for read in (
        lambda: answers.read_status(first, None),
        lambda: answers.capacity(first, second, "x"),
        lambda: answers.read_backends(first),
        lambda: answers.read_tasks(first, "x"),
        lambda: answers.read_job(first, "id"),
        lambda: answers.target_text(_response(first), _response(second)),
        lambda: answers.read_text(_response(first)),
        lambda: read_token(_response(first)),
    ):
        with contextlib.suppress(QrmiError):
            read()


@given(st.binary(max_size=40), _STATUSES)
def test_any_bytes_are_understood_or_refused(body: bytes, status: int) -> None:
    """The same for what is no JSON at all."""
    response = _response(body, status)
    for read in (
        lambda: answers.target_text(response, response),
        lambda: answers.read_text(response),
        lambda: answers.must_be_no_page(response),
        lambda: answers.must_be_done(response),
        lambda: read_token(response),
        lambda: problems.is_about_an_ended_task(response),
    ):
        with contextlib.suppress(QrmiError):
            read()


@given(_JSON, _STATUSES)
def test_a_refused_key_is_not_quoted(body: Any, status: int) -> None:
    """Whatever the identity service says, the key is not in the error."""
    answer = _response({"errorDetails": f"the-key {body}"}, status)
    with pytest.raises(QrmiError) as refused:
        read_token(answer)
    assert "the-key" not in str(refused.value)


def test_requests_about_systems_and_tasks() -> None:
    """Paths begin with /v1, names are quoted whole, and credentials' headers are there."""
    api = _api()
    wanted = {
        api.backends(): "GET /base/v1/backends",
        api.backend("a/b c"): "GET /base/v1/backends/a%2Fb%20c",
        api.lanes("x"): "GET /base/v1/backends/x/lanes",
        api.configuration("x"): "GET /base/v1/backends/x/configuration",
        api.properties("x"): "GET /base/v1/backends/x/properties",
        api.jobs(): "GET /base/v1/jobs",
        api.job("t"): "GET /base/v1/jobs/t",
        api.cancel_job("t"): "POST /base/v1/jobs/t/cancel",
        api.delete_job("t"): "DELETE /base/v1/jobs/t",
        api.create_job({}): "POST /base/v1/jobs",
    }
    for request, name in wanted.items():
        assert isinstance(request, Request)
        assert request.name == name
        assert request.idempotent
        assert ("service-crn", "crn:v1:x") in request.headers
        assert ("accept", "application/json") in request.headers
    assert api.job("t").missing is TaskNotFoundError


def test_the_token_s_request() -> None:
    """A form, without credentials of its own; it may be repeated."""
    request = token_request("https://iam.example.com/", Secret("a+b &c"))
    assert request.url == "https://iam.example.com/identity/token"
    assert request.body == (
        b"grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=a%2Bb+%26c"
    )
    assert request.idempotent
    assert not request.authorized


def _storage(public_endpoint: str) -> Storage:
    return Storage(
        endpoint="http://inside:9000",
        public_endpoint=public_endpoint,
        bucket="my-bucket",
        region="us-east",
        access_key_id=Secret("AKIDEXAMPLE"),
        secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
    )


_AT = datetime(2026, 11, 22, 12, 53, 44, tzinfo=UTC)


@pytest.mark.parametrize("endpoint", ["http://s3.example.com", "http://S3.example.com:80"])
def test_the_signed_host_is_the_one_that_is_sent(endpoint: str) -> None:
    """Clients send it in lower case and without the usual port."""
    url = _storage(endpoint).presigned("GET", "x", 60, _AT)
    signed = url.partition("X-Amz-Signature=")[2]
    plain = _storage("http://s3.example.com").presigned("GET", "x", 60, _AT)
    assert plain.endswith(signed)
    for other in ("http://s3.example.com:81", "http://[::1]:80", "https://s3.example.com:80"):
        assert not _storage(other).presigned("GET", "x", 60, _AT).endswith(signed)


def test_the_published_presigned_url() -> None:
    """The URL has the reference vector's signature."""
    storage = _storage("http://s3.example.com")
    name = wire.input_name("84276890-8100-49fd-9851-efcc09cabac6")
    url = storage.presigned("GET", name, 3600, _AT)
    assert url.startswith(f"http://s3.example.com/my-bucket/{name}?x-id=GetObject&X-Amz-Algorithm=")
    assert url.endswith(
        "&X-Amz-Signature=ee6a83337b89c79a1d7ebb29c83a44d45771cc2085ee9988d1c4524057e081da"
    )
    request = storage.put(name, b"{}")
    assert urlsplit(request.url).netloc == "inside:9000"
    assert not request.authorized
    assert "secret" not in repr(storage).lower().replace("secret_access_key", "")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("Running", TaskStatus.RUNNING),
        ("Completed", TaskStatus.COMPLETED),
        ("Failed", TaskStatus.FAILED),
        ("Cancelled", TaskStatus.CANCELLED),
        ("Pondering", TaskStatus.RUNNING),
        ("completed", TaskStatus.RUNNING),
    ],
)
def test_words_for_statuses(word: str, status: TaskStatus) -> None:
    """An unknown word counts as running, never as an end."""
    assert answers.read_job({"status": word}, "t").status is status


def test_an_unknown_status_of_a_system_is_refused() -> None:
    """It is no task's, so it is not guessed; the error names it."""
    with pytest.raises(QrmiError, match="sleeping"):
        answers.read_status({"status": "sleeping"}, None)


def test_capacity_counts_running_tasks_of_this_system() -> None:
    """Others' lanes, other systems and ended tasks do not count; below zero is zero."""
    lanes = {"hpc_workload_manager": {"lanes": 2}, "ibm_quantum_compute": {"lanes": 9}}
    jobs = [
        {"backend": "x", "status": "Running"},
        {"backend": "x", "status": "Completed"},
        {"backend": "y", "status": "Running"},
    ]
    assert answers.capacity(lanes, {"jobs": jobs}, "x") == ResourceCapacity(1, 2)
    assert answers.capacity(lanes, {"jobs": jobs[:1] * 3}, "x") == ResourceCapacity(0, 2)
    assert answers.capacity({}, {"jobs": []}, "x") is None


def test_both_halves_of_a_target_are_verbatim() -> None:
    """Nothing is re-serialised."""
    text = answers.target_text(_response(b'{ "n_qubits":2 }'), _response(b"{ }"))
    assert text == '{"configuration":{ "n_qubits":2 },"properties":{ }}'


def test_errors_of_ours_travel() -> None:
    """Those that only this vendor has can be pickled like all others."""
    for kind in (problems.DuplicateTaskError, problems.NotEndedError):
        assert type(pickle.loads(pickle.dumps(kind("x")))) is kind
    assert issubclass(problems.NotEndedError, TaskNotReadyError)
