"""Warden, the middleware in front of a QPU of Pasqal's: type ``pasqal-local``.

Two generations: 0.1 (no cancelling, no logs, sessions ended by URL, each session new, results as a
Python literal) and 0.3.2 (slots, one session for each job, AHS programs, an administrators' view).
Sequences run on Pulser's QuTiP backend, one at a time.
"""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections import Counter
from typing import Any

from qrmi_sandbox.munge import CredentialError, Munge, usual_munge
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route
from qrmi_sandbox.warden_about import AboutRoutes
from qrmi_sandbox.warden_answers import fields, unprocessable
from qrmi_sandbox.warden_qpu import ENDED, Job, Qpu, as_pulser, row_of
from qrmi_sandbox.warden_sessions import Session, SessionRoutes

__all__ = ["WardenServer"]

_OPEN = ("/", "/accessible", "/qpu/specs", "/qpu-slots", "/openapi.json")
_LONGEST_PAGE = 100
_NEWER = re.compile(
    "(POST /jobs/[^/]*/cancel|GET /jobs/[^/]*/logs|GET /qpu-slots|GET /status|DELETE /sessions"
    "|GET /accounting/jobs)"
).fullmatch


class WardenServer(SessionRoutes, AboutRoutes, Server):
    """A Warden.

    Args:
        generation: ``0.1`` or ``0.3.2``.
        munge: where users' ids come from; by default a munged of its own, where there is one.
        port: 0 for any.
        tls: serves HTTPS with this context.

    Attributes:
        qpu: what runs jobs.
        admins: user ids that may open and end sessions.
        users: user ids that may be given sessions; empty for all.
        slots_total: how many slots the QPU has; ``None`` where none are configured.
        is_accessible: what administrators say of the QPU.
        message: their words.
        status_word: given instead of a job's own status, if it has not ended.
        described: whether it describes its routes.
    """

    def __init__(
        self,
        *,
        generation: str = "0.3.2",
        munge: Munge | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(port=port, tls=tls)
        self.generation = generation
        self.munge = munge or usual_munge()
        self.qpu = Qpu(self.lock, literal=self.is_old)
        self.admins = {os.getuid()}
        self.users: set[int] = set()
        self.slots_total: int | None = None if self.is_old else 10
        self.is_accessible = True
        self.message = "Warden ok."
        self.status_word: str | None = None
        self.described = True
        self._expired = 0
        self._caller = threading.local()
        self.sessions: list[Session] = []

    @property
    def run_seconds(self) -> float:
        """How long a job takes beyond its emulation."""
        return self.qpu.run_seconds

    @run_seconds.setter
    def run_seconds(self, seconds: float) -> None:
        self.qpu.run_seconds = seconds

    @property
    def executions(self) -> Counter[str]:
        """How often each job was run on the QPU, by its id."""
        return self.qpu.executions

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            return {str(job.id): job.sequence for job in self.qpu.jobs}

    @property
    def is_old(self) -> bool:
        """Whether it is the 0.1 generation."""
        return self.generation.startswith("0.1")

    def start(self) -> WardenServer:
        """Listen, with munged and the QPU at work."""
        self.munge.start()
        self.qpu.start()
        super().start()
        return self

    def stop(self) -> None:
        """Stop listening, and munged."""
        super().stop()
        self.munge.stop()

    # --- for tests and for people ---------------------------------------------------------------

    def settings(self, *, job: str = "4242") -> dict[str, str]:
        """Settings by unprefixed key, as in a scheduler's job whose prolog opened no session."""
        return {
            "QRMI_WARDEN_URL": self.url,
            "QRMI_JOB_UID": str(os.getuid()),
            "QRMI_JOB_ID": job,
            **self.munge.settings(),
        }

    def resource(self, name: str | None = None) -> dict[str, Any]:
        """The entry of a ``qrmi_config.json`` that uses this server, in a session of its own."""
        session = self.open_session("sandbox")
        return {
            "name": name or "sandbox-pasqal-local",
            "type": "pasqal-local",
            "environment": {**self.settings(), "QRMI_JOB_ACQUISITION_TOKEN": session},
        }

    def open_session(self, job: str, *, user: int | None = None, slots: int = 1) -> str:
        """Open a session as a prolog would, and return its id."""
        with self.lock:
            user = os.getuid() if user is None else user
            session = Session(user=str(user), job=job, slots=slots)
            self.sessions.append(session)
            return session.id

    def held_sessions(self) -> list[str]:
        """Ids of the sessions that have not ended."""
        with self.lock:
            return [session.id for session in self.sessions if session.revoked_at is None]

    def tasks_made(self) -> int:
        """How many jobs it was ever given."""
        return len(self.qpu.jobs)

    def expire_tokens(self) -> None:
        """Refuse the next credential as too old."""
        self._expired += 1

    # --- every request --------------------------------------------------------------------------

    def check(self, call: Call) -> None:
        """Closed routes need a credential, and name the type of their body."""
        if call.method not in self._methods(call.raw_path):
            reply = self.unknown(call)
            raise Refusal(reply.status, reply.body)
        if call.query and call.raw_path != "/accounting/jobs":
            raise Refusal(422, {"detail": "no route here takes a query"})
        if call.method == "GET" and call.raw_path in _OPEN:
            return
        self._caller.user = self._user(call)
        if call.headers.get("content-type", "").split(";")[0] != "application/json":
            raise Refusal(415, {"detail": "the content type is not application/json"})

    def unknown(self, call: Call) -> Reply:
        """FastAPI's words."""
        if self._methods(call.raw_path):
            return Reply({"detail": "Method Not Allowed"}, 405)
        return Reply({"detail": "Not Found"}, 404)

    def _methods(self, path: str) -> set[str]:
        """The methods that this generation has for a path."""
        return {
            method
            for method, pattern, _ in self._table
            if pattern.fullmatch(path) and not (self.is_old and _NEWER(f"{method} {path}"))
        }

    @property
    def caller(self) -> str:
        """The id of the user who made the request that this thread handles."""
        return str(self._caller.user)

    def _user(self, call: Call) -> str:
        credential = call.headers.get("x-munge-cred")
        if not credential:
            raise Refusal(401, {"detail": "Missing MUNGE credential"})
        with self.lock:
            if self._expired:
                self._expired -= 1
                raise Refusal(401, {"detail": "MUNGE credential expired"})
        try:
            return str(self.munge.user_of(credential))
        except CredentialError as error:
            raise Refusal(error.status, {"detail": error.detail}) from None

    def on_revoked(self, session: Session) -> None:
        """Newer: jobs end with their session."""
        for job in self.qpu.jobs if not self.is_old else ():
            if job.session is session:
                self.qpu.cancel(job)

    def needs_admin(self) -> None:
        """Refuse everyone but administrators."""
        if int(self.caller) not in self.admins:
            role = "slurm root" if self.is_old else "admin"
            raise Refusal(403, {"detail": f"Endpoint restricted to {role} user."})

    # --- jobs -----------------------------------------------------------------------------------

    @route("POST", "/jobs")
    def create_job(self, call: Call) -> Reply:
        """Queue a job; newer: an AHS program becomes a sequence first."""
        with self.lock:
            session = self.session_of_job(call)
        body = fields(call, sequence=str, shots=int)
        sequence = body["sequence"] if self.is_old else as_pulser(body["sequence"])
        job = self.qpu.put(session, sequence, body["shots"])
        with self.lock:
            return Reply(self._shown(job))

    @route("GET", "/jobs")
    def list_jobs(self, _call: Call) -> Reply:
        """The caller's own."""
        with self.lock:
            mine = [job for job in self.qpu.jobs if job.session.user == self.caller]
            return Reply([self._shown(job) for job in mine])

    @route("GET", "/jobs/{id}")
    def job(self, call: Call) -> Reply:
        """One of the caller's own."""
        with self.lock:
            return Reply(self._shown(self._job(call)))

    @route("POST", "/jobs/{id}/cancel")
    def cancel_job(self, call: Call) -> Reply:
        """Cancel one that has not ended."""
        with self.lock:
            job = self._job(call)
            if job.status in ENDED:
                raise Refusal(409, {"detail": f"Job with status '{job.status}' can't be canceled"})
            if job.cancelled.is_set():
                raise Refusal(409, {"detail": "Job was already requested to be stopped"})
            self.qpu.cancel(job)
            return Reply(self._shown(job))

    @route("GET", "/jobs/{id}/logs")
    def logs(self, call: Call) -> Reply:
        """What the QPU said of it."""
        with self.lock:
            return Reply({"logs": self._job(call).logs or "There are no logs for this job"})

    @route("GET", "/accounting/jobs")
    def accounts(self, call: Call) -> Reply:
        """Jobs that have ended, for administrators; newer."""
        self.needs_admin()
        limit, offset = int(call.query.get("limit", "100")), int(call.query.get("offset", "0"))
        if not 0 < limit <= _LONGEST_PAGE or offset < 0:
            raise unprocessable("limit", "Input should be less than or equal to 100")
        session = call.query.get("session_id")
        with self.lock:
            ended = [job for job in self.qpu.jobs if job.ended_at is not None]
            rows = [row_of(job) for job in ended if session in (None, job.session.id)]
        page = rows[offset : offset + limit]
        start = min(offset, len(rows))
        pages = {"total": len(rows), "start": start, "end": start + len(page)}
        return Reply({"data": page, "pagination": pages})

    def _job(self, call: Call) -> Job:
        if not call.path["id"].isdecimal():
            raise unprocessable("id", "Input should be a valid integer")
        for job in self.qpu.jobs:
            if job.id == int(call.path["id"]) and job.session.user == self.caller:
                return job
        raise Refusal(404, {"detail": "Job not found"})

    def _shown(self, job: Job) -> dict[str, Any]:
        word = job.status if job.status in ENDED else self.status_word or job.status
        return {
            "id": job.id,
            "user_id": job.session.user,
            "created_at": job.created_at,
            "status": word,
            "results": job.results,
        }
