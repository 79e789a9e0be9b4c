"""The S3-compatible storage between this side and an IBM Quantum System.

Objects are addressed by path (``{endpoint}/{bucket}/{name}``) and signed with Signature Version 4.
botocore makes the signatures; the requests travel like all others of the driver.
"""

from __future__ import annotations

import functools
import hmac
from datetime import UTC, datetime
from urllib.parse import urlsplit

import attrs

from qrmi.errors import MissingExtraError, ResourceNotFoundError, TaskNotFoundError
from qrmi.settings import Secret
from qrmi.transport import Request, join

try:
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.compat import HTTPHeaders
    from botocore.credentials import ReadOnlyCredentials
except ImportError as error:
    raise MissingExtraError(
        "ibm-quantum-system signs its storage requests with botocore, which is not installed",
        hint="pip install 'openqrmi[ibm]'",
    ) from error

__all__ = ["LONGEST_SECONDS", "Storage"]

LONGEST_SECONDS = 604_800
"""The longest lifetime of a presigned URL (Signature Version 4)."""

_SERVICE = "s3"
_OPERATIONS = {
    "GET": "?x-id=GetObject",
    "PUT": "?x-id=PutObject",
    "HEAD": "?x-id=HeadObject",
}
_SENT = {"content-type": "application/octet-stream"}
_DEFAULT_PORTS = {"http": 80, "https": 443}


class _Quietly:
    """Signs without botocore's debug log, which would show what a presigned URL is made of.

    What botocore works out twice is kept with the request, and keyed hashes are made in one call:
    a start needs four signatures.
    """

    def add_auth(self: SigV4Auth, request: AWSRequest) -> None:
        """Sign for the moment in the request's context."""
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))

    def headers_to_sign(self: SigV4Auth, request: AWSRequest) -> HTTPHeaders:
        """Those that are signed; they do not change while a request is being signed."""
        known = request.context.get("headers_to_sign")
        if known is None:
            known = SigV4Auth.headers_to_sign(self, request)
            request.context["headers_to_sign"] = known
        return known

    def _sign(self, key: bytes, msg: str, hex: bool = False) -> bytes | str:  # noqa: A002
        made = hmac.digest(key, msg.encode(), "sha256")
        return made.hex() if hex else made


class _HeaderSigner(_Quietly, S3SigV4Auth):  # type: ignore[misc]
    pass


class _QuerySigner(_Quietly, S3SigV4QueryAuth):  # type: ignore[misc]
    pass


@functools.lru_cache(maxsize=64)
def _host(endpoint: str) -> str:
    """The ``Host`` that a request to an endpoint is sent with."""
    parts = urlsplit(endpoint)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{parts.port}"


@attrs.frozen(kw_only=True)
class Storage:
    """One bucket.

    Attributes:
        endpoint: where this side reaches it.
        public_endpoint: where the service reaches it: the host in presigned URLs.
        bucket: its name.
        region: its region.
        access_key_id: who signs.
        secret_access_key: with what.
    """

    endpoint: str
    public_endpoint: str
    bucket: str
    region: str
    access_key_id: Secret = attrs.field(repr=False)
    secret_access_key: Secret = attrs.field(repr=False)

    def put(self, name: str, body: bytes) -> Request:
        """Store an object; storing it again replaces it."""
        return self._signed("PUT", name, "", body)

    def get(self, name: str, task_id: str) -> Request:
        """Read a task's object; its absence is `TaskNotFoundError`."""
        return self._signed("GET", name, task_id)

    def look(self, name: str, task_id: str) -> Request:
        """Ask whether a task's object is there; its absence is `TaskNotFoundError`."""
        return self._signed("HEAD", name, task_id)

    def remove(self, name: str) -> Request:
        """Remove an object; removing one that is not there is no error."""
        return self._signed("DELETE", name, "")

    def presigned(
        self, method: str, name: str, lifetime_seconds: int, at: datetime | None = None
    ) -> str:
        """A URL that lets whoever holds it do one thing, for a while.

        Args:
            method: ``GET`` to read the object, ``PUT`` to write it.
            name: the object's.
            lifetime_seconds: how long it is good for; at most `LONGEST_SECONDS`.
            at: the moment it is good from; ``None`` for now.
        """
        url = self._url(self.public_endpoint, method, name)
        request = AWSRequest(method, url, headers={"host": _host(self.public_endpoint)})
        signer = _QuerySigner(self._credentials(), _SERVICE, self.region, expires=lifetime_seconds)
        return self._finished(signer, request, at).url  # type: ignore[no-any-return]

    def _signed(self, method: str, name: str, task_id: str, body: bytes | None = None) -> Request:
        headers = {"host": _host(self.endpoint)}
        if body is not None:
            headers |= _SENT
        url = self._url(self.endpoint, method, name)
        request = AWSRequest(method, url, data=body, headers=headers)
        signer = _HeaderSigner(self._credentials(), _SERVICE, self.region)
        signed = self._finished(signer, request, None)
        return Request(
            method,
            url,
            headers=tuple(
                (key.lower(), value) for key, value in signed.headers.items() if key != "host"
            ),
            body=body,
            idempotent=True,
            missing=TaskNotFoundError if task_id else ResourceNotFoundError,
            task_id=task_id or None,
            authorized=False,
        )

    def _url(self, endpoint: str, method: str, name: str) -> str:
        return join(endpoint, self.bucket, name) + _OPERATIONS.get(method, "")

    def _credentials(self) -> ReadOnlyCredentials:
        return ReadOnlyCredentials(
            self.access_key_id.reveal(), self.secret_access_key.reveal(), None
        )

    @staticmethod
    def _finished(signer: SigV4Auth, request: AWSRequest, at: datetime | None) -> AWSRequest:
        request.context["timestamp"] = (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        signer.add_auth(request)
        return request
