"""Waiting for a task at the terminal: progress, Ctrl-C, and how to come back."""

from __future__ import annotations

from qrmi.cli.console import Progress
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus

__all__ = ["how_to_come_back", "wait"]


def wait(
    resource: QuantumResource, task_id: str, timeout_seconds: float | None, *, quiet: bool
) -> TaskStatus:
    """Wait until the task ends, with progress on stderr; return its final status.

    Raises:
        KeyboardInterrupt: Ctrl-C, with a message that says how to come back; the task goes on.
        WaitTimeoutError: the time is over; the task goes on.
    """
    subject = f"task {task_id} on {resource.resource_id()}"
    try:
        with Progress(quiet=quiet) as progress:
            progress.say(subject)
            return resource.task_wait(
                task_id, timeout_seconds, on_status=lambda s: progress.status(subject, s)
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"stopped waiting; the task goes on.\n{how_to_come_back(task_id)}"
        ) from None


def how_to_come_back(task_id: str) -> str:
    """The commands that a person needs for a task that goes on."""
    return (
        f"  its status:   qrmi status {task_id}\n"
        f"  its result:   qrmi result {task_id} --wait\n"
        f"  to stop it:   qrmi stop {task_id}"
    )
