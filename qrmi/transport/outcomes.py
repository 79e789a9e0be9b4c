"""What an outcome means: one table from HTTP statuses to errors, and failures below HTTP."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from email.utils import parsedate_to_datetime

import attrs

from qrmi.errors import (
    AccessDeniedError,
    AnswerLostError,
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.transport.messages import Request, Response

__all__ = [
    "PERHAPS_DONE",
    "REPEATABLE",
    "Problem",
    "ProblemReader",
    "SendError",
    "error_of",
    "retry_after",
    "unreachable",
]

_log = logging.getLogger(__name__)

_LONGEST_REASON = 300
_LONGEST_CODE = 60
_UNAVAILABLE = {
    408: "the service gave up waiting for the request",
    423: "the resource is reserved",
    425: "the service is not ready",
    429: "too many requests, or the service is full",
    500: "the service failed",
    502: "the service cannot be reached behind its gateway",
    503: "the service is unavailable",
    504: "the service did not answer its gateway in time",
}

_NOT_DONE = frozenset({501, 503, 505, 511, 521, 523, 525, 526})  # the service never had it
PERHAPS_DONE = frozenset({408, *range(500, 600)}) - _NOT_DONE
"""Statuses after which the service may have done what was asked."""

REPEATABLE = frozenset({*_UNAVAILABLE, *range(500, 600)}) - {501, 505, 511}
"""Statuses after which the same idempotent request may succeed."""


class SendError(Exception):
    """A request got no answer.

    Attributes:
        sent: whether the service may have read it.
        reason: what went wrong, in words; no address, header or body.
        permanent: whether trying again is pointless: a certificate that is refused.
    """

    def __init__(self, reason: str, *, sent: bool, permanent: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.permanent = permanent


@attrs.frozen(kw_only=True)
class Problem:
    """What a vendor's error body says. What is ``None`` or empty is left to the common table.

    Attributes:
        message: the service's reason, a sentence; it is shortened and put on one line.
        code: the service's own code.
        error: the error to raise.
        owner: who can act.
        retryable: whether the same call may succeed later.
        hint: what to do.
    """

    message: str = ""
    code: str = ""
    error: type[QrmiError] | None = None
    owner: Owner | None = None
    retryable: bool | None = None
    hint: str | None = None


ProblemReader = Callable[[Response], Problem | None]


def error_of(request: Request, response: Response, read: ProblemReader | None) -> QrmiError:
    """The error that an answer of status 400 or more (or an unfollowed redirect) means."""
    problem = _problem(response, read)
    kind, owner, words = _classified(request, response.status)
    kind = problem.error or kind
    reason = _reason(problem)
    message = f"{words} (status {response.status})" + (f": {reason}" if reason else "")
    hint = problem.hint
    wait = retry_after(response)
    if hint is None and wait is not None:
        hint = f"try again in {wait:.0f} s"
    return kind(
        message,
        owner=problem.owner or (None if problem.error else owner),
        retryable=problem.retryable,
        hint=hint,
        task_id=request.task_id,
    )


def _classified(request: Request, status: int) -> tuple[type[QrmiError], Owner | None, str]:
    if status == 401:
        return AuthenticationFailedError, None, "the service refused the credentials"
    if status == 403:
        return AccessDeniedError, Owner.SITE, "the service does not allow this"
    if status == 404:
        subject = "task " + request.task_id if request.task_id else "resource"
        return request.missing, None, f"the service knows no such {subject}"
    if status in REPEATABLE or status >= 500:
        words = _UNAVAILABLE.get(status, "the service failed")
        if status in PERHAPS_DONE and not request.idempotent:
            return AnswerLostError, None, words + ", and may have done what was asked"
        return ResourceUnavailableError, Owner.VENDOR, words
    if status >= 400:
        return InvalidInputError, None, "the service refused the request"
    return UnexpectedAnswerError, Owner.VENDOR, "the service sends this request elsewhere"


def _problem(response: Response, read: ProblemReader | None) -> Problem:
    if read is None:
        return Problem()
    try:
        return read(response) or Problem()
    except Exception as error:  # a body that is not what the vendor's usually are
        _log.debug("the error body of status %s was not read: %s", response.status, error)
        return Problem()


def _reason(problem: Problem) -> str:
    text = _on_one_line(problem.message)
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "…"
    code = _on_one_line(problem.code)[:_LONGEST_CODE]
    return f"{text} [{code}]".lstrip() if code else text


def _on_one_line(text: object) -> str:
    """Without line breaks, and without what a terminal would obey."""
    return "".join(c if c.isprintable() else " " for c in " ".join(str(text).split())).strip()


def retry_after(response: Response) -> float | None:
    """The seconds of a ``Retry-After`` header; ``None`` for none, or nonsense.

    A date is taken from the answer's own ``Date``: this machine's clock may differ.
    """
    text = response.header("retry-after")
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = _between(response.header("date"), text)
    return seconds if 0 <= seconds < 1e9 else None


def _between(begin: str | None, end: str) -> float:
    """Seconds from one HTTP date to another; not a number when one is none."""
    try:
        passed = parsedate_to_datetime(end) - parsedate_to_datetime(begin or "")
    except (TypeError, ValueError):
        return math.nan
    return passed.total_seconds()


def unreachable(request: Request, failure: SendError) -> QrmiError:
    """The error for a request that got no answer."""
    if failure.sent and not request.idempotent:
        return AnswerLostError(
            f"{request.name} was sent and its answer never came: {failure.reason}",
            task_id=request.task_id,
        )
    return ResourceUnavailableError(
        f"the service cannot be reached: {failure.reason}",
        owner=Owner.SITE if failure.permanent else Owner.NETWORK,
        retryable=not failure.permanent,
        hint="check the endpoint, the network and proxies, and whether the service is up",
        task_id=request.task_id,
    )
