"""OQTOPUS Cloud's JSON: requests from our values, our values from answers. Nothing is sent here.

Facts: oqtopus-client 1.3.0, and the routers of oqtopus-cloud's user API.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from qrmi import references
from qrmi.driver import unknown_status
from qrmi.errors import TaskNotFoundError, UnexpectedAnswerError
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
from qrmi_oqtopus import archives
from qrmi_oqtopus.documents import moment
from qrmi_oqtopus.spec import JobSpec

__all__ = [
    "HEADERS",
    "PAGE_SIZE",
    "REGISTERED",
    "cancel_job",
    "device",
    "download",
    "found_task",
    "get_device",
    "get_job",
    "get_status",
    "job_message",
    "jobs_listed",
    "list_devices",
    "list_jobs",
    "once",
    "problem",
    "register_job",
    "registered",
    "resource_status",
    "search_jobs",
    "status_of",
    "status_word",
    "submit_job",
    "upload_form",
]

HEADERS = (("accept", "application/json"),)

PAGE_SIZE = 100
"""Jobs in one page of a list; the service takes no more."""

REGISTERED = "registered"
"""The status of a job that has an id and was not submitted; it never runs."""

_STATUS = {
    REGISTERED: TaskStatus.QUEUED,
    "submitted": TaskStatus.QUEUED,
    "ready": TaskStatus.QUEUED,
    "running": TaskStatus.RUNNING,
    "cancelling": TaskStatus.RUNNING,
    "succeeded": TaskStatus.COMPLETED,
    "failed": TaskStatus.FAILED,
    "cancelled": TaskStatus.CANCELLED,
}
_DEVICE_STATUS = {
    "available": ResourceStatusCode.ONLINE,
    "unavailable": ResourceStatusCode.OFFLINE,
}


# --- requests -------------------------------------------------------------------------------------


def list_devices(base: str) -> Request:
    """OQTOPUS: GET /devices, those that the account may use."""
    return Request("GET", join(base, "devices"))


def get_device(base: str, device_id: str) -> Request:
    """OQTOPUS: GET /devices/{id}."""
    return Request("GET", join(base, "devices", device_id))


def register_job(base: str) -> Request:
    """OQTOPUS: POST /jobs gives an id and a form for the upload.

    An id that is never submitted does nothing, so the request may be repeated.
    """
    return Request("POST", join(base, "jobs"), headers=JSON, idempotent=True)


def upload_form(form: Any, task_id: TaskId, spec: JobSpec) -> Request:
    """Storage: POST of the form's fields, in their order, and after them the archive."""
    url = answer_field(form, "url", str)
    if not references.is_link(url):
        raise UnexpectedAnswerError("the service's answer has no link for the upload")
    fields = answer_field(form, "fields", dict)
    key = answer_field(fields, "key", str)
    filename = key.rpartition("/")[2] or "input.zip"
    with reading("POST jobs"):
        parts = [Part(name=name, content=str(value).encode()) for name, value in _given(fields)]
    content = archives.pack(f"{filename.rpartition('.')[0] or filename}.json", spec.content)
    parts.append(
        Part(name="file", filename=filename, content=content, content_type="application/zip")
    )
    headers, body = form_body(parts)
    return Request(
        "POST",
        url,
        headers=headers,
        body=body,
        idempotent=True,
        task_id=task_id,
        authorized=False,
    )


