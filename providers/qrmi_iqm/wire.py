"""IQM Server's REST API, version 1: requests out, answers in. Pure.

Source: IQM Server's OpenAPI description (jobs, quantum computers, calibration sets) and what
iqm-client 36 sends.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from qrmi.driver import unknown_status
from qrmi.errors import TaskNotFoundError
from qrmi.payloads import IQMServer
from qrmi.references import created_id as _checked_id
from qrmi.tasks import ResourceStatus, ResourceStatusCode, TaskId, TaskStatus
from qrmi.transport import JSON, Problem, Request, Response, answer_field, join, polled, reading

__all__ = [
    "ARTIFACTS",
    "Job",
    "artifact",
    "cancel_job",
    "computer",
    "computers",
    "computers_listed",
    "create_job",
    "created_id",
    "get_job",
    "problem",
    "resource_status",
    "target_parts",
]

ARTIFACTS = ("measurement_counts", "measurements")
"""The artifacts of a circuit job that make up its result, in the order of the result's keys."""

_STATUS = {
    "waiting": TaskStatus.QUEUED,
    "processing": TaskStatus.RUNNING,
    "completed": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
}
_CODES = {"online": ResourceStatusCode.ONLINE, "maintenance": ResourceStatusCode.PAUSED}
_LONGEST_HOLD_SECONDS = 30
_NOT_THERE = frozenset({404})
_NOT_CANCELLABLE = frozenset({400, 409})
_API = ("api", "v1")


# --- requests -------------------------------------------------------------------------------------


def computer(endpoint: str, alias: str) -> Request:
    """``GET /api/v1/quantum-computers/{qc}``: what the server says of a quantum computer."""
    return Request("GET", join(endpoint, *_API, "quantum-computers", alias))


def computers(endpoint: str) -> Request:
    """``GET /api/v1/quantum-computers``: those that the account can see."""
    return Request("GET", join(endpoint, *_API, "quantum-computers"))


def target_parts(endpoint: str, alias: str, calibration: str) -> dict[str, Request]:
    """What a target is made of, by its key there; keys are sorted, as upstream's are.

    The static architecture may be missing on the server; the others may not.
    """
    calibrations = (*_API, "calibration-sets", alias, calibration)
    static = join(
        endpoint, *_API, "quantum-computers", alias, "artifacts", "static-quantum-architectures"
    )
    return {
        "calibration_set": Request("GET", join(endpoint, *calibrations)),
        "dynamic_quantum_architecture": Request(
            "GET", join(endpoint, *calibrations, "dynamic-quantum-architecture")
        ),
        "quality_metrics": Request("GET", join(endpoint, *calibrations, "metrics")),
        "static_quantum_architecture": Request("GET", static, accept=_NOT_THERE),
    }


def create_job(endpoint: str, alias: str, payload: IQMServer, tag: str) -> Request:
    """``POST /api/v1/jobs/{qc}/{job_type}``; the payload's text is the body, byte for byte.

    ``tag`` is the job's; the payload's own is not looked at.
    """
    url = join(
        endpoint,
        *_API,
        "jobs",
        alias,
        payload.job_type,
        use_timeslot=payload.use_timeslot,
        tag=tag,
    )
    return Request("POST", url, headers=JSON, body=payload.iqmjson.encode())


@polled
def get_job(endpoint: str, task_id: TaskId, hold_seconds: float = 0.0) -> Request:
    """``GET /api/v1/jobs/{id}``.

    Args:
        endpoint: of the server.
        task_id: the job.
        hold_seconds: how long the server may hold the request while the job has not ended; sent
            in whole seconds, at most 30 (the server's limit), rounded up. Such a request is not
            repeated: what cut it off will cut it off again.
    """
    query: dict[str, Any] = {}
    seconds = min(math.ceil(hold_seconds), _LONGEST_HOLD_SECONDS)
    if seconds > 0:
        query = {"wait_until_terminal": True, "timeout_seconds": seconds}
    return Request(
        "GET",
        join(endpoint, *_API, "jobs", task_id, **query),
        missing=TaskNotFoundError,
        task_id=task_id,
        hold_seconds=float(max(seconds, 0)),
        idempotent=seconds <= 0,
    )


def cancel_job(endpoint: str, task_id: TaskId) -> Request:
    """``POST /api/v1/jobs/{id}/cancel``; the server refuses it for jobs that have ended."""
    return Request(
        "POST",
        join(endpoint, *_API, "jobs", task_id, "cancel"),
        missing=TaskNotFoundError,
        task_id=task_id,
        idempotent=True,
        accept=_NOT_CANCELLABLE,
    )


