"""The handle for asyncio programs: the same verbs as coroutines, over worker threads."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from qrmi.driver import Capabilities
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.resource import QuantumResource
from qrmi.tasks import (
    BatchJob,
    ResourceStatus,
    ResourceType,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.waiting import Deadline, SystemClock

__all__ = ["AsyncQuantumResource"]


class _WaitingStoppedError(Exception):
    """Nobody awaits the answer any more."""


class _StoppableClock(SystemClock):
    """A clock that ends the waiting of a worker thread whose coroutine was cancelled."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def monotonic(self) -> float:
        if self.stopped.is_set():
            raise _WaitingStoppedError
        return super().monotonic()

    def sleep(self, seconds: float) -> None:
        self.stopped.wait(seconds)


def _ignore(_status: TaskStatus) -> None:
    """A listener, so that a held request is short and a cancelled wait ends soon."""


class AsyncQuantumResource:
    """A `QuantumResource` whose verbs are coroutines; they never block the event loop.

    Cancelling a coroutine stops the waiting, never the task.
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

    async def acquire(self) -> str:
        """See `QuantumResource.acquire`."""
        return await asyncio.to_thread(self._resource.acquire)

    async def release(self, token: str) -> None:
        """See `QuantumResource.release`."""
        await asyncio.to_thread(self._resource.release, token)

    @contextlib.asynccontextmanager
    async def acquired(self) -> AsyncIterator[str]:
        """Hold a session for the length of an ``async with`` block."""
        token = await self.acquire()
        try:
            yield token
        finally:
            await asyncio.shield(self.release(token))

    async def task_start(
        self,
        payload: Payload,
        *,
        key: str | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> TaskId:
        """See `QuantumResource.task_start`."""
        return await asyncio.to_thread(self._resource.task_start, payload, key=key, context=context)

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
        clock = _StoppableClock()
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

    async def task_context(self, task_id: str) -> dict[str, Any]:
        """See `QuantumResource.task_context`."""
        return await asyncio.to_thread(self._resource.task_context, task_id)

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
        return await asyncio.to_thread(
            self._resource.batch_start, payload, key=key, context=context
        )

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
        """See `QuantumResource.close`."""
        await asyncio.to_thread(self._resource.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()
