"""Batches: a task that is nothing but its jobs, each of which is a task of its own.

A batch's jobs have the ids ``<batch>-0``, ``<batch>-1`` and so on. Where it is follows from them:
an open batch runs until it is closed; a closed one ends with its last job, as completed when any
job completed or it had none, else as failed when any failed, else as cancelled. Stopping a batch
cancels it and its unended jobs at once; the results of jobs that had ended stay in `read_jobs`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qrmi.codecs.analog_results import encode_batch
from qrmi.errors import InvalidInputError
from qrmi.tasks import BatchJob, TaskId, TaskStatus
from qrmi_local.service.state import State
from qrmi_local.service.store import Store

__all__ = ["add_jobs", "batch_meta", "make_first_jobs", "outcome", "read_jobs", "read_result"]


def batch_meta(store: Store, batch_id: str) -> dict[str, Any]:
    """What a batch was created with.

    Raises:
        TaskNotFoundError: there is no such task.
        InvalidInputError: the task is no batch.
    """
    meta = store.meta(batch_id)
    if "open" not in meta:
        raise InvalidInputError(f"task {batch_id} is not a batch")
    return meta


def make_first_jobs(store: Store, batch_id: str) -> None:
    """Make the jobs that a batch was started with, and close it unless it is an open one.

    Doing so twice makes nothing new.
    """
    meta = store.meta(batch_id)
    for number, job in enumerate(json.loads(store.payload(batch_id))["jobs"]):
        _make_job(store, meta, f"{batch_id}-{number}", batch_id, job)
    if not meta["open"]:
        store.close_batch(batch_id)


def add_jobs(
    store: Store, batch_id: str, jobs: Sequence[Mapping[str, Any]], token: str
) -> list[TaskId]:
    """Add jobs to an open batch and return their ids; the same token again adds nothing.

    Only one process at a time may do this.

    Raises:
        InvalidInputError: the batch is closed, or the task is no batch.
    """
    meta = batch_meta(store, batch_id)
    present = list(store.jobs(batch_id))
    added = [job for job in present if store.meta(job)["token"] == token]
    if added:
        present = present[: -len(added)]
    elif store.is_closed(batch_id) or store.has_ended(batch_id):
        raise InvalidInputError(
            f"batch {batch_id} is closed", hint="start a new batch for further jobs"
        )
    ids = [TaskId(f"{batch_id}-{len(present) + offset}") for offset in range(len(jobs))]
    for job_id, job in zip(ids, jobs, strict=True):
        _make_job(store, meta, job_id, batch_id, job, token=token)
    return ids


def outcome(store: Store, batch_id: str) -> tuple[TaskStatus, str]:
    """The final status of a closed batch whose jobs have all ended, and the reason it failed."""
    states = [store.state(job) for job in store.jobs(batch_id)]
    statuses = {state.status for state in states}
    if TaskStatus.COMPLETED in statuses or not states:
        return TaskStatus.COMPLETED, ""
    if TaskStatus.FAILED in statuses:
        return TaskStatus.FAILED, _first_reason(states)
    return TaskStatus.CANCELLED, ""


def read_jobs(store: Store, batch_id: str) -> list[BatchJob]:
    """The jobs of a batch in order, with the results that are there.

    Raises:
        TaskNotFoundError: there is no such task.
        InvalidInputError: the task is no batch.
    """
    batch_meta(store, batch_id)
    jobs = [_read_job(store, job) for job in store.jobs(batch_id)]
    promised = len(json.loads(store.payload(batch_id))["jobs"])
    not_made_yet = [
        BatchJob(id=f"{batch_id}-{number}", status=store.state(batch_id).status)
        for number in range(len(jobs), promised)
    ]
    return jobs + not_made_yet


def read_result(store: Store, batch_id: str) -> str:
    """The result of a batch that has ended, as `qrmi.codecs.analog_results` writes it."""
    return encode_batch(read_jobs(store, batch_id))


def _make_job(
    store: Store,
    meta: Mapping[str, Any],
    job_id: str,
    batch_id: str,
    job: Mapping[str, Any],
    *,
    token: str = "",
) -> None:
    seed, number = meta["seed"], int(job_id.rpartition("-")[2])
    own = {
        **{key: value for key, value in meta.items() if key != "open"},
        "seed": None if seed is None else seed + number,  # equal jobs are not equal runs
        "batch": batch_id,
        "token": token,
        "queued_at": time.time(),
    }
    store.create(job_id, own, json.dumps({"job": dict(job)}))


def _read_job(store: Store, job_id: TaskId) -> BatchJob:
    state, result = store.outcome(job_id)
    done = state.status is TaskStatus.COMPLETED
    return BatchJob(
        id=job_id, status=state.status, result=result if done else None, reason=state.reason
    )


def _first_reason(states: Iterable[State]) -> str:
    return next(state.reason for state in states if state.status is TaskStatus.FAILED)
