"""Tasks whose results a CUDA-Q program asks for later, or from another process."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from qrmi.codecs.group import TaskGroup

__all__ = ["SDK", "Done", "Future"]

SDK = "cudaq"
"""What the journal calls our tasks."""

_UNSET = object()


class Future:
    """A program on a resource. It can be shared between threads; ``str(future)`` is its task's id.

    Attributes:
        task_id: valid in any process: `qrmi.cudaq.result` gives the same result there. Where the
            resource takes one circuit a task, these are the ids of all tasks, joined by ``|``.
    """

    def __init__(self, tasks: TaskGroup, read: Callable[[TaskGroup], Any]) -> None:
        self.task_id = tasks.id
        self._tasks = tasks
        self._read = read
        self._lock = threading.Lock()
        self._result: Any = _UNSET

    def get(self, timeout_seconds: float | None = None) -> Any:
        """Wait for the end of the task and return its result, the same object every time.

        Raises:
            TaskFailedError: it failed; the message gives the reason.
            TaskCancelledError: it was stopped.
            WaitTimeoutError: it did not end within ``timeout_seconds``.
        """
        self._tasks.wait(timeout_seconds)
        with self._lock:
            if self._result is _UNSET:
                self._result = self._read(self._tasks)
            return self._result

    def __str__(self) -> str:
        return self.task_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id} on {self._tasks.resource.resource_id()}>"


class Done:
    """A result that no task was needed for, such as the identity's expectation value."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def get(self, timeout_seconds: float | None = None) -> Any:
        """The result."""
        return self._result
