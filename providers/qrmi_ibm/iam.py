"""Tokens of IBM Cloud's identity service (IAM), which all IBM resources use."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import urlencode

from qrmi.errors import AuthenticationFailedError, QrmiError
from qrmi.secrecy.scrubbing import hidden, scrub
from qrmi.settings import Secret
from qrmi.transport import (
    HttpDriver,
    Request,
    Response,
    Token,
    TokenAuth,
    answer_field,
    join,
    reading,
    request_ids,
)

__all__ = ["iam_auth", "read_token", "token_request"]

_FORM = (
    ("accept", "application/json"),
    ("content-type", "application/x-www-form-urlencoded"),
)
_GRANT_TYPE = "urn:ibm:params:oauth:grant-type:apikey"
_REFUSALS = frozenset({400, 401, 403, 404, 405, 409, 410, 415, 422})
_SHOWN_CHARACTERS = 200
_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def iam_auth(driver: HttpDriver, endpoint: str, apikey: Secret) -> TokenAuth:
    """Bearer tokens for a driver, exchanged for an API key at ``endpoint``.

    Nothing is asked before the first request that needs a token. Asking again is harmless, so the
    exchange is repeated like a reading request.

    Args:
        driver: the driver whose connections are used.
        endpoint: base address of the identity service, for example ``https://iam.cloud.ibm.com``.
        apikey: the API key.

    Raises (when a token is needed):
        AuthenticationFailedError: the service refused the key; the message has its reason.
        UnexpectedAnswerError: its answer holds no token.
    """

    def fetch() -> Token:
        response = driver.anonymous.send(token_request(endpoint, apikey))
        if response.status in _REFUSALS and apikey.refresh():  # its file or command has a new one
            response = driver.anonymous.send(token_request(endpoint, apikey))
        return read_token(response)

    return TokenAuth(fetch)


def token_request(endpoint: str, apikey: Secret) -> Request:
    """The exchange of an API key for a token (IBM Cloud IAM: POST /identity/token)."""
    form = {"grant_type": _GRANT_TYPE, "apikey": apikey.reveal()}
    return Request(
        "POST",
        join(endpoint, "identity", "token"),
        headers=_FORM,
        body=urlencode(form).encode(),
        idempotent=True,
        authorized=False,
        accept=_REFUSALS,
    )


def read_token(response: Response) -> Token:
    """The token in the answer, with its lifetime in seconds (``expires_in``).

    Raises:
        AuthenticationFailedError: the answer is a refusal.
        UnexpectedAnswerError: it is neither a token nor a refusal.
    """
    if response.status in _REFUSALS:
        fields = _fields(response)
        context = fields.get("context")
        given = context.get("requestId") if isinstance(context, dict) else None
        raise AuthenticationFailedError(
            f"failed to obtain access token. reason: {_reason(response.status, fields)}",
            hint="check the IAM API key and the IAM endpoint of this resource; "
            "`qrmi config check` shows the settings",
            request_ids=request_ids(response, str(given or "")),
        )
    answer = hidden(response.json())
    token = Secret(answer_field(answer, "access_token", str))
    with reading("POST /identity/token"):
        lifetime = float(answer["expires_in"])
    return Token(value=token, lifetime_seconds=lifetime)


def _fields(response: Response) -> dict[str, object]:
    with contextlib.suppress(QrmiError):
        body = hidden(response.json())
        return body if isinstance(body, dict) else {}
    return {}


def _reason(status: int, fields: dict[str, object]) -> str:
    """The service's words and code."""
    words = fields.get("errorDetails") or fields.get("errorMessage") or f"HTTP {status}"
    text = scrub(" ".join(str(words).split()))[:_SHOWN_CHARACTERS]
    code = str(fields.get("errorCode", ""))
    return f"{text} ({code})" if _CODE.fullmatch(code) else text
