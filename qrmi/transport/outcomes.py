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
from qrmi.secrecy.scrubbing import scrub
from qrmi.transport.messages import Request, Response
from qrmi.transport.request_ids import request_ids

__all__ = [
    "PERHAPS_DONE",
    "REPEATABLE",
    "Problem",
    "ProblemReader",
    "SendError",
    "error_of",
    "refused_by_proxy",
    "retry_after",
    "unreachable",
]

_log = logging.getLogger(__name__)

_UNREACHABLE_HINT = (
    "check the endpoint, the network and proxies, and whether the service is up: `qrmi doctor`"
)
_PERMANENT_HINT = (
    "check the endpoint and the certificates: QRMI_HTTP_CA_BUNDLE names those to trust, "
    "`qrmi doctor` looks at the service's"
)
_PROXY_CREDENTIALS = "give the proxy's user and password in QRMI_HTTP_PROXY or HTTPS_PROXY"
_PROXY_FORBIDS = "ask the site to let its proxy connect to the service"
_PROXY_HINT = "the proxy cannot reach the service: try again later, or ask the proxy's operators"
_PROXY_REFUSALS = {
    401: (_PROXY_CREDENTIALS, Owner.USER, True),
    403: (_PROXY_FORBIDS, Owner.SITE, True),
    405: (_PROXY_FORBIDS, Owner.SITE, True),
    407: (_PROXY_CREDENTIALS, Owner.USER, True),
}
_LONGEST_REASON = 300
_LONGEST_CODE = 60
_UNAVAILABLE = {
    408: "the service gave up waiting for the request",
    423: "the resource is reserved",
    425: "the service is not ready",
    500: "the service failed",
    502: "the service cannot be reached behind its gateway",
    503: "the service is unavailable",
    504: "the service did not answer its gateway in time",
}

_NOT_DONE = frozenset({501, 503, 505, 511, 521, 523, 525, 526})  # the service never had it
PERHAPS_DONE = frozenset({408, *range(500, 600)}) - _NOT_DONE
"""Statuses after which the service may have done what was asked."""

REPEATABLE = frozenset({429, *_UNAVAILABLE, *range(500, 600)}) - {501, 505, 511}
"""Statuses after which the same idempotent request may succeed."""


class SendError(Exception):
    """A request got no answer.

    Attributes:
        sent: whether the service may have read it.
        reason: what went wrong, in words; no address, header or body.
        permanent: whether trying again is pointless: a certificate that is refused.
        hint: what to do; empty for the usual advice.
        owner: who can act; ``None`` for the usual one.
    """

    def __init__(
        self,
        reason: str,
        *,
        sent: bool,
        permanent: bool = False,
        hint: str = "",
        owner: Owner | None = None,
    ) -> None:
        super().__init__(reason)
        self.owner = owner
        self.hint = hint
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
        request_id: the id that the body gives to the request, for support.
    """

    message: str = attrs.field(default="", repr=scrub)
    code: str = attrs.field(default="", repr=scrub)
    error: type[QrmiError] | None = None
    owner: Owner | None = None
    retryable: bool | None = None
    hint: str | None = None
    request_id: str = ""


ProblemReader = Callable[[Response], Problem | None]


def error_of(
    request: Request,
    response: Response,
    read: ProblemReader | None,
    *,
    resource_id: str | None = None,
) -> QrmiError:
    """The error that an answer of status 400 or more (or an unfollowed redirect) means."""
    problem = _problem(response, read)
    found = _classified(request, response.status)
    reason = _reason(problem)
    message = f"{found.words} (status {response.status})" + (f": {reason}" if reason else "")
    hint = problem.hint
    wait = retry_after(response)
    if hint is None and wait is not None:
        hint = f"try again in {wait:.0f} s"
    return (problem.error or found.error)(
        message,
        owner=problem.owner or (None if problem.error else found.owner),
        retryable=problem.retryable,
        hint=found.hint if hint is None and not problem.error else hint,
        resource_id=resource_id,
        task_id=request.task_id,
        request_ids=request_ids(response, problem.request_id),
    )


@attrs.frozen(kw_only=True)
class _Class:
    """What a status means where the vendor's own words say nothing else."""

    error: type[QrmiError]
    words: str
    owner: Owner | None = None
    hint: str | None = None


