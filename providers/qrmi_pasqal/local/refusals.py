"""What Warden's refusals mean."""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    Owner,
    ResourceUnavailableError,
    UnsupportedFunctionError,
)
from qrmi.transport import Problem, Response

__all__ = ["NoRouteError", "SessionEndedError", "problem"]


class NoRouteError(UnsupportedFunctionError):
    """This server has no such route: its version is older, or it is no Warden."""

    default_owner = Owner.SITE
    default_hint = "is QRMI_WARDEN_URL right? Some functions need Warden 0.3.2 or newer"


class SessionEndedError(AccessDeniedError):
    """The session of a task has ended, or is none of this server's; nothing was queued."""

    default_owner = Owner.USER
    default_hint = "a session lasts as long as its job: run this inside a job of yours"


_NO_ROUTE = {404: "Not Found", 405: "Method Not Allowed"}  # FastAPI's words, not Warden's own

# What Warden says, recognised by a part of it, and what to make of it; the first that fits.
_KNOWN = {
    "different parameters": Problem(
        owner=Owner.USER,
        hint="this job has a session with another QRMI_JOB_QPU_SLOTS: ask for as many, or end it",
    ),
    "not enough qpu slots": Problem(
        error=ResourceUnavailableError,
        owner=Owner.SITE,
        retryable=True,
        hint="wait until other jobs have ended, or ask for fewer slots",
    ),
    "munge decode failed": Problem(  # status 500, for a credential made with another key
        error=AuthenticationFailedError,
        owner=Owner.SITE,
        retryable=False,
        hint="this host and Warden's need the same MUNGE key",
    ),
    "munge credential": Problem(
        owner=Owner.SITE,
        hint="the clocks of this host and of Warden's must agree, and both need one MUNGE key",
    ),
    "endpoint restricted": Problem(
        hint="the site opens and ends sessions, around each job; a program need do neither",
    ),
    "not authorized": Problem(hint="ask the site to add this user to Warden's authorized_users"),
    "session has been revoked": Problem(error=SessionEndedError),
    "invalid session": Problem(error=SessionEndedError),
    "belongs to another user": Problem(
        owner=Owner.USER, hint="run this as the user whose job it is"
    ),
}


def problem(response: Response) -> Problem | None:
    """What FastAPI's ``detail`` says: a text, or a list of faults of the request's fields."""
    detail = response.json().get("detail")
    if isinstance(detail, list):
        return Problem(message="; ".join(map(_fault, detail)))
    if detail is not None and detail == _NO_ROUTE.get(response.status):
        return Problem(message="no such route", error=NoRouteError)
    text = str(detail or "")
    lowered = text.lower()
    known = next((known for part, known in _KNOWN.items() if part in lowered), Problem())
    return attrs.evolve(known, message=text)


def _fault(fault: Any) -> str:
    """The field and what is wrong with it; never the field's value."""
    return f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
