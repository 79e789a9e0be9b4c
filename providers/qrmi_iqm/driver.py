"""A quantum computer behind IQM Server as a resource: type ``iqm-server``."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, cast

from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnsupportedFunctionError,
)
from qrmi.payloads import IQMServer, Payload
from qrmi.references import tag_of
from qrmi.tasks import (
    FINAL,
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.transport import Auth, HttpDriver, Problem, Response, StaticAuth
from qrmi_iqm import discovery, wire
from qrmi_iqm.settings import IQMSettings, alias_of, calibration_of
from qrmi_iqm.texts import joined_result, joined_target

__all__ = ["IQMServerDriver"]

_MOST_REMEMBERED = 1000
_MISSING = 404


class IQMServerDriver(HttpDriver):
    """A quantum computer of an IQM Server, such as IQM Resonance.

    The resource's name is ``name`` or ``name,calibration_set_id``. There are no sessions. The
    server keeps no list of jobs that could be searched by a key.
    """

    PAYLOADS = frozenset({IQMServer.FORMAT})
    CAPABILITIES = Capabilities(
        logs=True, stop_running=True, queue_position=True, push=True, min_poll_seconds=0.05
    )
    SETTINGS = IQMSettings
    settings: IQMSettings

    def __init__(self, resource_id: str, settings: IQMSettings) -> None:
        super().__init__(resource_id, settings)
        self._alias = alias_of(resource_id, settings)
        self._ended: dict[TaskId, TaskStatus] = {}
        self._lock = threading.Lock()  # guards the above

    def auth(self) -> Auth:
        """The user's token, as a bearer token."""
        return StaticAuth("authorization", self.settings.token, "Bearer {}")

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """IQM Server's error bodies."""
        return wire.problem(response)

    @classmethod
    def discover(cls, settings: IQMSettings, filters: Mapping[str, str]) -> list[Driver]:  # type: ignore[override]
        """The account's quantum computers that pass the filters, shortest queue first."""
        return discovery.found(cls, settings, filters)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the quantum computer is online and healthy by the server's account."""
        status = self.status()
        return status.status is ResourceStatusCode.ONLINE and status.healthy is True

    def status(self) -> ResourceStatus:
        """Operational status, health and queue as the server reports them."""
        request = wire.computer(self.settings.endpoint, self._alias)
        return wire.resource_status(self.client.json(request))

    def target(self) -> Target:
        """Calibration set, dynamic and static architecture, and metrics, in the server's words.

        A JSON object with the keys ``calibration_set``, ``dynamic_quantum_architecture``,
        ``quality_metrics`` and ``static_quantum_architecture``; the last one may be null.
        """
        parts = wire.target_parts(
            self.settings.endpoint, self._alias, calibration_of(self.resource_id)
        )
        answers = {name: self.client.send(request) for name, request in parts.items()}
        return Target(joined_target(answers))

    def metadata(self) -> dict[str, str]:
        """The quantum computer's alias on the server."""
        found = {"backend_name": self._alias}
        if self.settings.acquisition_token is not None:
            found["acquisition_token"] = self.settings.acquisition_token
        return found

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Send a job: one request, whose body is the payload's text as it is.

        A payload without a tag gets one that is made from the key.
        """
        program, tag = cast("IQMServer", payload), self.mark_of(payload, key)
        request = wire.create_job(self.settings.endpoint, self._alias, program, tag)
        return wire.created_id(self.client.json(request))

    def mark_of(self, payload: Payload, key: str) -> str:
        """The job's tag: the payload's, else the key's. The server cannot be searched for it."""
        return cast("IQMServer", payload).tag or tag_of(key)

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the job is now; the server does not hold this request."""
        return self._job(task_id).status

    def task_wait(self, task_id: TaskId, timeout_seconds: float) -> TaskStatus:
        """Let the server hold a request until the job ends; at most 30 s, in whole seconds.

        Gateways may cut off what is held for long; the server is then asked without a hold.
        """
        try:
            return self._job(task_id, timeout_seconds).status
        except ResourceUnavailableError:
            return self.task_status(task_id)

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The measurements and their counts, in the server's own text.

        A JSON object with the keys ``measurement_counts`` and ``measurements``; what the server
        does not have is null.

        Raises:
            UnsupportedFunctionError: the job completed with artifacts of other kinds only, as
                jobs of the types ``run`` and ``sweep`` do.
        """
        ended = self._ended.get(task_id)
        if ended not in (None, TaskStatus.COMPLETED):
            raise self._no_result(task_id)
        found = {name: self._artifact(task_id, name) for name in wire.ARTIFACTS}
        missing = [name for name, response in found.items() if response.status == _MISSING]
        if missing and ended is None:  # the job may not have ended, or only just now
            job = self._job(task_id)
            if job.status is not TaskStatus.COMPLETED:
                raise self._no_result(task_id, job)
            late = [name for name in missing if name in job.artifacts]
            found |= {name: self._artifact(task_id, name) for name in late}
        if all(response.status == _MISSING for response in found.values()):
            raise self._no_result(task_id)
        return TaskResult(joined_result(found))

    def task_stop(self, task_id: TaskId) -> bool:
        """Cancel a job that has not ended; true once it has."""
        if self._job(task_id).status.is_final:
            return True
        response = self.client.send(wire.cancel_job(self.settings.endpoint, task_id))
        if response.status >= 400 or not response.body:
            return False  # it ended in the meantime, or is about to: the next step will see it
        return self._read(response.json(), task_id).status in FINAL

    def task_logs(self, task_id: TaskId) -> str:
        """The job's timeline, messages and errors."""
        return self._job(task_id).log

    def task_reason(self, task_id: TaskId) -> str:
        """The job's errors, else its messages."""
        return self._job(task_id).reason

    # --- inside -------------------------------------------------------------------------------

    def _job(self, task_id: TaskId, hold_seconds: float = 0.0) -> wire.Job:
        request = wire.get_job(self.settings.endpoint, task_id, hold_seconds)
        return self._read(self.client.json(request), task_id)

    def _read(self, data: Any, task_id: TaskId) -> wire.Job:
        """Remember how a job ended: its result then takes no request to know whether it did."""
        job = wire.Job(data, task_id)
        if job.status in FINAL:
            with self._lock:
                if len(self._ended) >= _MOST_REMEMBERED:
                    self._ended.clear()
                self._ended[task_id] = job.status
        return job

    def _artifact(self, task_id: TaskId, name: str) -> Response:
        return self.client.send(wire.artifact(self.settings.endpoint, task_id, name))

    def _no_result(self, task_id: TaskId, job: wire.Job | None = None) -> Exception:
        """Why a job has no result."""
        job = job or self._job(task_id)
        if job.status is TaskStatus.FAILED:
            reason = job.reason or "the service gives no reason"
            return TaskFailedError(f"task {task_id} failed: {reason}", task_id=task_id)
        if job.status is TaskStatus.CANCELLED:
            return TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        if job.status is TaskStatus.COMPLETED:
            kinds = ", ".join(job.artifacts) or "nothing"
            return UnsupportedFunctionError(
                f"task {task_id} has no measurements; the service keeps of it: {kinds}",
                hint="only jobs of the type circuit have results as JSON text",
                task_id=task_id,
            )
        return TaskNotReadyError(
            f"task {task_id} is still {job.status.name.lower()}", task_id=task_id
        )
