"""The tasks of one host that have not ended: which there are, who runs them, when they end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from qrmi import config
from qrmi.errors import QrmiError
from qrmi.tasks import TaskId, TaskStatus
from qrmi_local.service import batch
from qrmi_local.service.process import Runner
from qrmi_local.service.slot import MAX_ATTEMPTS, Entry, Slot
from qrmi_local.service.state import State
from qrmi_local.service.store import Store

__all__ = ["Queues"]

_log = logging.getLogger("qrmi.local.queues")


class Queues:
    """One slot for each kind of program, and the batches whose jobs run there.

    Everything happens in one event loop, one step at a time; so of a stop and an end that meet,
    one is first, and what it wrote stays.

    Args:
        store: the tasks.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._host = config.host_name()
        self._entries: dict[str, Entry] = {}
        self._slots: dict[str, Slot] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self.last_end = time.monotonic()

    @property
    def queued(self) -> int:
        """How many tasks wait for a slot."""
        return sum(slot.queued for slot in self._slots.values())

    @property
    def running(self) -> list[str]:
        """Ids of the tasks that run."""
        return [slot.running.id for slot in self._slots.values() if slot.running is not None]

    def take(self, task_id: str, fresh: dict[str, Any] | None = None) -> Entry | None:
        """The entry of a task, made and queued when it is new; ``None`` when it is not to be run.

        That is one that has ended, or that belongs to another host.

        Args:
            task_id: the task.
            fresh: what it was created with, when that was a moment ago. If it has ended since,
                its slot notices.

        Raises:
            TaskNotFoundError: there is no such task.
        """
        if (known := self._entries.get(task_id)) is not None:
            return known
        meta = fresh or self._store.meta(task_id)
        known_state = None if fresh and "open" not in fresh else self._store.recorded(task_id)
        state = known_state or State(status=TaskStatus.QUEUED)
        if meta["host"] != self._host or state.status.is_final:
            return None
        entry = Entry(
            id=task_id,
            slot="" if "open" in meta else meta["slot"],
            runner=Runner(**meta["runner"]),
            queued_at=meta["queued_at"],
            status=state.status,
            started_at=state.started_at,
            attempts=state.attempts,
            batch=meta.get("batch"),
        )
        self._entries[task_id] = entry
        try:
            self._enqueue(entry, meta)
        except BaseException:
            del self._entries[task_id]
            raise
        return entry

    def cancel(self, entry: Entry) -> None:
        """Give a task its end, kill its executor if it runs, and do so with a batch's jobs."""
        entry.end(self._store, TaskStatus.CANCELLED)
        jobs = [self._entries[job] for job in sorted(entry.unended)]
        self._ended(entry)
        if entry.slot:
            self._slot(entry.slot).stop(entry)
        else:
            self._store.close_batch(entry.id)
        for job in jobs:
            self.cancel(job)

    def add(self, batch_id: str, jobs: Sequence[Mapping[str, Any]], token: str) -> list[TaskId]:
        """Add jobs to an open batch; see `qrmi_local.service.batch.add_jobs`."""
        entry = self.take(batch_id)
        ids = batch.add_jobs(self._store, batch_id, jobs, token)
        for job in ids if entry is not None else []:
            self.take(job)
        return ids

    def close(self, batch_id: str) -> None:
        """Close a batch; it ends with its last job, or now."""
        entry = self.take(batch_id)
        self._store.close_batch(batch_id)
        if entry is not None:
            self._settle(entry)

    async def recover(self) -> None:
        """Queue again what an earlier supervisor of this host left, oldest first."""
        for task_id in await asyncio.to_thread(self._left):
            try:
                self.take(task_id)
            except (QrmiError, KeyError, TypeError, ValueError):
                _log.exception("task %s is left as it is", task_id)

    async def leave(self) -> None:
        """End all executors; the tasks that they run are queued for another supervisor."""
        for slot in self._slots.values():
            slot.give_back()
        for worker in self._workers:
            worker.cancel()
        for slot in self._slots.values():
            await slot.leave()

    # --- inside -------------------------------------------------------------------------------

    def _left(self) -> list[str]:
        self._store.sweep()
        return [task for task in reversed(self._store.ids()) if not self._store.has_ended(task)]

    def _enqueue(self, entry: Entry, meta: dict[str, Any]) -> None:
        if entry.batch is not None and (parent := self.take(entry.batch)) is not None:
            parent.unended.add(entry.id)
        if not entry.slot:
            self._spread(entry, is_open=meta["open"])
        elif entry.attempts >= MAX_ATTEMPTS:
            reason = f"the simulator died with it {entry.attempts} times"
            entry.end(self._store, TaskStatus.FAILED, reason)
            self._ended(entry)
        else:
            if entry.status is TaskStatus.RUNNING:  # under a supervisor that is no more
                entry.note(self._store, TaskStatus.QUEUED)
            self._slot(entry.slot).add(entry)

    def _spread(self, entry: Entry, *, is_open: bool) -> None:
        """Queue a batch's jobs; those that it was started with are made here."""
        batch.make_first_jobs(self._store, entry.id)
        if is_open:
            entry.note(self._store, TaskStatus.RUNNING)
        jobs = [job for job in self._store.jobs(entry.id) if not self._store.has_ended(job)]
        entry.unended.update(jobs)  # all before any: the end of one must not end the batch
        for job in jobs:
            self.take(job)
        self._settle(entry)

    def _slot(self, name: str) -> Slot:
        if name not in self._slots:
            slot = self._slots[name] = Slot(self._store, self._begun, self._ended)
            self._workers.add(asyncio.create_task(slot.work()))
        return self._slots[name]

    def _begun(self, entry: Entry) -> None:
        """Say of a batch that it runs when its first job does."""
        parent = self._entries.get(entry.batch or "")
        if parent is not None and parent.started_at is None:
            parent.started_at = time.time()
            parent.note(self._store, TaskStatus.RUNNING)

    def _ended(self, entry: Entry) -> None:
        """Forget a task that has its final state, and tell those who wait for it."""
        entry.ended.set()
        self.last_end = time.monotonic()
        self._entries.pop(entry.id, None)
        if (parent := self._entries.get(entry.batch or "")) is not None:
            parent.unended.discard(entry.id)
            self._settle(parent)

    def _settle(self, parent: Entry) -> None:
        """End a batch when no job of it is left and no more can come."""
        if parent.ended.is_set() or parent.unended or not self._store.is_closed(parent.id):
            return
        status, reason = batch.outcome(self._store, parent.id)
        parent.end(self._store, status, reason)
        self._ended(parent)
