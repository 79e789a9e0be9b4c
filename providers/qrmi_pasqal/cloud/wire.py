"""Requests to Pasqal Cloud, as pure functions; answers are read in `qrmi_pasqal.cloud.answers`.

Source: QRMI 0.26 and pasqal-cloud 0.24. ``api`` is the base of all paths (`api_of`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qrmi.errors import ResourceNotFoundError, TaskNotFoundError
from qrmi.payloads import AnalogJob
from qrmi.transport import Request, join, json_body, polled

__all__ = [
    "PAGE",
    "add_jobs",
    "api_of",
    "batch",
    "batch_status",
    "batches",
    "cancel_batch",
    "cancel_job",
    "close_batch",
    "create_batch",
    "create_cudaq_job",
    "cudaq_job",
    "device_specs",
    "devices",
    "download",
    "full_results",
    "job",
    "job_status",
    "jobs",
    "public_specs",
    "results_link",
]

PAGE = 100
"""Entries of a page; the service gives no more."""

_NO_ROUTE = frozenset({404, 405})
_EXPIRED = frozenset({403, 404})


def api_of(base_url: str) -> str:
    """The base of all paths."""
    return join(base_url, "core-fast", "api")


# --- making tasks ---------------------------------------------------------------------------------


def create_batch(
    api: str,
    *,
    sequence: str,
    jobs: Sequence[AnalogJob],
    device_type: str,
    project_id: str,
    tag: str,
    configuration: str | None = None,
    is_open: bool = False,
) -> Request:
    """``POST v1/batches``; the sequence travels as text."""
    body: dict[str, Any] = {
        "sequence_builder": sequence,
        "jobs": [_job(job) for job in jobs],
        "device_type": device_type,
        "project_id": project_id,
        "tags": [tag],
    }
    if configuration is not None:
        body["backend_configuration"] = configuration
    if is_open:
        body["open"] = True
    return Request("POST", join(api, "v1", "batches"), body=json_body(body))


def _job(job: AnalogJob) -> dict[str, Any]:
    made: dict[str, Any] = {} if job.runs is None else {"runs": job.runs}
    if job.variables:
        made["variables"] = dict(job.variables)
    return made


def create_cudaq_job(
    api: str, *, program: str, shots: int, device_type: str, project_id: str
) -> Request:
    """``POST v1/cudaq/job``; the program travels as an object."""
    body = {
        "machine": device_type,
        "shots": shots,
        "project_id": project_id,
        "sequence": json.loads(program),
    }
    return Request("POST", join(api, "v1", "cudaq", "job"), body=json_body(body))


def add_jobs(api: str, batch_id: str, jobs: Sequence[AnalogJob]) -> Request:
    """``POST v2/batches/{id}/jobs``."""
    url = join(api, "v2", "batches", batch_id, "jobs")
    body = json_body([_job(job) for job in jobs])
    return Request("POST", url, body=body, missing=TaskNotFoundError, task_id=batch_id)


# --- looking at tasks -----------------------------------------------------------------------------


def _look(
    url: str,
    task_id: str | None = None,
    accept: frozenset[int] = frozenset(),
    *,
    large: bool = False,
) -> Request:
    missing = ResourceNotFoundError if task_id is None else TaskNotFoundError
    return Request("GET", url, missing=missing, task_id=task_id, accept=accept, large=large)


@polled
def batch_status(api: str, batch_id: str) -> Request:
    """``GET v1/batches/{id}/status``, a few bytes; older services have no such route."""
    return _look(join(api, "v1", "batches", batch_id, "status"), batch_id, _NO_ROUTE)


def batch(api: str, batch_id: str) -> Request:
    """``GET v2/batches/{id}``, with the sequence."""
    return _look(join(api, "v2", "batches", batch_id), batch_id)


@polled
def job_status(api: str, job_id: str) -> Request:
    """``GET v1/jobs/{id}/status``; older services have no such route."""
    return _look(join(api, "v1", "jobs", job_id, "status"), job_id, _NO_ROUTE)


def job(api: str, job_id: str) -> Request:
    """``GET v2/jobs/{id}``."""
    return _look(join(api, "v2", "jobs", job_id), job_id)


def jobs(api: str, batch_id: str, offset: int) -> Request:
    """``GET v2/jobs``: a page of a batch's jobs, in the order in which they were added."""
    url = join(
        api,
        "v2",
        "jobs",
        batch_id=batch_id,
        order_by="creation_order",
        order_by_direction="ASC",
        offset=offset,
        limit=PAGE,
    )
    return _look(url, batch_id)


def cudaq_job(api: str, job_id: str) -> Request:
    """``GET v1/cudaq/job/{id}``: status and result."""
    return _look(join(api, "v1", "cudaq", "job", job_id), job_id)


def batches(api: str, offset: int, **filters: Any) -> Request:
    """``GET v1/batches``: a page of the account's batches, newest first."""
    return _look(join(api, "v1", "batches", **filters, offset=offset, limit=PAGE))


# --- results --------------------------------------------------------------------------------------


def full_results(api: str, batch_id: str) -> Request:
    """``GET v1/batches/{id}/full_results``: the results of all jobs, unless they are too large."""
    url = join(api, "v1", "batches", batch_id, "full_results")
    return _look(url, batch_id, _NO_ROUTE | {413}, large=True)


def results_link(api: str, job_id: str) -> Request:
    """``GET v1/jobs/{id}/results_link``: where a job's result is stored."""
    return _look(join(api, "v1", "jobs", job_id, "results_link"), job_id, _NO_ROUTE)


def download(link: str, job_id: str) -> Request:
    """A presigned link; it carries no credentials of ours."""
    return Request("GET", link, authorized=False, accept=_EXPIRED, task_id=job_id, large=True)


# --- ending tasks ---------------------------------------------------------------------------------


def _end(api: str, *components: str, task_id: str) -> Request:
    url = join(api, "v2", *components)
    return Request("PATCH", url, idempotent=True, missing=TaskNotFoundError, task_id=task_id)


def cancel_batch(api: str, batch_id: str) -> Request:
    """``PATCH v2/batches/{id}/cancel``."""
    return _end(api, "batches", batch_id, "cancel", task_id=batch_id)


def cancel_job(api: str, job_id: str) -> Request:
    """``PATCH v2/jobs/{id}/cancel``."""
    return _end(api, "jobs", job_id, "cancel", task_id=job_id)


def close_batch(api: str, batch_id: str) -> Request:
    """``PATCH v2/batches/{id}/complete``: no more jobs come."""
    return _end(api, "batches", batch_id, "complete", task_id=batch_id)


# --- devices --------------------------------------------------------------------------------------


def devices(api: str, device_type: str, *, authorized: bool) -> Request:
    """``GET v1/devices``; without credentials it shows the public ones."""
    return Request(
        "GET", join(api, "v1", "devices", device_type=device_type), authorized=authorized
    )


def public_specs(api: str) -> Request:
    """``GET v1/devices/public-specs``: a list; needs no credentials."""
    return Request("GET", join(api, "v1", "devices", "public-specs"), authorized=False)


def device_specs(api: str, device_type: str | None = None) -> Request:
    """``GET v1/devices/specs/{type}``, or, for all types, ``GET v1/devices/specs``."""
    components = () if device_type is None else (device_type,)
    return Request("GET", join(api, "v1", "devices", "specs", *components))
