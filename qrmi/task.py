"""One task by its id, in whichever process and on whichever day it is looked at."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.tasks import TaskId, TaskResult, TaskStatus

if TYPE_CHECKING:
    from qrmi.aio import AsyncQuantumResource
    from qrmi.resource import QuantumResource

__all__ = ["AsyncTask", "Task"]


@attrs.frozen
class Task:
    """A task on its resource: ``qrmi.open(...).task(id)``.

    Making one asks nothing of the service. It can be pickled and shared between threads.

    Attributes:
        resource: the handle of the resource that runs it.
        id: its id.
    """

    resource: QuantumResource
    id: TaskId

    @property
    def context(self) -> dict[str, Any]:
        """What it was started with as ``context``; empty when the journal does not know it."""
        return self.resource.task_context(self.id)

    def status(self) -> TaskStatus:
        """See `QuantumResource.task_status`."""
        return self.resource.task_status(self.id)

    def wait(
        self,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """See `QuantumResource.task_wait`."""
        return self.resource.task_wait(self.id, timeout_seconds, on_status)

    def result(self, timeout_seconds: float | None = None) -> TaskResult:
        """The result, after waiting for the end; see `QuantumResource.task_result`.

        Raises:
            WaitTimeoutError: the time is over; the task goes on.
        """
        self.wait(timeout_seconds)
        return self.resource.task_result(self.id)

    def logs(self) -> str:
        """See `QuantumResource.task_logs`."""
        return self.resource.task_logs(self.id)

    def stop(self) -> None:
        """See `QuantumResource.task_stop`."""
        self.resource.task_stop(self.id)


@attrs.frozen
class AsyncTask:
    """A `Task` whose verbs are coroutines: ``(await AsyncQuantumResource.open()).task(id)``.

    Attributes:
        resource: the handle of the resource that runs it.
        id: its id.
    """

    resource: AsyncQuantumResource
    id: TaskId

    async def context(self) -> dict[str, Any]:
        """See `Task.context`."""
        return await self.resource.task_context(self.id)

    async def status(self) -> TaskStatus:
        """See `QuantumResource.task_status`."""
        return await self.resource.task_status(self.id)

    async def wait(
        self,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """See `AsyncQuantumResource.task_wait`."""
        return await self.resource.task_wait(self.id, timeout_seconds, on_status)

    async def result(self, timeout_seconds: float | None = None) -> TaskResult:
        """The result, after waiting for the end; see `Task.result`."""
        await self.wait(timeout_seconds)
        return await self.resource.task_result(self.id)

    async def logs(self) -> str:
        """See `QuantumResource.task_logs`."""
        return await self.resource.task_logs(self.id)

    async def stop(self) -> None:
        """See `QuantumResource.task_stop`."""
        await self.resource.task_stop(self.id)
