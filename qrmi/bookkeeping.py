"""What one handle writes to the journal about the tasks of its resource."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from qrmi import journal
from qrmi.errors import (
    InvalidInputError,
    JournalError,
    QrmiError,
    TaskNotFoundError,
    TaskNotReadyError,
    WaitTimeoutError,
)
from qrmi.history import history, likeness
from qrmi.lifetime.underway import Underway
from qrmi.payloads import Payload, digest
from qrmi.settings import Settings
from qrmi.starts.keys import Keys
from qrmi.tasks import TaskId, TaskStatus
from qrmi.waiting import SystemClock

__all__ = ["TaskBook", "reported"]

_V = TypeVar("_V", bound=Callable[..., Any])
_log = logging.getLogger(__name__)
_MOST_COMPARED = 2000
_clock = SystemClock()


def reported(verb: _V) -> _V:
    """A verb of a handle whose errors are journalled, for `qrmi explain`, before they leave it."""

    @functools.wraps(verb)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return verb(self, *args, **kwargs)
        except QrmiError as error:
            self._book.failed(verb.__name__, error)
            raise

    return cast("_V", call)


class TaskBook:
    """The journal as one resource's handle keeps it.

    What is written before a request leaves must succeed; what is written afterwards reports a
    fact, so a failure to write it is logged, never raised.
    """

    def __init__(self, resource_id: str, type_name: str, settings: Settings) -> None:
        self._resource_id = resource_id
        self._type_name = type_name
        self._settings = settings
        self._own = journal.members(resource=resource_id)
        self._constant = ""
        self._lock = threading.Lock()
        self._unended: set[str] = set()
        self._settled: set[str] = set()
        self._running: set[str] = set()
        self._told: tuple[object, ...] = ()
        self.underway = Underway(resource_id)
        self.keys = Keys(resource_id)

    # --- starts -------------------------------------------------------------------------------

    def intend(
        self, key: str, payload: Payload, context: Mapping[str, Any], **more: Any
    ) -> journal.Journal:
        """Record that a task is about to be sent; when that fails, nothing is.

        ``more`` is what `qrmi.starts.recovery` goes by: ``attempt`` from the second on, and
        ``findable`` when the service has no key for it.

        Returns:
            Where it is written.

        Raises:
            JournalError: the record cannot be written.
            InvalidInputError: the context is not a mapping of JSON values.
        """
        place = journal.default()
        try:
            place.append(
                "intent",
                also=self._constant or self._constant_fields(),
                key=key,
                format=payload.FORMAT,
                digest=digest(payload),
                context=dict(context),
                **more,
            )
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"the context cannot be journalled: {error}") from error
        self.underway.sent(key)
        return place

    def _constant_fields(self) -> str:
        """What every start and session of this handle says of it, written once."""
        self._constant = journal.members(
            resource=self._resource_id, type=self._type_name, settings=self._settings.export()
        )
        return self._constant

    def acquired(self, token: str, owner: Mapping[str, Any]) -> None:
        """Record that a session was begun, and who holds it."""
        constant = self._constant or self._constant_fields()
        self.note("acquired", also=constant, token=token, borrowed=False, owner=owner)

    def created(self, key: str, task_id: TaskId) -> None:
        """Record the id of a task that has not been handed its program yet.

        Raises:
            JournalError: it cannot be written; the program must not be sent.
        """
        self.underway.made(key, task_id)
        journal.default().append("created", also=self._own, key=key, task=task_id)

    def started(
        self, key: str, task_id: TaskId, payload: Payload, place: journal.Journal | None = None
    ) -> None:
        """Record the id that the service gave; in ``place``, where the intent may be."""
        with self._lock:
            self._unended.add(task_id)
        history.begun(self._resource_id, task_id, likeness(payload), _clock.monotonic())
        self.note("started", place, key=key, task=task_id)
        _log.info("task %s started on %s", task_id, self._resource_id)
        self.underway.started(key, task_id)

    def refused(self, key: str, error: QrmiError, attempt: int) -> None:
        """Record that the start failed and why: nothing came of this attempt, or of those before.

        Another process may have begun the next one by now.
        """
        self.underway.refused(key)
        reason = f"{type(error).__name__}: {error.message}"
        self.note("refused", key=key, reason=reason, attempt=attempt)

    def lost(self, key: str, error: BaseException) -> None:
        """Record that the sending is over and that its answer did not come."""
        message = error.message if isinstance(error, QrmiError) else ""
        self.underway.lost(key)
        self.note("lost", key=key, reason=f"{type(error).__name__}: {message}")

    def unsettled(self, key: str, error: QrmiError) -> None:
        """Record that it is not known whether the task exists."""
        self.note("uncertain", key=key, reason=f"{type(error).__name__}: {error.message}")

    def remembered(self, task_id: str) -> journal.TaskRecord | None:
        """What the journal has of a task, or ``None``."""
        try:
            return journal.default().task(task_id, self._resource_id)
        except TaskNotFoundError:
            return None

    def recent_ids(self, since: float) -> set[TaskId]:
        """The tasks of the resource that were started since a time; not more than the newest."""
        return {
            record.id
            for record in journal.default().tasks(_MOST_COMPARED)
            if record.resource_id == self._resource_id
            and record.started_at > since
            and record.status is not None
            and record.id is not None
        }

    def ended(self, task_id: str, status: TaskStatus, reason: str) -> None:
        """Record a task's end, and why it failed; whoever started it.

        Raises:
            JournalError: it cannot be written.
        """
        journal.default().append(
            "ended",
            resource=self._resource_id,
            type=self._type_name,
            task=task_id,
            status=status.name,
            failure=reason,
        )
        self.underway.ended(task_id)
        with self._lock:
            self._unended.discard(task_id)
        _log.info("task %s %s on %s", task_id, status.name.lower(), self._resource_id)

    def is_settled(self, task_id: str) -> bool:
        """Whether this handle has journalled the task's end and freed it."""
        return task_id in self._settled

    def settled(self, task_id: str) -> None:
        """Remember that."""
        with self._lock:
            self._settled.add(task_id)

    def seen_ended(self, task_id: str, status: TaskStatus) -> None:
        """Record a task's end, once, if this handle started it or saw it before its end."""
        self.underway.ended(task_id)
        with self._lock:
            self._running.discard(task_id)
            if task_id not in self._unended:
                return
            self._unended.discard(task_id)
        self.note("ended", task=task_id, status=status.name)
        _log.info("task %s %s on %s", task_id, status.name.lower(), self._resource_id)

    def goes_on(self, task_id: str, status: TaskStatus) -> None:
        """Record, once, that a task runs; that it has not ended, in any case, is remembered."""
        is_queued = status is TaskStatus.QUEUED
        if task_id in self._unended and (is_queued or task_id in self._running):
            return  # as most looks find it: no lock for those
        with self._lock:
            self._unended.add(task_id)
            if is_queued or task_id in self._running:
                return
            self._running.add(task_id)
        self.note("seen", task=task_id, status=status.name)

    def failed(self, step: str, error: QrmiError) -> None:
        """Record an error that leaves the handle; the same one in a row is recorded once."""
        if error.resource_id is None:
            error.resource_id = self._resource_id
        if type(error) in (TaskNotReadyError, WaitTimeoutError):
            return  # an answer like another: nothing went wrong
        told = (step, type(error), error.message)
        if told == self._told:
            return
        self._told = told
        about: dict[str, Any] = {
            "task": error.task_id,
            "key": error.key,
            "request_ids": list(error.request_ids),
        }
        self.note(
            "failed",
            step=step,
            error=type(error).__name__,
            message=error.message,
            owner=error.owner.value,
            retryable=error.retryable,
            hint=error.hint,
            **{name: value for name, value in about.items() if value},
        )

    def note(
        self, event: str, place: journal.Journal | None = None, /, also: str = "", **fields: Any
    ) -> None:
        """Record something that has happened already: a failure is logged, not raised."""
        try:
            (place or journal.default()).append(event, also=also or self._own, **fields)
        except JournalError as error:
            _log.warning("%s is not in the journal: %s", event, error)
