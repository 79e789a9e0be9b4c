"""Pasqal Cloud's two token services, as part of a server that speaks its API.

The tokens are JSON Web Tokens (RFC 7519) signed with HMAC-SHA256.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections import Counter
from typing import Any
from urllib.parse import parse_qsl

from qrmi_sandbox.server import Call, Refusal, Reply, route

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "PASSWORD", "USERNAME", "PasqalTokens"]

USERNAME = "sandbox@example.org"
PASSWORD = "sandbox-password"
CLIENT_ID = "sandbox-client"
CLIENT_SECRET = "sandbox-client-secret"

_AUDIENCE = "https://apis.pasqal.cloud/account/api/v1"
_FORM = "application/x-www-form-urlencoded"
_AUTH0_PERSON = {
    "grant_type": "http://auth0.com/oauth/grant-type/password-realm",
    "realm": "pcs-users",
    "client_id": "PeZvo7Atx7IVv3iel59asJSb4Ig7vuSB",
    "audience": _AUDIENCE,
}
_KEYCLOAK_PERSON = {
    "grant_type": "password",
    "realm": "pasqal-cloud",
    "client_id": "cloud-sdk",
    "audience": _AUDIENCE,
}
_SERVICE = {"grant_type": "client_credentials", "audience": _AUDIENCE}


class PasqalTokens:
    """Adds ``POST /oauth/token`` (Europe), Keycloak's (Saudi Arabia), and the check of tokens.

    Attributes:
        token_seconds: the lifetime of new tokens, in their ``exp`` and in ``expires_in``.
        tokens_given: how many tokens were handed out, by grant type.
    """

    def __init__(self) -> None:
        self.token_seconds = 3600.0
        self.tokens_given: Counter[str] = Counter()
        self._good_until: dict[str, float] = {}
        self._signing_key = secrets.token_bytes(32)

    def expire_tokens(self) -> None:
        """Make every token that was handed out worthless, whatever its lifetime said."""
        self._good_until.clear()

    def make_token(self, seconds: float | None) -> str:
        """A good token; ``None`` for one without end."""
        now = time.time()
        claims: dict[str, Any] = {"sub": USERNAME, "aud": _AUDIENCE, "jti": secrets.token_hex(8)}
        if seconds is not None:
            claims |= {"iat": int(now), "exp": int(now + seconds)}
        token = self._signed(claims)
        end = float("inf") if seconds is None else time.monotonic() + seconds
        self._good_until[token] = end
        return token

    def has_good_token(self, call: Call) -> bool:
        """Whether a call's ``authorization`` is a token that is still good."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self._good_until.get(token, 0.0) > time.monotonic()

    @route("POST", "/oauth/token")
    def auth0_token(self, call: Call) -> Reply:
        """A token for a person or a service account."""
        return self._token(call, _AUTH0_PERSON)

    @route("POST", "/realms/pasqal-cloud/protocol/openid-connect/token")
    def keycloak_token(self, call: Call) -> Reply:
        """A token for a person or a service account, in the other region."""
        return self._token(call, _KEYCLOAK_PERSON)

    def _token(self, call: Call, person: dict[str, str]) -> Reply:
        if call.headers.get("content-type", "").split(";")[0] != _FORM or call.query:
            raise _refused(415, "invalid_request", "the content type is not that of a form")
        pairs = parse_qsl(call.body.decode(), keep_blank_values=True)
        form = dict(pairs)
        if len(pairs) != len(form):
            raise _refused(400, "invalid_request", "a field is given twice")
        grant = form.get("grant_type", "")
        if grant == person["grant_type"]:
            _check(form, person, {"username": USERNAME, "password": PASSWORD})
        elif grant == _SERVICE["grant_type"]:
            _check(form, _SERVICE, {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET})
        else:
            raise _refused(403, "unsupported_grant_type", "this grant type is not known here")
        self.tokens_given[grant] += 1
        answer: dict[str, Any] = {
            "access_token": self.make_token(self.token_seconds),
            "token_type": "Bearer",
            "scope": "openid profile email",
        }
        if self.tokens_given.total() % 2:  # an optional field, sometimes there
            answer["expires_in"] = self.token_seconds
        return Reply(answer)

    def _signed(self, claims: dict[str, Any]) -> str:
        parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "HS256"}, claims)]
        text = ".".join(parts)
        return f"{text}.{_encoded(hmac.digest(self._signing_key, text.encode(), hashlib.sha256))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _check(form: dict[str, str], fixed: dict[str, str], own: dict[str, str]) -> None:
    if set(form) != {*fixed, *own}:
        raise _refused(400, "invalid_request", "other fields are needed, nothing else")
    for name, value in fixed.items():
        if form[name] != value:
            raise _refused(403, "access_denied", f"{name} is not known here")
    if any(form[name] != value for name, value in own.items()):
        raise _refused(403, "invalid_grant", "Wrong email or password.")


def _refused(status: int, error: str, description: str) -> Refusal:
    return Refusal(status, {"error": error, "error_description": description})