def _given(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    return ((name, value) for name, value in fields.items() if value is not None)


def submit_job(base: str, task_id: TaskId, device_id: str, spec: JobSpec, key: str) -> Request:
    """OQTOPUS: POST /jobs/{id}/submit. A job is submitted once: after that, it is 400.

    The key becomes the job's name; where the user gave a name it goes into the description.
    """
    body = {"device_id": device_id, **spec.request}
    if key and "name" not in body:
        body["name"] = key
    elif key:
        told = body.get("description")
        body["description"] = f"{told} [{key}]" if told else key
    url = join(base, "jobs", task_id, "submit")
    return Request(
        "POST",
        url,
        headers=JSON,
        body=json_body(body),
        idempotent=True,
        missing=TaskNotFoundError,
        task_id=task_id,
    )


def once(request: Request) -> Request:
    """A submission that is not repeated: whether an answer to it was lost is then known."""
    return Request(
        request.method,
        request.url,
        headers=request.headers,
        body=request.body,
        missing=request.missing,
        task_id=request.task_id,
    )


@polled
def get_status(base: str, task_id: TaskId, *, repeats: bool = True) -> Request:
    """OQTOPUS: GET /jobs/{id}/status."""
    url = join(base, "jobs", task_id, "status")
    return Request("GET", url, idempotent=repeats, missing=TaskNotFoundError, task_id=task_id)


def get_job(base: str, task_id: TaskId) -> Request:
    """OQTOPUS: GET /jobs/{id}, with links to its files."""
    return Request("GET", join(base, "jobs", task_id), missing=TaskNotFoundError, task_id=task_id)


def cancel_job(base: str, task_id: TaskId) -> Request:
    """OQTOPUS: POST /jobs/{id}/cancel; 400 or 404 when it is not to be cancelled (any more)."""
    url = join(base, "jobs", task_id, "cancel")
    return Request(
        "POST",
        url,
        headers=JSON,
        idempotent=True,
        missing=TaskNotFoundError,
        task_id=task_id,
        accept=frozenset({400, 404, 409}),
    )


def search_jobs(base: str, text: str) -> Request:
    """OQTOPUS: GET /jobs?q=, jobs whose id, name or description contain a text."""
    fields = "job_id,name,description,status"
    return Request("GET", join(base, "jobs", q=text, fields=fields, size=PAGE_SIZE))


def list_jobs(base: str, page: int) -> Request:
    """OQTOPUS: GET /jobs, a page of them, newest first. What follows the last page repeats it."""
    fields = "job_id,device_id"
    url = join(base, "jobs", fields=fields, order="DESC", size=PAGE_SIZE, page=page)
    return Request("GET", url)


def download(url: str, task_id: TaskId | None = None) -> Request:
    """Storage: GET of a presigned link; 403 or 404 when it is good no longer."""
    return Request(
        "GET",
        url,
        task_id=task_id,
        authorized=False,
        accept=frozenset({403, 404}),
        large=True,
    )


# --- answers --------------------------------------------------------------------------------------


def registered(answer: Any) -> tuple[TaskId, dict[str, Any]]:
    """The id of a new job, and the form for its upload."""
    form: dict[str, Any] = answer_field(answer, "presigned_url", dict)
    return references.created_id(answer_field(answer, "job_id", str)), form


def status_word(answer: Any) -> str:
    """The status of a job in the service's word."""
    return answer_field(answer, "status", str)


def status_of(word: str, task_id: str) -> TaskStatus:
    """What the word means; an unknown one counts as running."""
    status = _STATUS.get(word)
    return unknown_status(word, task_id) if status is None else status


def job_message(job: Any) -> str:
    """Why a job failed, in the service's words; empty when it does not say."""
    info = job.get("job_info") if isinstance(job, Mapping) else None
    return str(info.get("message") or "") if isinstance(info, Mapping) else ""


def device(answer: Any) -> dict[str, Any]:
    """The description of a device, which has its id at least."""
    answer_field(answer, "device_id", str)
    return dict(answer)


def resource_status(device: Mapping[str, Any]) -> ResourceStatus:
    """What a device says of itself.

    Raises:
        UnexpectedAnswerError: it has another status than those that are known.
    """
    word = answer_field(device, "status", str)
    if word not in _DEVICE_STATUS:
        raise UnexpectedAnswerError(f"the device has the unknown status {word[:60]!r}")
    code = _DEVICE_STATUS[word]
    told = [
        f"{what} at {moment(device[field])}"
        for what, field in (("available", "available_at"), ("calibrated", "calibrated_at"))
        if device.get(field)
    ]
    pending = device.get("n_pending_jobs")
    return ResourceStatus(
        code,
        status_reason=", ".join(told) or None,
        pending_job_count=pending if isinstance(pending, int) else None,
    )


def found_task(jobs: Any, key: str) -> TaskId | None:
    """The submitted job that bears a key, if one of those found does."""
    if not isinstance(jobs, list):
        raise UnexpectedAnswerError("the service's answer is no list of jobs")
    with reading("GET jobs"):
        for job in jobs:
            told = str(job.get("description") or "")
            bears = job.get("name") == key or told == key or told.endswith(f"[{key}]")
            if bears and job.get("status") != REGISTERED:
                return references.created_id(job["job_id"])
    return None


def jobs_listed(jobs: Any) -> list[tuple[TaskId, Any]]:
    """The ids of a page's jobs, and the devices that they are for."""
    if not isinstance(jobs, list):
        raise UnexpectedAnswerError("the service's answer is no list of jobs")
    with reading("GET jobs"):
        return [(references.created_id(job["job_id"]), job.get("device_id")) for job in jobs]


def problem(response: Response) -> Problem | None:
    """An error body: ``{"message": …}``, or FastAPI's ``{"detail": …}``."""
    data = response.json()
    if not isinstance(data, Mapping):
        return None
    told = data.get("message") or data.get("detail") or data.get("error")
    return Problem(message=told if isinstance(told, str) else json.dumps(told) if told else "")
