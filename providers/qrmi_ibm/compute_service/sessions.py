"""Sessions of the compute service: requests, answers, and which one a driver holds."""

from __future__ import annotations

import threading
from typing import Any

import attrs

from qrmi.errors import UnexpectedAnswerError
from qrmi.transport import Request, answer_field, join, json_body, reading
from qrmi_ibm.compute_service.settings import SessionMode
from qrmi_ibm.compute_service.wire import Site, list_jobs

__all__ = [
    "Lease",
    "Session",
    "close_session",
    "create_session",
    "created_token",
    "get_session",
    "holds_device",
    "may_be_kept",
    "pending_jobs",
    "read_session",
    "running_sessions",
    "stop_accepting",
]

_NO_SESSION = frozenset({404})
_ENDED = frozenset({404, 409, 410})
_LEAST_SHARE = 0.01  # a session is kept while more than this share of its life is left
_LARGEST_SECONDS = 1e12
_STOP = json_body({"accepting_jobs": False})


def create_session(site: Site, *, mode: SessionMode, max_seconds: int) -> Request:
    """Begin a session (POST /sessions)."""
    body = {
        "max_ttl": max_seconds,
        "mode": mode.value,
        "backend": site.backend,
        "backend_name": site.backend,
    }
    return Request(
        "POST", join(site.endpoint, "sessions"), headers=site.post_headers, body=json_body(body)
    )


def created_token(answer: Any) -> str:
    """The id of the session that was begun."""
    token = answer_field(answer, "id", str)
    if not token.strip() or not token.isprintable() or token in (".", ".."):
        raise UnexpectedAnswerError("the service's answer has no session id that can be used")
    return token


def get_session(site: Site, token: str) -> Request:
    """Look at a session (GET /sessions/{id}); a 404 is an answer."""
    return Request(
        "GET", join(site.endpoint, "sessions", token), headers=site.headers, accept=_NO_SESSION
    )


def pending_jobs(site: Site, token: str) -> Request:
    """One job of the session that has not ended, if there is any; a 404 is an answer."""
    request = list_jobs(site, limit=1, pending=True, session_id=token)
    return Request("GET", request.url, headers=site.headers, accept=_NO_SESSION)


def close_session(site: Site, token: str) -> Request:
    """End a session and its pending jobs (DELETE /sessions/{id}/close)."""
    return Request(
        "DELETE",
        join(site.endpoint, "sessions", token, "close"),
        headers=site.headers,
        idempotent=True,
        accept=_ENDED,
    )


def stop_accepting(site: Site, token: str) -> Request:
    """End a session that has nothing to do (PATCH /sessions/{id})."""
    return Request(
        "PATCH",
        join(site.endpoint, "sessions", token),
        headers=site.post_headers,
        body=_STOP,
        idempotent=True,
        accept=_ENDED,
    )


@attrs.frozen(kw_only=True)
class Session:
    """What the service says of a session; ``None`` is what it leaves out.

    Attributes:
        mode: ``dedicated`` or ``batch``, or a newer word.
        state: ``open``, ``active``, ``inactive`` or ``closed``, or a newer word.
        max_seconds: its longest life.
        left_seconds: what is left of it.
        accepts: whether it takes more jobs.
        backend: its device.
    """

    mode: str | None
    state: str | None
    max_seconds: float | None
    left_seconds: float | None
    accepts: bool | None
    backend: str | None


def read_session(answer: Any) -> Session:
    """Read an answer to `get_session`."""
    with reading("GET /sessions/{id}"):
        answer_field(answer, "id", str)
        return Session(
            mode=answer.get("mode"),
            state=answer.get("state"),
            max_seconds=_number(answer.get("max_ttl")),
            left_seconds=_number(answer.get("active_ttl")),
            accepts=answer.get("accepting_jobs"),
            backend=answer.get("backend_name"),
        )


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or not abs(value) < _LARGEST_SECONDS:
        raise ValueError("not a number of seconds")
    return float(value)


def may_be_kept(session: Session, backend: str) -> bool:
    """Whether tasks of this device can go on using the session.

    It takes jobs and more than a hundredth of its life is left, where a time that the service does
    not tell counts as one second.
    """
    if session.accepts is False or session.state == "closed":
        return False
    if session.backend not in (None, backend):
        return False
    longest = 1.0 if session.max_seconds is None else session.max_seconds
    left = 1.0 if session.left_seconds is None else session.left_seconds
    return left > longest * _LEAST_SHARE


def holds_device(session: Session) -> bool:
    """Whether the session keeps others from the device now."""
    return session.mode == SessionMode.DEDICATED and session.state == "active"


def running_sessions(answers: list[Any]) -> list[str]:
    """The sessions of the jobs listed that run now, each once."""
    with reading("GET /jobs"):
        jobs = [job for answer in answers for job in answer["jobs"]]
        found = [
            job.get("session_id")
            for job in jobs
            if "Running" in (job.get("status"), (job.get("state") or {}).get("status"))
        ]
    return sorted({token for token in found if isinstance(token, str) and token})


class Lease:
    """The session that a driver's tasks go to: the one acquired, else the one configured."""

    def __init__(self, configured: str | None) -> None:
        self._configured = configured or None
        self._held: str | None = None
        self._lock = threading.Lock()

    @property
    def token(self) -> str | None:
        """The session's id, or ``None``."""
        with self._lock:
            return self._held or self._configured

    def take(self, token: str) -> None:
        """From now on tasks go to this session."""
        with self._lock:
            self._held = token

    def drop(self, token: str) -> None:
        """No more tasks go to this session."""
        with self._lock:
            if self._held == token:
                self._held = None
            if self._configured == token:
                self._configured = None
