"""Starting a task once: intent, sending, and what is done about a lost answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from qrmi.bookkeeping import TaskBook, derived_key
from qrmi.driver import Driver
from qrmi.errors import (
    AnswerLostError,
    QrmiError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.payloads import Payload
from qrmi.references import created_id
from qrmi.tasks import TaskId

__all__ = ["sender", "start"]

_P = TypeVar("_P", bound=Payload)
_log = logging.getLogger(__name__)


def start(
    driver: Driver,
    book: TaskBook,
    send: Callable[[_P, str], TaskId],
    payload: _P,
    key: str | None,
    context: Mapping[str, Any] | None,
) -> TaskId:
    """Start a task with ``send`` and return its id; the intent is journalled first.

    Raises:
        TaskStartUncertainError: a task may exist whose id is not known; nothing is sent again.
        QrmiError: the start failed, and no task exists.
    """
    if key is not None and (known := _known(driver, book, key, payload)) is not None:
        return known
    key = derived_key() if key is None else key
    book.intend(key, payload, context)
    try:
        task_id = created_id(send(payload, key))
    except (AnswerLostError, UnexpectedAnswerError) as error:
        task_id = _found(driver, book, key, error)
    except QrmiError as error:
        book.refused(key, error)
        raise
    book.started(key, task_id, payload)
    return task_id


def sender(driver: Driver, book: TaskBook) -> Callable[[Payload, str], TaskId]:
    """What sends one task.

    For drivers that make a task and then hand it its program, both steps; the id is journalled
    between them.
    """
    if not driver.CAPABILITIES.two_step:
        return driver.task_start

    def send(payload: Payload, key: str) -> TaskId:
        task_id = driver.task_create(payload, key)
        book.created(key, task_id)
        try:
            driver.task_submit(task_id, payload)
        except AnswerLostError as error:
            error.task_id = task_id
            raise
        return task_id

    return send


def _known(driver: Driver, book: TaskBook, key: str, payload: Payload) -> TaskId | None:
    """The task that was started with the key; ``None`` when none was and it is safe to start."""
    record = book.known(key, payload)
    if record is None:
        return None
    if record.id is not None and record.status is not None:
        return record.id
    able = driver.CAPABILITIES
    found = driver.find_task(key) if able.idempotency_key else None
    if found is None and not able.repeatable_start:
        raise _uncertain(driver, record.id, "an earlier start with this key has no known end")
    return found


def _found(driver: Driver, book: TaskBook, key: str, error: QrmiError) -> TaskId:
    """The task of a start whose answer was lost, looked up by its key.

    Raises:
        TaskStartUncertainError: it is not there, which does not mean that it will not come, or
            the service cannot look it up.
    """
    if driver.CAPABILITIES.idempotency_key:
        try:
            task_id = driver.find_task(key)
        except QrmiError as failure:
            _log.warning("the task of a lost answer cannot be looked up: %s", failure)
        else:
            if task_id is not None:
                return task_id
    book.unsettled(key, error)
    raise _uncertain(driver, error.task_id, error.message) from error


def _uncertain(driver: Driver, task_id: str | None, reason: str) -> TaskStartUncertainError:
    subject = f"task {task_id}" if task_id else "a task"
    return TaskStartUncertainError(
        f"{subject} may have been started on {driver.resource_id}: {reason}",
        hint="look for it on the service (`list_tasks()` where it can list) before you start it "
        "again; nothing was sent twice",
        resource_id=driver.resource_id,
        task_id=task_id,
    )
