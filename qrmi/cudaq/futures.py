"""Tasks whose results a CUDA-Q program asks for later, or from another process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from qrmi import registry
from qrmi.errors import InvalidInputError, MissingExtraError
from qrmi.resource import QuantumResource

__all__ = ["SDK", "Done", "Future", "of_task"]

SDK = "cudaq"
"""What the journal calls our tasks."""

_UNSET = object()


class Future:
    """A task on a resource. It can be shared between threads; ``str(future)`` is the task's id.

    Attributes:
        task_id: valid in any process: `qrmi.cudaq.result` gives the same result there.
    """

    def __init__(
        self, resource: QuantumResource, task_id: str, decode: Callable[[str], Any]
    ) -> None:
        self.task_id = task_id
        self._resource = resource
        self._decode = decode
        self._lock = threading.Lock()
        self._result: Any = _UNSET

    def get(self, timeout_seconds: float | None = None) -> Any:
        """Wait for the end of the task and return its result, the same object every time.

        Raises:
            TaskFailedError: it failed; the message gives the reason.
            TaskCancelledError: it was stopped.
            WaitTimeoutError: it did not end within ``timeout_seconds``.
        """
        self._resource.task_wait(self.task_id, timeout_seconds)
        with self._lock:
            if self._result is _UNSET:
                self._result = self._decode(self._resource.task_result(self.task_id).value)
            return self._result

    def __str__(self) -> str:
        return self.task_id

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.task_id} on {self._resource.resource_id()}>"


class Done:
    """A result that no task was needed for, such as the identity's expectation value."""

    def __init__(self, result: Any) -> None:
        self._result = result

    def get(self, timeout_seconds: float | None = None) -> Any:
        """The result."""
        return self._result


def of_task(task_id: str) -> Future:
    """The future of a task that a CUDA-Q program started; see `qrmi.cudaq.result`."""
    resource = registry.resource_of_task(task_id)
    context = resource.task_context(task_id)
    if context.get("sdk") != SDK:
        raise InvalidInputError(
            f"the task was started with {context.get('sdk') or 'an unknown SDK'}, not with CUDA-Q",
            hint="`qrmi result` shows the result of any task",
            task_id=task_id,
        )
    return Future(resource, task_id, _decoder(context, task_id))


def _decoder(context: Mapping[str, Any], task_id: str) -> Callable[[str], Any]:
    try:
        from qrmi.cudaq import analog, launch
    except ImportError as error:
        raise MissingExtraError(
            f"CUDA-Q or Qiskit cannot be imported: {error}", hint="pip install 'openqrmi[cudaq]'"
        ) from error
    if context.get("call") == "evolve":
        return analog.decoder(context["shots"], task_id)
    return launch.decoder(context["call"], task_id)
