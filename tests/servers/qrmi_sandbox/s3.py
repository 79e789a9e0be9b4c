"""S3-compatible storage that checks every signature, as part of a server.

Written from the description of Signature Version 4, without the library that our driver signs
with.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from qrmi_sandbox.server import Call, Refusal, Reply, route

__all__ = [
    "ACCESS_KEY_ID",
    "BUCKET",
    "REGION",
    "SECRET_ACCESS_KEY",
    "S3Mixin",
    "canonical_request",
    "signature",
]

ACCESS_KEY_ID = "SANDBOXACCESSKEY"
SECRET_ACCESS_KEY = "sandbox/secret+access/key"
BUCKET = "sandbox-bucket"
REGION = "us-east"

_ALGORITHM = "AWS4-HMAC-SHA256"
_TIME = "%Y%m%dT%H%M%SZ"
_LONGEST_SECONDS = 604_800
_SKEW_SECONDS = 900
_PRESIGNED = frozenset(
    {
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
    }
)
_OPERATIONS = {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject"}


class S3Mixin:
    """Adds one bucket, addressed by path.

    Attributes:
        storage_hosts: the hosts that presigned URLs may name; by default the server's own.
        clock: seconds since 1970, for the age of signatures.
    """

    url: str
    lock: Any
    storage_hosts: frozenset[str] = frozenset()
    clock: Callable[[], float] = staticmethod(time.time)
    _objects: dict[str, bytes] | None = None

    @property
    def objects(self) -> dict[str, bytes]:
        """What is stored, by name."""
        if self._objects is None:
            self._objects = {}
        return self._objects

    # --- as its clients see it ------------------------------------------------------------------

    @route("PUT", f"/{BUCKET}/{{name}}")
    def put_object(self, call: Call) -> Reply:
        """Store an object."""
        self._check(call)
        with self.lock:
            self.objects[call.path["name"]] = call.body
        return Reply(headers={"etag": f'"{hashlib.md5(call.body).hexdigest()}"'})

    @route("HEAD", f"/{BUCKET}/{{name}}")
    @route("GET", f"/{BUCKET}/{{name}}")
    def get_object(self, call: Call) -> Reply:
        """Read an object."""
        self._check(call)
        body = self.objects.get(call.path["name"])
        if body is None:
            raise _refused(404, "NoSuchKey", "The specified key does not exist.")
        return Reply(body, content_type="application/octet-stream")

    @route("DELETE", f"/{BUCKET}/{{name}}")
    def delete_object(self, call: Call) -> Reply:
        """Remove an object; that it was not there is no error."""
        self._check(call)
        with self.lock:
            self.objects.pop(call.path["name"], None)
        return Reply(status=204)

    @route("GET", "/{bucket}/{name}")
    @route("PUT", "/{bucket}/{name}")
    @route("HEAD", "/{bucket}/{name}")
    @route("DELETE", "/{bucket}/{name}")
    def other_bucket(self, call: Call) -> Reply:
        """There is but one bucket."""
        raise _refused(404, "NoSuchBucket", "The specified bucket does not exist")

    # --- as the service uses it, through presigned URLs -----------------------------------------

    def read_presigned(self, url: str) -> bytes:
        """What GET of a presigned URL gives; raises `Refusal` as the storage would."""
        name = self.check_presigned("GET", url)
        if name not in self.objects:
            raise _refused(404, "NoSuchKey", "The specified key does not exist.")
        return self.objects[name]

    def write_presigned(self, url: str, body: bytes) -> None:
        """PUT to a presigned URL; raises `Refusal` as the storage would."""
        name = self.check_presigned("PUT", url)
        with self.lock:
            self.objects[name] = body

    def check_presigned(self, method: str, url: str) -> str:
        """The object that a presigned URL is for; raises `Refusal` when it is not good for it."""
        parts = urlsplit(url)
        own = {urlsplit(self.url).netloc}
        if parts.netloc not in (self.storage_hosts or own):
            raise _refused(403, "AccessDenied", "the URL names another host")
        self._check_query(method, parts.path, parts.query, {"host": parts.netloc})
        bucket, _, name = unquote(parts.path).removeprefix("/").partition("/")
        if bucket != BUCKET:
            raise _refused(404, "NoSuchBucket", "The specified bucket does not exist")
        return name

    # --- signatures -----------------------------------------------------------------------------

    def _check(self, call: Call) -> None:
        query = urlsplit(call.target).query
        if "X-Amz-Signature" in call.query:
            self._check_query(call.method, call.raw_path, query, call.headers)
            return
        _check_operation(call.method, call.query)
        scheme, _, rest = call.headers.get("authorization", "").partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        if scheme != _ALGORITHM or fields.keys() != {"Credential", "SignedHeaders", "Signature"}:
            raise _refused(403, "AccessDenied", "the request is not signed")
        digest = call.headers.get("x-amz-content-sha256", "")
        if digest != hashlib.sha256(call.body).hexdigest():
            raise _refused(400, "XAmzContentSHA256Mismatch", "the body is not what was signed")
        stamp = call.headers.get("x-amz-date", "")
        if abs(self.clock() - _moment(stamp)) > _SKEW_SECONDS:
            raise _refused(403, "RequestTimeTooSkewed", "The difference between clocks is too big.")
        signed = fields["SignedHeaders"].split(";")
        if not {"host", "x-amz-content-sha256", "x-amz-date"} <= set(signed):
            raise _refused(403, "AccessDenied", "a header that must be signed is not")
        text = canonical_request(call.method, call.raw_path, query, call.headers, signed, digest)
        _check_signature(text, stamp, fields["Credential"], fields["Signature"])

    def _check_query(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> None:
        values = dict(parse_qsl(query, keep_blank_values=True))
        if values.keys() != _PRESIGNED | {"x-id"} or values["X-Amz-Algorithm"] != _ALGORITHM:
            raise _refused(400, "AuthorizationQueryParametersError", "not a presigned URL")
        _check_operation(method, values)
        lifetime = values["X-Amz-Expires"]
        if not lifetime.isdecimal() or not 0 < int(lifetime) <= _LONGEST_SECONDS:
            raise _refused(400, "AuthorizationQueryParametersError", "X-Amz-Expires")
        if self.clock() > _moment(values["X-Amz-Date"]) + int(lifetime):
            raise _refused(403, "AccessDenied", "Request has expired")
        given = values.pop("X-Amz-Signature")
        rest = "&".join(p for p in query.split("&") if not p.startswith("X-Amz-Signature="))
        signed = values["X-Amz-SignedHeaders"].split(";")
        text = canonical_request(method, path, rest, headers, signed, "UNSIGNED-PAYLOAD")
        _check_signature(text, values["X-Amz-Date"], values["X-Amz-Credential"], given)


def canonical_request(
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    signed: list[str],
    payload_hash: str,
) -> str:
    """The text whose hash is signed.

    Args:
        method: in upper case.
        path: as it was sent, percent-encoded once.
        query: as it was sent, without a signature.
        headers: names in lower case.
        signed: names of the signed headers, sorted.
        payload_hash: of the body, hexadecimal, or ``UNSIGNED-PAYLOAD``.
    """
    pairs = sorted(
        (quote(key, safe="-_.~"), quote(value, safe="-_.~"))
        for key, value in parse_qsl(query, keep_blank_values=True)
    )
    lines = [f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed]
    return "\n".join(
        (
            method,
            path,
            "&".join(f"{key}={value}" for key, value in pairs),
            *lines,
            "",
            ";".join(signed),
            payload_hash,
        )
    )


def signature(secret: str, stamp: str, region: str, canonical: str) -> str:
    """The signature of a canonical request, hexadecimal.

    Args:
        secret: the secret access key.
        stamp: the moment of signing, ``yyyymmddThhmmssZ``.
        region: of the storage.
        canonical: see `canonical_request`.
    """
    key = f"AWS4{secret}".encode()
    scope = (stamp[:8], region, "s3", "aws4_request")
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join((_ALGORITHM, stamp, "/".join(scope), digest))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _check_operation(method: str, query: Mapping[str, str]) -> None:
    if query.get("x-id", _OPERATIONS.get(method)) != _OPERATIONS.get(method):
        raise _refused(400, "InvalidArgument", "x-id names another operation")


def _check_signature(canonical: str, stamp: str, credential: str, given: str) -> None:
    if credential.partition("/")[0] != ACCESS_KEY_ID:
        raise _refused(403, "InvalidAccessKeyId", "The access key does not exist in our records.")
    wanted = f"{ACCESS_KEY_ID}/{stamp[:8]}/{REGION}/s3/aws4_request"
    right = signature(SECRET_ACCESS_KEY, stamp, REGION, canonical)
    if credential != wanted or not hmac.compare_digest(right, given):
        raise _refused(403, "SignatureDoesNotMatch", "The signatures do not match.")


def _moment(stamp: str) -> float:
    try:
        return datetime.strptime(stamp, _TIME).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise _refused(403, "AccessDenied", "the date is malformed") from None


def _refused(status: int, code: str, message: str) -> Refusal:
    body = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message>"
        "<Resource>/</Resource><RequestId>4442587FB7D0A2F9</RequestId></Error>"
    )
    refusal = Refusal(status)
    refusal.reply = Reply(body, status, "application/xml")
    return refusal
