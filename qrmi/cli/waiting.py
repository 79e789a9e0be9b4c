"""Waiting for a task at the terminal: progress, Ctrl-C, and how to come back."""

from __future__ import annotations

from qrmi.cli.console import Progress
from qrmi.codecs.group import TaskGroup
from qrmi.tasks import TaskStatus

__all__ = ["how_to_come_back", "wait"]


def wait(tasks: TaskGroup, timeout_seconds: float | None, *, quiet: bool) -> TaskStatus:
    """Wait until a program's tasks end, with progress on stderr; return the final status.

    Raises:
        KeyboardInterrupt: Ctrl-C, with a message that says how to come back; the task goes on.
        WaitTimeoutError: the time is over; the task goes on.
    """
    subject = f"task {tasks.id} on {tasks.resource.resource_id()}"
    try:
        with Progress(quiet=quiet) as progress:
            progress.say(subject)
            return tasks.wait(timeout_seconds, on_status=lambda s: progress.status(subject, s))
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped waiting; the task goes on.\n{how_to_come_back(tasks.id)}"
        ) from None


def how_to_come_back(task_id: str) -> str:
    """The commands that a person needs for a task that goes on."""
    task_id = f"'{task_id}'" if "|" in task_id else task_id
    return (
        f"  its status:   qrmi status {task_id}\n"
        f"  its result:   qrmi result {task_id} --wait\n"
        f"  to stop it:   qrmi stop {task_id}"
    )
