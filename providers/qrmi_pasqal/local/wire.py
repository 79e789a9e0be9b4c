"""What is said to Warden, and what it answers; everything here is pure.

Routes and fields: Warden 0.1.0, and its versions since 0.3.2 where the comment says "newer". All
requests but that for ``/accessible`` carry a MUNGE credential, which the client adds.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from qrmi.driver import unknown_status
from qrmi.errors import TaskNotFoundError, UnexpectedAnswerError
from qrmi.tasks import ResourceCapacity, TaskId, TaskStatus
from qrmi.transport import JSON, Request, Response, answer_field, join, json_body, polled

__all__ = [
    "accessibility",
    "accessible",
    "activity",
    "admin_status",
    "cancel_job",
    "capacity",
    "create_job",
    "create_session",
    "created",
    "description",
    "get_job",
    "job_ids",
    "job_logs",
    "jobs_since",
    "knows_slots",
    "list_jobs",
    "log_text",
    "qpu_slots",
    "qpu_specs",
    "result_text",
    "revoke_session",
    "revoke_session_by_url",
    "session_id",
    "status_of",
    "takes_ahs",
    "target_text",
]

_STATUSES = {
    "PENDING": TaskStatus.QUEUED,
    "RUNNING": TaskStatus.RUNNING,
    "DONE": TaskStatus.COMPLETED,
    "CANCELED": TaskStatus.CANCELLED,
    "ERROR": TaskStatus.FAILED,
}
_SESSION = "x-warden-session"
_ZONES_SECONDS = 26 * 3600.0  # between the first and the last time zone
_LONGEST_ID = 18  # digits; more overflow Warden's database
_NO_LOGS = "there are no logs for this job"

# --- the resource -----------------------------------------------------------------------------


def accessible(url: str) -> Request:
    """Whether the QPU takes jobs; open to all."""
    return Request("GET", join(url, "accessible"), authorized=False)


def accessibility(answer: Any) -> tuple[bool, str | None]:
    """Whether it does, and what the administrators say about it."""
    message = answer.get("message") if isinstance(answer, dict) else None
    told = message if isinstance(message, str) and message else None
    return answer_field(answer, "is_accessible", bool), told


def qpu_slots(url: str) -> Request:
    """How many slots are free (newer; open to all). 404 also where none are configured."""
    return Request("GET", join(url, "qpu-slots"), authorized=False)


def capacity(answer: Any) -> ResourceCapacity:
    """The slots."""
    return ResourceCapacity(
        available_slots=answer_field(answer, "qpu_slots_available", int),
        max_slots=answer_field(answer, "qpu_slots_total", int),
    )


def admin_status(url: str) -> Request:
    """The queue (newer; administrators only)."""
    return Request("GET", join(url, "status"), headers=JSON)


def activity(answer: Any) -> tuple[int, bool]:
    """How many jobs are pending, and whether one runs."""
    running = answer.get("current_job") if isinstance(answer, dict) else None
    return answer_field(answer, "pending_jobs_count", int), running is not None


def qpu_specs(url: str) -> Request:
    """The device."""
    return Request("GET", join(url, "qpu", "specs"), headers=JSON)


def target_text(answer: Any) -> str:
    """The device in the form of Pasqal's services: a list of one.

    Raises:
        UnexpectedAnswerError: there is no device with a name in it.
    """
    specs = answer.get("specs") if isinstance(answer, dict) else None
    text = specs if isinstance(specs, str) else json.dumps(specs)
    try:
        device = json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedAnswerError("Warden's device specifications are not JSON") from None
    name = answer_field(device, "name", str)
    return json.dumps([{"device_type": name, "specs": text}])


def description(url: str) -> Request:
    """What the server says of its own routes (OpenAPI); open to all, unless a site hides it."""
    accept = frozenset({401, 403, 404})
    return Request("GET", join(url, "openapi.json"), authorized=False, accept=accept)


def takes_ahs(response: Response) -> bool:
    """Whether it converts AHS programs itself (newer): its description speaks of them.

    A server that does not describe itself is taken for a newer one.
    """
    return response.status >= 400 or b"AHS" in bytes(response.body)


# --- sessions ---------------------------------------------------------------------------------


def create_session(url: str, user_id: int, job_id: str, slots: int | None) -> Request:
    """A session for a user's job. Newer: one for each job, ``qpu_slots``, 409 when they differ."""
    body: dict[str, Any] = {"user_id": str(user_id), "slurm_job_id": job_id}
    if slots is not None:
        body["qpu_slots"] = slots
    return Request("POST", join(url, "sessions"), headers=JSON, body=json_body(body))


def session_id(answer: Any) -> str:
    """The session's id, which travels in a header."""
    session = answer_field(answer, "id", str)
    usable = session.isascii() and session.isprintable() and session.strip()
    if not usable or session in (".", ".."):
        raise UnexpectedAnswerError("Warden's answer has no session id that can be used")
    return session


def knows_slots(answer: Any) -> bool:
    """Whether the server that made this session is a newer one."""
    return isinstance(answer, dict) and "qpu_slots" in answer


