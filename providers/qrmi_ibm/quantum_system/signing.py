"""Signatures, version 4, as botocore makes them; what many requests share is worked out once.

A start needs four signatures, and most of what goes into them is the same for all requests of a
second, a day or a signer.
"""

from __future__ import annotations

import collections
import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime

from qrmi.errors import MissingExtraError
from qrmi.settings import Secret

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

__all__ = ["HeaderSigner", "QuerySigner"]

_SERVICE = "s3"
_MOMENT = "%Y%m%dT%H%M%SZ"
_latest: collections.deque[Secret] = collections.deque(maxlen=32)  # no message shows them


class _Signer(SigV4Auth):  # type: ignore[misc]
    """Signs without botocore's debug log, which would show what a presigned URL is made of."""

    def __init__(
        self, access_key_id: Secret, secret_access_key: Secret, region: str, **more: object
    ) -> None:
        who = ReadOnlyCredentials(access_key_id.reveal(), secret_access_key.reveal(), None)
        super().__init__(who, _SERVICE, region, **more)
        self._day_key = ("", b"")

    def signed(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: bytes | None = None,
        at: datetime | None = None,
    ) -> AWSRequest:
        """A request that is good from a moment on; ``None`` for now."""
        moment = at.astimezone(UTC).timetuple() if at else time.gmtime()
        request = AWSRequest(method, url, data=body, headers=headers)
        request.context["timestamp"] = time.strftime(_MOMENT, moment)
        self._modify_request_before_signing(request)
        text = self.string_to_sign(request, self.canonical_request(request))
        self._inject_signature_to_request(request, self.signature(text, request))
        return request

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        """Those that are signed; they do not change while a request is being signed."""
        known = request.context.get("headers_to_sign")
        if known is None:
            known = super().headers_to_sign(request)
            request.context["headers_to_sign"] = known
        return known

    def signature(self, string_to_sign: str, request: AWSRequest) -> str:
        """The signature; its key is that of the day."""
        day = request.context["timestamp"][:8]
        known, key = self._day_key
        if known != day:
            key = f"AWS4{self.credentials.secret_key}".encode()
            for part in (day, self._region_name, self._service_name, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_key = day, key
        made = Secret(hmac.digest(key, string_to_sign.encode(), "sha256").hex())
        _latest.append(made)
        return made.reveal()


class HeaderSigner(_Signer, S3SigV4Auth):  # type: ignore[misc]
    """Signs a request in its headers."""


class QuerySigner(_Signer, S3SigV4QueryAuth):  # type: ignore[misc]
    """Presigns URLs that have the same host and lifetime; ``host`` is their only header.

    What is added to a URL differs neither from one object to the next nor within a second.
    """

    def __init__(self, access_key_id: Secret, secret: Secret, region: str, seconds: int) -> None:
        super().__init__(access_key_id, secret, region, expires=seconds)
        self._queries: dict[str, tuple[str, str, str]] = {}  # by operation, of which there are few
        self._headers: HTTPHeaders | None = None

    def _modify_request_before_signing(self, request: AWSRequest) -> None:
        place, _, operation = request.url.partition("?")
        now = request.context["timestamp"]
        moment, query, canonical = self._queries.get(operation, ("", "", ""))
        if moment != now:
            super()._modify_request_before_signing(request)
            query = request.url.partition("?")[2]
            canonical = super().canonical_query_string(request)
            self._queries[operation] = now, query, canonical
        request.url = f"{place}?{query}"
        request.context["canonical_query"] = canonical

    def canonical_query_string(self, request: AWSRequest) -> str:
        """The query in the order in which it is signed."""
        return str(request.context["canonical_query"])

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        """Always the same."""
        if self._headers is None:
            self._headers = super().headers_to_sign(request)
        return self._headers
