"""Felis's JSON and forms: requests from our values, our values from answers. Nothing is sent here.

Facts: the API's OpenAPI document 0.1.0 as the upstream library's client has it, and
qiskit-alice-bob-provider 3.0.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from qrmi.driver import unknown_status
from qrmi.errors import ResourceNotFoundError, TaskNotFoundError, UnexpectedAnswerError
from qrmi.payloads import AliceBobFelis
from qrmi.references import created_id as _checked_id
from qrmi.tasks import ResourceStatus, ResourceStatusCode, TaskId, TaskStatus
from qrmi.transport import (
    JSON,
    Problem,
    Request,
    Response,
    answer_field,
    join,
    json_body,
    polled,
    reading,
)
from qrmi.transport.forms import Part, form_body

__all__ = [
    "CONFLICT",
    "cancel_job",
    "create_job",
    "created_id",
    "failure_reason",
    "felis_target",
    "get_availabilities",
    "get_health",
    "get_job",
    "get_output",
    "has_input",
    "job_status",
    "list_targets",
    "outage_reason",
    "output_text",
    "problem",
    "resource_status",
    "target_entry",
    "target_text",
    "upload_input",
]

CONFLICT = 409
"""Too late to cancel; no output."""

_STATUS = {
    "CREATED": TaskStatus.QUEUED,
    "FETCHING_INPUT": TaskStatus.QUEUED,
    "INPUT_READY": TaskStatus.QUEUED,
    "COMPILING": TaskStatus.RUNNING,
    "COMPILED": TaskStatus.RUNNING,
    "TRANSPILING": TaskStatus.RUNNING,
    "TRANSPILED": TaskStatus.RUNNING,
    "EXECUTING": TaskStatus.RUNNING,
    "SUCCEEDED": TaskStatus.COMPLETED,
    "CANCELLED": TaskStatus.CANCELLED,
    "COMPILATION_FAILED": TaskStatus.FAILED,
    "TRANSPILATION_FAILED": TaskStatus.FAILED,
    "EXECUTION_FAILED": TaskStatus.FAILED,
    "TIMED_OUT": TaskStatus.FAILED,
}

_HEALTH = {
    "OK": (ResourceStatusCode.ONLINE, True, None),
    "NOK": (ResourceStatusCode.ONLINE, False, "enabled, but monitored to be in a bad state"),
    "OFF": (ResourceStatusCode.OFFLINE, None, "disabled at this time"),
}
"""What ``GET /v1/targets/{target}/health`` says: code, healthy, reason."""


def felis_target(resource_id: str) -> str:
    """The name of a resource's target on the service.

    ``ab_`` in front is dropped, in any case. What then has a colon is the name; else the first two
    underscores stand for colons, and the name is in upper case:
    ``ab_emu_40q_physical_cats`` is ``EMU:40Q:PHYSICAL_CATS``.
    """
    name = resource_id[3:] if resource_id.lower().startswith("ab_") else resource_id
    return name if ":" in name else name.replace("_", ":", 2).upper()


# --- requests -------------------------------------------------------------------------------------


def create_job(base: str, target: str, payload: AliceBobFelis) -> Request:
    """Felis: POST /v1/jobs/ makes a job that waits for its input. The trailing slash is needed."""
    body = {
        "inputDataFormat": "HUMAN_QIR",
        "outputDataFormat": "HISTOGRAM",
        "target": target,
        "inputParams": json.loads(payload.input_params),
    }
    return Request("POST", join(base, "v1", "jobs", slash=True), headers=JSON, body=json_body(body))


def upload_input(base: str, task_id: TaskId, payload: AliceBobFelis) -> Request:
    """Felis: POST /v1/jobs/{id}/input, a form with the program as its one file; the job runs.

    That the service does not know the job that it has just made is no user's mistake.
    """
    program = Part(
        name="input",
        filename="input",
        content=payload.human_qir.encode(),
        content_type="application/octet-stream",
    )
    headers, body = form_body([program])
    url = join(base, "v1", "jobs", task_id, "input")
    return Request(
        "POST", url, headers=headers, body=body, missing=UnexpectedAnswerError, task_id=task_id
    )


@polled
def get_job(base: str, task_id: TaskId) -> Request:
    """Felis: GET /v1/jobs/{id}."""
    url = join(base, "v1", "jobs", task_id)
    return Request("GET", url, missing=TaskNotFoundError, task_id=task_id)


def cancel_job(base: str, task_id: TaskId, *, repeats: bool = True) -> Request:
    """Felis: DELETE /v1/jobs/{id}; 409 when it is too late for that, 404 when there is none."""
    url = join(base, "v1", "jobs", task_id)
    return Request(
        "DELETE",
        url,
        idempotent=repeats,
        missing=TaskNotFoundError,
        task_id=task_id,
        accept=frozenset({404, CONFLICT}),
    )


def get_output(base: str, task_id: TaskId) -> Request:
    """Felis: GET /v1/jobs/{id}/output; 409 while there is none, or when the job failed."""
    url = join(base, "v1", "jobs", task_id, "output")
    return Request(
        "GET",
        url,
        missing=TaskNotFoundError,
        task_id=task_id,
        accept=frozenset({CONFLICT}),
        large=True,
    )


def list_targets(base: str) -> Request:
    """Felis: GET /v1/targets/. The trailing slash is needed."""
    return Request("GET", join(base, "v1", "targets", slash=True))


def get_health(base: str, target: str) -> Request:
    """Felis: GET /v1/targets/{target}/health; 404 or 422 for a target that it does not know."""
    url = join(base, "v1", "targets", target, "health")
    return Request("GET", url, accept=frozenset({404, 422}))


def get_availabilities(base: str, target: str) -> Request:
    """Felis: GET /v1/targets/{target}/availabilities, the latest planned ones, if it has any."""
    url = join(base, "v1", "targets", target, "availabilities", limit=1)
    return Request("GET", url, accept=frozenset({403, 404, 422}))


# --- answers --------------------------------------------------------------------------------------


def created_id(job: Any) -> TaskId:
    """The id of the job that was made."""
    return _checked_id(answer_field(job, "id", str))


def job_status(job: Any, task_id: str) -> TaskStatus:
    """Where a job is: its latest event by time, of several the last; without any it is queued.

    When an event has no time, the order of the list is all there is.
    """
    events = answer_field(job, "events", list)
    with reading("GET job"):
        timed = all(event.get("createdAt") for event in events)
        ordered = sorted(events, key=_moment) if timed else events
        word = str(ordered[-1]["type"]) if ordered else "CREATED"
    status = _STATUS.get(word)
    return unknown_status(word, task_id) if status is None else status


def has_input(job: Any) -> bool:
    """Whether a job's program arrived: it then has had an event that one without has not.

    A job without a program is made, and may be cancelled.
    """
    events = answer_field(job, "events", list)
    with reading("GET job"):
        return any(event["type"] not in ("CREATED", "CANCELLED") for event in events)


def _moment(event: Mapping[str, Any]) -> datetime:
    """When an event was; the service writes UTC, with and without saying so."""
    moment = datetime.fromisoformat(event["createdAt"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def failure_reason(job: Any) -> str:
    """Why a job failed, in the service's words; empty when it does not say."""
    if not isinstance(job, Mapping) or not isinstance(job.get("errors"), list):
        return ""
    found = [_error_text(error) for error in job["errors"]]
    return "; ".join(text for text in found if text)


