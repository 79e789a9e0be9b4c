"""Jobs and sessions of IBM's compute service: what they are, and what runs them on Aer."""

from __future__ import annotations

import itertools
import json
import queue
import threading
import time
import uuid
from collections import Counter
from typing import Any

import attrs

from qrmi_sandbox import ibm_devices
from qrmi_sandbox.server import Call, Refusal

__all__ = [
    "FINAL",
    "Job",
    "JobRunner",
    "Session",
    "keys_must_be",
    "matches",
    "query_must_be",
    "refusal",
    "shown_job",
    "shown_session",
]

_PROGRAMS = ("sampler", "estimator", "noiselearner", "executor")
_MOST_TAGS, _LONGEST_TAG = 8, 86
_LONGEST_SECONDS = 10800
FINAL = ("Completed", "Failed", "Cancelled", "Cancelled - Ran too long")
_REASONS = {
    "Failed": {"reason_code": 1517, "reason_solution": "change the program"},
    "Cancelled - Ran too long": {"reason_code": 1305},
}


def refusal(status: int, code: int, message: str) -> Refusal:
    """An error as the service words it."""
    return Refusal(
        status,
        {
            "errors": [{"code": code, "message": message, "more_info": "https://example.com"}],
            "trace": uuid.uuid4().hex,
        },
    )


@attrs.define(kw_only=True)
class Job:
    """A job; ``params`` is its input, JSON text."""

    id: str
    program: str
    backend: str
    params: str
    tags: list[str]
    cost: float
    session: str | None
    private: bool
    status: str = "Queued"
    reason: str = ""
    result: str = ""
    log: list[str] = attrs.field(factory=list)
    stop: threading.Event = attrs.field(factory=threading.Event)
    created: float = attrs.field(factory=time.time)


@attrs.define(kw_only=True)
class Session:
    """A session; ``ends_at`` is on the monotonic clock."""

    id: str
    mode: str
    backend: str | None
    max_seconds: float
    ends_at: float
    state: str = "open"
    accepts: bool = True


class JobRunner:
    """One queue, worked off job by job in a thread of its own.

    Attributes:
        jobs: every job by its id.
        sessions: every session by its id.
        executions: how often a job was run, by its id and by each of its tags.
        run_seconds: how long a job takes at least; longer than its ``cost`` ends it.
        noise: whether results have the devices' errors.
        plain_results: answer in the plain schema whatever the input asks for.
    """

    devices: dict[str, dict[str, Any]]
    lock: threading.RLock

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.sessions: dict[str, Session] = {}
        self.executions: Counter[str] = Counter()
        self.run_seconds = 0.0
        self.noise = False
        self.plain_results = False
        self._ids = itertools.count(1)
        self._work: queue.Queue[Job] = queue.Queue()
        self._worker: threading.Thread | None = None

    def new_job(self, body: dict[str, Any]) -> Job:
        """A job, not queued; what the service does not take is refused."""
        tags, cost = body.get("tags", []), body.get("cost", _LONGEST_SECONDS)
        if body["program_id"] not in _PROGRAMS:
            raise refusal(404, 1207, "Program not found")
        if not isinstance(body["params"], dict):
            raise refusal(400, 1219, "params must be an object")
        if len(tags) > _MOST_TAGS or any(len(tag) > _LONGEST_TAG for tag in tags):
            raise refusal(400, 1219, "too many tags, or too long")
        if isinstance(cost, bool) or not isinstance(cost, int) or not 0 < cost < 2**31:
            raise refusal(400, 1219, "cost must be a 32-bit integer greater than 0")
        return Job(
            id=f"job-{next(self._ids)}-{uuid.uuid4().hex[:8]}",
            program=body["program_id"],
            backend=body["backend"],
            params=json.dumps(body["params"]),
            tags=tags,
            cost=cost,
            session=body.get("session_id"),
            private=bool(body.get("private")),
        )

    def enter_session(self, token: str | None, backend: str) -> None:
        """Refuse a job whose session does not take it."""
        if token is None:
            return
        session = self.sessions.get(token)
        if session is None:
            raise refusal(404, 1217, "Session not found")
        if not session.accepts or session.state == "closed" or session.ends_at <= time.monotonic():
            raise refusal(400, 1218, "the session takes no more jobs")
        if session.backend not in (None, backend):
            raise refusal(400, 1218, "the session is for another backend")
        session.state = "active"

    def pending(self, token: str) -> list[Job]:
        """The jobs of a session that have not ended."""
        return [
            job for job in self.jobs.values() if job.session == token and job.status not in FINAL
        ]

    def program_texts(self) -> dict[str, str]:
        """The program of every job by the id under which `executions` counts it."""
        with self.lock:
            return {job.id: job.params for job in self.jobs.values()}

    def queue(self, job: Job) -> None:
        """Have a job run when its turn comes."""
        with self.lock:
            self.jobs[job.id] = job
            if self._worker is None:
                self._worker = threading.Thread(target=self._run_all, daemon=True)
                self._worker.start()
        self._work.put(job)

    def _run_all(self) -> None:
        while True:
            job = self._work.get()
            with self.lock:
                if job.status != "Queued":
                    continue
                job.status = "Running"
                self.executions.update([job.id, *job.tags])
            self._run(job)

    def _run(self, job: Job) -> None:
        job.log.append(f"job {job.id} runs on {job.backend}")
        if job.stop.wait(min(self.run_seconds, job.cost)):
            return
        if self.run_seconds > job.cost:
            self.end(job, "Cancelled - Ran too long", "the job ran longer than its cost allows")
            return
        try:
            result = self._compute(job)
        except Exception as error:
            job.log.append(f"failed: {error}")
            self.end(job, "Failed", str(error), f"Traceback: {error}")
        else:
            self.end(job, "Completed", "", result)

    def _compute(self, job: Job) -> str:
        if job.program not in ("sampler", "estimator"):
            return json.dumps({"program": job.program, "received": sorted(json.loads(job.params))})
        device = self.devices[job.backend]
        described = {name: device[name] for name in ("configuration", "properties")}
        text = ibm_devices.run_primitive(
            job.program, job.params, device=described, noise=self.noise, log=job.log.append
        )
        wants_plain = self.plain_results and '"__type__"' in text
        return ibm_devices.plain_form(text) if wants_plain else text

    def end(self, job: Job, status: str, reason: str, result: str = "") -> None:
        """End a job, unless it has ended."""
        with self.lock:
            if job.status not in FINAL:
                job.status, job.reason, job.result = status, reason, result
                job.log.append(status.lower())
            session = self.sessions.get(job.session or "")
            if session is not None and not session.accepts and not self.pending(session.id):
                session.state = "closed"
        job.stop.set()


