"""The kinds of tasks on Pasqal Cloud, told by their ids, so that any process can follow any task.

======================  =======================================================================
``<id>``                a batch of one job: the service's id of the batch, as upstream has it
``batch:<id>``          a batch of several jobs, or one that was started open
``job:<id>``            one job of a batch
``cudaq:<id>``          a CUDA-Q job
======================  =======================================================================
"""

from __future__ import annotations

import abc

from qrmi.codecs.analog_results import encode_batch
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
)
from qrmi.tasks import TaskId, TaskStatus
from qrmi.transport import Request
from qrmi_pasqal.cloud import answers, results, wire
from qrmi_pasqal.cloud.answers import Job
from qrmi_pasqal.cloud.service import Service

__all__ = ["Task", "batch_id_of", "task_of"]


class Task(abc.ABC):
    """A task, with one request or a few for each thing that can be asked of it.

    Attributes:
        service: the API.
        id: the service's own id.
        task_id: the id that people have.
    """

    def __init__(self, service: Service, own_id: str, task_id: TaskId) -> None:
        self.service = service
        self.id = own_id
        self.task_id = task_id

    @abc.abstractmethod
    def status(self) -> TaskStatus:
        """Where it is."""

    @abc.abstractmethod
    def result(self) -> str:
        """Its result, as `qrmi.codecs.analog` reads it; raises when there is none."""

    @abc.abstractmethod
    def cancellation(self) -> Request:
        """What cancels it."""

    @abc.abstractmethod
    def jobs(self) -> list[Job]:
        """What it consists of."""

    def stop(self) -> None:
        """Cancel it, unless it has ended or is being cancelled."""
        try:
            self.service.end(self.cancellation())
        except InvalidInputError:
            if not self.status().is_final and not self._is_being_cancelled():
                raise

    def _is_being_cancelled(self) -> bool:
        return any(job.word == answers.CANCELING for job in self.jobs())

    def reason(self) -> str:
        """Why its jobs failed, in the service's words."""
        return "; ".join(filter(None, (job.reason for job in self.jobs())))

    def logs(self) -> str:
        """A line for each job, and one for each of its errors."""
        return "".join(map(_log, self.jobs()))

    def without_result(self, status: TaskStatus) -> QrmiError:
        """The error for a task that has no result."""
        if status is TaskStatus.FAILED:
            reason = self.reason() or "the service gives no reason"
            return TaskFailedError(f"task {self.task_id} failed: {reason}", task_id=self.task_id)
        if status is TaskStatus.CANCELLED:
            return TaskCancelledError(f"task {self.task_id} was stopped", task_id=self.task_id)
        words = status.name.lower()
        if status is TaskStatus.COMPLETED:
            words = "completed, but its result is not there yet"
        return TaskNotReadyError(f"task {self.task_id} is {words}", task_id=self.task_id)


def _log(job: Job) -> str:
    times = "".join(f", {name} {time}" for name, time in job.times.items())
    lines = [f"job {job.id}: {job.word}{times}", *(f"  {error}" for error in job.errors)]
    return "".join(f"{line}\n" for line in lines)


class _Batch(Task):
    """A batch of several jobs."""

    def status(self) -> TaskStatus:
        return self.service.batch_status(self.id)

    def result(self) -> str:
        status = self.status()
        if status is not TaskStatus.COMPLETED:
            raise self.without_result(status)
        return encode_batch(self.service.batch_jobs(self.id))

    def cancellation(self) -> Request:
        return wire.cancel_batch(self.service.api, self.id)

    def jobs(self) -> list[Job]:
        return self.service.jobs(self.id)


class _SingleBatch(_Batch):
    """A batch of one job, whose result is the job's."""

    def result(self) -> str:
        found = self.service.results(self.id)
        if len(found) == 1:
            return next(iter(found.values()))
        jobs = self.jobs()
        if len(jobs) != 1:  # started by other means
            return super().result()
        return _Job(self.service, jobs[0].id, self.task_id, jobs[0]).result()


class _Job(Task):
    """One job of a batch."""

    def __init__(
        self, service: Service, own_id: str, task_id: TaskId, known: Job | None = None
    ) -> None:
        super().__init__(service, own_id, task_id)
        self._known = known

    def status(self) -> TaskStatus:
        return self.service.job_status(self.id)

    def result(self) -> str:
        job = self._known or self.service.job(self.id)
        text = None
        if job.status is TaskStatus.COMPLETED:
            text = self.service.stored_result(self.id)
        if text is None:
            raise self.without_result(job.status)
        return text

    def cancellation(self) -> Request:
        return wire.cancel_job(self.service.api, self.id)

    def jobs(self) -> list[Job]:
        return [self._known or self.service.job(self.id)]


class _CudaqJob(Task):
    """A CUDA-Q job; it is cancelled as a batch (QRMI 0.26)."""

    def status(self) -> TaskStatus:
        return answers.status_of(self.service.cudaq_job(self.id), self.task_id)

    def result(self) -> str:
        job = self.service.cudaq_job(self.id)
        status = answers.status_of(job, self.task_id)
        text = results.cudaq_result(job.get("result")) if status.is_final else None
        if text is None or status is not TaskStatus.COMPLETED:
            raise self.without_result(status)
        return text

    def cancellation(self) -> Request:
        return wire.cancel_batch(self.service.api, self.id)

    def jobs(self) -> list[Job]:
        return answers.read_jobs([{"id": self.id, **self.service.cudaq_job(self.id)}])


_KINDS: dict[str, type[Task]] = {"batch": _Batch, "job": _Job, "cudaq": _CudaqJob}


def task_of(service: Service, task_id: TaskId) -> Task:
    """The task that an id names; that there is one is not checked."""
    prefix, _, own_id = task_id.partition(":")
    kind = _KINDS.get(prefix)
    if kind is None or not own_id:
        return _SingleBatch(service, task_id, task_id)
    return kind(service, own_id, task_id)


def batch_id_of(task_id: TaskId) -> str:
    """The service's id of the batch that a task is.

    Raises:
        InvalidInputError: the task is no batch.
    """
    prefix, _, own_id = task_id.partition(":")
    if prefix in ("job", "cudaq"):
        raise InvalidInputError(f"task {task_id} is not a batch", task_id=task_id)
    return own_id if prefix == "batch" and own_id else task_id
