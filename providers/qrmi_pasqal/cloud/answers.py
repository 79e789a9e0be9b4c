"""Answers of Pasqal Cloud, read by pure functions; junk is an `UnexpectedAnswerError`.

All answers are objects ``{"status", "message", "code", "data"[, "pagination"]}``. Results are read
in `qrmi_pasqal.cloud.results`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from qrmi import references
from qrmi.driver import unknown_status
from qrmi.tasks import ResourceStatus, ResourceStatusCode, TaskStatus
from qrmi.transport import Problem, Response, answer_field, reading

__all__ = [
    "CANCELING",
    "Job",
    "batch_status",
    "created_id",
    "device_entry",
    "device_status",
    "ending",
    "has_tag",
    "job_count",
    "next_offset",
    "problem",
    "read_jobs",
    "specs_by_type",
    "status_of",
    "target_text",
]

CANCELING = "CANCELING"
"""The status of a job that was cancelled and has not ended yet."""

_STATUSES = {
    "PENDING": TaskStatus.QUEUED,
    "RUNNING": TaskStatus.RUNNING,
    "PAUSED": TaskStatus.RUNNING,
    CANCELING: TaskStatus.RUNNING,
    "DONE": TaskStatus.COMPLETED,
    "CANCELED": TaskStatus.CANCELLED,
    "ERROR": TaskStatus.FAILED,
    "TIMED_OUT": TaskStatus.FAILED,
}
_BEST_FIRST = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)
_AVAILABILITIES = {"ACTIVE": ResourceStatusCode.ONLINE, "PAUSED": ResourceStatusCode.PAUSED}
_HEALTH = {"UP": True, "DOWN": False}
_LONGEST_REASON = 1000


# --- tasks ----------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Job:
    """One job of a batch.

    Attributes:
        id: its id.
        word: the service's status word.
        status: what that means.
        errors: what the service says went wrong.
        times: when it was created, started and ended, in the service's words; empty when unknown.
    """

    id: str
    word: str
    status: TaskStatus
    errors: tuple[str, ...] = ()
    times: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def reason(self) -> str:
        """The errors in one text, shortened."""
        return "; ".join(self.errors)[:_LONGEST_REASON]


def status_of(data: Any, task_id: str) -> TaskStatus:
    """The status that an object's ``status`` means; an unknown word counts as running."""
    word = answer_field(data, "status", str)
    status = _STATUSES.get(word)
    return unknown_status(word, task_id) if status is None else status


def batch_status(data: Any, batch_id: str) -> TaskStatus | None:
    """A batch's status; ``None`` when only its jobs can tell how it ended.

    A batch that has ended is completed when any of its jobs is, else failed when any failed; one
    of several jobs that was cancelled is cancelled, whatever was done before.
    """
    status = status_of(data, batch_id)
    if not status.is_final:
        return status
    counts = data.get("jobs_count_per_status")
    if not isinstance(counts, dict):
        return None
    told = {word: count for word, count in counts.items() if isinstance(count, int) and count > 0}
    if status is TaskStatus.CANCELLED and sum(told.values()) != 1:
        return status
    return ending({_STATUSES[word] for word in told if word in _STATUSES}, status)


def ending(statuses: Iterable[TaskStatus], otherwise: TaskStatus) -> TaskStatus:
    """How a batch ended whose jobs ended so."""
    found = set(statuses)
    return next((status for status in _BEST_FIRST if status in found), otherwise)


def created_id(answer: Any) -> str:
    """The id of what was created."""
    data = answer_field(answer, "data", dict)
    return references.created_id(answer_field(data, "id", str))


def read_jobs(entries: Any) -> list[Job]:
    """The jobs of a list of objects."""
    with reading("GET v2/jobs"):
        return [_job(entry) for entry in entries]


def _job(entry: Any) -> Job:
    job_id = references.created_id(answer_field(entry, "id", str))
    errors = entry.get("errors")
    times = {name: entry.get(key) for name, key in _TIMES.items()}
    return Job(
        id=job_id,
        word=entry["status"],
        status=status_of(entry, job_id),
        errors=tuple(map(str, errors)) if isinstance(errors, list) else (),
        times={name: time for name, time in times.items() if isinstance(time, str)},
    )


