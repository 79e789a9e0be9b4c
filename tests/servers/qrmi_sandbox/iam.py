"""IBM Cloud's identity service, as part of a server that speaks an IBM API."""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections import Counter
from urllib.parse import parse_qsl

from qrmi_sandbox.server import Call, Refusal, Reply, route

__all__ = ["API_KEY", "IamMixin"]

API_KEY = "sandbox-api-key"
_GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"
_FORM = "application/x-www-form-urlencoded"


class IamMixin:
    """Adds ``POST /identity/token`` and the check of bearer tokens.

    A server that mixes it in is its own identity service: its URL is the IAM endpoint.

    Attributes:
        token_seconds: what new tokens say of their lifetime (``expires_in``) and how long they
            are good for.
        tokens_given: how many tokens were handed out, by API key.
    """

    token_seconds: float = 3600.0
    _good_until: dict[str, float] | None = None
    _tokens_given: Counter[str] | None = None

    @property
    def tokens_given(self) -> Counter[str]:
        """How many tokens were handed out, by API key."""
        if self._tokens_given is None:
            self._tokens_given = Counter()
        return self._tokens_given

    @property
    def _tokens(self) -> dict[str, float]:
        if self._good_until is None:
            self._good_until = {}
        return self._good_until

    def expire_tokens(self) -> None:
        """Make every token that was handed out worthless, whatever its lifetime said."""
        self._tokens.clear()

    @route("POST", "/identity/token")
    def identity_token(self, call: Call) -> Reply:
        """Exchange the API key for a token."""
        if call.headers.get("content-type", "").split(";")[0] != _FORM:
            raise _refused(415, "BXNIM0137E", "the content type is not that of a form")
        form = dict(parse_qsl(call.body.decode(), keep_blank_values=True))
        asked = set(form) - {"response_type"}  # IBM's own SDK sends response_type=cloud_iam
        if asked != {"grant_type", "apikey"} or form["grant_type"] != _GRANT_TYPE:
            raise _refused(400, "BXNIM0109E", "grant_type and apikey are needed, nothing else")
        if form["apikey"] != API_KEY:
            raise _refused(400, "BXNIM0415E", "Provided API key could not be found.")
        token = _new_token(self.token_seconds)
        self._tokens[token] = time.monotonic() + self.token_seconds
        self.tokens_given[form["apikey"]] += 1
        return Reply(
            {
                "access_token": token,
                "refresh_token": "not_supported",
                "ims_user_id": 1,
                "token_type": "Bearer",
                "expires_in": int(self.token_seconds),  # the Rust client takes whole numbers only
                "expiration": int(time.time() + self.token_seconds),
                "scope": "ibm openid",
            }
        )

    def has_good_token(self, call: Call) -> bool:
        """Whether a call's ``authorization`` is a token that is still good."""
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        return scheme == "Bearer" and self._tokens.get(token, 0.0) > time.monotonic()


def _new_token(seconds: float) -> str:
    """A JWT with a made-up signature; IBM's own SDK reads when it was issued and when it ends."""
    now = int(time.time())
    claims = {"jti": secrets.token_hex(8), "iat": now, "exp": now + int(seconds)}
    parts = (json.dumps({"alg": "RS256"}).encode(), json.dumps(claims).encode(), b"sandbox")
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def _refused(status: int, code: str, details: str) -> Refusal:
    return Refusal(
        status,
        {
            "errorCode": code,
            "errorMessage": "the token could not be made",
            "errorDetails": details,
            "context": {"requestId": secrets.token_hex(4), "requestType": "incoming.ApiKey_Token"},
        },
    )
