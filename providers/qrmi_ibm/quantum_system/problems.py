"""What the error bodies of the Quantum System API and of its storage mean.

The API answers ``{"status_code", "title", "trace", "errors": [{"code", "message", …}]}``, the
storage XML with ``Code`` and ``Message``.
"""

from __future__ import annotations

import html
import re

import attrs

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
)
from qrmi.transport import Problem, Response

__all__ = ["DuplicateTaskError", "NotEndedError", "is_about_an_ended_task", "problem"]


class DuplicateTaskError(InvalidInputError):
    """The service has a task with this id already."""


class NotEndedError(TaskNotReadyError):
    """The task has not ended, so its record cannot be removed."""


_LANES = (
    "every lane holds a task; one that has ended keeps its lane until it is removed: look at "
    "`qrmi tasks`"
)
_KEYS = "check QRMI_IBM_QS_AWS_ACCESS_KEY_ID and QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY"

_API = {
    "1200": Problem(error=AuthenticationFailedError),
    "1201": Problem(error=AuthenticationFailedError),
    "1216": Problem(error=ResourceNotFoundError),
    "1219": Problem(error=InvalidInputError),
    "1231": Problem(error=DuplicateTaskError),
    "1232": Problem(error=ResourceUnavailableError, hint=_LANES),
    "1233": Problem(
        error=ResourceUnavailableError,
        owner=Owner.SITE,
        hint="the system is reserved; come back when the reservation ends",
    ),
    "1291": Problem(error=TaskNotFoundError),
    "1337": Problem(error=NotEndedError),
}
_STORAGE = {
    "AccessDenied": Problem(error=AccessDeniedError),
    "InvalidAccessKeyId": Problem(error=AuthenticationFailedError, hint=_KEYS),
    "NoSuchBucket": Problem(error=ConfigError, hint="check QRMI_IBM_QS_S3_BUCKET"),
    "PermanentRedirect": Problem(
        error=ConfigError, hint="check QRMI_IBM_QS_S3_ENDPOINT and QRMI_IBM_QS_S3_REGION"
    ),
    "RequestTimeTooSkewed": Problem(
        error=AccessDeniedError, hint="the clocks of this machine and of the storage differ"
    ),
    "SignatureDoesNotMatch": Problem(
        error=AuthenticationFailedError, hint=f"{_KEYS}, and QRMI_IBM_QS_S3_REGION"
    ),
}
_UNKNOWN = Problem()
_NOT_CANCELLABLE = "1306"
_XML_CODE = re.compile(r"<Code>\s*([A-Za-z]{1,60})\s*</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]{0,400})")
_XML_REQUEST = re.compile(r"<RequestId>([^<]{0,100})")
_READ_CHARACTERS = 4000


def problem(response: Response) -> Problem | None:
    """What an error body says; ``None`` when it is of neither form."""
    body = bytes(response.body[:1]).strip()
    if body == b"<":
        return _storage_problem(bytes(response.body[:_READ_CHARACTERS]).decode(errors="replace"))
    return _api_problem(response)


def is_about_an_ended_task(response: Response) -> bool:
    """Whether a refusal to cancel says that the task is in no state to be cancelled."""
    try:
        found = problem(response)
    except (QrmiError, AttributeError, TypeError, KeyError):
        return False
    return found is not None and _NOT_CANCELLABLE in found.code.split(", ")


def _storage_problem(text: str) -> Problem | None:
    code = _XML_CODE.search(text)
    if code is None:
        return None
    message = _XML_MESSAGE.search(text)
    words = html.unescape(message[1]) if message else ""
    known = _STORAGE.get(code[1], _UNKNOWN)
    request = _XML_REQUEST.search(text)
    return attrs.evolve(
        known,
        message=f"storage: {words}",
        code=code[1],
        request_id=request[1] if request else "",
    )


def _api_problem(response: Response) -> Problem | None:
    data = response.json()
    errors = [error for error in data.get("errors") or () if isinstance(error, dict)]
    words = "; ".join(str(error["message"]) for error in errors if error.get("message"))
    codes = [str(error["code"]) for error in errors if error.get("code")]
    known = next((_API[code] for code in codes if code in _API), _UNKNOWN)
    words = words or str(data.get("title") or "")
    trace = str(data.get("trace") or data.get("correlation_id") or "")
    return attrs.evolve(known, message=words, code=", ".join(codes)[:60], request_id=trace)