_TIMES = {"created": "created_at", "started": "start_timestamp", "ended": "end_timestamp"}


def job_count(entry: Mapping[str, Any]) -> int:
    """How many jobs an entry of a list of batches has; 1 when it does not say."""
    count = entry.get("jobs_count")
    if isinstance(count, int):
        return count
    listed = entry.get("job_ids", entry.get("jobs"))
    return len(listed) if isinstance(listed, list) else 1


def has_tag(entry: Mapping[str, Any], tag: str) -> bool:
    """Whether an entry of a list of batches has a tag."""
    tags = entry.get("tags")
    return isinstance(tags, list) and tag in tags


def next_offset(answer: Mapping[str, Any], seen: int) -> int | None:
    """Where the next page begins; ``None`` after the last one."""
    pagination = answer.get("pagination")
    if not isinstance(pagination, dict):
        return None
    total, end = pagination.get("total"), pagination.get("end")
    if not isinstance(total, int) or not isinstance(end, int):
        return None
    return end if seen < end < total else None


# --- devices --------------------------------------------------------------------------------------


def device_entry(entries: Iterable[Any], device_type: str) -> Any:
    """The entry of a device type, or ``None``; an entry that does not name its type is any's."""
    with reading("GET v1/devices"):
        matching = (each for each in entries if each.get("device_type") in (None, device_type))
        return next(matching, None)


def device_status(entry: Any) -> ResourceStatus:
    """What an entry of ``GET v1/devices`` says.

    The service takes tasks for every device that is available, and queues them for one that is
    down; such a device is online and not healthy.
    """
    availability = answer_field(entry, "availability", str)
    state = entry.get("status")
    healthy = _HEALTH.get(state) if isinstance(state, str) else None
    code = _AVAILABILITIES.get(availability, ResourceStatusCode.OFFLINE)
    reason = None
    if code is not ResourceStatusCode.ONLINE:
        reason = f"the service says {availability[:60]}"
    elif healthy is False:
        reason = "the device is down; tasks are queued for it"
    return ResourceStatus(code, status_reason=reason, healthy=healthy)


def specs_by_type(data: Any) -> dict[str, str]:
    """Descriptions by device type, of a list of entries or a mapping."""
    with reading("GET v1/devices/specs"):
        if isinstance(data, dict) and "specs" not in data:
            pairs = list(data.items())
        else:
            entries = [data] if isinstance(data, dict) else data
            pairs = [(entry["device_type"], entry["specs"]) for entry in entries]
        return {str(kind): _text(specs) for kind, specs in pairs}


def _text(specs: Any) -> str:
    return specs if isinstance(specs, str) else json.dumps(specs)


def target_text(response: Response) -> str:
    """The target: ``[{"device_type", "specs"}]``, as the upstream library gives it."""
    specs = specs_by_type(answer_field(response.json(), "data", object))
    entries = [{"device_type": kind, "specs": text} for kind, text in specs.items()]
    return json.dumps(entries, separators=(",", ":"))


# --- errors ---------------------------------------------------------------------------------------


def problem(response: Response) -> Problem | None:
    """The service's reason: of a refused request ``data.description``, else ``message``."""
    answer = response.json()
    data = answer.get("data")
    description = data.get("description") if isinstance(data, dict) else None
    if isinstance(description, list):
        description = "; ".join(map(_fault, description))
    message = description or answer.get("message") or ""
    return Problem(
        message=message if isinstance(message, str) else "",
        request_id=str(answer.get("trace_id") or ""),
    )


def _fault(entry: Any) -> str:
    """One fault of a request: where and what; the value itself is left out."""
    if not isinstance(entry, dict):
        return str(entry)
    place = entry.get("loc")
    where = ".".join(map(str, place)) if isinstance(place, list) else ""
    return f"{where}: {entry.get('msg', '')}" if where else str(entry.get("msg", ""))
