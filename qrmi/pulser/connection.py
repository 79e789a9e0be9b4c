"""Pulser's `RemoteConnection` on a resource."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pulser
from pulser.backend import Results
from pulser.backend.config import EmulationConfig
from pulser.backend.remote import (
    BatchStatus,
    JobStatus,
    RemoteConnection,
    RemoteResults,
    RemoteResultsError,
)
from pulser.devices import Device

from qrmi import registry
from qrmi.codecs.analog import decode_result, read_devices
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    UnsupportedFunctionError,
    WaitTimeoutError,
)
from qrmi.payloads import PulserBatch
from qrmi.pulser import preparation
from qrmi.pulser.batches import batches_of, tasks_of
from qrmi.resource import QuantumResource
from qrmi.tasks import BatchJob, TaskStatus
from qrmi.waiting import Deadline, SystemClock

__all__ = ["PulserQRMIConnection", "QRMIConnection"]

_JOB_STATUSES = {
    TaskStatus.QUEUED: JobStatus.PENDING,
    TaskStatus.RUNNING: JobStatus.RUNNING,
    TaskStatus.COMPLETED: JobStatus.DONE,
    TaskStatus.FAILED: JobStatus.ERROR,
    TaskStatus.CANCELLED: JobStatus.CANCELED,
}
_BATCH_STATUSES = {status: BatchStatus[job.name] for status, job in _JOB_STATUSES.items()}
_LONGEST_LOG = 2000


class QRMIConnection(RemoteConnection):  # type: ignore[misc]
    """Runs Pulser sequences on a resource; give it to Pulser's own backends.

    Results can be fetched in another process: ``RemoteResults(batch_id, QRMIConnection())``.

    Args:
        resource: a handle, or a resource's name; ``None`` for `qrmi.open()`.
        timeout_seconds: how long ``wait=True`` waits at most; ``None`` for no limit.

    Raises:
        UnsupportedPayloadError: the resource does not run pulse sequences.
        ResourceNotFoundError: there is no resource of that name.
    """

    def __init__(
        self,
        resource: QuantumResource | str | None = None,
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        if resource is None or isinstance(resource, str):
            resource = registry.open(resource)
        resource.require(PulserBatch.FORMAT, "pulse sequences")
        self._resource = resource
        self._timeout_seconds = timeout_seconds
        self._batches = batches_of(resource)
        self._last_batch_id = ""

    @property
    def resource(self) -> QuantumResource:
        """The resource that runs the sequences."""
        return self._resource

    # --- running ------------------------------------------------------------------------------

    def submit(
        self,
        sequence: pulser.Sequence,
        wait: bool = False,
        open: bool = False,  # noqa: A002 (Pulser's name)
        batch_id: str | None = None,
        *,
        job_params: list[dict[str, Any]] | None = None,
        device_type: str | None = None,
        backend_configuration: EmulationConfig | None = None,
        **unknown: Any,
    ) -> RemoteResults:
        """Send a sequence and its jobs, as one batch.

        Everything is checked first: after an error nothing was sent, or what was sent has been
        stopped (the message says so).

        Args:
            sequence: the sequence; a missing measurement is added when one basis is addressed.
            wait: whether to return only when the jobs have ended.
            open: whether the batch takes more jobs later.
            batch_id: an open batch of the same sequence, to which the jobs are added.
            job_params: Pulser's; for a QPU each has ``runs``.
            device_type: the device or emulator wanted.
            backend_configuration: how an emulator is to run it.
            unknown: not known to this version of openqrmi; refused.

        Raises:
            SequenceRefusedError: the sequence does not fit the device, or a job does not fit it.
            UnsupportedFunctionError: an open batch, on a resource without them.
            WaitTimeoutError: the time for ``wait`` is over; the batch goes on.
        """
        if unknown:
            raise InvalidInputError(f"unknown arguments of submit: {', '.join(sorted(unknown))}")
        if (open or batch_id) and not self.supports_open_batch():
            raise UnsupportedFunctionError(
                f"{self._resource.resource_id()} has no open batches",
                hint="run each sequence by itself",
            )
        kind = None if device_type is None else str(getattr(device_type, "value", device_type))
        emulated = preparation.is_emulated(backend_configuration, kind)
        sequence = self._prepared(sequence, emulated=emulated)
        jobs = preparation.jobs_of(sequence, job_params, emulated=emulated, may_be_empty=open)
        job_ids = None
        if batch_id:
            job_ids = self._batches.add(batch_id, jobs)
        else:
            payload = preparation.payload_of(sequence, jobs, backend_configuration, kind)
            context = preparation.context_of(sequence)
            batch_id = self._batches.start(payload, context, keep_open=open)
        self._last_batch_id = batch_id
        if wait:  # an open batch itself does not end with its jobs
            self._wait(batch_id, self._batches.job_ids(batch_id) if open else job_ids)
        return self.get_results(batch_id, job_ids)

    def _prepared(self, sequence: pulser.Sequence, *, emulated: bool) -> pulser.Sequence:
        """The sequence on the resource's own version of its device, measured.

        Pulser's backends check the sequence on the newest device but hand over the old one.
        """
        if not emulated:
            sequence = self.update_sequence_device(sequence)
        return preparation.refusing(self._add_measurement_to_sequence, sequence)

    def update_sequence_device(self, sequence: pulser.Sequence) -> pulser.Sequence:
        """The sequence on the resource's own version of its device.

        Raises:
            SequenceRefusedError: the resource has no such device, or its present version does
                not take the sequence; the message has the reason.
        """
        return preparation.refusing(super().update_sequence_device, sequence)

    def fetch_available_devices(self) -> dict[str, Device]:
        """The resource's devices, by device type, as they are now."""
        return read_devices(self._resource.target().value)

    def supports_open_batch(self) -> bool:
        """Whether the resource has batches that take jobs until they are closed."""
        return self._resource.capabilities.batches

    def _close_batch(self, batch_id: str) -> None:
        self._batches.close(batch_id)

    def _wait(self, batch_id: str, job_ids: list[str] | None) -> None:
        deadline = Deadline.after(self._timeout_seconds, SystemClock())
        try:
            for task_id in self._batches.task_ids(batch_id) if job_ids is None else job_ids:
                left = None if deadline.at is None else deadline.shorten(self._timeout_seconds or 0)
                self._resource.task_wait(task_id, left)
        except WaitTimeoutError as error:
            raise WaitTimeoutError(
                f"batch {batch_id} has not ended after {self._timeout_seconds} s; it goes on",
                hint=_way_back(batch_id),
                task_id=batch_id,
            ) from error
        except BaseException as error:  # Ctrl-C too: the id would be lost with the results
            error.add_note(f"batch {batch_id} was started; {_way_back(batch_id)}")
            raise

    # --- looking ------------------------------------------------------------------------------

    def get_results(self, batch_id: str, job_ids: list[str] | None = None) -> RemoteResults:
        """The results of a batch, started in any process.

        Args:
            batch_id: the batch.
            job_ids: the jobs wanted, in that order; ``None`` for all.
        """
        return _TellingResults(batch_id, self, job_ids)

    def get_batch_logs(self, batch_id: str | None = None) -> tuple[str, ...]:
        """The resource's log of each job; ``None`` for the batch last submitted here."""
        ids = self._get_job_ids(self._known(batch_id))
        return tuple(self._resource.task_logs(job_id) for job_id in ids)

    def cancel_batch_jobs(self, batch_id: str | None = None) -> None:
        """Stop the jobs that have not ended; ``None`` for the batch last submitted here.

        Raises:
            QrmiError: one could not be stopped; the others were.
        """
        failures = []
        for task_id in self._batches.task_ids(self._known(batch_id)):
            try:
                self._resource.task_stop(task_id)
            except QrmiError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _known(self, batch_id: str | None) -> str:
        found = batch_id or self._last_batch_id
        if not found:
            raise InvalidInputError("no batch was submitted through this connection yet")
        return found

    def _get_job_ids(self, batch_id: str) -> list[str]:
        return self._batches.job_ids(batch_id)

    def _get_batch_status(self, batch_id: str) -> BatchStatus:
        ids = self._batches.task_ids(batch_id)
        found = {_BATCH_STATUSES[self._resource.task_status(task_id)] for task_id in ids}
        if len(found) == 1:
            return found.pop()
        unended = found & {BatchStatus.PENDING, BatchStatus.RUNNING}
        return BatchStatus.RUNNING if unended else BatchStatus.DONE

    def _query_job_progress(self, batch_id: str) -> dict[str, tuple[JobStatus, Results | None]]:
        context = self._resource.task_context(self._batches.task_ids(batch_id)[0])
        return {
            job.id: (_JOB_STATUSES[job.status], _results_of(job, context))
            for job in self._batches.jobs(batch_id)
        }

    def _fetch_result(self, batch_id: str, job_ids: list[str] | None) -> Sequence[Results]:
        jobs = {job.id: job for job in self._batches.jobs(batch_id)}
        context = self._resource.task_context(self._batches.task_ids(batch_id)[0])
        found = []
        for job_id in jobs if job_ids is None else job_ids:
            if job_id not in jobs:
                raise RemoteResultsError(f"Batch {batch_id} has no job {job_id}.")
            results = _results_of(jobs[job_id], context)
            if results is None:
                raise RemoteResultsError(self._why_no_result(batch_id, jobs[job_id]))
            found.append(results)
        return found

    def _why_no_result(self, batch_id: str, job: BatchJob) -> str:
        status = _JOB_STATUSES[job.status].name
        lines = [f"Job {job.id} of batch {batch_id} has no result; its status is {status}."]
        if job.reason:
            lines.append(f"Reason: {job.reason}")
        if job.status is TaskStatus.FAILED and (log := self._log_of(job.id)):
            lines.append(f"Log: {log}")
        return "\n".join(lines)

    def _log_of(self, job_id: str) -> str:
        if not self._resource.capabilities.logs:
            return ""
        try:
            return self._resource.task_logs(job_id).strip()[-_LONGEST_LOG:]
        except QrmiError:
            return ""  # the reason that is being told matters more


