"""Warden's sessions: the routes by which a site opens and ends them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi_sandbox.server import Call, Refusal, Reply, route
from qrmi_sandbox.warden_answers import fields, now, unprocessable, uuid_of

__all__ = ["Session", "SessionRoutes"]


@attrs.define
class Session:
    """A user's leave to send jobs."""

    user: str
    job: str
    slots: int
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    created_at: str = attrs.field(factory=now)
    revoked_at: str | None = None


class SessionRoutes:
    """What a Warden does about sessions; mixed into the server."""

    lock: threading.RLock
    sessions: list[Session]
    users: set[int]
    slots_total: int | None
    is_old: bool

    @property
    def caller(self) -> str:
        """The id of the user who made this request."""
        raise NotImplementedError

    def needs_admin(self) -> None:
        """Refuse everyone but administrators."""
        raise NotImplementedError

    def on_revoked(self, session: Session) -> None:
        """Called when a session ends."""

    def used_slots(self) -> int:
        """Slots of the sessions that have not ended."""
        with self.lock:
            return sum(session.slots for session in self.sessions if not session.revoked_at)

    @route("POST", "/sessions")
    def create_session(self, call: Call) -> Reply:
        """Open a session; newer: give the one that the job has."""
        self.needs_admin()
        body = fields(call, ("qpu_slots",), user_id=str, slurm_job_id=str)
        if self.users and int(body["user_id"]) not in self.users:
            raise Refusal(403, {"detail": "User ID not authorized."})
        slots = 1 if self.is_old else body.get("qpu_slots", 1)  # 0.1 ignores what it does not know
        if type(slots) is not int or slots < 1:
            raise unprocessable("qpu_slots", "Input should be greater than or equal to 1")
        with self.lock:
            session = None if self.is_old else self._found(body, slots)
            if session is None:
                session = Session(user=body["user_id"], job=body["slurm_job_id"], slots=slots)
                self.sessions.append(session)
            return Reply(self._told(session))

    def _found(self, body: Mapping[str, Any], slots: int) -> Session | None:
        for session in self.sessions:
            if (session.user, session.job) != (body["user_id"], body["slurm_job_id"]):
                continue
            if session.revoked_at is None and session.slots == slots:
                return session
            if session.revoked_at is None:
                words = "An active session already exists for this scheduler job"
                raise Refusal(409, {"detail": f"{words} with different parameters."})
        if self.slots_total is not None and self.used_slots() + slots > self.slots_total:
            raise Refusal(409, {"detail": "Not enough QPU slots available."})
        return None

    @route("DELETE", "/sessions")
    def revoke_session(self, call: Call) -> Reply:
        """End the session of the header."""
        self.needs_admin()
        return self._revoke(call.headers.get("x-warden-session"))

    @route("DELETE", "/sessions/{id}")
    def revoke_session_by_url(self, call: Call) -> Reply:
        """End the session of the URL."""
        self.needs_admin()
        return self._revoke(call.path["id"])

    def _revoke(self, session_id: str | None) -> Reply:
        if session_id is None:
            raise Refusal(403, {"detail": "Missing 'X-Warden-Session' header."})
        wanted = uuid_of(session_id, "x-warden-session")
        with self.lock:
            session = next((each for each in self.sessions if each.id == wanted), None)
            if session is None:
                raise Refusal(404, {"detail": "Session not found."})
            session.revoked_at = now()
            self.on_revoked(session)
            return Reply(self._told(session))

    def _told(self, session: Session) -> dict[str, Any]:
        told = {
            "id": session.id,
            "user_id": session.user,
            "created_at": session.created_at,
            "revoked_at": session.revoked_at,
        }
        if not self.is_old:
            told.update(scheduler_job_id=session.job, qpu_slots=session.slots, expires_at=None)
        return told

    def session_of_job(self, call: Call) -> Session:
        """The session in which a job is sent, if it may be."""
        given = call.headers.get("x-warden-session")
        if given is None:
            raise Refusal(403, {"detail": "Missing 'X-Warden-Session' header."})
        wanted = uuid_of(given, "x-warden-session")
        session = next((each for each in self.sessions if each.id == wanted), None)
        if session is None:
            raise Refusal(403, {"detail": "Invalid session."})
        if session.revoked_at is not None:
            raise Refusal(403, {"detail": "Session has been revoked."})
        if session.user != self.caller:
            raise Refusal(403, {"detail": "Session belongs to another user."})
        return session