def shown_job(job: Job, with_params: bool) -> dict[str, Any]:
    """A job as the service shows it."""
    status = job.status
    state: dict[str, Any] = {"status": status.split(" - ")[0], "reason": job.reason}
    if status in _REASONS:
        state |= _REASONS[status]
    shown = {
        "id": job.id,
        "backend": job.backend,
        "state": state,
        "status": status,
        "program": {"id": job.program},
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(job.created)),
        "cost": job.cost,
        "user_id": "sandbox",
        "tags": job.tags,
        "private": job.private,
        "usage": None,
        "a_key_of_tomorrow": [1, 2],
    }
    if job.session:
        shown["session_id"] = job.session
    if with_params and not job.private:
        shown["params"] = json.loads(job.params)
    return shown


def shown_session(session: Session) -> dict[str, Any]:
    """A session as the service shows it."""
    left = max(0, int(session.ends_at - time.monotonic()))
    return {
        "id": session.id,
        "backend_name": session.backend,
        "mode": session.mode,
        "max_ttl": int(session.max_seconds),
        "active_ttl": left,
        "interactive_ttl": 60,
        "state": session.state,
        "accepting_jobs": session.accepts,
        "timestamps": None,
    }


def query_must_be(call: Call, known: set[str]) -> None:
    """Refuse keys of the query that are not known."""
    if not set(call.query) <= known:
        raise refusal(400, 1219, f"unknown query: {sorted(set(call.query) - known)}")


def keys_must_be(body: Any, known: set[str], needed: set[str]) -> None:
    """Refuse a body that lacks a key, or has one that is not known."""
    if not isinstance(body, dict) or not needed <= set(body) <= known:
        raise refusal(400, 1219, "the body lacks a key, or has one that is not known")


def matches(job: Job, query: Any, tags: list[str]) -> bool:
    """Whether a job passes the filters of a list."""
    pending = query.get("pending")
    return (
        (pending is None or (job.status not in FINAL) == (pending == "true"))
        and query.get("backend", job.backend) == job.backend
        and query.get("program", job.program) == job.program
        and query.get("session_id", job.session) == job.session
        and set(tags) <= set(job.tags)
    )
