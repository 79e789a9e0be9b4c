"""Exit codes of the commands ``qrmi`` and ``task_runner``, and what leads to each."""

from __future__ import annotations

import enum

from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    WaitTimeoutError,
)
from qrmi.tasks import TaskStatus

__all__ = ["EXIT_CODES_HELP", "Exit", "of_error", "of_status"]


class Exit(enum.IntEnum):
    """What a command's exit code says."""

    OK = 0
    ERROR = 1
    USAGE = 2
    TASK_FAILED = 3
    TASK_CANCELLED = 4
    NOT_READY = 5
    NOT_FOUND = 6
    INTERRUPTED = 130


EXIT_CODES_HELP = """\
exit codes:
  0    done; a task that was waited for has completed
  1    an error: settings, network, service, a missing package
  2    wrong arguments or a wrong program file; nothing was sent
  3    the task failed
  4    the task was stopped
  5    the task has not ended yet, or --timeout passed; the task goes on
  6    no such resource, no such task
  130  interrupted with Ctrl-C; a task that was started goes on, but for --stop-on-interrupt
"""

# The first class that matches decides, so subclasses come before their base.
_ERRORS: tuple[tuple[type[BaseException], Exit], ...] = (
    (TaskFailedError, Exit.TASK_FAILED),
    (TaskCancelledError, Exit.TASK_CANCELLED),
    (TaskNotReadyError, Exit.NOT_READY),
    (WaitTimeoutError, Exit.NOT_READY),
    (TaskNotFoundError, Exit.NOT_FOUND),
    (ResourceNotFoundError, Exit.NOT_FOUND),
    (InvalidInputError, Exit.USAGE),
    (KeyboardInterrupt, Exit.INTERRUPTED),
)

_STATUS = {
    TaskStatus.QUEUED: Exit.NOT_READY,
    TaskStatus.RUNNING: Exit.NOT_READY,
    TaskStatus.COMPLETED: Exit.OK,
    TaskStatus.FAILED: Exit.TASK_FAILED,
    TaskStatus.CANCELLED: Exit.TASK_CANCELLED,
}


def of_error(error: QrmiError | KeyboardInterrupt) -> Exit:
    """The exit code for an error that ends a command."""
    return next((code for kind, code in _ERRORS if isinstance(error, kind)), Exit.ERROR)


def of_status(status: TaskStatus) -> Exit:
    """The exit code for the status in which a task was left."""
    return _STATUS[status]
