"""Requests to the Quantum System API; nothing here sends anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.errors import InvalidInputError, TaskNotFoundError
from qrmi.payloads import QiskitPrimitive
from qrmi.transport import JSON, Request, join, json_body, polled

__all__ = [
    "Api",
    "input_body",
    "input_name",
    "job_body",
    "logs_name",
    "results_name",
]

_LOG_LEVEL = "debug"
_STORAGE_TYPE = "s3_compatible"
_NOT_FOUND = frozenset({404})
_CONFLICT = frozenset({409})


@attrs.frozen(cache_hash=True)
class Api:
    """Makes the requests.

    Attributes:
        base: address of the API, without ``/v1``.
        service_crn: the service instance.
        headers: of every request.
    """

    base: str
    service_crn: str
    headers: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)
    _with_body: tuple[tuple[str, str], ...] = attrs.field(init=False, repr=False)

    @headers.default
    def _headers(self) -> tuple[tuple[str, str], ...]:
        return (("accept", "application/json"), ("service-crn", self.service_crn))

    @_with_body.default
    def _headers_with_body(self) -> tuple[tuple[str, str], ...]:
        return (*self.headers, *JSON)

    def backends(self) -> Request:
        """GET /v1/backends."""
        return self._get("backends")

    def backend(self, name: str) -> Request:
        """GET /v1/backends/{name}."""
        return self._get("backends", name)

    def lanes(self, name: str) -> Request:
        """GET /v1/backends/{name}/lanes; 404 is an answer: the system tells of no lanes."""
        url = join(self.base, "v1", "backends", name, "lanes")
        return Request("GET", url, headers=self.headers, accept=_NOT_FOUND)

    def configuration(self, name: str) -> Request:
        """GET /v1/backends/{name}/configuration."""
        return self._get("backends", name, "configuration")

    def properties(self, name: str) -> Request:
        """GET /v1/backends/{name}/properties."""
        return self._get("backends", name, "properties")

    def jobs(self) -> Request:
        """GET /v1/jobs."""
        return self._get("jobs")

    def create_job(self, body: Mapping[str, Any]) -> Request:
        """POST /v1/jobs; the id in the body makes it idempotent."""
        return Request(
            "POST",
            join(self.base, "v1", "jobs"),
            headers=self._with_body,
            body=json_body(body),
            idempotent=True,
        )

    @polled
    def job(self, task_id: str) -> Request:
        """GET /v1/jobs/{id}."""
        return self._of_task("GET", task_id)

    def cancel_job(self, task_id: str) -> Request:
        """POST /v1/jobs/{id}/cancel, which may be repeated; 409 is an answer: it has ended."""
        return self._of_task("POST", task_id, "cancel", accept=_CONFLICT)

    def delete_job(self, task_id: str) -> Request:
        """DELETE /v1/jobs/{id}; 404 is an answer: it is gone."""
        return self._of_task("DELETE", task_id, accept=_NOT_FOUND)

    def _get(self, *components: str) -> Request:
        return Request("GET", join(self.base, "v1", *components), headers=self.headers)

    def _of_task(
        self, method: str, task_id: str, *rest: str, accept: frozenset[int] = frozenset()
    ) -> Request:
        return Request(
            method,
            join(self.base, "v1", "jobs", task_id, *rest),
            headers=self.headers,
            idempotent=True,
            missing=TaskNotFoundError,
            task_id=task_id,
            accept=accept,
        )


def input_body(payload: QiskitPrimitive) -> bytes:
    """A payload's input as it is uploaded: not one character is changed.

    Raises:
        InvalidInputError: no program id, or an input that is not a JSON object; the service could
            say so only after the upload.
    """
    if not payload.program_id:
        raise InvalidInputError("the program id is empty", hint="`sampler` or `estimator`")
    try:
        body = payload.input.encode()
        data = json.loads(payload.input)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"invalid JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInputError("the input of a primitive is a JSON object")
    return body


def job_body(
    *,
    task_id: str,
    backend: str,
    program_id: str,
    timeout_seconds: int,
    input_url: str,
    results_url: str,
    logs_url: str,
) -> dict[str, Any]:
    """The body of POST /v1/jobs. The URLs are presigned: for GET, PUT and PUT."""
    urls = {"input": input_url, "results": results_url, "logs": logs_url}
    return {
        "backend": backend,
        "id": task_id,
        "log_level": _LOG_LEVEL,
        "program_id": program_id,
        "storage": {
            name: {"presigned_url": url, "type": _STORAGE_TYPE} for name, url in urls.items()
        },
        "timeout_secs": timeout_seconds,
    }


def input_name(task_id: str) -> str:
    """What a task's input is called in storage."""
    return f"input_{task_id}.json"


def results_name(task_id: str) -> str:
    """What a task's results are called in storage."""
    return f"results_{task_id}.json"


def logs_name(task_id: str) -> str:
    """What a task's log is called in storage."""
    return f"logs_{task_id}.json"
