"""A driver whose answers a test writes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from qrmi.driver import Capabilities, Driver
from qrmi.errors import QrmiError, TaskCancelledError, TaskNotFoundError, TaskNotReadyError
from qrmi.payloads import Payload
from qrmi.settings import Settings
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus

__all__ = ["ScriptedDriver"]

_EVERY_FORMAT = frozenset(
    {"qiskit-primitive", "pulser-sequence", "alice-bob-felis", "iqm-server", "oqtopus"}
)


class ScriptedDriver(Driver):
    """A resource in memory: it records what is sent and walks tasks through given statuses.

    Args:
        resource_id: its name.
        statuses: what `task_status` answers for each task, in order; the last one stays.
        result: the text that a completed task gives.
        target: the text that `target` gives.
        start_error: raised by `task_start` instead of starting.

    Attributes:
        sent: every payload with its key, in order.
        released: every token that was released, in order.
    """

    PAYLOADS = _EVERY_FORMAT
    CAPABILITIES = Capabilities(stop_running=True, idempotency_key=True)

    def __init__(
        self,
        resource_id: str = "scripted",
        *,
        statuses: Sequence[TaskStatus] = (TaskStatus.COMPLETED,),
        result: str = "{}",
        target: str = "{}",
        start_error: QrmiError | None = None,
    ) -> None:
        super().__init__(resource_id, Settings())
        self.sent: list[tuple[Payload, str]] = []
        self.released: list[str] = []
        self._statuses = tuple(statuses)
        self._result = result
        self._target = target
        self._start_error = start_error
        self._looks: dict[TaskId, int] = {}
        self._stopped: set[TaskId] = set()
        self._lock = threading.Lock()

    def is_accessible(self) -> bool:
        """Always."""
        return True

    def target(self) -> Target:
        """The text that the test gave."""
        return Target(self._target)

    def release(self, token: str) -> None:
        """Record the token."""
        self.released.append(token)

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Record the payload; the id is the key's number."""
        if self._start_error is not None:
            raise self._start_error
        with self._lock:
            self.sent.append((payload, key))
            task_id = TaskId(f"task-{len(self.sent)}")
            self._looks[task_id] = 0
        return task_id

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """The next status of the script."""
        with self._lock:
            if task_id not in self._looks:
                raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
            look = self._looks[task_id]
            self._looks[task_id] += 1
        if task_id in self._stopped:
            return TaskStatus.CANCELLED
        return self._statuses[min(look, len(self._statuses) - 1)]

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The test's text, once the script says completed."""
        status = self.task_status(task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        if status is not TaskStatus.COMPLETED:
            raise TaskNotReadyError(f"task {task_id} is {status.name.lower()}", task_id=task_id)
        return TaskResult(self._result)

    def task_stop(self, task_id: TaskId) -> bool:
        """Stop at once."""
        self._stopped.add(task_id)
        return True

    def find_task(self, key: str) -> TaskId | None:
        """The task that was sent with ``key``."""
        keys = [sent_key for _, sent_key in self.sent]
        return TaskId(f"task-{keys.index(key) + 1}") if key in keys else None
