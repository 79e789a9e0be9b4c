"""What one handle writes to the journal about the tasks of its resource."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from qrmi import config, journal
from qrmi.errors import InvalidInputError, JournalError, QrmiError, TaskNotFoundError
from qrmi.history import history, likeness
from qrmi.payloads import Payload, digest
from qrmi.settings import Settings
from qrmi.tasks import TaskId, TaskStatus
from qrmi.waiting import SystemClock

__all__ = ["TaskBook", "derived_key"]

_log = logging.getLogger(__name__)
_process_nonce = uuid.uuid4().hex
_counter = itertools.count()
_clock = SystemClock()


def derived_key() -> str:
    """An idempotency key that no other rank, restart, process or call makes."""
    pid = os.getpid()
    return f"{_identity(pid)}-{pid}-{_process_nonce}-{next(_counter)}"


@functools.cache
def _identity(_pid: int) -> str:
    return config.job_identity() or config.host_name()


class TaskBook:
    """The journal as one resource's handle keeps it.

    What is written before a request leaves must succeed; what is written afterwards reports a
    fact, so a failure to write it is logged, never raised.
    """

    def __init__(self, resource_id: str, type_name: str, settings: Settings) -> None:
        self._resource_id = resource_id
        self._type_name = type_name
        self._settings = settings
        self._constant = ""
        self._lock = threading.Lock()
        self._unended: set[str] = set()
        self._settled: set[str] = set()

    def known(self, key: str, payload: Payload) -> journal.TaskRecord | None:
        """The record of a start with this key that was not refused, or ``None``.

        Raises:
            InvalidInputError: the key is empty, or was used for another payload or on another
                resource.
        """
        if not isinstance(key, str):
            raise TypeError(f"a key is a text, not {type(key).__name__}")
        if not key:
            raise InvalidInputError("the key is empty", hint="leave it out to have one made up")
        record = journal.default().find(key)
        if record is None or record.reason:
            return None
        if (record.resource_id, record.payload_digest) != (self._resource_id, digest(payload)):
            raise InvalidInputError(
                f"the key {key!r} was used for another task on {record.resource_id}",
                hint="give each task a key of its own",
                task_id=record.id,
            )
        return record

    def intend(self, key: str, payload: Payload, context: Mapping[str, Any] | None) -> None:
        """Record that a task is about to be sent; when that fails, nothing is.

        Raises:
            JournalError: the record cannot be written.
            InvalidInputError: the context is not a mapping of JSON values.
        """
        try:
            journal.default().append(
                "intent",
                also=self._constant or self._constant_fields(),
                key=key,
                format=payload.FORMAT,
                digest=digest(payload),
                context=dict(context or {}),
            )
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"the context cannot be journalled: {error}") from error

    def _constant_fields(self) -> str:
        """What every intent of this handle says, written once."""
        self._constant = journal.members(
            resource=self._resource_id, type=self._type_name, settings=self._settings.export()
        )
        return self._constant

    def created(self, key: str, task_id: TaskId) -> None:
        """Record the id of a task that has not been handed its program yet.

        Raises:
            JournalError: it cannot be written; the program must not be sent.
        """
        journal.default().append("created", resource=self._resource_id, key=key, task=task_id)

    def started(self, key: str, task_id: TaskId, payload: Payload) -> None:
        """Record the id that the service gave."""
        with self._lock:
            self._unended.add(task_id)
        history.begun(self._resource_id, task_id, likeness(payload), _clock.monotonic())
        self.note("started", key=key, task=task_id)
        _log.info("task %s started on %s", task_id, self._resource_id)

    def refused(self, key: str, error: QrmiError) -> None:
        """Record that the start failed and why."""
        self.note("refused", key=key, reason=f"{type(error).__name__}: {error.message}")

    def unsettled(self, key: str, error: QrmiError) -> None:
        """Record that it is not known whether the task exists."""
        self.note("uncertain", key=key, reason=f"{type(error).__name__}: {error.message}")

    def remembered(self, task_id: str) -> journal.TaskRecord | None:
        """What the journal has of a task, or ``None``."""
        try:
            return journal.default().task(task_id, self._resource_id)
        except TaskNotFoundError:
            return None

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

    def seen(self, task_id: str, status: TaskStatus) -> None:
        """Record a task's end, once, if this handle started it or saw it before its end."""
        with self._lock:
            if not status.is_final:
                self._unended.add(task_id)
                return
            if task_id not in self._unended:
                return
            self._unended.discard(task_id)
        self.note("ended", task=task_id, status=status.name)
        _log.info("task %s %s on %s", task_id, status.name.lower(), self._resource_id)

    def note(self, event: str, **fields: Any) -> None:
        """Record something that has happened already: a failure is logged, not raised."""
        try:
            journal.default().append(event, resource=self._resource_id, **fields)
        except JournalError as error:
            _log.warning("%s is not in the journal: %s", event, error)
