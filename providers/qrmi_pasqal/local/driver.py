"""A QPU behind Warden as a resource: type ``pasqal-local``."""

from __future__ import annotations

import contextlib
from typing import Any, cast

from qrmi.driver import Capabilities
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    Owner,
    ResourceNotFoundError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnsupportedFunctionError,
)
from qrmi.munge import MungeCredentials
from qrmi.payloads import PasqalCloud, Payload, PulserBatch
from qrmi.tasks import (
    ResourceCapacity,
    ResourceStatus,
    ResourceStatusCode,
    SessionUse,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.transport import FreshAuth, HttpDriver, Request
from qrmi_pasqal.local import accounts, programs, refusals, wire
from qrmi_pasqal.local.refusals import NoRouteError, SessionEndedError
from qrmi_pasqal.local.sessions import Sessions
from qrmi_pasqal.local.settings import PasqalLocalSettings

__all__ = ["PasqalLocalDriver"]

_LONGEST_REASON = 500


class PasqalLocalDriver(HttpDriver):
    """One QPU behind Warden, 0.1 or newer.

    What a server can do beyond Warden 0.1 is learned from its answers, where it matters: a route
    that turns out to be absent is not asked for again. Warden keeps no word of ours with a job, so
    a start whose answer was lost cannot be looked up by its key; `list_tasks` shows what is there.
    Of the capabilities, logs and stopping a task need Warden 0.3.2 or newer; older ones raise
    `UnsupportedFunctionError`, saying so.
    """

    PAYLOADS = frozenset({"pulser-sequence"})
    CAPABILITIES = Capabilities(
        sessions=True,
        logs=True,
        stop_running=True,
        settle_seconds=30.0,
        lists_recent=True,
        repeatable_acquire=True,
    )
    SETTINGS = PasqalLocalSettings
    settings: PasqalLocalSettings

    def __init__(self, resource_id: str, settings: PasqalLocalSettings) -> None:
        super().__init__(resource_id, settings)
        self._url = settings.url
        self._absent: set[str] = set()  # routes that the server turned out not to have
        self._takes_ahs: bool | None = None
        self._sessions = Sessions(settings.session)

    def auth(self) -> FreshAuth:
        """A new MUNGE credential for each attempt: Warden refuses one that it has seen."""
        credentials = MungeCredentials(
            socket=self.settings.munge_socket, command=self.settings.munge_command
        )
        return FreshAuth(lambda: (("x-munge-cred", credentials.make()),))

    problem = staticmethod(refusals.problem)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the site lets the QPU take jobs."""
        return wire.accessibility(self.client.json(wire.accessible(self._url)))[0]

    def status(self) -> ResourceStatus:
        """What the site says; newer Wardens add slots, and to administrators the queue."""
        answer = self.client.json(wire.accessible(self._url))
        is_accessible, reason = wire.accessibility(answer)
        pending, busy = self._activity()
        return ResourceStatus(
            ResourceStatusCode.ONLINE if is_accessible else ResourceStatusCode.OFFLINE,
            status_reason=reason,
            busy=busy,
            capacity=self._capacity(),
            pending_job_count=pending,
        )

    def _capacity(self) -> ResourceCapacity | None:
        answer = self._if_there("slots", wire.qpu_slots(self._url))
        return None if answer is None else wire.capacity(answer)

    def _activity(self) -> tuple[int, bool] | tuple[None, None]:
        try:
            answer = self._if_there("status", wire.admin_status(self._url))
        except (AuthenticationFailedError, ResourceUnavailableError):
            answer = None  # no munged on this host; nothing else of a status needs it
        return (None, None) if answer is None else wire.activity(answer)

    def _if_there(self, route: str, request: Request) -> Any | None:
        """The answer of a route that older servers lack, or that is not for everybody."""
        if route in self._absent:
            return None
        try:
            return self.client.json(request)
        except (AccessDeniedError, NoRouteError, ResourceNotFoundError):
            self._absent.add(route)
            return None

    def target(self) -> Target:
        """The device: ``[{"device_type": …, "specs": "<Pulser device>"}]``."""
        return Target(wire.target_text(self.client.json(wire.qpu_specs(self._url))))

    # --- sessions -----------------------------------------------------------------------------

    def acquire(self) -> str:
        """Open a session for the scheduler's job; tasks are started in it from now on.

        Newer Wardens give a job that has a session that one. Where only the site may open
        sessions, a job gets the one that its prolog opened. Slots are asked for where the settings
        name them; Warden 0.1 has none: each of its sessions takes turns on the whole QPU.

        Raises:
            EnvVarNotSetError: the settings name no user or no job.
            AccessDeniedError: this user may not open sessions, and no prolog did.
            InvalidInputError: the job has a session with other slots.
            ResourceUnavailableError: not enough slots are free, or munged does not answer.
        """
        settings = self.settings
        user_id = settings.needed("user_id", self.resource_id, "set it")
        job_id = settings.needed("job_id", self.resource_id, "set it")
        request = wire.create_session(self._url, user_id, job_id, settings.slots)
        try:
            answer = self.client.json(request)
        except AccessDeniedError:
            if (session := self._sessions.prolog) is None:
                raise
        else:
            session = wire.session_id(answer)
            if not wire.knows_slots(answer):
                self._absent.add("revoke")
        self._sessions.add(session)
        return session

    @property
    def repeatable_acquire(self) -> bool:
        """Whether a job that asks again gets the same session; not from Warden 0.1.

        Which one it is shows in the first answer to `acquire`; until then it counts as newer.
        """
        return "revoke" not in self._absent

    def is_borrowed(self, token: str) -> bool:
        """Whether it is the session that the job's prolog opened."""
        return token == self._sessions.prolog

    def release(self, token: str) -> None:
        """End a session. The prolog's, which the settings name, is left to the site's epilog.

        Newer Wardens cancel what has not ended in it. Where `acquire` gave the prolog's session,
        releasing it does nothing.

        Raises:
            AccessDeniedError: only the site may end it; nothing was changed.
        """
        if token != self._sessions.prolog:
            with contextlib.suppress(ResourceNotFoundError):  # it has ended already
                self._revoke(token)
            self._sessions.remove(token)
        elif not self._sessions.prolog_was_given:
            raise AccessDeniedError(
                "this session was opened by the job's prolog and is not a program's to end",
                owner=Owner.USER,
                hint="leave it to the epilog, whose handle must not have it in its settings "
                "(QRMI_JOB_ACQUISITION_TOKEN)",
                resource_id=self.resource_id,
            )

    def _revoke(self, token: str) -> None:
        if "revoke" not in self._absent:
            try:
                self.client.send(wire.revoke_session(self._url, token))
                return
            except NoRouteError:
                self._absent.add("revoke")
        self.client.send(wire.revoke_session_by_url(self._url, token))

    def session_use(self, token: str) -> SessionUse | None:
        """From Warden's accounts (0.3.2 and newer), which it shows to administrators."""
        return accounts.use_of_session(lambda r: self._if_there("accounts", r), self._url, token)

    def _session(self) -> str:
        if (session := self._sessions.current()) is not None:
            return session
        return str(self.settings.needed("session", self.resource_id, "call acquire()"))

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Queue one job, in the session acquired here, else in the prolog's.

        AHS programs go as they are to a Warden that converts them, else as Pulser sequences.

        Raises:
            EnvVarNotSetError: there is no session.
            SessionEndedError: the session has ended; another one that is there was tried.
            AccessDeniedError: the session is another user's.
            InvalidInputError: a batch of several jobs, or what Warden refuses.
            UnsupportedPayloadError: an emulator or another device is asked for.
        """
        self._session()
        program = cast("PasqalCloud | PulserBatch", payload)
        sequence, shots = programs.single(program, self.resource_id)
        if programs.is_ahs(sequence) and not self._converts_ahs():
            sequence = programs.as_pulser(sequence, self.target().value)
        return self._started(sequence, shots)

    def _started(self, sequence: str, shots: int) -> TaskId:
        session = self._session()
        request = wire.create_job(self._url, session, sequence, shots)
        try:
            answer = self.client.json(request)
        except SessionEndedError:
            if not self._sessions.give_up(session):
                raise
            return self._started(sequence, shots)
        return wire.created(answer)

    def _converts_ahs(self) -> bool:
        if self._takes_ahs is None:
            self._takes_ahs = wire.takes_ahs(self.client.send(wire.description(self._url)))
        return self._takes_ahs

    def _job(self, task_id: TaskId) -> tuple[TaskStatus, Any]:
        job = self.client.json(wire.get_job(self._url, task_id))
        return wire.status_of(job, task_id), job

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the job is."""
        return self._job(task_id)[0]

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The job's results, as the QPU wrote them."""
        status, job = self._job(task_id)
        if status is TaskStatus.COMPLETED:
            return TaskResult(wire.result_text(job))
        if status is TaskStatus.FAILED:
            reason = self._reason(task_id) or "Warden gives no reason"
            raise TaskFailedError(f"task {task_id} failed: {reason}", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        raise TaskNotReadyError(
            f"unable to retrieve result for task {task_id}: it is {status.name.lower()}",
            task_id=task_id,
        )

    def task_reason(self, task_id: TaskId) -> str:
        """The end of a failed job's log; empty where Warden keeps none."""
        return self._reason(task_id) if self.task_status(task_id) is TaskStatus.FAILED else ""

    def _reason(self, task_id: TaskId) -> str:
        return (self._log(task_id) or "").strip()[-_LONGEST_REASON:]

    def task_stop(self, task_id: TaskId) -> bool:
        """Have the job cancelled; one request suffices, the QPU may take its time.

        Raises:
            UnsupportedFunctionError: this Warden cannot cancel jobs, and this one has not ended.
        """
        if "cancel" not in self._absent:
            try:
                self.client.send(wire.cancel_job(self._url, task_id))
                return True
            except NoRouteError:
                self._absent.add("cancel")
        if self.task_status(task_id).is_final:
            return True
        raise self._too_old(f"this Warden cannot stop task {task_id}: it will run to its end")

    def task_logs(self, task_id: TaskId) -> str:
        """The job's log, empty when it has none.

        Raises:
            UnsupportedFunctionError: this Warden keeps no logs.
        """
        log = self._log(task_id)
        if log is None:
            self.task_status(task_id)  # of an unknown task there is something else to say
            raise self._too_old("this Warden keeps no logs of tasks")
        return log

    def _log(self, task_id: TaskId) -> str | None:
        if "logs" in self._absent:
            return None
        try:
            return wire.log_text(self.client.json(wire.job_logs(self._url, task_id)))
        except NoRouteError:
            self._absent.add("logs")
            return None

    def list_tasks(self) -> list[TaskId]:
        """Ids of the user's jobs, newest first."""
        return wire.job_ids(self.client.json(wire.list_jobs(self._url)))

    def recent_tasks(self, since: float) -> list[TaskId]:
        """The user's jobs that were made since a time or up to a day before.

        Warden writes times without their zone, so that a job is only known to be older when it is
        so everywhere on Earth.
        """
        return wire.jobs_since(self.client.json(wire.list_jobs(self._url)), since)

    def _too_old(self, message: str) -> UnsupportedFunctionError:
        return UnsupportedFunctionError(
            message,
            owner=Owner.SITE,
            hint="ask the site for Warden 0.3.2 or newer",
            resource_id=self.resource_id,
        )
