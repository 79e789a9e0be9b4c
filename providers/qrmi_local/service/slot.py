"""One queue of tasks and the warm process that runs them, one task at a time."""

from __future__ import annotations

import asyncio
import collections
import logging
import time
from collections.abc import Callable
from typing import Any

import attrs

from qrmi.errors import QrmiError
from qrmi.tasks import TaskStatus
from qrmi_local.service.process import Executor, Runner, how_it_ended
from qrmi_local.service.state import State
from qrmi_local.service.store import Store

__all__ = ["MAX_ATTEMPTS", "Ending", "Entry", "Slot"]

MAX_ATTEMPTS = 3
_LOOK_SECONDS = 1.0
_SHORT_SECONDS = 0.02

_log = logging.getLogger("qrmi.local.slot")


class Ending:
    """Whether a task has ended, and who is told at once when it does.

    Plain calls rather than an `asyncio.Event`: each turn of the event loop that an answer has to
    wait for is felt by every short task.
    """

    def __init__(self) -> None:
        self._is_set = False
        self._listeners: list[Callable[[], None]] = []

    def is_set(self) -> bool:
        """Whether it has ended."""
        return self._is_set

    def set(self) -> None:
        """Say that it has."""
        self._is_set = True
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` when it ends, which it has not yet."""
        self._listeners.append(listener)

    def forget(self, listener: Callable[[], None]) -> None:
        """Do not call ``listener`` any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)


@attrs.define(kw_only=True, eq=False)
class Entry:
    """A task that has not ended, as the supervisor knows it.

    Attributes:
        id: the task's id.
        slot: the name of the slot that runs it; empty for a batch, which is not run itself.
        runner: what runs it.
        queued_at: seconds since 1970.
        status: where it is.
        started_at: when it was last begun, seconds since 1970; ``None`` when not yet.
        attempts: how often it was begun.
        batch: the batch that it is a job of, or ``None``.
        ended: set when it has its final state, which it tells whoever listens.
        unended: (batches) ids of the jobs that have not ended.
    """

    id: str
    slot: str
    runner: Runner
    queued_at: float
    status: TaskStatus = TaskStatus.QUEUED
    started_at: float | None = None
    attempts: int = 0
    batch: str | None = None
    ended: Ending = attrs.field(factory=Ending)
    unended: set[str] = attrs.field(factory=set)

    def note(self, store: Store, status: TaskStatus) -> None:
        """Record where it is."""
        self.status = status
        store.set_state(self.id, self.state(status))

    def end(self, store: Store, status: TaskStatus, reason: str = "") -> None:
        """Record its final state, unless another host gave it one; then that is its state."""
        self.status = status
        final = attrs.evolve(self.state(status, reason), ended_at=time.time())
        if not store.end(self.id, final):
            self.status = store.state(self.id).status

    def complete(self, store: Store, offer: str) -> None:
        """Record the end that its executor offers, as `end` does."""
        self.status = TaskStatus.COMPLETED
        if not store.accept_end(self.id, offer):
            self.status = store.state(self.id).status

    def state(self, status: TaskStatus, reason: str = "") -> State:
        """What to record of it."""
        return State(
            status=status,
            reason=reason,
            queued_at=self.queued_at,
            started_at=self.started_at,
            attempts=self.attempts,
        )


class Slot:
    """A queue and its executor, started when first needed and after each death.

    An executor's death while a task runs counts as one attempt; a task that was begun
    `MAX_ATTEMPTS` times fails. That a task runs is recorded only if it goes on for a moment:
    most gate programs are over before their files could tell of it.
    """

    def __init__(
        self,
        store: Store,
        on_begin: Callable[[Entry], None],
        on_end: Callable[[Entry], None],
    ) -> None:
        self._store = store
        self._on_begin = on_begin
        self._on_end = on_end
        self._queue: collections.deque[Entry] = collections.deque()
        self._filled = asyncio.Event()
        self._process: Executor | None = None
        self.running: Entry | None = None

    @property
    def queued(self) -> int:
        """How many tasks wait."""
        return sum(not entry.ended.is_set() for entry in self._queue)

    def add(self, entry: Entry) -> None:
        """Put a task at the end of the queue."""
        self._queue.append(entry)
        self._filled.set()

    def stop(self, entry: Entry) -> None:
        """End the executor if it runs this task, which must have its final state already."""
        if self.running is entry and self._process is not None:
            self._process.kill()

    async def work(self) -> None:
        """Run tasks until cancelled; an error that concerns one task fails that task alone."""
        while True:
            await self._filled.wait()
            if not self._queue:
                self._filled.clear()
                continue
            entry = self._queue.popleft()
            if self._has_ended(entry):
                continue
            try:
                await self._run(entry)
            except Exception as error:
                _log.exception("task %s", entry.id)
                self._fail(entry, f"{type(error).__name__}: {error}")

    def give_back(self) -> None:
        """Note of the task that runs that it is queued, as if never begun."""
        if self.running is not None and not self.running.ended.is_set():
            self.running.attempts -= 1
            self.running.note(self._store, TaskStatus.QUEUED)

    async def leave(self) -> None:
        """End the executor."""
        if self._process is not None:
            self._process.kill()
            await self._process.end()

    async def _run(self, entry: Entry) -> None:
        process = await self._executor(entry.runner)
        if entry.ended.is_set():  # stopped while the executor started
            return
        self.running = entry
        entry.attempts += 1
        entry.started_at = time.time()
        entry.status = TaskStatus.RUNNING
        loop = asyncio.get_running_loop()
        watch = loop.call_later(_SHORT_SECONDS, self._note_running, entry)
        try:
            end = entry.state(TaskStatus.COMPLETED)
            answer = await process.run(entry.id, end.to_json())
        finally:
            self.running = None
            watch.cancel()
        await self._take_answer(entry, process, answer)

    async def _take_answer(
        self, entry: Entry, process: Executor, answer: dict[str, Any] | None
    ) -> None:
        if answer is None:
            await self._bury(entry, process)
            return
        if answer["reason"] is None:
            self._finish(entry, lambda: entry.complete(self._store, answer["end"]))
        else:
            self._fail(entry, answer["reason"])
        if answer["leaves"]:
            self._process = None
            await process.end()

    def _note_running(self, entry: Entry) -> None:
        try:
            entry.note(self._store, TaskStatus.RUNNING)
            self._on_begin(entry)
        except QrmiError:
            _log.exception("that task %s runs cannot be written", entry.id)
        asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, entry)

    def _look(self, entry: Entry) -> None:
        """Notice that another host stopped the task that runs here."""
        if self.running is not entry:
            return
        if self._has_ended(entry):
            self.stop(entry)
        else:
            asyncio.get_running_loop().call_later(_LOOK_SECONDS, self._look, entry)

    def _has_ended(self, entry: Entry) -> bool:
        """Whether it was stopped, here or, which only its files tell, from another host."""
        if not entry.ended.is_set() and self._store.has_ended(entry.id):
            entry.status = self._store.state(entry.id).status
            self._on_end(entry)
        return entry.ended.is_set()

    async def _executor(self, runner: Runner) -> Executor:
        if self._process is not None and self._process.alive and self._process.runner == runner:
            return self._process
        if self._process is not None:
            self._process.kill()
            await self._process.end()
        self._process = await Executor.start(runner, self._store.root)
        return self._process

    async def _bury(self, entry: Entry, process: Executor) -> None:
        self._process = None
        code, output = await process.end()
        if output:
            self._store.append_log(entry.id, output)
        if entry.ended.is_set():
            return
        _log.warning("executor of task %s ended: %s", entry.id, how_it_ended(code))
        if entry.attempts >= MAX_ATTEMPTS:
            reason = f"the simulator's process {how_it_ended(code)}, {entry.attempts} times"
            self._fail(entry, reason)
        else:
            entry.note(self._store, TaskStatus.QUEUED)
            self._queue.appendleft(entry)
            self._filled.set()

    def _fail(self, entry: Entry, reason: str) -> None:
        self._finish(entry, lambda: entry.end(self._store, TaskStatus.FAILED, reason))

    def _finish(self, entry: Entry, record: Callable[[], None]) -> None:
        if not entry.ended.is_set():
            try:
                record()
            except QrmiError:
                _log.exception("the end of task %s cannot be written", entry.id)
        self._on_end(entry)
