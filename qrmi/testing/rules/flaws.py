"""What can go wrong with an answer, and the errors that it may lead to."""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.errors import (
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
    UnsupportedFunctionError,
)
from qrmi.testing.faulty import Flaw

__all__ = ["CASES", "Case"]

_MISSING = (
    TaskNotFoundError,
    ResourceNotFoundError,
    InvalidInputError,
    UnsupportedFunctionError,
    ResourceUnavailableError,
)
_REFUSED = (InvalidInputError,)
_CONFLICT = (InvalidInputError, TaskNotReadyError, ResourceUnavailableError)
_AWAY = (ResourceUnavailableError,)
_LOST = (ResourceUnavailableError, TaskStartUncertainError)
_JUNK = (UnexpectedAnswerError, TaskStartUncertainError, TaskFailedError)
_MISREAD = (*_JUNK, TaskNotReadyError, ResourceNotFoundError)
"""Fields that say something else: another status word, a list without the resource."""
_PAGE = b"<!DOCTYPE html><html><body><h1>Gateway</h1></body></html>"
_NEVER = 86_400


@attrs.frozen(kw_only=True)
class Case:
    """One fault.

    Attributes:
        flaw: what happens.
        kinds: the errors that it may lead to.
        times: how many requests it hits; ``None`` for all.
        heals: whether a request that can be repeated gets its answer after all.
        owner: who the error says can act; ``None`` for anyone.
        retryable: whether it may succeed later; ``None`` for either, and not looked at when the
            service may have done what must not be done twice.
    """

    flaw: Flaw
    kinds: tuple[type[QrmiError], ...]
    times: int | None = None
    heals: bool = False
    owner: Owner | None = None
    retryable: bool | None = None

    @property
    def name(self) -> str:
        """For the test's name."""
        return self.flaw.name.replace(" ", "-") + {None: "", 1: "-once"}.get(self.times, "")


def _nothing(value: Any) -> Any:
    return {} if isinstance(value, dict) else []


def _other(value: Any) -> Any:
    return [] if isinstance(value, dict) else {}


def _all(value: Any, new: Any) -> Any:
    """Every field of an object, or of the objects in a list, is ``new``."""
    if isinstance(value, dict):
        return dict.fromkeys(value, new)
    return [_all(item, new) for item in value] if isinstance(value, list) else new


def _status(status: int, kinds: tuple[type[QrmiError], ...], **values: Any) -> Case:
    return Case(flaw=Flaw(name=str(status), status=status), kinds=kinds, **values)


def _lost(name: str, *, handled: bool, times: int | None) -> Case:
    flaw = Flaw(name=name, handled=handled, lost=f"the connection broke: {name}")
    return Case(flaw=flaw, kinds=_LOST, times=times, heals=times == 1)


def _spoilt(name: str, **values: Any) -> Case:
    kinds = _MISREAD if name.endswith(" fields") else _JUNK
    return Case(flaw=Flaw(name=name, handled=True, **values), kinds=kinds)


_REFUSED_CONNECTION = Flaw(name="connection refused", lost="connection refused", sent=False)

CASES: tuple[Case, ...] = (
    _status(400, _REFUSED, retryable=False),
    _status(422, _REFUSED, retryable=False),
    _status(409, _CONFLICT),
    _status(404, _MISSING),
    _status(401, (AuthenticationFailedError,), retryable=False),
    _status(401, (AuthenticationFailedError,), times=1),
    _status(403, (AuthenticationFailedError,), retryable=False),
    *(_status(code, _AWAY, retryable=True) for code in (423, 429, 503)),
    *(_status(code, _LOST, retryable=True) for code in (500, 502, 504)),
    *(_status(code, _AWAY, times=1, heals=True) for code in (429, 503)),
    Case(
        flaw=Flaw(name="429 for a day", status=429, retry_after=_NEVER),
        kinds=_AWAY,
        retryable=True,
    ),
    Case(
        flaw=Flaw(name="429 for a second", status=429, retry_after=1),
        kinds=_AWAY,
        times=1,
        heals=True,
    ),
    Case(flaw=_REFUSED_CONNECTION, kinds=_AWAY, owner=Owner.NETWORK, retryable=True),
    Case(flaw=_REFUSED_CONNECTION, kinds=_AWAY, times=1, heals=True),
    _lost("reset before", handled=False, times=None),
    _lost("reset before", handled=False, times=1),
    _lost("reset after", handled=True, times=None),
    _lost("reset after", handled=True, times=1),
    _lost("silence", handled=False, times=None),
    _lost("half body", handled=True, times=1),
    _spoilt("no body", body=b""),
    _spoilt("not JSON", body=b"}{ not JSON"),
    _spoilt("not text", body=b"\xff\xfe\x00"),
    _spoilt("web page", body=_PAGE),
    _spoilt("null", body=b"null"),
    _spoilt("no fields", spoil=_nothing),
    _spoilt("another form", spoil=_other),
    _spoilt("null fields", spoil=lambda value: _all(value, None)),
    _spoilt("number fields", spoil=lambda value: _all(value, 7)),
    _spoilt("text fields", spoil=lambda value: _all(value, "surprise")),
)
