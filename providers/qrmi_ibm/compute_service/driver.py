"""IBM's compute service as a resource, and its deprecated alias."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar, Self

from qrmi.driver import Capabilities, Driver
from qrmi.errors import InvalidInputError, ResourceNotFoundError, UnexpectedAnswerError
from qrmi.payloads import Payload, QiskitPrimitive
from qrmi.settings import Settings
from qrmi.tasks import ResourceStatus, Target, TaskId, TaskResult, TaskStatus
from qrmi.transport import HttpDriver, Problem, Response, TokenAuth, Unchanged
from qrmi_ibm.compute_service import discovery, problems, programs, sessions, wire
from qrmi_ibm.compute_service.settings import ComputeServiceSettings, RuntimeServiceSettings
from qrmi_ibm.iam import iam_auth

__all__ = ["ComputeServiceDriver", "RuntimeServiceDriver"]

_MOST_LISTED = 1000


class ComputeServiceDriver(HttpDriver):
    """A device behind ``https://quantum.cloud.ibm.com/api/v1``: type ibm-quantum-compute-service.

    The session that `acquire` began, else the configured one, is that of the tasks started.
    """

    PAYLOADS = frozenset({QiskitPrimitive.FORMAT})
    CAPABILITIES = Capabilities(
        sessions=True,
        logs=True,
        stop_running=True,
        queue_position=True,
        idempotency_key=True,
        settle_seconds=60.0,
        min_poll_seconds=0.05,
        dialect="qpy",
    )
    SETTINGS = ComputeServiceSettings
    PROGRAMS: ClassVar[frozenset[str]] = frozenset(
        {"sampler", "estimator", "noiselearner", "executor"}
    )
    settings: ComputeServiceSettings

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._site = wire.Site(
            endpoint=self.settings.endpoint,
            backend=resource_id,
            service_crn=self.settings.service_crn,
        )
        self._lease = sessions.Lease(self.settings.session_id)
        self._iam: TokenAuth | None = None
        self._target_text = Unchanged(discovery.target_text)

    def auth(self) -> TokenAuth:
        """Tokens of IBM Cloud IAM."""
        if self._iam is None:
            self._iam = iam_auth(self, self.settings.iam_endpoint, self.settings.iam_apikey)
        return self._iam

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """The service's own code and words."""
        return problems.problem(response)

    # --- discovery ----------------------------------------------------------------------------

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The devices of the service instance that pass the filters.

        Those online come first, the shortest queue before the others. A device whose configuration
        is needed for a filter and cannot be had does not pass.
        """
        account = cls("*", settings)
        listed = discovery.read_devices(account.client.json(discovery.list_backends(account._site)))
        return [
            account._sibling(device.name)
            for device in discovery.candidates(listed, filters)
            if not discovery.is_undecided(device, filters)
            or account._is_large_enough(device, filters)
        ]

    def _is_large_enough(self, device: discovery.Device, filters: Mapping[str, str]) -> bool:
        try:
            described = self.client.json(discovery.get_configuration(self._site, device.name))
            return discovery.is_large_enough(described, device, filters)
        except (ResourceNotFoundError, UnexpectedAnswerError):
            return False

    def _sibling(self, name: str) -> Self:
        """Another device of the account; the token is shared."""
        driver = type(self)(name, self.settings)
        driver._iam = self.auth()
        return driver

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the service calls the device active."""
        return discovery.is_active(self.client.json(discovery.get_backend_status(self._site)))

    def status(self) -> ResourceStatus:
        """The device's entry in the service's list, with its queue.

        It is busy while a running job that these credentials may see is in a dedicated session.
        """
        device = self._device()
        return discovery.resource_status(device, busy=self._is_busy())

    def _device(self) -> discovery.Device:
        answer = self.client.json(discovery.list_backends(self._site))
        return discovery.named(discovery.read_devices(answer), self.resource_id)

    def _is_busy(self) -> bool:
        pages: list[Any] = []
        seen: set[TaskId] = set()
        for offset in range(0, _MOST_LISTED, wire.PAGE):
            request = wire.list_jobs(
                self._site,
                limit=wire.PAGE,
                offset=offset,
                pending=True,
                backend=self.resource_id,
            )
            pages.append(self.client.json(request))
            ids = wire.listed_ids(pages[-1])
            if len(ids) < wire.PAGE or seen.issuperset(ids):  # or it gives the same page for ever
                break
            seen.update(ids)
        return any(self._holds_device(token) for token in sessions.running_sessions(pages))

    def _holds_device(self, token: str) -> bool:
        answer = self.client.send(sessions.get_session(self._site, token))
        return not wire.is_gone(answer) and sessions.holds_device(
            sessions.read_session(answer.json())
        )

    def target(self) -> Target:
        """Configuration and properties, each in the service's own text."""
        configuration = self.client.send(discovery.get_configuration(self._site))
        properties = self.client.send(discovery.get_properties(self._site))
        return Target(self._target_text(configuration, properties))

    def metadata(self) -> dict[str, str]:
        """The device's name, and the session once there is one."""
        token = self._lease.token
        return {"backend_name": self.resource_id, **({"session_id": token} if token else {})}

    # --- sessions -----------------------------------------------------------------------------

    def acquire(self) -> str:
        """Begin a session, or keep the one there is if a part of its life is left.

        One that is about to end takes no more jobs then; those it has may finish.
        """
        known = self._lease.token
        if known is not None:
            answer = self.client.send(sessions.get_session(self._site, known))
            if not wire.is_gone(answer):
                session = sessions.read_session(answer.json())
                if sessions.may_be_kept(session, self.resource_id):
                    self._lease.take(known)
                    return known
                if session.backend in (None, self.resource_id) and session.state != "closed":
                    self.client.send(sessions.stop_accepting(self._site, known))
        request = sessions.create_session(
            self._site,
            mode=self.settings.session_mode,
            max_seconds=self.settings.session_seconds,
        )
        token = sessions.created_token(self.client.json(request))
        self._lease.take(token)
        return token

    @property
    def session_seconds(self) -> float:
        """The longest life that its sessions are given."""
        return float(self.settings.session_seconds)

    def is_borrowed(self, token: str) -> bool:
        """Whether it is the configured session, which a prolog may have begun."""
        return token == self.settings.session_id

    def release(self, token: str) -> None:
        """End a session: with its pending jobs if it has any, else by taking no more.

        An empty token, and a session that has ended or never was, is no error.
        """
        if not token:
            return
        answer = self.client.send(sessions.pending_jobs(self._site, token))
        is_pending = not wire.is_gone(answer) and wire.listed_ids(answer.json())
        end = sessions.close_session if is_pending else sessions.stop_accepting
        self.client.send(end(self._site, token))
        self._lease.drop(token)

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Start a job; the payload's input travels as it is.

        Raises:
            InvalidInputError: not a program that the service knows, or malformed; nothing was sent.
        """
        if not isinstance(payload, QiskitPrimitive):
            raise InvalidInputError(f"{type(payload).__name__} is not a qiskit-primitive payload")
        programs.check_params(payload, self.PROGRAMS)
        request = programs.create_job(
            self._site,
            payload,
            key,
            cost=self.settings.timeout_seconds,
            session_id=self._lease.token,
        )
        return programs.created_id(self.client.json(request))

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the job is."""
        return wire.job_status(self.client.json(wire.get_job(self._site, task_id)), task_id)

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The result of a completed job, as the service wrote it."""
        job = self.client.json(wire.get_job(self._site, task_id))
        status = wire.job_status(job, task_id)
        if status is not TaskStatus.COMPLETED:
            raise wire.no_result(job, status, task_id)
        return wire.result_text(self.client.send(wire.get_results(self._site, task_id)), task_id)

    def task_reason(self, task_id: TaskId) -> str:
        """Why a job failed, in the service's words."""
        return wire.job_reason(self.client.json(wire.get_job(self._site, task_id)))

    def task_logs(self, task_id: TaskId) -> str:
        """The job's log; empty as long as there is none."""
        return wire.plain_text(self.client.send(wire.get_logs(self._site, task_id)), task_id)

    def task_stop(self, task_id: TaskId) -> bool:
        """Cancel a job that has not ended. Its record and result stay."""
        if not self.task_status(task_id).is_final:
            self.client.send(wire.cancel_job(self._site, task_id))
        return True

    def find_task(self, key: str) -> TaskId | None:
        """The job that carries the tag of this key; ``None`` when there is none."""
        tag = programs.tag_of(key)
        request = wire.list_jobs(self._site, tags=tag, backend=self.resource_id)
        return wire.tagged_id(self.client.json(request), tag)

    def list_tasks(self) -> list[TaskId]:
        """Ids of the device's jobs, newest first; not more than a thousand."""
        found: dict[TaskId, None] = {}
        for offset in range(0, _MOST_LISTED, wire.PAGE):
            request = wire.list_jobs(self._site, offset=offset, backend=self.resource_id)
            ids = wire.listed_ids(self.client.json(request))
            found.update(dict.fromkeys(ids))
            if len(ids) < wire.PAGE:
                break
        return list(found)


class RuntimeServiceDriver(ComputeServiceDriver):
    """The same under its deprecated type, qiskit-runtime-service, without program executor."""

    SETTINGS = RuntimeServiceSettings
    PROGRAMS = frozenset({"sampler", "estimator", "noiselearner"})

    def __init__(self, resource_id: str, settings: Settings) -> None:
        warnings.warn(
            "resource type qiskit-runtime-service is deprecated: use ibm-quantum-compute-service "
            "and rename its settings from QRMI_IBM_QRS_* to QRMI_IBM_QCS_*",
            DeprecationWarning,
            stacklevel=3,
        )
        super().__init__(resource_id, settings)

    def status(self) -> ResourceStatus:
        """The device's entry in the service's list, with its queue; busy is not reported."""
        return discovery.resource_status(self._device(), busy=None)
