"""A Pulser batch on a resource: one native batch, or one task for each job.

Which it is follows from the resource's capabilities, so any process can find a batch's jobs from
the batch's id alone. Ids of jobs are task ids.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from qrmi.codecs.analog import decode_sequence, encode_single
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    TaskNotReadyError,
    UnsupportedFunctionError,
)
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.resource import QuantumResource
from qrmi.tasks import BatchJob, TaskStatus

__all__ = ["Batches", "batches_of", "tasks_of"]

_log = logging.getLogger(__name__)
_SEPARATOR = "|"  # upstream's: the id of a batch of several tasks is their ids


class Batches(Protocol):
    """How batches live on a resource."""

    def start(self, payload: PulserBatch, context: Mapping[str, Any], *, keep_open: bool) -> str:
        """Start a batch and return its id; after an error nothing is left running."""

    def add(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch and return their ids."""

    def close(self, batch_id: str) -> None:
        """Say that no more jobs come."""

    def job_ids(self, batch_id: str) -> list[str]:
        """The ids of the jobs, in order."""

    def jobs(self, batch_id: str) -> list[BatchJob]:
        """The jobs, in order, with the results that are there."""

    def task_ids(self, batch_id: str) -> list[str]:
        """The tasks that the batch is: itself, or one for each job."""


def batches_of(resource: QuantumResource) -> Batches:
    """Native batches where the resource has them, else a task for each job."""
    return _Native(resource) if resource.capabilities.batches else _Tasks(resource)


def tasks_of(resource: QuantumResource) -> Batches:
    """A task for each job on any resource, as upstream: job ids are pieces of the batch's id."""
    return _Tasks(resource)


class _Tasks:
    """A task for each job."""

    def __init__(self, resource: QuantumResource) -> None:
        self._resource = resource

    def start(self, payload: PulserBatch, context: Mapping[str, Any], *, keep_open: bool) -> str:
        if keep_open:
            raise self._no_open_batches()
        started: list[str] = []
        for single, more in [_simplest(single) for single in _singles(payload)]:
            try:
                started.append(self._resource.task_start(single, context={**context, **more}))
            except QrmiError as error:
                raise self._undone(started, len(payload.jobs), error) from error
        return _SEPARATOR.join(started)

    def add(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        raise self._no_open_batches()

    def close(self, batch_id: str) -> None:
        raise self._no_open_batches()

    def job_ids(self, batch_id: str) -> list[str]:
        return batch_id.split(_SEPARATOR)

    def jobs(self, batch_id: str) -> list[BatchJob]:
        return [self._job(task_id) for task_id in self.job_ids(batch_id)]

    def task_ids(self, batch_id: str) -> list[str]:
        return self.job_ids(batch_id)

    def _job(self, task_id: str) -> BatchJob:
        status = self._resource.task_status(task_id)
        if status is TaskStatus.COMPLETED:
            value = self._resource.task_result(task_id).value
            return BatchJob(id=task_id, status=status, result=value)
        reason = self._reason(task_id) if status is TaskStatus.FAILED else ""
        return BatchJob(id=task_id, status=status, reason=reason)

    def _reason(self, task_id: str) -> str:
        try:
            self._resource.task_result(task_id)
        except TaskNotReadyError as error:
            return error.message
        return ""

    def _undone(self, started: list[str], wanted: int, error: QrmiError) -> QrmiError:
        """The error of a start, after stopping the tasks that were started before it."""
        left = [task_id for task_id in started if not self._stopped(task_id)]
        message = f"job {len(started) + 1} of {wanted} was not started: {error.message}"
        if started and not left:
            message += f"; the {len(started)} before it were stopped"
        if left:
            message += f"; not stopped, still there: {', '.join(left)}"
        return type(error)(
            message,
            owner=error.owner,
            retryable=error.retryable,
            hint=error.hint,
            resource_id=self._resource.resource_id(),
            task_id=error.task_id,
        )

    def _stopped(self, task_id: str) -> bool:
        try:
            self._resource.task_stop(task_id)
        except QrmiError as error:
            _log.warning("task %s could not be stopped: %s", task_id, error)
            return False
        return True

    def _no_open_batches(self) -> UnsupportedFunctionError:
        return UnsupportedFunctionError(
            f"{self._resource.resource_id()} has no open batches",
            hint="run() each sequence by itself",
            resource_id=self._resource.resource_id(),
        )


class _Native:
    """Batches of the resource's own."""

    def __init__(self, resource: QuantumResource) -> None:
        self._resource = resource

    def start(self, payload: PulserBatch, context: Mapping[str, Any], *, keep_open: bool) -> str:
        if keep_open:
            return self._resource.batch_start(payload, context=context)
        return self._resource.task_start(payload, context=context)

    def add(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        return self._resource.batch_add(batch_id, jobs)

    def close(self, batch_id: str) -> None:
        self._resource.batch_close(batch_id)

    def job_ids(self, batch_id: str) -> list[str]:
        return [job.id for job in self.jobs(batch_id)]

    def jobs(self, batch_id: str) -> list[BatchJob]:
        try:
            return self._resource.batch_jobs(batch_id)
        except (InvalidInputError, UnsupportedFunctionError):
            # The id of a single task, started by other means than a batch.
            return _Tasks(self._resource).jobs(batch_id)

    def task_ids(self, batch_id: str) -> list[str]:
        return [batch_id]


def _singles(payload: PulserBatch) -> list[PulserBatch]:
    return [
        PulserBatch(
            sequence=payload.sequence,
            jobs=[job],
            configuration=payload.configuration,
            device_type=payload.device_type,
        )
        for job in payload.jobs
    ]


def _simplest(payload: PulserBatch) -> tuple[PulserBatch | PasqalCloud, dict[str, Any]]:
    """The form that every service knows, where it says all that there is to say.

    With it, what the context of the whole batch cannot tell of this job.
    """
    (job,) = payload.jobs
    if payload.configuration is not None or payload.device_type is not None or job.runs is None:
        return payload, {}
    if not job.variables:
        return PasqalCloud(payload.sequence, job.runs), {}
    built = decode_sequence(payload.sequence).build(**job.variables)
    return encode_single(built, job.runs), {"duration": int(built.get_duration())}
