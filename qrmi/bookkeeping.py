"""What one handle writes to the journal about the tasks of its resource."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import uuid
from collections.abc import Mapping
from typing import Any

from qrmi import config, journal
from qrmi.errors import InvalidInputError, JournalError, QrmiError
from qrmi.payloads import Payload, digest
from qrmi.settings import Settings
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["TaskBook", "derived_key"]

_log = logging.getLogger(__name__)
_process_nonce = uuid.uuid4().hex
_counter = itertools.count()


def derived_key() -> str:
    """An idempotency key that no other rank, restart, process or call makes."""
    identity = config.job_identity() or config.host_name()
    return f"{identity}-{os.getpid()}-{_process_nonce}-{next(_counter)}"


class TaskBook:
    """The journal as one resource's handle keeps it.

    What is written before a request leaves must succeed; what is written afterwards reports a
    fact, so a failure to write it is logged, never raised.
    """

    def __init__(self, resource_id: str, type_name: str, settings: Settings) -> None:
        self._resource_id = resource_id
        self._type_name = type_name
        self._settings = settings
        self._exported: dict[str, str] | None = None
        self._lock = threading.Lock()
        self._unended: set[str] = set()

    def known(self, key: str, payload: Payload) -> TaskId | None:
        """The task that was started with this key, or ``None``.

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
        return record.id

    def intend(self, key: str, payload: Payload, context: Mapping[str, Any] | None) -> None:
        """Record that a task is about to be sent; when that fails, nothing is.

        Raises:
            JournalError: the record cannot be written.
            InvalidInputError: the context is not a mapping of JSON values.
        """
        try:
            journal.default().append(
                "intent",
                key=key,
                resource=self._resource_id,
                type=self._type_name,
                format=payload.FORMAT,
                digest=digest(payload),
                context=dict(context or {}),
                settings=self._settings_as_text(),
            )
        except (TypeError, ValueError) as error:
            raise InvalidInputError(f"the context cannot be journalled: {error}") from error

    def _settings_as_text(self) -> dict[str, str]:
        if self._exported is None:
            self._exported = self._settings.export()
        return self._exported

    def started(self, key: str, task_id: TaskId) -> None:
        """Record the id that the service gave."""
        with self._lock:
            self._unended.add(task_id)
        self.note("started", key=key, task=task_id)
        _log.info("task %s started on %s", task_id, self._resource_id)

    def refused(self, key: str, error: QrmiError) -> None:
        """Record that the start failed and why."""
        self.note("refused", key=key, reason=f"{type(error).__name__}: {error.message}")

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
