"""An IBM Quantum System: type ``ibm-quantum-system``."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, cast

from qrmi.config import UNLIMITED_SECONDS
from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    AnswerLostError,
    AuthenticationFailedError,
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi.payloads import Payload, QiskitPrimitive
from qrmi.settings import Secret, Settings
from qrmi.tasks import ResourceStatus, ResourceStatusCode, Target, TaskId, TaskResult, TaskStatus
from qrmi.transport import Auth, HttpDriver, Request, SendError, Unchanged
from qrmi_ibm.iam import iam_auth
from qrmi_ibm.quantum_system import answers, problems, wire
from qrmi_ibm.quantum_system.settings import QuantumSystemSettings

if TYPE_CHECKING:
    from qrmi_ibm.quantum_system.storage import Storage

__all__ = ["QuantumSystemDriver"]

_STORAGE_SETTINGS = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "s3_endpoint",
    "s3_bucket",
    "s3_region",
)
_REFUSALS = (InvalidInputError, ResourceNotFoundError, AuthenticationFailedError)
_MOST_REMEMBERED = 1000


class QuantumSystemDriver(HttpDriver):
    """IBM's Quantum System API: on premises, with S3-compatible storage between it and this side.

    A task's input, results and logs are the objects ``input_{id}.json``, ``results_{id}.json`` and
    ``logs_{id}.json``; they stay when the task's record is removed, which frees its lane. A task's
    id is made here, from the key of its start, so a start may be repeated.
    """

    PAYLOADS = frozenset({QiskitPrimitive.FORMAT})
    CAPABILITIES = Capabilities(
        logs=True,
        stop_running=True,
        idempotency_key=True,
        repeatable_start=True,
        cleanup=True,
        dialect="qasm3",
    )
    SETTINGS = QuantumSystemSettings
    settings: QuantumSystemSettings
    problem = staticmethod(problems.problem)

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._ended: dict[str, answers.Job] = {}  # a task that has ended stays so
        self._target_text = Unchanged(answers.target_text)

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The systems of a service instance that pass the filters."""
        from qrmi_ibm.quantum_system.discovery import found

        return found(cls, cast(QuantumSystemSettings, settings), filters)

    def auth(self) -> Auth:
        """Tokens of IBM Cloud IAM."""
        return iam_auth(self, self.settings.iam_endpoint, self.settings.iam_apikey)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the system is online."""
        backend = self.client.json(self.api.backend(self.resource_id))
        return answers.read_status(backend, None).status is ResourceStatusCode.ONLINE

    def status(self) -> ResourceStatus:
        """Status, reason and reservation, and how many of the lanes of this side are free."""
        name = self.resource_id
        backend = self.client.json(self.api.backend(name))
        lanes = self.client.send(self.api.lanes(name))
        slots = None
        if lanes.status < 400:
            jobs = self.client.json(self.api.jobs())
            slots = answers.capacity(lanes.json(), jobs, name)
        return answers.read_status(backend, slots)

    def target(self) -> Target:
        """IBM's backend configuration and properties, as the service wrote them."""
        configuration = self.client.send(self.api.configuration(self.resource_id))
        properties = self.client.send(self.api.properties(self.resource_id))
        return Target(self._target_text(configuration, properties))

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Upload the input as it is and start a task whose id is made from `key`.

        Everything that can be checked here is, before anything is sent. Where the service
        refuses the task, its input is removed again.

        Raises:
            EnvVarNotSetError: the time limit or a storage setting is absent; nothing was sent.
            InvalidInputError: the input is no JSON object (nothing was sent), or the service
                refuses it.
            ResourceUnavailableError: no lane is free, the system is reserved, or storage or
                service cannot be reached; start again with the same key.
        """
        payload = cast(QiskitPrimitive, payload)
        body = wire.input_body(payload)
        self.settings.must_have(self.resource_id, "timeout_seconds")
        task_id = self._task_id(key)
        request = self.api.create_job(self._job_body(task_id, payload.program_id))
        stored = self.client.send(self._storage.put(wire.input_name(task_id), body))
        answers.must_be_no_page(stored)
        self._ended.pop(task_id, None)
        self._create(task_id, request)
        return task_id

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the task is; completed if only its results are left of it."""
        try:
            return self._job(task_id).status
        except TaskNotFoundError:
            if self._has_results(task_id):
                return TaskStatus.COMPLETED
            raise

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The results from storage, also after the task's record was removed.

        A task that completed without results in storage gives `ResourceUnavailableError`.
        """
        is_known = False
        with contextlib.suppress(TaskNotFoundError):
            answers.must_be_completed(self._job(task_id), task_id)
            is_known = True
        try:
            response = self.client.send(self._storage.get(wire.results_name(task_id), task_id))
        except TaskNotFoundError as error:
            raise (answers.without_results(task_id) if is_known else error) from None
        return TaskResult(answers.read_text(response))

    def task_logs(self, task_id: TaskId) -> str:
        """The log that the service wrote to storage.

        Raises:
            TaskNotReadyError: there is none (yet).
            TaskNotFoundError: there is no such task.
        """
        try:
            response = self.client.send(self._storage.get(wire.logs_name(task_id), task_id))
        except TaskNotFoundError:
            status = self.task_status(task_id)
        else:
            answers.must_be_no_page(response)
            return response.text
        raise TaskNotReadyError(
            f"task {task_id} is {status.name.lower()} and has written no log",
            retryable=not status.is_final,
            hint="" if status.is_final else None,
            task_id=task_id,
        )

    def task_reason(self, task_id: TaskId) -> str:
        """Code, message and solution that the service gives for a failure."""
        return self._job(task_id).reason

    def task_qpu_seconds(self, task_id: TaskId) -> float | None:
        """What the service counts as the task's use of the system."""
        return self._job(task_id).qpu_seconds

    def task_stop(self, task_id: TaskId) -> bool:
        """Ask the service to cancel a task that has not ended; done when it has."""
        if self.task_status(task_id).is_final:
            return True
        response = self.client.send(self.api.cancel_job(task_id))
        if response.status == 409:  # it cannot be cancelled, since it has ended meanwhile
            return problems.is_about_an_ended_task(response) or self._job(task_id).status.is_final
        answers.must_be_done(response)
        return False

    def task_free(self, task_id: TaskId) -> None:
        """Remove the task's record, which frees its lane; results and logs stay in storage.

        Raises:
            TaskNotReadyError: the task has not ended.
        """
        answers.must_be_done(self.client.send(self.api.delete_job(task_id)))

    def find_task(self, key: str) -> TaskId | None:
        """The task that was started with `key` by this user with these settings."""
        task_id = self._task_id(key)
        try:
            self.task_status(task_id)
        except TaskNotFoundError:
            return None
        return task_id

    def list_tasks(self) -> list[TaskId]:
        """Tasks on this system whose records have not been removed, newest first."""
        return answers.read_tasks(self.client.json(self.api.jobs()), self.resource_id)

    # --- inside -------------------------------------------------------------------------------

    @cached_property
    def api(self) -> wire.Api:
        """Makes the requests to the service."""
        return wire.Api(self.settings.endpoint, self.settings.service_crn)

    @cached_property
    def _storage(self) -> Storage:
        from qrmi_ibm.quantum_system.storage import Storage

        settings = self.settings
        settings.must_have(self.resource_id, *_STORAGE_SETTINGS)
        return Storage(
            endpoint=cast(str, settings.s3_endpoint),
            public_endpoint=settings.s3_endpoint_for_qsapi or cast(str, settings.s3_endpoint),
            bucket=cast(str, settings.s3_bucket),
            region=cast(str, settings.s3_region),
            access_key_id=cast(Secret, settings.aws_access_key_id),
            secret_access_key=cast(Secret, settings.aws_secret_access_key),
        )

    @cached_property
    def _namespace(self) -> uuid.UUID:
        """Whose keys they are: one key of two users, or on two systems, is two tasks."""
        settings = self.settings
        user = os.getuid() if hasattr(os, "getuid") else 0
        parts = (settings.endpoint, settings.service_crn, settings.s3_bucket, str(user))
        return uuid.uuid5(uuid.NAMESPACE_URL, "\n".join((*map(str, parts), self.resource_id)))

    def _task_id(self, key: str) -> TaskId:
        name = key.encode("utf-8", "backslashreplace").decode()
        return TaskId(str(uuid.uuid5(self._namespace, name)))

    def _job_body(self, task_id: TaskId, program_id: str) -> dict[str, object]:
        from qrmi_ibm.quantum_system.storage import LONGEST_SECONDS

        limit = cast(int, self.settings.timeout_seconds)
        lifetime = min(limit, LONGEST_SECONDS)
        storage = self._storage
        return wire.job_body(
            task_id=task_id,
            backend=self.resource_id,
            program_id=program_id,
            timeout_seconds=lifetime if limit >= UNLIMITED_SECONDS else limit,
            input_url=storage.presigned("GET", wire.input_name(task_id), lifetime),
            results_url=storage.presigned("PUT", wire.results_name(task_id), lifetime),
            logs_url=storage.presigned("PUT", wire.logs_name(task_id), lifetime),
        )

    def _create(self, task_id: TaskId, request: Request) -> None:
        try:
            answers.must_be_done(self.client.send(request))
        except problems.DuplicateTaskError:
            pass  # a request of this very start came through before
        except QrmiError as error:
            if isinstance(error.__cause__, SendError) and error.__cause__.sent:
                raise AnswerLostError(error.message, task_id=task_id) from error
            if isinstance(error, _REFUSALS):
                with contextlib.suppress(QrmiError):  # the refusal is what matters
                    self.client.send(self._storage.remove(wire.input_name(task_id)))
            raise

    def _job(self, task_id: TaskId) -> answers.Job:
        """What the service says of a task; of one that has ended, what it said last."""
        known = self._ended.get(task_id)
        if known is not None:
            return known
        job = answers.read_job(self.client.json(self.api.job(task_id)), task_id)
        if job.status.is_final:
            if len(self._ended) >= _MOST_REMEMBERED:
                self._ended.clear()
            self._ended[task_id] = job
        return job

    def _has_results(self, task_id: TaskId) -> bool:
        if any(getattr(self.settings, name) is None for name in _STORAGE_SETTINGS):
            return False
        try:
            self.client.send(self._storage.look(wire.results_name(task_id), task_id))
        except TaskNotFoundError:
            return False
        return True
