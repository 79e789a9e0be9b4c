"""Signatures are botocore's, whichever was made before them."""

from __future__ import annotations

import base64
import datetime as clock
import string
from unittest import mock

import attrs
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from hypothesis import given
from hypothesis import strategies as st

from qrmi.secrecy.scrubbing import scrub
from qrmi.settings import Secret
from qrmi_ibm.quantum_system.storage import Storage

_KEYS = st.text(string.ascii_letters + string.digits + "+/=%", min_size=8, max_size=40)
_DAYS = st.datetimes(clock.datetime(2024, 2, 27), clock.datetime(2024, 3, 2))
_OPERATIONS = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject"}


@attrs.frozen
class _Case:
    """One request: when, how, for what, with which body."""

    at: clock.datetime
    method: str
    name: str
    body: bytes


def _case(methods: list[str]) -> st.SearchStrategy[_Case]:
    names = st.text(min_size=1, max_size=20).filter(_is_name)
    return st.builds(_Case, _DAYS, st.sampled_from(methods), names, st.binary(max_size=50))


def _is_name(text: str) -> bool:
    return text not in (".", "..") and text == text.encode("utf-8", "ignore").decode()


def _storage(key: str, secret: str, region: str) -> Storage:
    return Storage(
        endpoint="http://inside:9000/base",
        public_endpoint="https://s3.example.com",
        bucket="my-bucket",
        region=region,
        access_key_id=Secret(key),
        secret_access_key=Secret(secret),
    )


def _at(moment: clock.datetime) -> mock._patch[object]:
    return mock.patch("botocore.auth.get_current_datetime", return_value=moment)


@given(
    key=_KEYS,
    secret=_KEYS,
    region=st.sampled_from(["us-east", "eu-de"]),
    cases=st.lists(_case(["GET", "PUT"]), max_size=6),
)
def test_presigned_urls_are_botocore_s(
    key: str, secret: str, region: str, cases: list[_Case]
) -> None:
    """To the byte, on the same day and on others, in any order."""
    storage = _storage(key, secret, region)
    for case in cases:
        ours = storage.presigned(case.method, case.name, 600, case.at.replace(tzinfo=clock.UTC))
        place, _, query = ours.partition("?")
        operation = query.partition("&")[0]
        assert operation == f"x-id={_OPERATIONS[case.method]}"
        auth = S3SigV4QueryAuth(ReadOnlyCredentials(key, secret, None), "s3", region, expires=600)
        theirs = AWSRequest(case.method, f"{place}?{operation}", headers={"host": "s3.example.com"})
        with _at(case.at):
            auth.add_auth(theirs)
        assert str.__str__(ours) == theirs.url
        signature = query.rpartition("=")[2]
        assert signature not in scrub(f"it said {signature}")
        for before in ("", "a", "ab"):
            quoted = base64.b64encode(f"{before}{signature} it said".encode()).decode()
            shown = scrub(quoted)
            assert "***" in shown
            assert len(shown) < 30


@given(key=_KEYS, secret=_KEYS, cases=st.lists(_case(["GET", "PUT", "HEAD", "DELETE"]), max_size=6))
def test_signed_headers_are_botocore_s(key: str, secret: str, cases: list[_Case]) -> None:
    """To the byte, whatever the body, on the same day and on others, in any order."""
    storage = _storage(key, secret, "us-east")
    for case in cases:
        seconds = case.at.replace(tzinfo=clock.UTC).timestamp()
        with mock.patch("qrmi_ibm.quantum_system.signing.time.time", return_value=seconds):
            ours = {
                "GET": lambda case=case: storage.get(case.name, "task"),
                "PUT": lambda case=case: storage.put(case.name, case.body),
                "HEAD": lambda case=case: storage.look(case.name, "task"),
                "DELETE": lambda case=case: storage.remove(case.name),
            }[case.method]()
        headers = {"host": "inside:9000"}
        if case.method == "PUT":
            headers["content-type"] = "application/octet-stream"
        theirs = AWSRequest(case.method, ours.url, headers=headers, data=ours.body)
        with _at(case.at):
            S3SigV4Auth(ReadOnlyCredentials(key, secret, None), "s3", "us-east").add_auth(theirs)
        wanted = {name.lower(): value for name, value in theirs.headers.items() if name != "host"}
        assert {name: str.__str__(value) for name, value in ours.headers} == wanted
        assert {repr(value) for _, value in ours.headers} == {"***"}
