"""The S3-compatible storage between this side and an IBM Quantum System.

Objects are addressed by path (``{endpoint}/{bucket}/{name}``) and signed with Signature Version 4.
botocore makes the signatures; the requests travel like all others of the driver.
"""

from __future__ import annotations

import functools
from datetime import datetime
from urllib.parse import urlsplit

import attrs

from qrmi.errors import ResourceNotFoundError, TaskNotFoundError
from qrmi.settings import Secret
from qrmi.transport import Request, join
from qrmi_ibm.quantum_system.signing import HeaderSigner, QuerySigner

__all__ = ["LONGEST_SECONDS", "Storage"]

LONGEST_SECONDS = 604_800
"""The longest lifetime of a presigned URL (Signature Version 4)."""

_OPERATIONS = {
    "GET": "?x-id=GetObject",
    "PUT": "?x-id=PutObject",
    "HEAD": "?x-id=HeadObject",
}
_SENT = {"content-type": "application/octet-stream"}
_MOST_LIFETIMES = 8
_DEFAULT_PORTS = {"http": 80, "https": 443}


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
    _signer: HeaderSigner = attrs.field(init=False, repr=False, eq=False)
    _presigners: dict[int, QuerySigner] = attrs.field(
        init=False, repr=False, eq=False, factory=dict
    )

    @_signer.default
    def _own_signer(self) -> HeaderSigner:
        return HeaderSigner(self.access_key_id, self.secret_access_key, self.region)

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
        signer = self._presigners.get(lifetime_seconds) or self._presigner(lifetime_seconds)
        url = self._url(self.public_endpoint, method, name)
        return signer.url(method, url, _host(self.public_endpoint), at)

    def _presigner(self, lifetime_seconds: int) -> QuerySigner:
        if len(self._presigners) >= _MOST_LIFETIMES:
            self._presigners.clear()
        made = QuerySigner(
            self.access_key_id, self.secret_access_key, self.region, lifetime_seconds
        )
        return self._presigners.setdefault(lifetime_seconds, made)

    def _signed(self, method: str, name: str, task_id: str, body: bytes | None = None) -> Request:
        headers = {"host": _host(self.endpoint)}
        if body is not None:
            headers |= _SENT
        url = self._url(self.endpoint, method, name)
        return Request(
            method,
            url,
            headers=self._signer.headers(method, url, headers, body),
            body=body,
            idempotent=True,
            missing=TaskNotFoundError if task_id else ResourceNotFoundError,
            task_id=task_id or None,
            authorized=False,
            large=method == "GET",
        )

    def _url(self, endpoint: str, method: str, name: str) -> str:
        return join(endpoint, self.bucket, name) + _OPERATIONS.get(method, "")
