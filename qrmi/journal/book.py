"""The journal of one folder."""

from __future__ import annotations

import functools
import logging
import os
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from qrmi import config
from qrmi.errors import JournalError, TaskNotFoundError
from qrmi.journal import checks, claims, events, looks, upkeep
from qrmi.journal.catalog import Catalog, View
from qrmi.journal.checks import Health
from qrmi.journal.events import Event
from qrmi.journal.files import Files
from qrmi.journal.forgetting import Forgotten
from qrmi.journal.records import LeaseRecord, TaskRecord
from qrmi.journal.upkeep import CompactReport
from qrmi.journal.writer import Appender

__all__ = ["Journal", "default"]

_T = TypeVar("_T")
_log = logging.getLogger("qrmi.journal")


class Journal:
    """The journal in one folder. Safe to share between threads, and across ``fork``.

    Args:
        folder: it is made when something is written.
        files: the file system; the operating system's, when it is ``None``.
    """

    def __init__(self, folder: Path, files: Files | None = None) -> None:
        self._folder = folder
        self._files = files or Files()
        self._appender = Appender(folder, self._files)
        self._catalog = Catalog(folder, self._files)
        self._claims = claims.Claims(folder / claims.FOLDER, self._files)
        self._upkeep = upkeep.Upkeep(folder, self._files, self._catalog, self._claims)
        _all.add(self)

    def __repr__(self) -> str:
        return f"Journal({str(self._folder)!r})"

    # --- writing ------------------------------------------------------------------------------

    def append(self, event: str, *, also: str = "", **fields: Any) -> None:
        """Write one event. It has reached the operating system when this returns.

        On a file system that other machines may see, it has reached the file server.

        Args:
            event: what happened.
            also: more fields, that do not change from one event to the next; see `members`.
            **fields: what there is to say of it.

        Raises:
            JournalError: it could not be written.
            TypeError: a field has no form in JSON.
            ValueError: a field contains itself.
        """
        at = self._files.now()
        line = events.line(at, event, also, fields)
        try:
            begun = self._appender.append(line, at)
        except OSError as error:
            raise self._trouble("write", error) from error
        if begun:
            self._upkeep.in_passing()

    def claim(self, key: str, attempt: int, **fields: Any) -> bool:
        """Claim one attempt at a start, so that no other process makes the same.

        Args:
            key: the start's key.
            attempt: its number, from 1.
            **fields: kept with the claim; small JSON values.

        Returns:
            Whether the attempt is ours; false when somebody else has it.

        Raises:
            JournalError: it cannot be made.
        """
        try:
            return self._claims.make(key, attempt, self._appender.is_shared, fields)
        except OSError as error:
            raise self._trouble("write", error) from error

    def claimed(self, key: str) -> list[dict[str, Any]]:
        """The claims of a key by attempt, as written; an empty one for one that is torn.

        Raises:
            JournalError: they cannot be read.
        """
        try:
            return self._claims.of(key)
        except OSError as error:
            raise self._trouble("read", error) from error

    # --- reading ------------------------------------------------------------------------------

    def tasks(self, limit: int | None = None) -> list[TaskRecord]:
        """Starts, newest first.

        Args:
            limit: only the newest few, which is quicker; ``None`` for all.

        Raises:
            JournalError: the journal cannot be read. So do all that read.
        """
        if limit is None:
            return self._look(looks.tasks)
        return self._look(lambda view: looks.newest(view, limit))

    def count(self) -> int:
        """How many records `tasks` would give."""
        return self._look(looks.count)

    def task(self, task_id: str, resource_id: str | None = None) -> TaskRecord:
        """The record of one task.

        Raises:
            TaskNotFoundError: no process of this user journalled such a task.
        """
        found = self._look(lambda view: looks.of_task(view, task_id, resource_id))
        if found is None:
            raise TaskNotFoundError(f"no task {task_id} in the journal", task_id=task_id)
        return found

    def find(self, key: str) -> TaskRecord | None:
        """The record of the start with this key, or ``None``."""
        return self._look(lambda view: looks.find(view, key))

    def ids(self, prefix: str) -> set[str]:
        """The ids of tasks that begin so."""
        return self._look(lambda view: looks.ids(view, prefix))

    def containing(self, text: str) -> list[TaskRecord]:
        """Records of the starts with a text somewhere in key, resource, settings or context.

        Newest first. Quicker than `tasks`; there may be more than those that are looked for, and
        parts of a context of more than 500 characters are not looked into.
        """
        return self._look(lambda view: looks.containing(view, text))

    def story(self, id_or_key: str) -> list[Event]:
        """All events of one task, start or session, in order of time; empty when there is none."""
        found = self._look(lambda view: looks.story(view, id_or_key))
        return [events.published(event) for event in found]

    def last_failure(self) -> Event | None:
        """The newest ``failed`` event, or ``None``."""
        found = self._look(looks.last_failure)
        return None if found is None else events.published(found)

    def leases(self) -> list[LeaseRecord]:
        """Sessions that were acquired and not released, oldest first."""
        return self._look(looks.leases)

    def _look(self, look: Callable[[View], _T]) -> _T:
        try:
            return self._catalog.with_view(look, self._appender.own_name)
        except OSError as error:
            raise self._trouble("read", error) from error

    # --- upkeep -------------------------------------------------------------------------------

    def compact(self, *, abandoned: bool = False) -> CompactReport:
        """Bring the files of this machine's ended processes together; see docs/journal.md.

        Args:
            abandoned: also files of any machine that nobody has written to for 30 days.

        Raises:
            JournalError: it could not be done, or another process does it; nothing is lost.
        """
        return self._kept(lambda: self._upkeep.compact(abandoned=abandoned))

    def prune(self, before: float, *, dry_run: bool = False) -> int:
        """Forget what ended before a time; how many tasks. See `forget`."""
        return len(self.forget(before, dry_run=dry_run).tasks)

    def forget(self, before: float, *, dry_run: bool = False) -> Forgotten:
        """Forget tasks that ended, or were refused, before a time; and sessions released then.

        A task that has not ended is never forgotten, nor an open session, nor one that a running
        process, or a file of another machine, still has something of.

        Args:
            before: seconds since the epoch.
            dry_run: only tell what would go.

        Raises:
            JournalError: it could not be done, or another process compacts; nothing is lost.
        """
        return self._kept(lambda: self._upkeep.prune(before, dry_run=dry_run))

    def export(self) -> Iterator[str]:
        """All events as JSON lines in order of time; the schema is in docs/journal.md."""
        return iter(self._look(checks.exported))

    def check(self) -> Health:
        """What state the journal is in; every file is read."""
        folder, files, catalog = self._folder, self._files, self._catalog
        return self._look(lambda view: checks.check(folder, files, catalog, self._claims, view))

    def _kept(self, call: Callable[[], _T]) -> _T:
        try:
            return call()
        except OSError as error:
            raise self._trouble("compact", error) from error

    def _trouble(self, verb: str, error: OSError) -> JournalError:
        return JournalError(
            f"cannot {verb} the journal in {self._folder}: {error.strerror or error}"
        )

    def _after_fork(self) -> None:
        self._catalog.after_fork()


_all: weakref.WeakSet[Journal] = weakref.WeakSet()


def _after_fork() -> None:
    _journal_in.cache_clear()  # and with it the lock inside the cache
    for journal in list(_all):
        journal._after_fork()


@functools.cache
def _journal_in(state_dir: Path) -> Journal:
    return Journal(state_dir / "journal")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def default() -> Journal:
    """The user's journal, in the state folder."""
    return _journal_in(config.state_dir())