def _error_text(error: Any) -> str:
    content = error.get("content", error) if isinstance(error, Mapping) else error
    if not isinstance(content, Mapping):
        return str(content)
    parts = (content.get("code"), content.get("message"))
    return ": ".join(str(part) for part in parts if part)


def output_text(response: Response) -> str:
    """A job's output: text, or text as a JSON string.

    Raises:
        UnexpectedAnswerError: a web page, or any other JSON.
    """
    kind = (response.header("content-type") or "").partition(";")[0].strip().lower()
    if kind == "application/json":
        value = response.json()
        if not isinstance(value, str):
            raise UnexpectedAnswerError("the service's answer is not a job's output")
        return value
    if kind == "text/html":
        raise UnexpectedAnswerError(
            "the service answered with a web page",
            hint="check the endpoint in the configuration; a proxy may answer in its place",
        )
    return response.text


def target_text(response: Response, target: str) -> str:
    """The description of one target, its numbers as they are; see `target_entry`."""
    return json.dumps(target_entry(response.json(), target), ensure_ascii=False)


def target_entry(targets: Any, target: str) -> Mapping[str, Any]:
    """The description of one target.

    Raises:
        ResourceNotFoundError: the service has none of that name.
        UnexpectedAnswerError: the answer is no list of targets.
    """
    if not isinstance(targets, list):
        raise UnexpectedAnswerError("the service's answer is no list of targets")
    with reading("GET targets"):
        names = [answer_field(entry, "name", str) for entry in targets]
    if target not in names:
        known = ", ".join(names) or "none"
        raise ResourceNotFoundError(
            f"Felis has no target {target!r}", hint=f"this account can use: {known}"
        )
    entry: Mapping[str, Any] = targets[names.index(target)]
    return entry


def resource_status(health: Any) -> ResourceStatus:
    """What a target's health means.

    Raises:
        UnexpectedAnswerError: another word than the three that are known.
    """
    if not isinstance(health, str) or health not in _HEALTH:
        raise UnexpectedAnswerError(f"Felis reports the unknown health {str(health)[:60]!r}")
    code, healthy, reason = _HEALTH[health]
    return ResourceStatus(code, status_reason=reason, healthy=healthy)


def outage_reason(availabilities: Any) -> str:
    """The message of a target's latest planned availability; empty when there is none."""
    if not isinstance(availabilities, list) or not availabilities:
        return ""
    latest = availabilities[0]
    message = latest.get("message") if isinstance(latest, Mapping) else None
    return str(message or "")


def problem(response: Response) -> Problem | None:
    """An error body: ``{"error": {"code": …, "message": …}}`` or FastAPI's ``{"detail": …}``."""
    data = response.json()
    if not isinstance(data, Mapping):
        return None
    told = data.get("error", data.get("detail"))
    if isinstance(told, Mapping):
        return Problem(message=str(told.get("message") or ""))
    if isinstance(told, list):  # of what is wrong with each field
        return Problem(message="; ".join(_validation_text(item) for item in told))
    return Problem(message=str(told or data.get("message") or ""))


def _validation_text(item: Any) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    place = ".".join(str(part) for part in item.get("loc") or ())
    return f"{place}: {item.get('msg')}" if place else str(item.get("msg"))
