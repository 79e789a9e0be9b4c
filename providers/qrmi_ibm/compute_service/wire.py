"""Requests to IBM's compute service and readings of its answers; nothing here does I/O.

Facts are those of the REST API that ``qiskit-ibm-runtime`` and the Rust ``qrmi`` speak
(``https://quantum.cloud.ibm.com/api/v1``).
"""

from __future__ import annotations

from typing import Any

import attrs

from qrmi.driver import unknown_status
from qrmi.errors import (
    QrmiError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.tasks import TaskId, TaskResult, TaskStatus
from qrmi.transport import Request, Response, answer_field, join, polled, reading

__all__ = [
    "PAGE",
    "Site",
    "cancel_job",
    "get_job",
    "get_logs",
    "get_results",
    "is_gone",
    "job_reason",
    "job_status",
    "list_jobs",
    "listed_ids",
    "no_result",
    "plain_text",
    "result_text",
    "tagged_id",
]

PAGE = 200
"""How many jobs one answer lists at most."""

_VERSION = (("ibm-api-version", "2025-01-01"),)
_ENDED = frozenset({400, 409})
_JSON_BEGINS, _JSON_ENDS = frozenset('{["'), frozenset('}]"')
_STATUS = {
    "QUEUED": TaskStatus.QUEUED,
    "RUNNING": TaskStatus.RUNNING,
    "COMPLETED": TaskStatus.COMPLETED,
    "CANCELLED": TaskStatus.CANCELLED,
    "CANCELLED - RAN TOO LONG": TaskStatus.CANCELLED,
    "FAILED": TaskStatus.FAILED,
}
_RAN_TOO_LONG, _RAN_TOO_LONG_CODE = "CANCELLED - RAN TOO LONG", 1305
_CODE = "reason_code"
_LONGEST_REASON = 500


@attrs.frozen(kw_only=True, cache_hash=True)
class Site:
    """Where requests go.

    Attributes:
        endpoint: base address of the API.
        backend: the device.
        service_crn: names the service instance.
        headers: what every request for JSON carries.
        text_headers: what a request for text carries.
        post_headers: what a request with a JSON body carries.
        versioned_headers: those of the requests whose answer depends on the API's version.
    """

    endpoint: str
    backend: str
    service_crn: str
    headers: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)
    text_headers: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)
    post_headers: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)
    versioned_headers: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)

    @headers.default
    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (("accept", "application/json"), ("service-crn", self.service_crn))

    @text_headers.default
    def _text_headers(self) -> tuple[tuple[str, str], ...]:
        return (("accept", "*/*"), ("service-crn", self.service_crn))

    @post_headers.default
    def _post_headers(self) -> tuple[tuple[str, str], ...]:
        return (*self._headers(), ("content-type", "application/json"))

    @versioned_headers.default
    def _versioned_headers(self) -> tuple[tuple[str, str], ...]:
        return (*self._headers(), *_VERSION)


# --- one job --------------------------------------------------------------------------------


@polled
def get_job(site: Site, task_id: TaskId) -> Request:
    """A job without its input, which may be long (GET /jobs/{id}?exclude_params=true)."""
    return Request(
        "GET",
        join(site.endpoint, "jobs", task_id) + "?exclude_params=true",
        headers=site.headers,
        missing=TaskNotFoundError,
        task_id=task_id,
    )


def get_results(site: Site, task_id: TaskId) -> Request:
    """The result of a completed job (GET /jobs/{id}/results); its answer is text."""
    return _job_request(site, "GET", task_id, "results", headers=site.text_headers, large=True)


def get_logs(site: Site, task_id: TaskId) -> Request:
    """The log of a job (GET /jobs/{id}/logs); its answer is text."""
    return _job_request(site, "GET", task_id, "logs", headers=site.text_headers)


def cancel_job(site: Site, task_id: TaskId) -> Request:
    """Stop a job (POST /jobs/{id}/cancel). A refusal says that it has ended meanwhile."""
    return _job_request(
        site, "POST", task_id, "cancel", headers=site.headers, idempotent=True, accept=_ENDED
    )


def _job_request(
    site: Site,
    method: str,
    task_id: TaskId,
    action: str,
    headers: tuple[tuple[str, str], ...],
    idempotent: bool | None = None,
    accept: frozenset[int] = frozenset(),
    large: bool = False,
) -> Request:
    return Request(
        method,
        join(site.endpoint, "jobs", task_id, action),
        headers=headers,
        missing=TaskNotFoundError,
        task_id=task_id,
        idempotent=idempotent,
        accept=accept,
        large=large,
    )


def job_status(answer: Any, task_id: TaskId) -> TaskStatus:
    """Where the job is; a word that is not known counts as running.

    Raises:
        UnexpectedAnswerError: the answer is malformed, or about another job.
    """
    if answer_field(answer, "id", str) != task_id:
        raise UnexpectedAnswerError("the service answered for another task", task_id=task_id)
    word = _status_word(answer)
    known = _STATUS.get(word.upper())
    return unknown_status(word, task_id) if known is None else known


