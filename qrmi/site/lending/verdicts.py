"""What jobs are answered, and what a vendor's error means for them."""

from __future__ import annotations

import logging

import attrs

from qrmi.errors import AnswerLostError, QrmiError, UnexpectedAnswerError
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState
from qrmi.site.terms import Answer, Outcome

__all__ = ["ended", "is_certain", "later", "refusal_of", "refused", "why_not"]

_log = logging.getLogger(__name__)
_RETRY_SECONDS = 5.0
_UNCERTAIN = (AnswerLostError, UnexpectedAnswerError)


def later(reason: str, hint: str = "", retry_seconds: float = _RETRY_SECONDS) -> Answer:
    """Not now."""
    return Answer(outcome=Outcome.LATER, reason=reason, hint=hint, retry_seconds=retry_seconds)


def refused(reason: str, hint: str = "") -> Answer:
    """Never like this."""
    return Answer(outcome=Outcome.REFUSED, reason=reason, hint=hint)


def ended() -> Answer:
    """It comes after the end of its job."""
    return Answer(
        outcome=Outcome.ENDED,
        reason="the job has ended: this request comes too late",
        hint="nothing is held; a job that is submitted anew can ask again",
    )


def refusal_of(record: LeaseRecord, answer: Answer) -> LeaseRecord:
    """What is kept of a refused request."""
    return attrs.evolve(
        record, state=LeaseState.REFUSED, parts=(), reason=answer.reason, hint=answer.hint
    )


def is_certain(error: Exception) -> bool:
    """Whether the vendor surely opened nothing."""
    return isinstance(error, QrmiError) and not isinstance(error, _UNCERTAIN)


def why_not(record: LeaseRecord, name: str, error: Exception) -> Answer:
    """What the job is told when a vendor gives nothing; what vendors say has no secrets in it."""
    if not isinstance(error, QrmiError):
        _log.error("%s: asking %s: unexpected %s", record.key, name, type(error).__name__)
        _log.debug("unexpected", exc_info=error)
        return later(f"{name} cannot be had: its driver failed", "tell the site")
    if error.retryable or isinstance(error, AnswerLostError):
        return later(f"{name} cannot be had now: {error.message}", error.hint)
    return refused(f"{name} cannot be had: {error.message}", error.hint)
