"""Asking the service what became of something that the journal tells of."""

from __future__ import annotations

import attrs

from qrmi import registry
from qrmi.diagnosis.story import Story
from qrmi.errors import QrmiError

__all__ = ["Look", "look"]


@attrs.frozen(kw_only=True)
class Look:
    """What the service said.

    Attributes:
        answered: whether it said anything.
        status: the task's status; ``None`` when there is no task, or no answer.
        task_id: the task, found by its key where the journal had no id; ``None`` for none.
        text: the same in words, or why there is no answer.
    """

    answered: bool
    status: str | None = None
    task_id: str | None = None
    text: str = ""


def look(story: Story) -> Look:
    """Ask for a task's status, or for the task of a start; errors are part of the answer."""
    try:
        if story.task_id is not None:
            status = registry.resource_of_task(story.task_id).task_status(story.task_id)
            word = status.name.lower()
            return Look(answered=True, status=word, task_id=story.task_id, text=word)
        if story.key is not None:
            return _by_key(story.resource_id, story.key)
    except QrmiError as error:
        return Look(answered=False, text=f"no answer: {error}")
    return Look(answered=False, text="services are not asked about leases")


def _by_key(resource_id: str, key: str) -> Look:
    resource = registry.open(resource_id)
    if not resource.capabilities.idempotency_key:
        return Look(
            answered=False, text=f"{resource_id} cannot look a task up by its key; list its tasks"
        )
    task_id = resource.find_task(key)
    if task_id is None:
        return Look(answered=True, text="the service has no task with this key")
    status = resource.task_status(task_id).name.lower()
    return Look(
        answered=True, status=status, task_id=task_id, text=f"{status}: it is task {task_id}"
    )
