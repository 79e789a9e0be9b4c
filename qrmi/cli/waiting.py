"""Waiting for a task at the terminal: progress, Ctrl-C, and how to come back."""

from __future__ import annotations

from collections.abc import Callable

from qrmi.cli.console import Progress
from qrmi.codecs.group import TaskGroup
from qrmi.lifetime.stopping import Stopping
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus

__all__ = ["how_to_come_back", "stopping", "wait"]


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


def stopping(resource: QuantumResource, command: Callable[[], int]) -> int:
    """Carry out a command whose tasks are stopped by Ctrl-C and by signals that end the process.

    An error of the command, that the time is over for example, stops nothing.

    Raises:
        KeyboardInterrupt: Ctrl-C, with a message that says what became of the tasks.
    """
    block = resource.stopping()
    failure: Exception | None = None
    try:
        with block:
            try:
                return command()
            except Exception as error:
                failure = error
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_what_became_of(block)) from None
    assert failure is not None  # the command has returned otherwise
    raise failure


def _what_became_of(block: Stopping) -> str:
    """The tasks of an interrupted command."""
    lines = [f"task {task_id} was stopped" for task_id in block.stopped]
    for task_id, reason in block.not_stopped.items():
        lines.append(f"{task_id} was not stopped and may still run: {reason}")
        lines.append(how_to_come_back(task_id))
    return "\n".join(["interrupted", *lines]) if lines else "interrupted; no task was under way"


def how_to_come_back(task_id: str) -> str:
    """The commands that a person needs for a task that goes on."""
    task_id = f"'{task_id}'" if "|" in task_id else task_id
    return (
        f"  its status:   qrmi status {task_id}\n"
        f"  its result:   qrmi result {task_id} --wait\n"
        f"  to stop it:   qrmi stop {task_id}"
    )
