"""The handle for asyncio programs: the same verbs as coroutines, over worker threads."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from qrmi.driver import Capabilities
from qrmi.errors import QrmiError
from qrmi.lifetime import signals
from qrmi.lifetime.coroutines import StoppableClock, Unheard, to_its_end, watched
from qrmi.lifetime.leases import LeaseToken
from qrmi.lifetime.stopping import Stopping
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.resource import QuantumResource
from qrmi.task import AsyncTask
from qrmi.tasks import (
    BatchJob,
    ResourceStatus,
    ResourceType,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.waiting import Deadline

__all__ = ["AsyncQuantumResource"]

_log = logging.getLogger(__name__)


def _ignore(_status: TaskStatus) -> None:
    """A listener, so that a held request is short and a cancelled wait ends soon."""


class AsyncQuantumResource:
    """A `QuantumResource` whose verbs are coroutines; they never block the event loop.

    Cancelling a coroutine stops the waiting, never the task. A start that is cancelled while its
    request is under way is not taken back: the task's id is journalled, and logged as a warning.
    A session that comes after its `acquire` was cancelled is given back.
    """

    def __init__(self, resource: QuantumResource) -> None:
        self._resource = resource

    @classmethod
    async def open(cls, name: str | None = None) -> Self:
        """`qrmi.open` as a coroutine."""
        from qrmi import registry

        return cls(await asyncio.to_thread(registry.open, name))

    @property
    def sync(self) -> QuantumResource:
        """The handle underneath."""
        return self._resource

    def resource_id(self) -> str:
        """The name it was opened by."""
        return self._resource.resource_id()

    def resource_type(self) -> ResourceType | str:
        """The enum member for one of upstream's types, the plain string for any other."""
        return self._resource.resource_type()

    @property
    def type_name(self) -> str:
        """The type as configuration files spell it."""
        return self._resource.type_name

    @property
    def payloads(self) -> frozenset[str]:
        """The payload formats that it takes."""
        return self._resource.payloads

    @property
    def capabilities(self) -> Capabilities:
        """What it can do beyond the life cycle of a task."""
        return self._resource.capabilities

    def require(self, payload_format: str, programs: str, *, instead: str = "") -> None:
        """See `QuantumResource.require`."""
        self._resource.require(payload_format, programs, instead=instead)

    async def is_accessible(self) -> bool:
        """See `QuantumResource.is_accessible`."""
        return await asyncio.to_thread(self._resource.is_accessible)

    async def status(self) -> ResourceStatus:
        """See `QuantumResource.status`."""
        return await asyncio.to_thread(self._resource.status)

    async def target(self) -> Target:
        """See `QuantumResource.target`."""
        return await asyncio.to_thread(self._resource.target)

    async def metadata(self) -> dict[str, str]:
        """See `QuantumResource.metadata`."""
        return await asyncio.to_thread(self._resource.metadata)

    async def acquire(self, *, keep: bool = False) -> LeaseToken:
        """See `QuantumResource.acquire`."""
        token: LeaseToken
        with watched():
            call = functools.partial(self._resource.acquire, keep=keep)
            token = await Unheard(call, self._give_back).outcome()
        return token

    def _give_back(self, token: LeaseToken) -> None:
        """In a worker thread, or where the coroutine was cancelled: nobody has the token."""
        about = self.resource_id()
        try:
            self._resource._leases.release_if_held(token)
        except QrmiError as error:
            _log.warning("%s: a session could not be given back: %s", about, error)
        else:
            _log.info("%s: a session was given back: nobody waited for it", about)

    async def release(self, token: str) -> None:
        """See `QuantumResource.release`."""
        with watched():
            await asyncio.to_thread(self._resource.release, token)

    @contextlib.asynccontextmanager
    async def acquired(self) -> AsyncIterator[LeaseToken]:
        """Hold a session for the length of an ``async with`` block; see `QuantumResource`."""
        token = await self.acquire()
        try:
            yield token
        finally:
            with watched():
                leases = self._resource._leases
                await to_its_end(functools.partial(leases.release_if_held, token))

    @contextlib.asynccontextmanager
    async def stopping(self) -> AsyncIterator[Stopping]:
        """See `QuantumResource.stopping`; what this coroutine and those that it began start."""
        block = self._resource.stopping().open(shared=False)
        try:
            yield block
        except BaseException as error:
            block.close()
            await to_its_end(functools.partial(block.stop, error))
            raise
        finally:
            block.close()
            signals.release(block)

    async def task_start(
        self,
        payload: Payload,
        *,
        key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> TaskId:
        """See `QuantumResource.task_start`."""
        call = functools.partial(self._resource.task_start, payload, key=key, context=context)
        return await self._started(call)

    async def _started(self, call: Callable[[], TaskId]) -> TaskId:
        task_id: TaskId = await Unheard(call, self._tell_of).outcome()
        return task_id

    def _tell_of(self, task_id: TaskId) -> None:
        _log.warning(
            "task %s was started on %s, but the coroutine that started it was cancelled: "
            "`qrmi stop %s` stops it",
            task_id,
            self.resource_id(),
            task_id,
        )

    async def task_status(self, task_id: str) -> TaskStatus:
        """See `QuantumResource.task_status`."""
        return await asyncio.to_thread(self._resource.task_status, task_id)

    async def task_wait(
        self,
        task_id: str,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """See `QuantumResource.task_wait`; ``on_status`` is called in a worker thread."""
        clock = StoppableClock()
        seconds = math.inf if timeout_seconds is None else timeout_seconds
        deadline = Deadline.after(seconds, clock)
        look = on_status or _ignore
        try:
            return await asyncio.to_thread(self._resource._wait_until, deadline, task_id, look)
        except asyncio.CancelledError:
            clock.stopped.set()
            raise

    async def task_result(self, task_id: str) -> TaskResult:
        """See `QuantumResource.task_result`."""
        return await asyncio.to_thread(self._resource.task_result, task_id)

    async def task_logs(self, task_id: str) -> str:
        """See `QuantumResource.task_logs`."""
        return await asyncio.to_thread(self._resource.task_logs, task_id)

    async def task_stop(self, task_id: str) -> None:
        """See `QuantumResource.task_stop`."""
        await asyncio.to_thread(self._resource.task_stop, task_id)

    def task(self, task_id: str) -> AsyncTask:
        """See `QuantumResource.task`."""
        return AsyncTask(self, self._resource.task(task_id).id)

    async def task_context(self, task_id: str) -> dict[str, Any]:
        """See `QuantumResource.task_context`."""
        return await asyncio.to_thread(self._resource.task_context, task_id)

    async def recover(self, key: str) -> TaskId | None:
        """See `QuantumResource.recover`."""
        return await asyncio.to_thread(self._resource.recover, key)

    async def find_task(self, key: str) -> TaskId | None:
        """See `QuantumResource.find_task`."""
        return await asyncio.to_thread(self._resource.find_task, key)

    async def list_tasks(self) -> list[TaskId]:
        """See `QuantumResource.list_tasks`."""
        return await asyncio.to_thread(self._resource.list_tasks)

    async def batch_start(
        self,
        payload: PulserBatch,
        *,
        key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> TaskId:
        """See `QuantumResource.batch_start`."""
        call = functools.partial(self._resource.batch_start, payload, key=key, context=context)
        return await self._started(call)

    async def batch_add(self, batch_id: str, jobs: Sequence[AnalogJob]) -> list[str]:
        """See `QuantumResource.batch_add`."""
        return await asyncio.to_thread(self._resource.batch_add, batch_id, jobs)

    async def batch_close(self, batch_id: str) -> None:
        """See `QuantumResource.batch_close`."""
        await asyncio.to_thread(self._resource.batch_close, batch_id)

    async def batch_jobs(self, batch_id: str) -> list[BatchJob]:
        """See `QuantumResource.batch_jobs`."""
        return await asyncio.to_thread(self._resource.batch_jobs, batch_id)

    async def close(self) -> None:
        """See `QuantumResource.close`; it goes on when its coroutine is cancelled."""
        with watched():
            await to_its_end(self._resource.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