def _status_word(answer: dict[str, Any]) -> str:
    word = answer.get("status")
    if isinstance(word, str):
        return word
    return answer_field(answer_field(answer, "state", dict), "status", str)


def job_reason(answer: Any) -> str:
    """Why the job is where it is, in the service's words; empty when it says nothing."""
    state = answer.get("state") if isinstance(answer, dict) else None
    if not isinstance(state, dict):
        return ""
    told, code, solution = (
        str(state.get(name) or "").strip()[:_LONGEST_REASON]
        for name in ("reason", _CODE, "reason_solution")
    )
    if code:
        told = f"{told} (code {code})" if told else f"code {code}"
    return f"{told}: {solution}" if told and solution else told


def no_result(answer: Any, status: TaskStatus, task_id: TaskId) -> QrmiError:
    """The error that says why a job has no result."""
    reason = job_reason(answer)
    if status is TaskStatus.FAILED:
        return TaskFailedError(
            f"task {task_id} failed: {reason or 'the service gives no reason'}", task_id=task_id
        )
    if status is TaskStatus.CANCELLED:
        if _ran_too_long(answer):
            return TaskCancelledError(
                f"task {task_id} was stopped by the service: it ran too long",
                hint="allow more: QRMI_JOB_TIMEOUT_SECONDS or the resource's own TIMEOUT_SECONDS",
                task_id=task_id,
            )
        told = f": {reason}" if reason else ""
        return TaskCancelledError(f"task {task_id} was cancelled{told}", task_id=task_id)
    return TaskNotReadyError(
        f"unable to retrieve result for task {task_id}: it is {status.name.lower()}",
        task_id=task_id,
    )


def _ran_too_long(answer: Any) -> bool:
    """As ``qiskit-ibm-runtime`` tells it: by the job's status, or by the code of its state."""
    state = answer.get("state")
    code = state.get(_CODE) if isinstance(state, dict) else None
    return _status_word(answer).upper() == _RAN_TOO_LONG or code == _RAN_TOO_LONG_CODE


def result_text(response: Response, task_id: TaskId) -> TaskResult:
    """The result as the service wrote it; a JSON string under ``application/json`` is unpacked.

    Raises:
        UnexpectedAnswerError: the answer is empty, no text, a web page, or no JSON by its ends;
            all of it is left to whoever decodes it.
    """
    text = plain_text(response, task_id)
    if not text:
        raise UnexpectedAnswerError(
            f"the result of task {task_id}, which has completed, is empty",
            retryable=True,
            hint="the service may still be storing it: ask again",
            task_id=task_id,
        )
    if _kind(response) == "application/json" and text.startswith('"'):
        return TaskResult(response.json())
    if text[:64].lstrip()[:1] not in _JSON_BEGINS or text[-64:].rstrip()[-1:] not in _JSON_ENDS:
        raise UnexpectedAnswerError(
            f"what came as the result of task {task_id} is not JSON",
            retryable=True,
            hint="ask again; a proxy may have answered in the service's place",
            task_id=task_id,
        )
    return TaskResult(text)


def plain_text(response: Response, task_id: TaskId) -> str:
    """A log or a result, whatever its content type.

    Raises:
        UnexpectedAnswerError: it is no text, or a web page.
    """
    if _kind(response) == "text/html":
        raise UnexpectedAnswerError(
            f"a web page came instead of what task {task_id} has",
            hint="check the endpoint: a proxy or portal answers in its place",
            task_id=task_id,
        )
    return response.text


def _kind(response: Response) -> str:
    return (response.header("content-type") or "").partition(";")[0].strip().lower()


def is_gone(response: Response) -> bool:
    """Whether the answer, which was accepted, is a 404."""
    return response.status == 404


# --- many jobs ------------------------------------------------------------------------------


def list_jobs(site: Site, *, limit: int = PAGE, offset: int = 0, **filters: Any) -> Request:
    """Jobs without their input, newest first (GET /jobs).

    Args:
        site: where.
        limit: how many at most, `PAGE` or less.
        offset: how many to pass over.
        **filters: ``backend``, ``pending``, ``session_id``, ``tags``; see the service's own page.
    """
    url = join(
        site.endpoint,
        "jobs",
        limit=limit,
        offset=offset,
        sort="DESC",
        exclude_params=True,
        **filters,
    )
    return Request("GET", url, headers=site.headers)


def listed_ids(answer: Any) -> list[TaskId]:
    """The ids of the jobs listed, in order."""
    with reading("GET /jobs"):
        return [TaskId(answer_field(job, "id", str)) for job in _listed(answer)]


def tagged_id(answer: Any, tag: str) -> TaskId | None:
    """The oldest job listed that carries the tag; ``None`` when none does.

    Raises:
        UnexpectedAnswerError: the jobs listed do not show their tags, so nothing is known.
    """
    with reading("GET /jobs"):
        tagged = [job for job in _listed(answer) if tag in job["tags"]]
        return TaskId(answer_field(tagged[-1], "id", str)) if tagged else None


def _listed(answer: Any) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = answer_field(answer, "jobs", list)
    return jobs