class PulserQRMIConnection(QRMIConnection):
    """`QRMIConnection` as upstream spells it: ``qrmi=``, and `submit` waits unless told not to.

    Each job is a task of its own, and a batch's id is the ids of its tasks, joined by ``|``; there
    are no open batches.
    """

    def __init__(self, qrmi: QuantumResource | None = None) -> None:
        super().__init__(qrmi)
        self._batches = tasks_of(self._resource)

    def supports_open_batch(self) -> bool:
        """False."""
        return False

    def submit(
        self,
        sequence: pulser.Sequence,
        wait: bool = True,
        open: bool = False,  # noqa: A002 (Pulser's name)
        batch_id: str | None = None,
        **kwargs: Any,
    ) -> RemoteResults:
        """See `QRMIConnection.submit`."""
        return super().submit(sequence, wait, open, batch_id, **kwargs)


class _TellingResults(RemoteResults):  # type: ignore[misc]
    """Results that say why they are missing: Pulser leaves that to the error's cause."""

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except RemoteResultsError as error:
            raise RemoteResultsError(f"{error}\n{error.__cause__}") from error.__cause__


def _way_back(batch_id: str) -> str:
    return f"come back with RemoteResults({batch_id!r}, QRMIConnection(…))"


def _results_of(job: BatchJob, context: dict[str, Any]) -> Results | None:
    if job.result is None:
        return None
    return decode_result(job.result, atoms=context.get("atoms"), duration=context.get("duration"))