def artifact(endpoint: str, task_id: TaskId, name: str) -> Request:
    """``GET /api/v1/jobs/{id}/artifacts/{type}``; 404 when the job has no such artifact."""
    return Request(
        "GET",
        join(endpoint, *_API, "jobs", task_id, "artifacts", name),
        missing=TaskNotFoundError,
        task_id=task_id,
        accept=_NOT_THERE,
        large=True,
    )


# --- answers --------------------------------------------------------------------------------------


def created_id(data: Any) -> TaskId:
    """The id of a job that was made."""
    return _checked_id(answer_field(data, "id", str))


def computers_listed(data: Any) -> list[str]:
    """The aliases of the quantum computers of an account."""
    listed = answer_field(data, "quantum_computers", list)
    return [answer_field(entry, "alias", str) for entry in listed]


def resource_status(data: Any) -> ResourceStatus:
    """What the server says of a quantum computer.

    Servers of 2025 have ``{"status": {"health": {...}}}`` instead of the details.
    """
    with reading("GET quantum computer"):
        if "operational_status" not in data and "operational" not in data:
            return _older_status(data["status"])
        word = data.get("operational_status", data.get("operational"))
        queue = data.get("queue_length")
        healthy, reason = _health(data.get("health"))
        return ResourceStatus(
            _CODES.get(word, ResourceStatusCode.OFFLINE),
            status_reason=reason,
            healthy=healthy,
            pending_job_count=queue if type(queue) is int else None,
        )


def _older_status(status: Mapping[str, Any]) -> ResourceStatus:
    healthy, reason = _health(status["health"])
    return ResourceStatus(ResourceStatusCode.ONLINE, status_reason=reason, healthy=healthy)


def _health(health: Any) -> tuple[bool | None, str | None]:
    if health is None:
        return None, None
    healthy = answer_field(health, "healthy", bool)
    updated = health.get("updated_at")
    if not updated:
        return healthy, None
    moment = f"{_moment(updated):%Y-%m-%d %H:%M:%S.%f} +00:00"
    return healthy, f"healthy updated at {moment}"


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment


class Job:
    """A job as ``GET /api/v1/jobs/{id}`` gives it.

    Attributes:
        task_id: its id.
        status: where it is; a word that is not known counts as running.
    """

    __slots__ = ("_data", "status", "task_id")

    def __init__(self, data: Any, task_id: TaskId) -> None:
        word = answer_field(data, "status", str)
        self._data = data
        self.task_id = task_id
        self.status = _STATUS[word] if word in _STATUS else unknown_status(word, task_id)

    @property
    def reason(self) -> str:
        """Why it failed: its errors, or else its messages; empty when there are none."""
        texts = [*_texts(self._data.get("errors")), *_texts(self._data.get("messages"))]
        return "; ".join(texts)

    @property
    def artifacts(self) -> list[str]:
        """The artifacts that the server has of it."""
        listed = self._data.get("artifacts")
        with reading("GET job"):
            return [str(entry["type"]) for entry in listed or ()]

    @property
    def log(self) -> str:
        """Timeline, messages and errors, one a line; errors only where there are some."""
        with reading("GET job"):
            timeline = [
                f"  {_stamp(entry['timestamp'])} [{entry['source']:<24}] {entry['status']}"
                for entry in self._data.get("timeline") or ()
            ]
            messages = _messages(self._data.get("messages"))
            errors = _messages(self._data.get("errors"))
        lines = [*_section("Timeline   :", timeline), *_section("Messages   :", messages)]
        lines += _section("Errors     :", errors) if errors else []
        return "\n".join([*lines, ""])


def _messages(entries: Any) -> list[str]:
    return [f"  [{entry['source']:<24}] {entry['message']}" for entry in entries or ()]


def _texts(entries: Any) -> list[str]:
    listed = entries if isinstance(entries, list) else []
    return [str(e["message"]) for e in listed if isinstance(e, dict) and e.get("message")]


def _stamp(text: str) -> str:
    moment = _moment(text)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}"


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *lines] if lines else [f"{title} (none)"]


def problem(response: Response) -> Problem | None:
    """What an error's body says: ``{"error_code": …, "message": …, "request_id": …}``."""
    data = response.json()
    message = data.get("message") or data.get("detail") or ""
    return Problem(
        message=str(message),
        code=str(data.get("error_code") or ""),
        request_id=str(data.get("request_id") or ""),
    )
