"""Tokens of Pasqal Cloud: configured ones, and those that its token services give.

Source: QRMI 0.26 (order, forms), pasqal-cloud 0.24 (``PasswordGrantTokenProvider``).
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from qrmi.errors import AuthenticationFailedError, ConfigError
from qrmi.secrecy.scrubbing import hidden, scrub
from qrmi.settings import Secret
from qrmi.transport import Client, Request, Response, Token, request_ids
from qrmi_pasqal.cloud.settings import AUDIENCE, PasqalCloudSettings

__all__ = ["TokenSource", "claims", "lifetime", "remaining"]

_Form = tuple[tuple[str, str], ...]

_FORM = (("content-type", "application/x-www-form-urlencoded"),)
_REFUSED = frozenset({400, 401, 403, 404, 405, 410, 415, 422})
_SPARE_SECONDS = 10.0
_LONGEST_REASON = 200


class TokenSource:
    """Gives tokens in the order of preference.

    The configured token comes first, once: when it has ended, or was refused, another is fetched.
    A person's login goes before a service account.

    Args:
        settings: gives the settings, with those of the file.
        client: gives a client without credentials.
        clock: the wall clock, seconds since 1970.
    """

    def __init__(
        self,
        settings: Callable[[], PasqalCloudSettings],
        client: Callable[[], Client],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._client = client
        self._clock = clock
        self._is_first = True

    def __call__(self) -> Token:
        """The next token.

        Raises:
            ConfigError: there are no credentials.
            AuthenticationFailedError: they were refused.
        """
        settings = self._settings()
        form = _form(settings)
        configured = settings.auth_token
        if not self._is_first and not (configured and configured.refresh()):
            configured = None
        self._is_first = False
        if configured is not None:
            left = remaining(configured.reveal(), self._clock())
            if left is None or left > (_SPARE_SECONDS if form else 0.0):
                # without credentials for another, it is used until it is refused
                return Token(value=configured, lifetime_seconds=left if form else None)
        if form is None:
            raise _without_credentials(settings)
        return self._fetched(settings, form)

    def _fetched(self, settings: PasqalCloudSettings, form: _Form) -> Token:
        response = self._asked(settings, form)
        if response.status >= 400 and _refreshed(settings):
            response = self._asked(settings, _form(settings) or form)
        if response.status >= 400:
            raise _refusal(response)
        return _token(response, self._clock())

    def _asked(self, settings: PasqalCloudSettings, form: _Form) -> Response:
        request = Request(
            "POST",
            settings.place.auth_endpoint,
            headers=_FORM,
            body=urlencode(form).encode(),
            idempotent=True,
            authorized=False,
            accept=_REFUSED,
        )
        return self._client().send(request)


def _refreshed(settings: PasqalCloudSettings) -> bool:
    """Whether the file or command that gave the refused secret gives another one now."""
    secret = settings.password if settings.username else settings.client_secret
    return secret is not None and secret.refresh()


def _form(settings: PasqalCloudSettings) -> _Form | None:
    if settings.username and settings.password is not None:
        person = (("username", settings.username), ("password", settings.password.reveal()))
        return (*settings.place.login, *person)
    if settings.client_id and settings.client_secret is not None:
        return (
            ("grant_type", "client_credentials"),
            ("client_id", settings.client_id),
            ("client_secret", settings.client_secret.reveal()),
            ("audience", AUDIENCE),
        )
    return None


def _without_credentials(settings: PasqalCloudSettings) -> ConfigError | AuthenticationFailedError:
    hint = (
        "set PASQAL_USERNAME and PASQAL_PASSWORD, or QRMI_PASQAL_CLOUD_CLIENT_ID and "
        "QRMI_PASQAL_CLOUD_CLIENT_SECRET, or write username and password to ~/.pasqal/config; "
        "`qrmi config check` shows all settings"
    )
    if settings.auth_token is not None:
        return AuthenticationFailedError(
            "the configured token has ended or was refused, and there are no credentials to get "
            "another",
            hint=f"renew QRMI_PASQAL_CLOUD_AUTH_TOKEN, or {hint}",
        )
    return ConfigError("there are no credentials for Pasqal Cloud", hint=hint)


def _refusal(response: Response) -> AuthenticationFailedError:
    message = f"the token service refused the credentials (status {response.status})"
    reason = _reason(response)
    return AuthenticationFailedError(
        f"{message}: {reason}" if reason else message, request_ids=request_ids(response)
    )


def _reason(response: Response) -> str:
    """What OAuth 2 (RFC 6749, section 5.2) tells people."""
    try:
        answer = json.loads(bytes(response.body))
        told = answer.get("error_description") or answer.get("error") or ""
    except (AttributeError, RecursionError, ValueError):
        return ""
    return " ".join(scrub(told).split())[:_LONGEST_REASON] if isinstance(told, str) else ""


def _token(response: Response, now: float) -> Token:
    answer = hidden(response.json())
    text = hidden(answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(text, str) or not text:
        raise AuthenticationFailedError(
            "the token service gave no token", hint="check QRMI_PASQAL_CLOUD_AUTH_ENDPOINT"
        )
    return Token(value=Secret(text), lifetime_seconds=lifetime(text, answer.get("expires_in"), now))


def lifetime(token: str, expires_in: object, now: float) -> float | None:
    """How long a new token is good for, in seconds: the least of what it and its service say.

    Its own ``exp`` is compared with its ``iat`` where it has one, so that a wall clock that is
    wrong changes nothing. ``None`` when neither says anything that makes sense.
    """
    told = claims(token)
    begun = _number(told.get("iat"))
    ends = _number(told.get("exp"))
    own = None if ends is None else ends - (now if begun is None else begun)
    known = [seconds for seconds in (own, _number(expires_in)) if seconds is not None]
    return min((seconds for seconds in known if seconds > 0), default=None)


def remaining(token: str, now: float) -> float | None:
    """Seconds until a token's ``exp``; ``None`` when it has none, or is no JWT."""
    ends = _number(claims(token).get("exp"))
    return None if ends is None else ends - now


def claims(token: str) -> dict[str, Any]:
    """What a JWT says (RFC 7519), unchecked; nothing for any other text."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    padded = parts[1] + "=" * (-len(parts[1]) % 4)
    try:
        found = json.loads(base64.urlsafe_b64decode(padded))
    except (RecursionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e15 else None  # type: ignore[arg-type]
