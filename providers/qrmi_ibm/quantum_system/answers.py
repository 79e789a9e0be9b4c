"""What the answers of the Quantum System API and of its storage mean."""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.driver import unknown_status
from qrmi.errors import (
    Owner,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.tasks import (
    ResourceCapacity,
    ResourceStatus,
    ResourceStatusCode,
    TaskId,
    TaskStatus,
)
from qrmi.transport import Response, answer_field, reading

__all__ = [
    "Job",
    "capacity",
    "must_be_completed",
    "must_be_done",
    "must_be_no_page",
    "read_backends",
    "read_configuration",
    "read_job",
    "read_status",
    "read_tasks",
    "read_text",
    "target_text",
    "without_results",
]

_RESOURCE_STATUS = {
    "online": ResourceStatusCode.ONLINE,
    "offline": ResourceStatusCode.OFFLINE,
    "paused": ResourceStatusCode.PAUSED,
}
_TASK_STATUS = {
    "Running": TaskStatus.RUNNING,  # while it waits too: the service has no word for that
    "Completed": TaskStatus.COMPLETED,
    "Failed": TaskStatus.FAILED,
    "Cancelled": TaskStatus.CANCELLED,
}
_PROXY = "check the endpoints in the configuration; a proxy may answer in the service's place"
_MOST_NANOSECONDS = 1e18
_JSON_BEGINS = frozenset(b'{["-0123456789tfn')


@attrs.frozen(kw_only=True)
class Job:
    """What the service says of a task.

    Attributes:
        status: where it is.
        reason: why it failed: code, message and solution; empty when none is given.
        qpu_seconds: how long it had the QPU; ``None`` when that is not said.
    """

    status: TaskStatus
    reason: str
    qpu_seconds: float | None = None


def read_status(backend: Any, slots: ResourceCapacity | None) -> ResourceStatus:
    """What GET /v1/backends/{name} says: ``locked`` is busy, ``message`` the reason."""
    return ResourceStatus(
        _status_code(backend),
        status_reason=_optional(backend, "message", str),
        busy=_optional(backend, "locked", bool),
        capacity=slots,
    )


def capacity(lanes: Any, jobs: Any, name: str) -> ResourceCapacity | None:
    """The lanes of this side, and how many are left beside its running tasks.

    Args:
        lanes: answer to GET /v1/backends/{name}/lanes.
        jobs: answer to GET /v1/jobs.
        name: the system's name.
    """
    with reading("GET lanes"):
        group = lanes.get("hpc_workload_manager")
        if group is None:
            return None
        most = answer_field(group, "lanes", int)
    with reading("GET /v1/jobs"):
        running = sum(
            job["backend"] == name and job["status"] == "Running"
            for job in answer_field(jobs, "jobs", list)
        )
    return ResourceCapacity(available_slots=max(0, most - running), max_slots=most)


def read_backends(data: Any) -> list[tuple[str, ResourceStatusCode]]:
    """Names and statuses in the answer to GET /v1/backends."""
    with reading("GET /v1/backends"):
        return [
            (answer_field(backend, "name", str), _status_code(backend))
            for backend in answer_field(data, "backends", list)
        ]


def read_tasks(data: Any, name: str) -> list[TaskId]:
    """Ids of one system's tasks in the answer to GET /v1/jobs, newest first."""
    with reading("GET /v1/jobs"):
        jobs = [
            (answer_field(job, "created_time", str), answer_field(job, "id", str))
            for job in answer_field(data, "jobs", list)
            if job["backend"] == name
        ]
    return [TaskId(task_id) for _, task_id in sorted(jobs, reverse=True)]


def read_job(data: Any, task_id: str) -> Job:
    """What the answer to GET /v1/jobs/{id} says."""
    word = answer_field(data, "status", str)
    status = _TASK_STATUS.get(word)
    parts = {
        label: data.get(f"reason_{label}")
        for label in ("code", "message", "solution")
        if data.get(f"reason_{label}") not in (None, "")
    }
    return Job(
        status=unknown_status(word, task_id) if status is None else status,
        reason=", ".join(f"{label}: {value}" for label, value in parts.items()),
        qpu_seconds=_qpu_seconds(data.get("usage")),
    )


def _qpu_seconds(usage: Any) -> float | None:
    """``usage`` of a job: ``{"quantum_nanoseconds": 1000}``; other forms say nothing."""
    taken = usage.get("quantum_nanoseconds") if isinstance(usage, dict) else None
    if isinstance(taken, bool) or not isinstance(taken, int | float):
        return None
    return taken / 1e9 if 0 <= taken < _MOST_NANOSECONDS else None


def read_configuration(response: Response) -> dict[str, Any]:
    """The answer to GET /v1/backends/{name}/configuration, which is never empty."""
    configuration = response.json()
    if not isinstance(configuration, dict) or not configuration:
        raise UnexpectedAnswerError("the service's answer holds no configuration")
    return configuration


def target_text(configuration: Response, properties: Response) -> str:
    """``{"configuration": …, "properties": …}``, both as the service wrote them.

    Raises:
        UnexpectedAnswerError: one is not a JSON object, or the first is empty.
    """
    read_configuration(configuration)
    if not isinstance(properties.json(), dict):
        raise UnexpectedAnswerError("the service's answer holds no properties")
    return f'{{"configuration":{configuration.text},"properties":{properties.text}}}'


def read_text(response: Response) -> str:
    """An object's text, as the service wrote it.

    Raises:
        UnexpectedAnswerError: it does not begin as JSON does: a web page, say.
    """
    start = bytes(response.body[:64]).lstrip()[:1]
    if not start or start[0] not in _JSON_BEGINS:
        raise UnexpectedAnswerError(
            "the storage's answer is not JSON",
            hint=_PROXY,
        )
    return response.text


def must_be_completed(job: Job, task_id: TaskId) -> None:
    """Raise what a task without a result means."""
    if job.status is TaskStatus.FAILED:
        raise TaskFailedError(f"task {task_id} failed: {job.reason}", task_id=task_id)
    if job.status is TaskStatus.CANCELLED:
        raise TaskCancelledError(f"task {task_id} was cancelled", task_id=task_id)
    if job.status is not TaskStatus.COMPLETED:
        raise TaskNotReadyError(
            f"task {task_id} is still {job.status.name.lower()}", task_id=task_id
        )


def without_results(task_id: str) -> ResourceUnavailableError:
    """The error for a task that completed and left no results in storage."""
    return ResourceUnavailableError(
        f"task {task_id} has completed, but its results are not in storage",
        owner=Owner.SITE,
        retryable=False,
        hint="the service can store them for QRMI_JOB_TIMEOUT_SECONDS after the start, waiting "
        "included; give it longer, and look whether somebody removes objects",
        task_id=task_id,
    )


def must_be_done(response: Response) -> None:
    """Make sure that the API did what it was asked: it says so with 204 and no body.

    A 404 that the request accepts is as good.

    Raises:
        UnexpectedAnswerError: it says something else.
    """
    if response.status not in (204, 404):
        raise UnexpectedAnswerError(
            f"the service answered with status {response.status} instead of 204",
            hint=_PROXY,
        )


def must_be_no_page(response: Response) -> None:
    """Make sure that it was the storage that took an object, which it does without a word.

    Raises:
        UnexpectedAnswerError: a web page came instead.
    """
    if bytes(response.body[:64]).lstrip()[:1] == b"<":
        raise UnexpectedAnswerError("a web page came instead of the storage's answer", hint=_PROXY)


def _status_code(backend: Any) -> ResourceStatusCode:
    word = answer_field(backend, "status", str)
    if word not in _RESOURCE_STATUS:
        raise UnexpectedAnswerError(f"the service gives the unknown status {word[:60]!r}")
    return _RESOURCE_STATUS[word]


def _optional(data: Any, name: str, kind: type) -> Any:
    return None if data.get(name) is None else answer_field(data, name, kind)
