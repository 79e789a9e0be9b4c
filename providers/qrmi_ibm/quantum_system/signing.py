"""Signatures, version 4, in the forms that botocore gives to them.

A start needs four signatures. Of what is signed only the moment, the object and the body differ
from one to the next of a day: botocore signs the first, and what it made of that one is the form
that the others are filled into. The key, which is the day's, is made as version 4 prescribes.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import hmac
import time
from collections.abc import Mapping
from datetime import datetime

import attrs

from qrmi.errors import MissingExtraError
from qrmi.secrecy.scrubbing import Hidden, encodings, watch
from qrmi.settings import Secret

try:
    from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import ReadOnlyCredentials
except ImportError as error:
    raise MissingExtraError(
        "ibm-quantum-system signs its storage requests with botocore, which is not installed",
        hint="pip install 'openqrmi[ibm]'",
    ) from error

__all__ = ["HeaderSigner", "QuerySigner"]

_SERVICE = "s3"
_DAY_CHARACTERS = 8
_MIDNIGHT = "T000000Z"
_NO_BODY = hashlib.sha256(b"").hexdigest()
_NO_SIGNATURE = "-" * 64


class _Latest:
    """The signatures that were made last; no message shows them."""

    def __init__(self) -> None:
        self._forms: collections.deque[str] = collections.deque(maxlen=128)  # of 32 signatures
        watch(self)

    def add(self, signature: str) -> None:
        """Keep one out of messages until many more have been made."""
        self._forms.extend({*encodings(signature)})

    def forms(self) -> tuple[str, ...]:
        """The texts that give them away."""
        return tuple(self._forms.copy())  # other threads sign meanwhile


_latest = _Latest()


@attrs.frozen
class _Form:
    """A request without a body, signed for the midnight with which a day begins.

    Attributes:
        canonical: what is signed, after method and path.
        text: what its hash is signed with, before the hash.
        query: what the URL ends with.
        headers: what is sent, but for the host.
    """

    canonical: str
    text: str
    query: str
    headers: tuple[tuple[str, str], ...]


@attrs.frozen
class _Day:
    """What is the same all day."""

    midnight: str
    key: bytes
    forms: dict[tuple[str, str], _Form]  # by method and query, of which there are few


class _Signer:
    """Fills forms; ``auth`` makes them, for requests to one host."""

    def __init__(self, auth: SigV4Auth) -> None:
        self._auth = auth
        self._last = _Day("", b"", {})

    def _signed(
        self, method: str, url: str, headers: Mapping[str, str], moment: str, body_hash: str
    ) -> tuple[_Form, str, str]:
        """The request's form, the midnight in it, and the signature."""
        day = self._day(moment[:_DAY_CHARACTERS])
        place, _, query = url.partition("?")
        form = day.forms.get((method, query))
        if form is None:
            form = day.forms[method, query] = self._form(method, url, headers, day.midnight)
        rest = form.canonical.replace(day.midnight, moment).replace(_NO_BODY, body_hash)
        canonical = f"{method}\n{place[place.find('/', 8) :]}\n{rest}".encode()
        text = form.text.replace(day.midnight, moment) + hashlib.sha256(canonical).hexdigest()
        signature = hmac.digest(day.key, text.encode(), "sha256").hex()
        _latest.add(signature)
        return form, day.midnight, signature

    def _day(self, day: str) -> _Day:
        midnight, last = day + _MIDNIGHT, self._last
        if last.midnight != midnight:
            last = self._last = _Day(midnight, self._key(day), {})
        return last

    def _key(self, day: str) -> bytes:
        key = f"AWS4{self._auth.credentials.secret_key}".encode()
        for part in (day, self._auth._region_name, _SERVICE, "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key

    def _form(self, method: str, url: str, headers: Mapping[str, str], midnight: str) -> _Form:
        """As botocore would sign it, but for its debug log, which would show what is signed."""
        auth, request = self._auth, AWSRequest(method, url, headers=headers)
        request.context["timestamp"] = midnight
        auth._modify_request_before_signing(request)
        canonical = auth.canonical_request(request)
        text = auth.string_to_sign(request, canonical)
        auth._inject_signature_to_request(request, _NO_SIGNATURE)
        return _Form(
            canonical=canonical.split("\n", 2)[2],
            text=text[: text.rindex("\n") + 1],
            query=request.url.partition("?")[2],
            headers=tuple((k.lower(), v) for k, v in request.headers.items() if k != "host"),
        )


class HeaderSigner(_Signer):
    """Signs requests to one host in their headers."""

    def __init__(self, access_key_id: Secret, secret_access_key: Secret, region: str) -> None:
        super().__init__(S3SigV4Auth(_who(access_key_id, secret_access_key), _SERVICE, region))

    def headers(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> tuple[tuple[str, str], ...]:
        """What such a request is sent with from now on, but for the host.

        Args:
            method: the request's.
            url: of an object, percent-encoded; with the operation as its query.
            headers: the host, in lower case, and others; the same for each request of a method.
            body: the request's.
        """
        moment, body_hash = _moment(int(time.time())), _NO_BODY
        if body:
            body_hash = hashlib.sha256(body).hexdigest()
        form, midnight, signature = self._signed(method, url, headers, moment, body_hash)
        gaps = ((midnight, moment), (_NO_BODY, body_hash), (_NO_SIGNATURE, signature))
        return tuple((name, Hidden(_filled(value, gaps))) for name, value in form.headers)


class QuerySigner(_Signer):
    """Presigns URLs that have the same host and are good for the same time, in seconds."""

    def __init__(
        self, access_key_id: Secret, secret_access_key: Secret, region: str, seconds: int
    ) -> None:
        who = _who(access_key_id, secret_access_key)
        super().__init__(S3SigV4QueryAuth(who, _SERVICE, region, expires=seconds))

    def url(self, method: str, url: str, host: str, at: datetime | None) -> str:
        """The URL with its signature, good from a moment on; ``None`` for now."""
        seconds = time.time() if at is None else at.timestamp()
        moment = _moment(int(seconds))
        form, midnight, signature = self._signed(method, url, {"host": host}, moment, _NO_BODY)
        query = _filled(form.query, ((midnight, moment), (_NO_SIGNATURE, signature)))
        return Hidden(f"{url.partition('?')[0]}?{query}")


def _filled(text: str, gaps: tuple[tuple[str, str], ...]) -> str:
    for gap, filling in gaps:
        text = text.replace(gap, filling)
    return text


def _who(access_key_id: Secret, secret_access_key: Secret) -> ReadOnlyCredentials:
    return ReadOnlyCredentials(access_key_id.reveal(), secret_access_key.reveal(), None)


@functools.lru_cache(maxsize=4)
def _moment(seconds: int) -> str:
    """As signatures have it: ``20261122T125344Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
