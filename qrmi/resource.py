"""The handle: one resource, whoever made it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from qrmi import config, following, journal, logger, plugins
from qrmi.bookkeeping import TaskBook, reported
from qrmi.driver import Capabilities, Driver
from qrmi.errors import InvalidInputError, UnsupportedPayloadError
from qrmi.lifetime.holding import Holder
from qrmi.lifetime.leases import Leases
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.secrecy.scrubbing import scrub
from qrmi.settings import EnvironmentSource, MappingSource
from qrmi.starts import recovery
from qrmi.starts.starting import start
from qrmi.task import Task
from qrmi.tasks import (
    BatchJob,
    ResourceStatus,
    ResourceType,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.waiting import Deadline, SystemClock

if TYPE_CHECKING:
    from qrmi.transport import Transport

__all__ = ["QuantumResource"]

_log = logging.getLogger(__name__)
logger.heed_rust_log()
_clock = SystemClock()


@final
class QuantumResource(Holder):
    """A handle to one quantum resource.

    It can be shared between threads, pickled (settings travel, connections do not), and used with
    ``with``, which at the end releases what was acquired and closes connections. All verbs raise
    `qrmi.errors.QrmiError`. Task ids are valid in any process of the user.
    """

    __slots__ = ("_book", "_driver", "_leases", "_type_name")

    def __init__(
        self,
        resource_id: str,
        resource_type: str | ResourceType,
        *,
        transport: Transport | None = None,
    ) -> None:
        """Make a handle; settings come from the environment, then from the configuration file.

        Opens nothing: no file but the configuration, no socket, no thread. ``transport`` carries
        the requests of resources that are reached over HTTP, for example
        ``qrmi.transport.RequestsTransport(my_session)``.

        Raises:
            UnsupportedResourceTypeError: no driver for the type is installed.
            EnvVarNotSetError: a required setting is absent.
            ConfigError: a setting or the configuration file is malformed.
        """
        type_name = plugins.type_name(resource_type)
        settings_class = plugins.driver_class(type_name).SETTINGS
        known = config.user_config().resource_map
        definition = known.get(resource_id) or known.get(settings_class.prefix(resource_id))
        same_type = definition is not None and definition.type_name == type_name
        source = EnvironmentSource(
            prefix=settings_class.prefix(resource_id),
            environ=config.environment(),
            defaults=definition.environment if definition and same_type else {},
        )
        driver = plugins.driver_from(resource_id, type_name, source, transport)
        self._attach(driver, type_name)

    @staticmethod
    def from_config(
        resource_id: str,
        resource_type: str | ResourceType,
        config: Mapping[str, str],
        *,
        transport: Transport | None = None,
    ) -> QuantumResource:
        """Make a handle from settings by unprefixed key; the environment is not consulted.

        Raises:
            UnsupportedResourceTypeError: no driver for the type is installed.
            ConfigError: a key is missing or malformed.
        """
        type_name = plugins.type_name(resource_type)
        source = MappingSource(config)
        del config  # so that no traceback shows it
        driver = plugins.driver_from(resource_id, type_name, source, transport)
        return QuantumResource.from_driver(driver, resource_type=type_name)

    @staticmethod
    def from_driver(driver: Driver, *, resource_type: str | ResourceType) -> QuantumResource:
        """Make a handle on a driver that exists: a decorator's, a test's."""
        handle = QuantumResource.__new__(QuantumResource)
        handle._attach(driver, plugins.type_name(resource_type))
        return handle

    def _attach(self, driver: Driver, type_name: str) -> None:
        self._driver = driver
        self._type_name = type_name
        self._book = TaskBook(driver.resource_id, type_name, driver.settings)
        self._leases = Leases(driver, self._book, type_name)

    # --- what it is ---------------------------------------------------------------------------

    def resource_id(self) -> str:
        """The name it was opened by."""
        return self._driver.resource_id

    def resource_type(self) -> ResourceType | str:
        """The enum member for one of upstream's types, the plain string for any other."""
        return ResourceType.from_name(self._type_name)

    @property
    def type_name(self) -> str:
        """The type as configuration files spell it."""
        return self._type_name

    @property
    def payloads(self) -> frozenset[str]:
        """The payload formats that it takes."""
        return self._driver.PAYLOADS

    def require(self, payload_format: str, programs: str, *, instead: str = "") -> None:
        """Make sure that it takes a payload format; nothing is asked of the service.

        Args:
            payload_format: what a program would be sent as.
            programs: what such programs are called, in the plural.
            instead: what else a user can do, for the error's hint.

        Raises:
            UnsupportedPayloadError: it does not; the hint names what it does take.
        """
        if payload_format not in self.payloads:
            takes = ", ".join(sorted(self.payloads)) or "no payload at all"
            raise UnsupportedPayloadError(
                f"{self.resource_id()} does not run {programs}",
                hint=f"it takes: {takes}" + (f"; {instead}" if instead else ""),
                resource_id=self.resource_id(),
            )

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond the life cycle of a task."""
        return self._driver.CAPABILITIES

    def __repr__(self) -> str:
        return f"QuantumResource({self.resource_id()!r}, {self._type_name!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (self._driver, self._type_name)

    # --- the resource -------------------------------------------------------------------------

    @reported
    def is_accessible(self) -> bool:
        """Whether the resource takes tasks now."""
        return self._driver.is_accessible()

    @reported
    def status(self) -> ResourceStatus:
        """Everything that the service reports of the resource; ``None`` means not reported."""
        return self._driver.status()

    @reported
    def target(self) -> Target:
        """What the device can do, in the service's own words."""
        return self._driver.target()

    def metadata(self) -> dict[str, str]:
        """Names of the resource on its service."""
        return self._driver.metadata()

    # --- tasks --------------------------------------------------------------------------------

    @reported
    def task_start(
        self,
        payload: Payload,
        *,
        key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> TaskId:
        """Start one task and return its id.

        The intent is in the journal before anything is sent.

        Args:
            payload: what to run, in one of the formats in `payloads`.
            key: a name for this very start; the same key again gives the same task. Made up when
                absent.
            context: small JSON values that `task_context` gives back in any process.

        Raises:
            UnsupportedPayloadError: the resource does not take this format; nothing was sent.
            InvalidInputError: the payload is malformed, the key is empty or was used for another
                one, or the context is not JSON; nothing was sent.
            JournalError: the intent could not be written; nothing was sent.
            TaskStartUncertainError: an answer was lost, so a task may exist; it was not sent again.
        """
        self._check_payload(payload)
        return start(self._driver, self._book, payload, key, context)

    @reported
    def batch_start(
        self,
        payload: PulserBatch,
        *,
        key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> TaskId:
        """Start an open batch, which takes jobs until it is closed; its id is a task id."""
        self._check_payload(payload)
        begin = self._driver.batch_start
        return start(self._driver, self._book, payload, key, context, begin=begin)

    @reported
    def task_status(self, task_id: str) -> TaskStatus:
        """Where the task is.

        Raises:
            TaskNotFoundError: there is no such task on this resource.
        """
        return following.look(self._driver, self._book, _checked_id(task_id))

    @reported
    def task_wait(
        self,
        task_id: str,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """Wait until the task ends and return its final status, whichever it is.

        Args:
            task_id: the task.
            timeout_seconds: the longest wait; ``None`` for no limit.
            on_status: called with each new status.

        Raises:
            WaitTimeoutError: the time is over; the task goes on.
            TaskNotFoundError: there is no such task on this resource.
        """
        return self._wait_until(Deadline.after(timeout_seconds, _clock), task_id, on_status)

    def _wait_until(
        self,
        deadline: Deadline,
        task_id: str,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        return following.wait(self._driver, self._book, _checked_id(task_id), deadline, on_status)

    @reported
    def task_result(self, task_id: str) -> TaskResult:
        """The result of a completed task, as the service wrote it.

        Raises:
            TaskNotReadyError: the task has not ended.
            TaskFailedError: it failed; the message has the service's reason.
            TaskCancelledError: it was stopped.
            TaskNotFoundError: there is no such task on this resource.
        """
        return following.result(self._driver, self._book, _checked_id(task_id))

    @reported
    def task_logs(self, task_id: str) -> str:
        """The service's log of the task, without your credentials should it quote them.

        Raises:
            UnsupportedFunctionError: it keeps none.
        """
        return scrub(self._driver.task_logs(_checked_id(task_id)))

    @reported
    def task_stop(self, task_id: str) -> None:
        """Stop the task, or clean up after it; a task that has ended keeps its result.

        Raises:
            WaitTimeoutError: the resource is still at it after a minute; ask again.
            TaskNotFoundError: there is no such task on this resource.
        """
        deadline = Deadline.after(60.0, _clock)
        following.stop(self._driver, self._book, _checked_id(task_id), deadline)
        _log.info("task %s: asked %s to stop it or clean up", task_id, self.resource_id())

    def task(self, task_id: str) -> Task:
        """A task by its id, whichever process started it; nothing is asked of the service."""
        return Task(self, _checked_id(task_id))

    def task_context(self, task_id: str) -> dict[str, Any]:
        """What `task_start` was given as ``context``; empty when the journal has no such task.

        Where a killed process left starts without ids, the service is asked for theirs first.
        """
        record = recovery.record_of(self._driver, self._book, task_id)
        return dict(record.context) if record else {}

    @reported
    def recover(self, key: str) -> TaskId | None:
        """The task of a start that a killed process left unsettled, journalled from now on.

        ``None`` when the service has none (yet), or the start is settled.
        """
        record = journal.default().find(key)
        if record is None or not recovery.is_unsettled(record):
            return None
        return recovery.recover(self._driver, self._book, record)

    def find_task(self, key: str) -> TaskId | None:
        """The task that was started with ``key``, or ``None`` when the service has none."""
        return self._driver.find_task(key)

    @reported
    def list_tasks(self) -> list[TaskId]:
        """Ids of the tasks that the service knows, newest first."""
        return self._driver.list_tasks()

    @reported
    def batch_add(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch and return their ids, in order."""
        return self._driver.batch_add(_checked_id(batch_id), jobs)

    @reported
    def batch_close(self, batch_id: str) -> None:
        """Say that no more jobs come. Closing a closed batch is no error."""
        self._driver.batch_close(_checked_id(batch_id))

    @reported
    def batch_jobs(self, batch_id: str) -> list[BatchJob]:
        """The jobs of a batch in the order in which they were added."""
        return self._driver.batch_jobs(_checked_id(batch_id))

    def _check_payload(self, payload: Payload) -> None:
        if not isinstance(payload, Payload):
            raise TypeError(f"expected a Payload, not {type(payload).__name__}")
        if payload.FORMAT not in self._driver.PAYLOADS:
            self.require(payload.FORMAT, f"{payload.FORMAT} payloads")


def _revive(driver: Driver, type_name: str) -> QuantumResource:
    return QuantumResource.from_driver(driver, resource_type=type_name)


def _checked_id(task_id: str) -> TaskId:
    if not isinstance(task_id, str):
        raise TypeError(f"a task id is a text, not {type(task_id).__name__}")
    if not task_id:
        raise InvalidInputError("the task id is empty")
    return TaskId(task_id)
