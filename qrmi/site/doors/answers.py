"""What the doors answer when something is wrong: a status, and the error as JSON."""

from __future__ import annotations

import logging
from typing import Any

from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    ConfigError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
    UnsupportedResourceTypeError,
    WaitTimeoutError,
)
from qrmi.interchange.troubles import error_told
from qrmi.secrecy.scrubbing import scrub

__all__ = ["refusal", "unexpected"]

_log = logging.getLogger(__name__)

# The first class that matches decides, so subclasses come before their base.
_STATUS: tuple[tuple[type[QrmiError], int], ...] = (
    (AccessDeniedError, 403),
    (AuthenticationFailedError, 401),
    (InvalidInputError, 400),
    (ResourceNotFoundError, 404),
    (TaskNotFoundError, 404),
    (TaskNotReadyError, 409),
    (WaitTimeoutError, 504),
    (UnsupportedFunctionError, 501),
    (UnsupportedResourceTypeError, 501),
    (UnexpectedAnswerError, 502),
    (ResourceUnavailableError, 503),
    (ConfigError, 500),
)


def refusal(error: QrmiError) -> tuple[int, dict[str, Any]]:
    """Status and body for one of our errors."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    return status, {"error": error_told(error)}


def unexpected(error: Exception, where: str) -> tuple[int, dict[str, Any]]:
    """Status and body for a defect; what it says goes to the log alone, without secrets."""
    _log.error("%s: unexpected %s: %s", where, type(error).__name__, scrub(str(error))[:500])
    _log.debug("unexpected", exc_info=error)
    told = QrmiError(
        f"qrmid failed with an unexpected {type(error).__name__}",
        owner=Owner.SITE,
        hint="its log has more: journalctl -u qrmid",
    )
    return refusal(told)
