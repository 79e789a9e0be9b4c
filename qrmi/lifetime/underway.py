"""Which starts and tasks of this process are under way, and which `stopping` blocks they are in."""

from __future__ import annotations

import atexit
import collections
import contextvars
import logging
import os
from typing import Protocol

__all__ = ["Underway", "Watcher", "exact", "own"]

_MOST_COUNTED = 10_000
_log = logging.getLogger(__name__)
_counted: collections.OrderedDict[tuple[str, str], None] = collections.OrderedDict()


class Watcher(Protocol):
    """A block that wants to know of what is started in it.

    Attributes:
        underway: what the block's handle has under way.
    """

    underway: Underway

    def sent(self, key: str) -> None:
        """A start is about to be sent."""

    def lost(self, key: str) -> None:
        """Its sending is over, and it is not known whether there is a task."""

    def known(self, key: str, task_id: str) -> None:
        """The start has this task."""

    def refused(self, key: str) -> None:
        """The start has no task."""

    def ended(self, task_id: str) -> None:
        """A task has ended."""


own: contextvars.ContextVar[tuple[Watcher, ...]] = contextvars.ContextVar("own", default=())
"""The blocks that the running thread, or coroutine, is in itself."""

exact: contextvars.ContextVar[bool] = contextvars.ContextVar("exact", default=False)
"""Whether those are all that count: so it is for coroutines, which share a thread."""


class Underway:
    """The starts and tasks of one handle. Safe to use from several threads.

    Args:
        resource_id: the handle's resource.

    Attributes:
        shared: blocks that threads count with which are in no block of the handle themselves.
    """

    def __init__(self, resource_id: str) -> None:
        self.shared: list[Watcher] = []
        self._resource_id = resource_id
        self._starts: dict[str, list[Watcher]] = {}
        self._tasks: dict[str, list[Watcher]] = {}

    def _watchers(self) -> list[Watcher]:
        mine = [watcher for watcher in own.get() if watcher.underway is self]
        return mine if mine or exact.get() else list(self.shared)

    def sent(self, key: str) -> None:
        """A start is about to be sent, by this thread or coroutine."""
        if not own.get() and not self.shared:
            return  # as most are: in no block
        watchers = self._watchers()
        if watchers:
            self._starts[key] = watchers
            for watcher in watchers:
                watcher.sent(key)

    def lost(self, key: str) -> None:
        """Its sending is over, and it is not known whether there is a task."""
        for watcher in self._starts.get(key, ()):
            watcher.lost(key)

    def made(self, key: str, task_id: str) -> None:
        """The start has this task, which lacks its program."""
        for watcher in self._starts.get(key, ()):
            watcher.known(key, task_id)

    def started(self, key: str, task_id: str) -> None:
        """The start has succeeded."""
        _counted[self._resource_id, task_id] = None
        while len(_counted) > _MOST_COUNTED:
            _counted.popitem(last=False)
        if watchers := self._starts.pop(key, None):
            self._tasks[task_id] = watchers
            for watcher in watchers:
                watcher.known(key, task_id)

    def refused(self, key: str) -> None:
        """The start has failed."""
        for watcher in self._starts.pop(key, ()):
            watcher.refused(key)

    def ended(self, task_id: str) -> None:
        """A task has ended."""
        _counted.pop((self._resource_id, task_id), None)
        for watcher in self._tasks.pop(task_id, ()):
            watcher.ended(task_id)


def _tell() -> None:
    """The process ends; its tasks do not."""
    if _counted:
        _log.info("tasks that go on without this process: %d; see `qrmi tasks`", len(_counted))


if hasattr(os, "register_at_fork"):  # the parent's tasks are the parent's to tell of
    os.register_at_fork(after_in_child=_counted.clear)
atexit.register(_tell)
