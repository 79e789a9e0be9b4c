"""Jobs: a task, seen as Qiskit's primitives and ``backend.run`` show theirs.

A job's id is its task's id, or the ids of its tasks joined by ``|`` where the resource takes one
circuit a task. A job object is only a view: dropping it changes nothing, it can be pickled, and
`job` makes another one in any process of the user.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qiskit.primitives import BasePrimitiveJob, PrimitiveResult
from qiskit.providers import JobStatus, JobV1
from qiskit.result import Result

from qrmi.codecs.group import TaskGroup
from qrmi.codecs.interface import gate_codec
from qrmi.errors import QrmiError, TaskFailedError, UnsupportedFunctionError
from qrmi.qiskit import records, run
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus

if TYPE_CHECKING:
    from qrmi.qiskit.backends import QRMIBackend

__all__ = ["GateJob", "QRMIJob", "QRMIPrimitiveJob", "TaskJob"]

_log = logging.getLogger(__name__)

_STATUS = {
    TaskStatus.QUEUED: JobStatus.QUEUED,
    TaskStatus.RUNNING: JobStatus.RUNNING,
    TaskStatus.COMPLETED: JobStatus.DONE,
    TaskStatus.FAILED: JobStatus.ERROR,
    TaskStatus.CANCELLED: JobStatus.CANCELLED,
}


class TaskJob:
    """What both kinds of job share. Safe to use from several threads."""

    def __init__(
        self, resource: QuantumResource, task_id: str, backend: QRMIBackend | None = None
    ) -> None:
        self._resource = resource
        self._backend = backend
        self._job_id = task_id
        self._tasks = TaskGroup(resource, task_id)
        self._seen = TaskStatus.QUEUED
        self._result: Any = None
        self.metadata: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self._job_id!r}, {self._resource.resource_id()!r})>"

    def job_id(self) -> str:
        """The task's id, valid in any process; several are joined by ``|``."""
        return self._job_id

    def task_ids(self) -> list[str]:
        """The ids of the job's tasks; one, unless the resource takes one circuit a task."""
        return self._tasks.task_ids

    @property
    def resource(self) -> QuantumResource:
        """The handle that the task was started through, or was found on."""
        return self._resource

    # --- where it is --------------------------------------------------------------------------

    def status(self) -> JobStatus:
        """Where the job is now.

        Raises:
            QrmiError: the resource cannot be asked.
        """
        return _STATUS[self._look()]

    def done(self) -> bool:
        """Whether it has ended with a result."""
        return self._last_known() is TaskStatus.COMPLETED

    def running(self) -> bool:
        """Whether it is being executed."""
        return self._last_known() is TaskStatus.RUNNING

    def cancelled(self) -> bool:
        """Whether it was stopped."""
        return self._last_known() is TaskStatus.CANCELLED

    def errored(self) -> bool:
        """Whether it failed."""
        return self._last_known() is TaskStatus.FAILED

    def in_final_state(self) -> bool:
        """Whether it has ended, one way or another."""
        return self._last_known().is_final

    def _look(self) -> TaskStatus:
        if not self._seen.is_final:
            self._seen = self._tasks.status()
        return self._seen

    def _last_known(self) -> TaskStatus:
        """The status now, or the last one seen when the resource cannot be asked for a while."""
        try:
            return self._look()
        except QrmiError as error:
            if not error.retryable:
                raise
            _log.warning("the status of task %s is not known now: %s", self._job_id, error)
            return self._seen

    # --- waiting, result, cancelling ----------------------------------------------------------

    def wait_for_final_state(
        self,
        timeout: float | None = None,
        wait: float | None = None,
        callback: Callable[[str, JobStatus, Any], None] | None = None,
    ) -> None:
        """Wait until the job has ended, one way or another.

        Args:
            timeout: the longest wait in seconds; ``None`` for no limit.
            wait: not used; the handle knows when to ask.
            callback: called with the job's id, its status and the job at each new status.

        Raises:
            WaitTimeoutError: the time is over; the job goes on.
        """
        if self._seen.is_final:
            return

        def report(status: TaskStatus) -> None:
            self._seen = status
            if callback is not None:
                callback(self._job_id, _STATUS[status], self)

        observer = None if callback is None else report
        self._seen = self._tasks.wait(timeout, observer)

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end of the job and give its result, which is kept.

        Args:
            timeout: the longest wait in seconds; ``None`` for no limit.

        Raises:
            WaitTimeoutError: the time is over; the job goes on.
            TaskFailedError: it failed; the message has the resource's reason.
            TaskCancelledError: it was stopped.
        """
        if self._result is None:
            self.wait_for_final_state(timeout)
            self._result = self._read()
        return self._result

    def _read(self) -> Any:
        """The result of a job that has ended."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Stop the job's tasks; those that have ended keep their results."""
        self._tasks.stop()

    # --- more about it ------------------------------------------------------------------------

    def backend(self) -> QRMIBackend:
        """The backend of the job's resource."""
        from qrmi.qiskit.backends import QRMIBackend  # that module imports this one

        if self._backend is None:
            self._backend = QRMIBackend(self._resource)
        return self._backend

    def error_message(self) -> str | None:
        """The resource's reason when the job failed; ``None`` when it did not."""
        if not self.errored():
            return None
        try:
            self._tasks.texts()
        except TaskFailedError as error:
            return error.message
        return None

    def logs(self) -> str:
        """The resource's log of the task. Raises `UnsupportedFunctionError` when it keeps none."""
        return self._tasks.logs()

    def metrics(self) -> dict[str, Any]:
        """What is known of the task itself: ids, resource, status."""
        return {
            "task_id": self._job_id,
            "resource_id": self._resource.resource_id(),
            "resource_type": self._resource.type_name,
            "status": self._last_known().name,
        }


