"""What the compute service's error bodies say."""

from __future__ import annotations

from qrmi.errors import (
    AuthenticationFailedError,
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    TaskNotFoundError,
)
from qrmi.transport import Problem, Response

__all__ = ["problem"]

_ERRORS: dict[str, type[QrmiError]] = {
    "1200": AuthenticationFailedError,
    "1201": AuthenticationFailedError,
    "1216": ResourceNotFoundError,
    "1219": InvalidInputError,
    "1291": TaskNotFoundError,
}
_USED_UP = 409
_USED_UP_HINT = "the service instance may have used up its time, or the session has ended"


def problem(response: Response) -> Problem | None:
    """Read ``{"errors": [{"code", "message", "solution"}], "trace"}``, of which all is optional."""
    hint = _USED_UP_HINT if response.status == _USED_UP else None
    body = response.json()
    fields = body if isinstance(body, dict) else {}
    trace, errors = str(fields.get("trace") or ""), fields.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return Problem(hint=hint, request_id=trace)
    code = str(first.get("code") or "")
    return Problem(
        message=str(first.get("message") or ""),
        code=code,
        error=_ERRORS.get(code),
        hint=str(first.get("solution") or "") or hint,
        request_id=trace,
    )
