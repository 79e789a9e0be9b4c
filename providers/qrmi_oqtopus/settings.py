"""Settings of OQTOPUS Cloud."""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.references import service_url
from qrmi.settings import Secret, setting
from qrmi.transport import HttpConfig, HttpSettings

__all__ = ["OqtopusSettings", "ProxyAddress"]


class ProxyAddress(Secret):
    """A proxy's URL, which may name a user and a password.

    Raises:
        ValueError: it is no URL. It is not shown.
    """

    __slots__ = ()

    def __init__(self, value: str) -> None:
        super().__init__(service_url(value))


def _seconds(text: str) -> float:
    value = _number(text)
    if not 0 < value < 1e7:
        raise ValueError("expected a positive number of seconds")
    return value


def _pause(text: str) -> float:
    value = _number(text)
    if not 0 <= value < 1e7:
        raise ValueError("expected a number of seconds, 0 or more")
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return -1.0


def _attempts(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError("expected a whole number, 1 or more")
    return int(text)


def _statuses(text: str) -> frozenset[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isdecimal() and 100 <= int(word) <= 599 for word in words):
        raise ValueError("expected HTTP statuses joined by commas, for example 429,503")
    return frozenset(map(int, words))


def _methods(text: str) -> frozenset[str]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isalpha() for word in words):
        raise ValueError("expected HTTP methods joined by commas, for example GET,DELETE")
    return frozenset(word.upper() for word in words)


@attrs.frozen(kw_only=True)
class OqtopusSettings(HttpSettings):
    """Where OQTOPUS Cloud is, and who asks.

    Requests that change nothing, or nothing more when they are repeated, are repeated within
    ``QRMI_HTTP_BUDGET_SECONDS`` after any status that says "later" (408, 423, 425, 429, 5xx).
    ``RETRY_MAX_ATTEMPTS`` and ``RETRY_BACKOFF_SECONDS`` govern how often and when; the statuses and
    methods of the upstream library's settings are checked, and need not be given.

    Attributes:
        url: without a trailing slash.
        api_token: the header ``q-api-token``.
        proxy: a proxy for this resource; ``None`` for what ``QRMI_HTTP_PROXY`` or the environment
            say.
        timeout_seconds: the longest silence of the service; ``None`` for what
            ``QRMI_HTTP_READ_TIMEOUT_SECONDS`` says.
        retry_max_attempts: how often a request is sent at most; ``None`` for the usual policy.
        retry_backoff_seconds: the first pause, doubled with each; ``None`` likewise.
        retry_status_codes: accepted for compatibility.
        retry_methods: accepted for compatibility.
    """

    url: str = setting(
        "QRMI_OQTOPUS_URL",
        fallback=("QRMI_OQTOPUS_BASE_URL",),
        convert=service_url,
        help="URL of the API, for example https://demo-api.oqtopus.io.",
    )
    api_token: Secret = setting("QRMI_OQTOPUS_API_TOKEN", convert=Secret, help="API token.")
    proxy: ProxyAddress | None = setting(
        "QRMI_OQTOPUS_PROXY",
        default=None,
        convert=ProxyAddress,
        help="URL of a proxy for this resource.",
    )
    timeout_seconds: float | None = setting(
        "QRMI_OQTOPUS_TIMEOUT",
        default=None,
        convert=_seconds,
        help="The longest silence of the service, in seconds.",
    )
    retry_max_attempts: int | None = setting(
        "QRMI_OQTOPUS_RETRY_MAX_ATTEMPTS",
        default=None,
        convert=_attempts,
        help="How often a request is sent at most.",
    )
    retry_backoff_seconds: float | None = setting(
        "QRMI_OQTOPUS_RETRY_BACKOFF_SECONDS",
        default=None,
        convert=_pause,
        help="The first pause before a request is sent again, in seconds.",
    )
    retry_status_codes: frozenset[int] | None = setting(
        "QRMI_OQTOPUS_RETRY_STATUS_CODES",
        default=None,
        convert=_statuses,
        help="Accepted for compatibility: every status that says 'later' is taken so.",
    )
    retry_methods: frozenset[str] | None = setting(
        "QRMI_OQTOPUS_RETRY_METHODS",
        default=None,
        convert=_methods,
        help="Accepted for compatibility: every request that may be repeated is.",
    )

    def http_config(self) -> HttpConfig:
        """The common settings, and over them those of the upstream library."""
        own: dict[str, Any] = {
            "proxy": self.proxy.reveal() if self.proxy else None,
            "read_seconds": self.timeout_seconds,
            "most_attempts": self.retry_max_attempts,
            "first_pause_seconds": self.retry_backoff_seconds,
        }
        given = {name: value for name, value in own.items() if value is not None}
        return attrs.evolve(super().http_config(), **given)