_REFUSED = _Class(
    error=InvalidInputError,
    words="the service refused the request",
    hint="correct what the reason names; `qrmi show NAME` says what the resource takes",
)
_ELSEWHERE = _Class(
    error=UnexpectedAnswerError,
    words="the service sends this request elsewhere",
    owner=Owner.VENDOR,
    hint="check the endpoint in the configuration: it may be an old one, or that of a web page",
)
_OWN_CLASS = {
    401: _Class(error=AuthenticationFailedError, words="the service refused the credentials"),
    402: _Class(
        error=AccessDeniedError,
        words="the service wants to be paid first",
        hint="the account may have used up what it paid for: ask whoever manages it",
    ),
    403: _Class(error=AccessDeniedError, words="the service does not allow this"),
    407: _Class(
        error=AuthenticationFailedError,
        words="the proxy refused the credentials",
        hint=_PROXY_CREDENTIALS,
    ),
    429: _Class(
        error=ResourceUnavailableError,
        words="too many requests, or the service is full",
        owner=Owner.VENDOR,
        hint="wait a while, and ask less often",
    ),
}


def _classified(request: Request, status: int) -> _Class:
    if status in _OWN_CLASS:
        return _OWN_CLASS[status]
    if status == 404:
        subject = "task " + request.task_id if request.task_id else "resource"
        return _Class(error=request.missing, words=f"the service knows no such {subject}")
    if status in REPEATABLE or status >= 500:
        words = _UNAVAILABLE.get(status, "the service failed")
        if status in PERHAPS_DONE and not request.idempotent:
            return _Class(error=AnswerLostError, words=words + ", and may have done what was asked")
        return _Class(error=ResourceUnavailableError, words=words, owner=Owner.VENDOR)
    return _REFUSED if status >= 400 else _ELSEWHERE


def _problem(response: Response, read: ProblemReader | None) -> Problem:
    if read is None:
        return Problem()
    try:
        return read(response) or Problem()
    except Exception as error:  # a body that is not what the vendor's usually are
        reason = type(error).__name__
        _log.debug("the error body of status %s was not read: %s", response.status, reason)
        return Problem()


def _reason(problem: Problem) -> str:
    text = _on_one_line(problem.message)
    if len(text) > _LONGEST_REASON:
        text = text[:_LONGEST_REASON] + "…"
    code = _on_one_line(problem.code)[:_LONGEST_CODE]
    return f"{text} [{code}]".lstrip() if code else text


def _on_one_line(text: object) -> str:
    """Without secrets, line breaks, and what a terminal would obey."""
    line = " ".join(scrub(str(text)).split())
    return "".join(c if c.isprintable() else " " for c in line).strip()


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


def refused_by_proxy(status: int) -> SendError:
    """The failure of a connection that a proxy would not make; nothing was sent through it."""
    hint, owner, permanent = _PROXY_REFUSALS.get(status, (_PROXY_HINT, None, False))
    return SendError(
        f"the proxy refused the connection (status {status})",
        sent=False,
        permanent=permanent,
        hint=hint,
        owner=owner,
    )


def unreachable(
    request: Request,
    failure: SendError,
    *,
    resource_id: str | None = None,
    request_ids: tuple[str, ...] = (),
) -> QrmiError:
    """The error for a request that got no answer; ``request_ids`` are those of earlier ones."""
    if failure.sent and not request.idempotent:
        return AnswerLostError(
            f"{request.name} was sent and its answer never came: {failure.reason}",
            resource_id=resource_id,
            task_id=request.task_id,
            request_ids=request_ids,
        )
    usual = Owner.SITE if failure.permanent else Owner.NETWORK
    return ResourceUnavailableError(
        f"the service cannot be reached: {failure.reason}",
        owner=failure.owner or usual,
        retryable=not failure.permanent,
        hint=failure.hint or (_PERMANENT_HINT if failure.permanent else _UNREACHABLE_HINT),
        resource_id=resource_id,
        task_id=request.task_id,
        request_ids=request_ids,
    )
