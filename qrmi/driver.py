"""The interface that a vendor writes."""

from __future__ import annotations

import abc
import logging
import threading
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import attrs

from qrmi.errors import UnsupportedFunctionError, UnsupportedResourceTypeError
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.secrecy.scrubbing import scrub
from qrmi.settings import Settings
from qrmi.tasks import (
    BatchJob,
    ResourceStatus,
    ResourceStatusCode,
    SessionUse,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)

if TYPE_CHECKING:
    from qrmi.transport import Transport
    from qrmi.waiting import Clock

__all__ = ["Capabilities", "Driver", "unknown_status"]

_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a resource can do beyond the life cycle of a task.

    Attributes:
        sessions: acquire and release hold something on the service.
        logs: `Driver.task_logs` has something to tell.
        stop_running: a task that already runs can be stopped.
        queue_position: `Driver.status` reports pending tasks.
        idempotency_key: `Driver.find_task` finds a task by the key that it was started with.
        batches: `Driver.batch_start` and its kin work.
        push: `Driver.task_wait` blocks on the service until the task ends.
        min_poll_seconds: the shortest interval at which the service may be asked for a status.
        two_step: `Driver.task_create` and `Driver.task_submit` start a task in two requests; the
            handle journals the id between them.
        repeatable_start: starting again with the same key is the same task, so that a start
            without a known end may be sent again.
        settle_seconds: how long after it was sent a start can still take effect, as the driver's
            documentation states and justifies; from then on a task that is not found does not
            exist. ``None``: that is not known, and absence proves nothing.
        lists_recent: `Driver.recent_tasks` tells which tasks are new on the service, for services
            that know no keys.
        cleanup: a task that has ended holds something on the service until `Driver.task_free`.
        repeatable_acquire: asked again for the same scheduler's job, the service gives the session
            that the job has, so that a session whose name was lost can be had again and released.
        dialect: the variety of its payload format that the resource takes, for the format's codec;
            of ``qiskit-primitive``: ``qpy`` or ``qasm3``.
    """

    sessions: bool = False
    logs: bool = False
    stop_running: bool = False
    queue_position: bool = False
    idempotency_key: bool = False
    batches: bool = False
    push: bool = False
    min_poll_seconds: float = 0.005
    two_step: bool = False
    repeatable_start: bool = False
    settle_seconds: float | None = None
    lists_recent: bool = False
    cleanup: bool = False
    repeatable_acquire: bool = False
    dialect: str = ""


class Driver(abc.ABC):
    """One resource of one vendor: small methods, each about one request.

    A driver does not wait (but for `task_wait`), retry, log, or read the environment; the handle
    does that for every vendor. All methods may be called from several threads at once. Errors
    are those of `qrmi.errors`. Making a driver opens nothing: no file, socket or thread.

    Attributes:
        PAYLOADS: the payload formats that it takes (`Payload.FORMAT`).
        CAPABILITIES: what it can do beyond the life cycle.
        SETTINGS: the attrs class that declares its settings.
        clock: what pauses on its behalf are made with; ``None`` for the machine's own.
    """

    PAYLOADS: ClassVar[frozenset[str]]
    CAPABILITIES: ClassVar[Capabilities] = Capabilities()
    SETTINGS: ClassVar[type[Settings]] = Settings
    clock: Clock | None = None

    def __init__(self, resource_id: str, settings: Settings) -> None:
        self.resource_id = resource_id
        self.settings = settings

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the name and the settings; connections are made anew."""
        return type(self), (self.resource_id, self.settings)

    def use(self, transport: Transport) -> None:
        """Send requests through ``transport`` from now on; for drivers that speak HTTP."""
        raise UnsupportedFunctionError(
            "this resource is not reached over HTTP", resource_id=self.resource_id
        )

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The devices of an account that pass the filters, shortest queue first."""
        raise UnsupportedResourceTypeError(
            f"{cls.__name__} cannot list devices", hint="open the device by its name"
        )

    # --- the resource -----------------------------------------------------------------------

    @abc.abstractmethod
    def is_accessible(self) -> bool:
        """Whether the resource takes tasks now."""

    def status(self) -> ResourceStatus:
        """Everything that the service reports of the resource."""
        code = ResourceStatusCode.ONLINE if self.is_accessible() else ResourceStatusCode.OFFLINE
        return ResourceStatus(code)

    @abc.abstractmethod
    def target(self) -> Target:
        """What the device can do, in the service's own words."""

    def metadata(self) -> dict[str, str]:
        """Names of the resource on its service."""
        return {"backend_name": self.resource_id}

    def acquire(self) -> str:
        """Begin a session and return its token; without sessions, a random token."""
        return str(uuid.uuid4())

    def release(self, token: str) -> None:  # noqa: B027 (a default, not a hook to be filled)
        """End the session. Releasing one that has ended already is no error."""

    def is_borrowed(self, token: str) -> bool:
        """Whether the session was begun elsewhere, by a scheduler's prolog for example.

        The handle does not end such a session by itself; `release` with its token still does.
        """
        return False

    def session_use(self, token: str) -> SessionUse | None:
        """What the tasks of an ended session used, as the service reports; ``None`` if not."""
        return None

    def close(self) -> None:  # noqa: B027 (likewise)
        """Let go of connections. The driver stays usable."""

    # --- tasks --------------------------------------------------------------------------------

    @abc.abstractmethod
    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Send one task, once. ``key`` names this start for services that can look it up."""

    @abc.abstractmethod
    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the task is. Raises `TaskNotFoundError` when there is no such task."""

    @abc.abstractmethod
    def task_result(self, task_id: TaskId) -> TaskResult:
        """The result of a completed task.

        Raises:
            TaskNotReadyError: the task has not ended.
            TaskFailedError: it failed; the message gives the service's reason.
            TaskCancelledError: it was stopped.
            TaskNotFoundError: there is no such task.
        """

    @abc.abstractmethod
    def task_stop(self, task_id: TaskId) -> bool:
        """One idempotent step towards stopping and cleaning up; true when no more is to come.

        Stopping a task that has ended is no error and leaves its result reachable.
        """

    def task_logs(self, task_id: TaskId) -> str:
        """The service's log of the task."""
        raise UnsupportedFunctionError("this resource keeps no logs", resource_id=self.resource_id)

    # --- optional -----------------------------------------------------------------------------

    def task_create(self, payload: Payload, key: str) -> TaskId:
        """The first step of a start in two: make an empty task and return its id."""
        raise self._no_steps()

    def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
        """The second step: hand over the program and let the task run.

        A service that refuses it is asked to remove the task, and its reason is raised. Handing
        the program over again must not let it run twice: the handle does so after a lost answer.
        """
        raise self._no_steps()

    def task_submitted(self, task_id: TaskId) -> bool:
        """Whether the service has the program of a task that was made in two steps."""
        raise self._no_steps()

    def task_reason(self, task_id: TaskId) -> str:
        """Why a failed task failed, in the service's words; empty when it does not say."""
        return ""

    def task_qpu_seconds(self, task_id: TaskId) -> float | None:
        """How long an ended task had the QPU, as the service reports; ``None`` if it does not."""
        return None

    def task_free(self, task_id: TaskId) -> None:  # noqa: B027 (a default)
        """Let go of what an ended task holds on the service; its result stays reachable.

        Freeing a task again, or one that the service does not know, is no error.
        """

    def can_find(self, payload: Payload) -> bool:
        """Whether `find_task` would find a task of this payload; of some services, not of every."""
        return self.CAPABILITIES.idempotency_key

    def mark_of(self, payload: Payload, key: str) -> str:
        """What a task bears on the service for people to see, where `find_task` cannot search it.

        Empty when it bears nothing.
        """
        return ""

    @property
    def settle_seconds(self) -> float | None:
        """`Capabilities.settle_seconds`, or what the settings say instead."""
        return self.CAPABILITIES.settle_seconds

    @property
    def repeatable_acquire(self) -> bool:
        """`Capabilities.repeatable_acquire`, or what the service has shown instead."""
        return self.CAPABILITIES.repeatable_acquire

    @property
    def session_seconds(self) -> float | None:
        """After that time no session is left that `acquire` began; ``None``: that is not known."""
        return None

    @property
    def sending_seconds(self) -> float:
        """How long sending a start can take on this side, with all its repeats."""
        return 60.0

    def recent_tasks(self, since: float) -> list[TaskId]:
        """Ids of the user's tasks that the service says were made after a time, newest first.

        Args:
            since: seconds since the epoch by this machine's clock; the service's may differ by
                a minute, which the driver allows for.
        """
        raise UnsupportedFunctionError(
            "this resource does not list tasks", resource_id=self.resource_id
        )

    def find_task(self, key: str) -> TaskId | None:
        """The task that was started with ``key``, or ``None`` when the service has none."""
        raise UnsupportedFunctionError(
            "this resource cannot look a task up by its key", resource_id=self.resource_id
        )

    def task_wait(self, task_id: TaskId, timeout_seconds: float) -> TaskStatus:
        """Block until the task ends or ``timeout_seconds`` pass; return the status then."""
        raise UnsupportedFunctionError(
            "this resource cannot hold a request", resource_id=self.resource_id
        )

    def list_tasks(self) -> list[TaskId]:
        """Ids of the tasks that the service knows, newest first."""
        raise UnsupportedFunctionError(
            "this resource does not list tasks", resource_id=self.resource_id
        )

    def batch_start(self, payload: PulserBatch, key: str) -> TaskId:
        """Start an open batch: it takes more jobs until it is closed. Its id is a task id."""
        raise self._no_batches()

    def batch_add(self, batch_id: TaskId, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch and return their ids, in order."""
        raise self._no_batches()

    def batch_close(self, batch_id: TaskId) -> None:
        """Say that no more jobs come. Closing a closed batch is no error."""
        raise self._no_batches()

    def batch_jobs(self, batch_id: TaskId) -> list[BatchJob]:
        """The jobs of a batch in the order in which they were added."""
        raise self._no_batches()

    def _no_steps(self) -> UnsupportedFunctionError:
        return UnsupportedFunctionError(
            "this resource starts tasks in one step", resource_id=self.resource_id
        )

    def _no_batches(self) -> UnsupportedFunctionError:
        return UnsupportedFunctionError(
            "this resource has no batches of its own", resource_id=self.resource_id
        )


_warned: set[str] = set()
_warned_lock = threading.Lock()


def unknown_status(word: object, task_id: str) -> TaskStatus:
    """What a status word counts as that its driver does not know: running, warned of once.

    Never a final state: a wait must not end, or crash, because a service learned a new word.
    """
    text = scrub(str(word))[:60]
    with _warned_lock:
        is_new = text not in _warned
        _warned.add(text)
    if is_new:
        _log.warning("task %s has the unknown status %r; it counts as running", task_id, text)
    return TaskStatus.RUNNING