class GateJob(TaskJob):
    """A job whose result the resource's codec reads.

    Args:
        resource: the handle.
        task_id: the task, or several joined by ``|``.
        notes: the codec's; ``None`` for what the journal has.
        backend: what `backend` returns; made at need.
    """

    def __init__(
        self,
        resource: QuantumResource,
        task_id: str,
        *,
        notes: Mapping[str, Any] | None = None,
        backend: QRMIBackend | None = None,
    ) -> None:
        super().__init__(resource, task_id, backend)
        self._notes = notes

    def _decoded(self) -> PrimitiveResult:
        return self._tasks.result(gate_codec(self._resource), self._notes)


class QRMIPrimitiveJob(GateJob, BasePrimitiveJob):  # type: ignore[misc]  # Qiskit is untyped
    """A job of `SamplerV2` or `EstimatorV2`; its result is a ``PrimitiveResult``.

    Args:
        resource: the handle.
        task_id: the task, or several joined by ``|``.
        pubs: what is remembered of the pubs; without it, what the journal and the result tell.
        **kwargs: as for `GateJob`.
    """

    def __init__(
        self,
        resource: QuantumResource,
        task_id: str,
        *,
        pubs: Sequence[records.PubRecord] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource, task_id, **kwargs)
        self._pubs = pubs

    def _read(self) -> PrimitiveResult:
        pubs = self._pubs
        if pubs is None:
            pubs = records.shapes_in(self._tasks.context())
        return records.complete(self._decoded(), pubs)


class QRMIJob(GateJob, JobV1):  # type: ignore[misc]  # Qiskit is untyped
    """A job of `QRMIBackend.run`; its result is a ``qiskit.result.Result``.

    Args:
        resource: the handle.
        task_id: the task, or several joined by ``|``.
        headers: of the circuits; without them, what the result and the journal tell.
        **kwargs: as for `GateJob`.
    """

    def __init__(
        self,
        resource: QuantumResource,
        task_id: str,
        *,
        headers: Sequence[run.Header] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(resource, task_id, **kwargs)
        self._headers = headers

    def submit(self) -> None:
        """Refused: `QRMIBackend.run` has started the task already."""
        raise UnsupportedFunctionError(
            f"job {self._job_id} was submitted when it was made", hint="call backend.run again"
        )

    def _read(self) -> Result:
        result = records.complete(self._decoded(), None)
        headers = self._headers
        if headers is None:
            headers = run.recovered(result, self._tasks.context())
        return run.read(
            result, headers, backend_name=self._resource.resource_id(), job_id=self._job_id
        )
