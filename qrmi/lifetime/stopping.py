"""Stopping what a block of code has started, when the block is left by an error or a signal."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
from types import TracebackType
from typing import Self

from qrmi import config, following, journal
from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import QrmiError
from qrmi.lifetime import ending, signals, underway
from qrmi.tasks import TaskId
from qrmi.waiting import Deadline, SystemClock, found_before

__all__ = ["Stopping"]

_LONGEST_SECONDS = 60.0
_SEARCH_SECONDS = 2.0
_log = logging.getLogger(__name__)
_clock = SystemClock()


class Stopping:
    """A ``with`` block whose tasks are stopped when an exception or a signal leaves it.

    A task belongs to it when it is started through the handle while the block runs: by the thread
    that opened it, by coroutines that this one started, and by threads that are in no such block
    of the handle themselves. Tasks started by other processes, forked ones too, do not. A block
    that is left in the usual way stops nothing.

    Attributes:
        stopped: tasks that were asked to stop, and have accepted it.
        not_stopped: tasks that may still run, or keys of starts that may have become one, with
            the reason.
    """

    rank = 0  # a duty: before leases are released

    def __init__(self, driver: Driver, book: TaskBook) -> None:
        self.underway = book.underway
        self.stopped: list[str] = []
        self.not_stopped: dict[str, str] = {}
        self._driver = driver
        self._book = book
        self._starts: dict[str, TaskId | None] = {}  # by key
        self._lost: set[str] = set()
        self._ended: set[str] = set()
        self._pid = os.getpid()
        self._is_stopping = False
        self._is_shared = False

    # --- the block ----------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.open(shared=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        try:
            if error is not None:
                self.stop(error)
        finally:
            signals.release(self)

    def open(self, *, shared: bool) -> Self:
        """Begin to watch; ``shared``: threads that are in no block of the handle count too."""
        self._pid = os.getpid()
        self._is_shared = shared
        underway.own.set((*underway.own.get(), self))
        if shared:
            self.underway.shared.append(self)
        signals.guard(self)
        return self

    def close(self) -> None:
        """What is started from now on is no part of the block."""
        underway.own.set(tuple(each for each in underway.own.get() if each is not self))
        if self._is_shared:
            self.underway.shared.remove(self)

    def stop(self, error: BaseException) -> None:
        """Stop what has not ended, and say with the error and in the log what became of it."""
        if self._pid != os.getpid():
            return  # a forked child leaves its parent's block
        self._is_stopping = True
        try:
            deadline = Deadline.after(_LONGEST_SECONDS, _clock)
            works = [functools.partial(self._stop_one, key, deadline) for key in self._open()]
            ending.together(works, deadline)
        finally:
            self._report(error)

    def _open(self) -> list[str]:
        """Keys of the starts whose tasks are not known to have ended, newest first."""
        starts = list(self._starts.items())  # other threads may be adding to them
        return [key for key, task in reversed(starts) if task not in self._ended]

    def _stop_one(self, key: str, deadline: Deadline) -> None:
        try:
            task_id = self._starts[key] or self._found(key)
            if task_id is not None:
                following.stop(self._driver, self._book, task_id, deadline)
                self._ended.add(task_id)
                self.stopped.append(task_id)
        except Exception as error:
            reason = error.message if isinstance(error, QrmiError) else type(error).__name__
            self.not_stopped[self._starts[key] or key] = reason

    def _found(self, key: str) -> TaskId | None:
        """The task of a start without an answer; ``None`` when one may still come."""
        if key not in self._lost:
            return None  # `known` will have its id
        found = None
        if self._driver.CAPABILITIES.idempotency_key:
            look = functools.partial(self._driver.find_task, key)
            found = found_before(Deadline.after(_SEARCH_SECONDS, _clock), look, 0.1)
        if found is None:
            raise QrmiError("it is not known whether it became a task")
        self._starts[key] = found
        return found

    def _report(self, error: BaseException) -> None:
        stopped = set(self.stopped)
        for key in self._open():
            name = self._starts[key] or key
            if name not in stopped:
                late = "it was not answered in time" if self._starts[key] else "it is under way"
                self.not_stopped.setdefault(name, late)
        where = self._driver.resource_id
        if self.stopped:
            _log.info("stopped on %s: %s", where, ", ".join(self.stopped))
            error.add_note(f"stopped on {where}: {', '.join(self.stopped)}")
        for name, reason in self.not_stopped.items():
            _log.warning("%s on %s was not stopped and may still run: %s", name, where, reason)
            error.add_note(f"not stopped, may still run on {where}: {name} ({reason})")

    # --- what is started in it (see `qrmi.lifetime.underway.Watcher`) -------------------------

    def sent(self, key: str) -> None:
        """A start is about to be sent."""
        self._lost.discard(key)
        self._starts.setdefault(key, None)

    def lost(self, key: str) -> None:
        """It is not known whether there is a task."""
        self._lost.add(key)

    def known(self, key: str, task_id: str) -> None:
        """The start has this task; stopped at once, when the block has been left by an error."""
        self._starts[key] = TaskId(task_id)
        if self._is_stopping and self._pid == os.getpid():
            self._stop_one(key, Deadline.after(_LONGEST_SECONDS, _clock))
            fate = self.not_stopped.get(task_id)
            end = f"it may still run: {fate}" if fate else "it was stopped"
            _log.warning("task %s began after its block was left; %s", task_id, end)

    def refused(self, key: str) -> None:
        """The start has no task."""
        self._starts.pop(key, None)

    def ended(self, task_id: str) -> None:
        """A task has ended."""
        self._ended.add(task_id)

    # --- as a duty ----------------------------------------------------------------------------

    def at_end(self, deadline: Deadline) -> None:
        """The interpreter ends with the block open: by a thread that is not waited for."""

    def at_signal(self, deadline: Deadline) -> None:
        """A signal ends the process: without a lock, driver or journal that others may hold."""
        self._is_stopping = True
        driver = ending.apart(self._driver)
        log = journal.Journal(config.state_dir() / "journal")
        works = [functools.partial(self._stop_at_signal, key, driver, log) for key in self._open()]
        ending.together(works, deadline)
        left = len(works) - len(self.stopped)
        if left:
            text = "not stopped on %s, may still run: %d of %d tasks; `qrmi tasks` lists them"
            ending.tell(logging.WARNING, text, driver.resource_id, left, len(works))
        elif works:
            ending.tell(logging.INFO, "stopped on %s: %s", driver.resource_id, self.stopped)

    def _stop_at_signal(self, key: str, driver: Driver, log: journal.Journal) -> None:
        with contextlib.suppress(Exception):  # what is not in `stopped` is told
            task_id = self._starts[key]
            if task_id is None and driver.CAPABILITIES.idempotency_key:
                task_id = driver.find_task(key)
            if task_id is None:
                return
            with contextlib.suppress(QrmiError):
                log.append("stopping", resource=driver.resource_id, task=task_id)
            driver.task_stop(task_id)
            self.stopped.append(task_id)
