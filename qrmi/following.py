"""Following a task to its end: journalled first, then freed; remembered when it is forgotten."""

from __future__ import annotations

import logging
from collections.abc import Callable

from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import (
    JournalError,
    QrmiError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
)
from qrmi.journal import TaskRecord
from qrmi.secrecy.scrubbing import scrub
from qrmi.tasks import FINAL, TaskId, TaskResult, TaskStatus
from qrmi.waiting import Deadline, stop_and_clean_up, wait_for_end

__all__ = ["look", "result", "stop", "wait"]

_log = logging.getLogger(__name__)
_NOT_STOPPED = "the task was not stopped and may still run"


def look(driver: Driver, book: TaskBook, task_id: TaskId) -> TaskStatus:
    """Where the task is; the journal's word when the service has forgotten an ended task."""
    try:
        status = driver.task_status(task_id)
    except TaskNotFoundError as error:
        return _remembered_status(book, task_id, error)
    _note(driver, book, task_id, status)
    return status


def wait(
    driver: Driver,
    book: TaskBook,
    task_id: TaskId,
    deadline: Deadline,
    on_status: Callable[[TaskStatus], None] | None = None,
) -> TaskStatus:
    """Wait until the task ends. Raises `WaitTimeoutError` when the deadline passes first."""
    try:
        status = wait_for_end(driver, task_id, deadline, on_status)
    except TaskNotFoundError as error:
        return _remembered_status(book, task_id, error)
    _note(driver, book, task_id, status)
    return status


def result(driver: Driver, book: TaskBook, task_id: TaskId) -> TaskResult:
    """The result of a completed task; see `Driver.task_result` for what else may be raised."""
    try:
        given = driver.task_result(task_id)
    except TaskNotFoundError as error:
        end = _remembered_end(book, task_id, error)
        if end is error:
            raise
        raise end from error
    except (TaskFailedError, TaskCancelledError) as error:
        failed = isinstance(error, TaskFailedError)
        _settle(driver, book, task_id, TaskStatus.FAILED if failed else TaskStatus.CANCELLED)
        raise
    _settle(driver, book, task_id, TaskStatus.COMPLETED)
    return given


def stop(driver: Driver, book: TaskBook, task_id: TaskId, deadline: Deadline) -> None:
    """Stop the task or clean up after it; nothing is left to do for one that ended and is gone.

    Raises:
        QrmiError: it could not be stopped; the hint says that it may still run.
    """
    book.note("stopping", task=task_id)
    try:
        stop_and_clean_up(driver, task_id, deadline)
        if driver.CAPABILITIES.cleanup:
            _note(driver, book, task_id, driver.task_status(task_id))
    except TaskNotFoundError as error:
        _remembered_status(book, task_id, error)
    except QrmiError as error:
        error.task_id = task_id
        error.hint = "; ".join(filter(None, (_NOT_STOPPED, error.hint)))
        raise


def _note(driver: Driver, book: TaskBook, task_id: TaskId, status: TaskStatus) -> None:
    if status in FINAL:
        _settle(driver, book, task_id, status)
    else:
        book.goes_on(task_id, status)


def _settle(driver: Driver, book: TaskBook, task_id: TaskId, status: TaskStatus) -> None:
    """Take note of an end; free what the task holds, once its end is in the journal.

    Whichever process sees the end does it. A failure is logged and made good at the next look.
    """
    if not driver.CAPABILITIES.cleanup:
        book.seen_ended(task_id, status)
        return
    if book.is_settled(task_id):
        return
    try:
        reason = scrub(driver.task_reason(task_id)) if status is TaskStatus.FAILED else ""
        book.ended(task_id, status, reason)
        driver.task_free(task_id)
    except TaskNotFoundError:
        pass  # another process was quicker
    except (JournalError, QrmiError) as error:
        _log.warning("task %s still holds its place on the service: %s", task_id, error)
        return
    book.settled(task_id)


def _remembered(book: TaskBook, task_id: TaskId, error: TaskNotFoundError) -> TaskRecord:
    """The journal's record of an ended task which the service has forgotten.

    Raises:
        TaskNotFoundError: ``error``, when the journal knows no end of it.
    """
    record = book.remembered(task_id)
    if record is None or record.status is None or not record.status.is_final:
        raise error
    return record


def _remembered_status(book: TaskBook, task_id: TaskId, error: TaskNotFoundError) -> TaskStatus:
    status = _remembered(book, task_id, error).status
    assert status is not None  # `_remembered` has looked
    return status


def _remembered_end(book: TaskBook, task_id: TaskId, error: TaskNotFoundError) -> QrmiError:
    """The error in the place of a result that the service has forgotten."""
    record = _remembered(book, task_id, error)
    if record.status is TaskStatus.FAILED:
        reason = record.failure or "the service gave no reason"
        return TaskFailedError(f"task {task_id} failed: {reason}", task_id=task_id)
    if record.status is TaskStatus.CANCELLED:
        return TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
    return error
