"""Alice & Bob's Felis as a resource: type ``alice-bob-felis``."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from typing import cast

import attrs

from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    AccessDeniedError,
    AnswerLostError,
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.payloads import AliceBobFelis, Payload
from qrmi.settings import Settings
from qrmi.tasks import (
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.transport import Auth, HttpDriver, Problem, Response, StaticAuth, Unchanged
from qrmi_alice_bob import wire
from qrmi_alice_bob.discovery import matching
from qrmi_alice_bob.settings import FelisSettings

__all__ = ["FelisDriver"]


class FelisDriver(HttpDriver):
    """Quantum computers and emulators of Alice & Bob, through the Felis Cloud API.

    A task is a job. It starts in two requests: one makes the job, one uploads its program. The
    service keeps no sessions and no logs.
    """

    PAYLOADS = frozenset({AliceBobFelis.FORMAT})
    CAPABILITIES = Capabilities(
        stop_running=True, two_step=True, settle_seconds=60.0, min_poll_seconds=0.05
    )
    SETTINGS = FelisSettings
    settings: FelisSettings

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._target = wire.felis_target(resource_id)
        self._base = self.settings.base_endpoint
        self._target_text = Unchanged(functools.partial(wire.target_text, target=self._target))

    def auth(self) -> Auth:
        """The API key is the base64 that HTTP's basic scheme wants."""
        return StaticAuth("authorization", self.settings.api_key, "Basic {}")

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """The service's reason."""
        return wire.problem(response)

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The account's targets that pass the filters, in the service's order.

        The service reports no queues. Emulators are those whose names begin with ``EMU``.
        """
        account = cls("targets", settings)
        targets = account.client.json(wire.list_targets(account._base))
        drivers = [cls(name, settings) for name in matching(targets, filters)]
        if "status" in filters:
            drivers = [driver for driver in drivers if driver._is_enabled()]
        return list(drivers)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the target is enabled at this time."""
        return self._health().status is ResourceStatusCode.ONLINE

    def _is_enabled(self) -> bool:
        """`is_accessible`; also false for a target that is listed and closed to this account."""
        try:
            return self.is_accessible()
        except (AccessDeniedError, ResourceNotFoundError):
            return False

    def status(self) -> ResourceStatus:
        """Enabled or not, healthy or not, and why not; the service reports no queue."""
        status = self._health()
        if status.status is ResourceStatusCode.ONLINE:
            return status
        planned = self.client.send(wire.get_availabilities(self._base, self._target))
        reason = wire.outage_reason(planned.json()) if planned.status < 300 else ""
        return attrs.evolve(status, status_reason=reason) if reason else status

    def _health(self) -> ResourceStatus:
        response = self.client.send(wire.get_health(self._base, self._target))
        if response.status < 300:
            return wire.resource_status(response.json())
        self.target()  # which says whether the target or only its health is unknown
        return ResourceStatus(ResourceStatusCode.ONLINE)

    def target(self) -> Target:
        """The target's entry in ``GET /v1/targets/``, its numbers as they are.

        Raises:
            ResourceNotFoundError: the account has no such target.
        """
        return Target(self._target_text(self.client.send(wire.list_targets(self._base))))

    def metadata(self) -> dict[str, str]:
        """The target's name on the service."""
        return {"felis_target": self._target}

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Make a job and upload its program."""
        task_id = self.task_create(payload, key)
        self.task_submit(task_id, payload, key)
        return task_id

    def task_create(self, payload: Payload, key: str) -> TaskId:
        """Make a job without a program; it does not run."""
        request = wire.create_job(self._base, self._target, cast(AliceBobFelis, payload))
        return wire.created_id(self.client.json(request))

    def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
        """Upload the program; the job runs once it is there, and a job takes one program.

        When the service refuses it, the job is deleted and the refusal raised. When the answer is
        lost, the job itself tells whether its program arrived; a job without one is left as it
        is, because it may still arrive.
        """
        try:
            request = wire.upload_input(self._base, task_id, cast(AliceBobFelis, payload))
            self.client.send(request)
        except AnswerLostError:
            if not self._knows_input(task_id):
                raise
        except QrmiError as error:
            if isinstance(error, InvalidInputError) and self._has_input(task_id, error):
                return  # it was uploaded before, and that answer was lost
            with contextlib.suppress(QrmiError):  # the refusal matters more
                self.client.send(wire.cancel_job(self._base, task_id, repeats=False))
            raise

    def task_submitted(self, task_id: TaskId) -> bool:
        """Whether the job has its program, by its events."""
        return wire.has_input(self.client.json(wire.get_job(self._base, task_id)))

    def _has_input(self, task_id: TaskId, refusal: InvalidInputError) -> bool:
        """Whether the service has a program for the job whose program it refused now."""
        try:
            return self.task_submitted(task_id)
        except (ResourceUnavailableError, UnexpectedAnswerError) as error:
            raise AnswerLostError(refusal.message, task_id=task_id) from error
        except QrmiError:
            return False

    def _knows_input(self, task_id: TaskId) -> bool:
        try:
            return self.task_submitted(task_id)
        except QrmiError:
            return False

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the job is, by its latest event."""
        return wire.job_status(self.client.json(wire.get_job(self._base, task_id)), task_id)

    def task_reason(self, task_id: TaskId) -> str:
        """The service's errors of a failed job."""
        return wire.failure_reason(self.client.json(wire.get_job(self._base, task_id)))

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The job's histogram: CSV text, a line for each outcome: bits, count."""
        response = self.client.send(wire.get_output(self._base, task_id))
        if response.status == wire.CONFLICT:
            raise self._without_result(task_id)
        return TaskResult(wire.output_text(response))

    def _without_result(self, task_id: TaskId) -> TaskNotReadyError:
        job = self.client.json(wire.get_job(self._base, task_id))
        status = wire.job_status(job, task_id)
        if status is TaskStatus.FAILED:
            reason = wire.failure_reason(job) or "the service gives no reason"
            return TaskFailedError(f"task {task_id} failed: {reason}", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            return TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        return TaskNotReadyError(f"task {task_id} is still {status.name.lower()}", task_id=task_id)

    def task_stop(self, task_id: TaskId) -> bool:
        """Cancel a job that has not ended; false when the service cannot cancel it now."""
        if self.task_status(task_id).is_final:
            return True
        response = self.client.send(wire.cancel_job(self._base, task_id))
        return response.status != wire.CONFLICT
