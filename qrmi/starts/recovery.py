"""Starts that a process left unsettled, because it was killed: found again on the service.

What the journal has of such a start is its key, written before it was sent; of a start in two
steps mostly the id too. `recover` looks for the task and journals its id, so that it is reached
like any other, with its context.
"""

from __future__ import annotations

import contextlib
import time

from qrmi import journal
from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import QrmiError, TaskNotFoundError
from qrmi.journal import TaskRecord
from qrmi.starts.keys import CLOCKS_DIFFER_SECONDS
from qrmi.tasks import TaskId

__all__ = ["is_unsettled", "record_of", "recover", "unsettled"]


def is_unsettled(record: TaskRecord) -> bool:
    """Whether it is not known what came of a start."""
    return record.status is None and not record.reason


def unsettled(resource_id: str | None = None) -> list[TaskRecord]:
    """The starts of which it is not known what came of them, newest first; on one resource."""
    return [
        record
        for record in journal.default().tasks()
        if is_unsettled(record) and resource_id in (None, record.resource_id)
    ]


def record_of(driver: Driver, book: TaskBook, task_id: str) -> TaskRecord | None:
    """What the journal has of a task, if need be after asking for the ids of unsettled starts.

    A service that cannot be asked leaves it unknown.
    """
    record = book.remembered(task_id)
    if record is not None:
        return record
    with contextlib.suppress(QrmiError):
        for start in unsettled(driver.resource_id):
            if recover(driver, book, start) == task_id:
                return book.remembered(task_id)
    return None


def recover(driver: Driver, book: TaskBook, record: TaskRecord) -> TaskId | None:
    """The task of a start that is not settled, journalled from now on; ``None`` when not found.

    When it can no longer arrive, that is journalled too: the start came to nothing.

    Raises:
        QrmiError: the service cannot be asked now.
    """
    task_id = _found(driver, record)
    if task_id is not None:
        book.note("started", key=record.key, task=task_id)
    elif _is_over(driver, record):
        reason = "it never reached the service"
        book.note("refused", key=record.key, reason=reason, attempt=record.attempt)
    return task_id


def _found(driver: Driver, record: TaskRecord) -> TaskId | None:
    able = driver.CAPABILITIES
    if able.two_step and record.id is not None:
        try:
            return record.id if driver.task_submitted(record.id) else None
        except TaskNotFoundError:
            return None
    return driver.find_task(record.key) if able.idempotency_key else None


def _is_over(driver: Driver, record: TaskRecord) -> bool:
    """Whether a task that is not there will not come any more."""
    able = driver.CAPABILITIES
    is_looked_for = able.two_step or (able.idempotency_key and _bears_its_key(record))
    settle = 0.0 if able.repeatable_start else driver.settle_seconds
    if settle is None or not is_looked_for:
        return False
    latest = record.sent_at + driver.sending_seconds + settle  # when its last attempt arrives
    return time.time() > latest + CLOCKS_DIFFER_SECONDS


def _bears_its_key(record: TaskRecord) -> bool:
    """Whether the service has keys for tasks of this kind, as the intent says where it has not."""
    try:
        story = journal.default().story(record.key)
    except QrmiError:
        return False
    return all(event.fields.get("findable", True) for event in story if event.name == "intent")