def revoke_session(url: str, session: str) -> Request:
    """End a session (newer)."""
    headers = (*JSON, (_SESSION, session))
    where = join(url, "sessions")
    return Request("DELETE", where, headers=headers, idempotent=True)


class _Unnamed(Request):
    """A request whose URL holds a credential: it is not shown."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The method, and the path without the session's id."""
        return f"{self.method} /sessions/***"


def revoke_session_by_url(url: str, session: str) -> Request:
    """End a session (Warden 0.1; newer versions would put its id into their access logs)."""
    where = join(url, "sessions", session)
    return _Unnamed("DELETE", where, headers=JSON, idempotent=True)


# --- jobs -------------------------------------------------------------------------------------


def create_job(url: str, session: str, sequence: str, shots: int) -> Request:
    """Queue a job: a Pulser sequence, or (newer) an AHS program, as text."""
    headers = (*JSON, (_SESSION, session))
    body = json_body({"sequence": sequence, "shots": shots})
    return Request("POST", join(url, "jobs"), headers=headers, body=body)


def created(answer: Any) -> TaskId:
    """The new job's id."""
    answer_field(answer, "status", str)  # this is a job, and not just anything with an id
    return TaskId(str(answer_field(answer, "id", int)))


@polled
def get_job(url: str, task_id: str) -> Request:
    """A job of the caller's own."""
    return _of_job("GET", url, task_id)


def cancel_job(url: str, task_id: str) -> Request:
    """Cancel a job (newer). 409: it has ended, or is being cancelled already."""
    return _of_job("POST", url, task_id, "cancel", accept=frozenset({409}), idempotent=True)


def job_logs(url: str, task_id: str) -> Request:
    """A job's log (newer)."""
    return _of_job("GET", url, task_id, "logs")


def _of_job(method: str, url: str, task_id: str, *rest: str, **options: Any) -> Request:
    if not (task_id.isascii() and task_id.isdecimal() and len(task_id) <= _LONGEST_ID):
        raise TaskNotFoundError(
            f"no task {task_id[:40]!r}: Warden's ids are whole numbers", task_id=task_id[:40]
        )
    return Request(
        method,
        join(url, "jobs", task_id, *rest),
        headers=JSON,
        missing=TaskNotFoundError,
        task_id=task_id,
        **options,
    )


def list_jobs(url: str) -> Request:
    """All jobs of the caller's own."""
    return Request("GET", join(url, "jobs"), headers=JSON)


def job_ids(answer: Any) -> list[TaskId]:
    """Their ids, newest first: Warden counts upwards."""
    if not isinstance(answer, list):
        raise UnexpectedAnswerError("malformed answer to GET /jobs: not a list")
    numbers = sorted((answer_field(job, "id", int) for job in answer), reverse=True)
    return [TaskId(str(number)) for number in numbers]


def jobs_since(answer: Any, since: float) -> list[TaskId]:
    """Ids, newest first, of the jobs that may have been made since a time.

    A job whose time cannot be read may be.
    """
    ids = job_ids(answer)
    ages = {str(job["id"]): _made_at(job) for job in answer}
    return [task_id for task_id in ids if ages[task_id] >= since - _ZONES_SECONDS]


def _made_at(job: Mapping[str, Any]) -> float:
    try:
        made = datetime.fromisoformat(job["created_at"])
    except (KeyError, TypeError, ValueError):
        return math.inf
    return (made if made.tzinfo else made.replace(tzinfo=UTC)).timestamp()


def status_of(job: Any, task_id: str) -> TaskStatus:
    """Where a job is.

    Raises:
        UnexpectedAnswerError: this is not that job.
    """
    if answer_field(job, "id", int) != int(task_id):
        raise UnexpectedAnswerError(f"asked for job {task_id}, Warden answered with another")
    word = answer_field(job, "status", str)
    return _STATUSES[word] if word in _STATUSES else unknown_status(word, task_id)


def result_text(job: Any) -> str:
    """A completed job's results, as the QPU wrote them.

    Of Warden 0.1 with its simulated QPU they are a Python literal (``{'counter': …}``); that is
    turned into JSON.

    Raises:
        UnexpectedAnswerError: there are none.
    """
    results = job.get("results") if isinstance(job, dict) else None
    if isinstance(results, dict):
        return json.dumps(results)
    if not isinstance(results, str) or not results:
        raise UnexpectedAnswerError("Warden has no results for a task that it calls done")
    return _from_literal(results) if results.lstrip()[:2] == "{'" else results


def _from_literal(text: str) -> str:
    try:
        return json.dumps(ast.literal_eval(text))
    except (MemoryError, RecursionError, SyntaxError, TypeError, ValueError):
        raise UnexpectedAnswerError("Warden's results are neither JSON nor a literal") from None


def log_text(answer: Any) -> str:
    """A job's log; empty when there is none."""
    text = answer_field(answer, "logs", str)
    return "" if text.strip().rstrip(".").lower() == _NO_LOGS else text
