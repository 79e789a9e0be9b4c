"""A driver whose every verb is one question: a recorder, a replay, a client of a site."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Mapping
from typing import Any

from qrmi.driver import Driver

__all__ = ["ARGUMENTS", "STARTS", "Verbs", "subject"]

ARGUMENTS: dict[str, tuple[str, ...]] = {
    "is_accessible": (),
    "status": (),
    "target": (),
    "metadata": (),
    "acquire": (),
    "release": ("token",),
    "is_borrowed": ("token",),
    "task_start": ("payload", "key"),
    "task_create": ("payload", "key"),
    "task_submit": ("task_id", "payload", "key"),
    "task_submitted": ("task_id",),
    "task_status": ("task_id",),
    "task_wait": ("task_id", "timeout_seconds"),
    "task_result": ("task_id",),
    "task_reason": ("task_id",),
    "task_logs": ("task_id",),
    "task_stop": ("task_id",),
    "task_free": ("task_id",),
    "find_task": ("key",),
    "list_tasks": (),
    "recent_tasks": ("since",),
    "batch_start": ("payload", "key"),
    "batch_add": ("batch_id", "jobs"),
    "batch_close": ("batch_id",),
    "batch_jobs": ("batch_id",),
}
"""The verbs of the interface, and what their arguments are called."""

STARTS = frozenset({"task_start", "task_create", "batch_start"})
"""The verbs that make a task and answer its id."""

_SUBJECTS = ("task_id", "batch_id", "token")


def subject(method: str, arguments: Mapping[str, Any]) -> str:
    """What a call is about: a task's id, a session's token, a key; empty for the resource."""
    if method in STARTS:
        return ""
    named = next((name for name in (*_SUBJECTS, "key") if name in arguments), None)
    return "" if named is None else str(arguments[named])


def _verb(name: str) -> Any:
    names = ARGUMENTS[name]
    model: Callable[..., Any] = getattr(Driver, name)

    @functools.wraps(model)
    def ask(self: Verbs, *values: Any, **named: Any) -> Any:
        arguments = dict(zip(names, values, strict=False)) | named
        if len(values) > len(names) or arguments.keys() != set(names):
            raise TypeError(f"{name} takes {', '.join(names) or 'no argument'}")
        return self._ask(name, arguments)

    vars(ask).pop("__isabstractmethod__", None)
    return ask


class Verbs(Driver):
    """Every verb of the interface goes through `_ask`."""

    @abc.abstractmethod
    def _ask(self, method: str, arguments: dict[str, Any]) -> Any:
        """The answer to a call, or its error raised; arguments in the order of `ARGUMENTS`."""

    is_accessible = _verb("is_accessible")
    status = _verb("status")
    target = _verb("target")
    metadata = _verb("metadata")
    acquire = _verb("acquire")
    release = _verb("release")
    is_borrowed = _verb("is_borrowed")
    task_start = _verb("task_start")
    task_create = _verb("task_create")
    task_submit = _verb("task_submit")
    task_submitted = _verb("task_submitted")
    task_status = _verb("task_status")
    task_wait = _verb("task_wait")
    task_result = _verb("task_result")
    task_reason = _verb("task_reason")
    task_logs = _verb("task_logs")
    task_stop = _verb("task_stop")
    task_free = _verb("task_free")
    find_task = _verb("find_task")
    list_tasks = _verb("list_tasks")
    recent_tasks = _verb("recent_tasks")
    batch_start = _verb("batch_start")
    batch_add = _verb("batch_add")
    batch_close = _verb("batch_close")
    batch_jobs = _verb("batch_jobs")
