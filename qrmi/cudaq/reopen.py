"""Results of tasks that another call, or another process, has started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qrmi.codecs.group import TaskGroup
from qrmi.cudaq.futures import SDK, Future
from qrmi.errors import InvalidInputError, MissingExtraError

__all__ = ["of_task"]


def of_task(task_id: str) -> Future:
    """The future of a task that a CUDA-Q program started; see `qrmi.cudaq.result`."""
    tasks = TaskGroup.find(task_id)
    context = tasks.context()
    if context.get("sdk") != SDK:
        raise InvalidInputError(
            f"the task was started with {context.get('sdk') or 'an unknown SDK'}, not with CUDA-Q",
            hint="`qrmi result` shows the result of any task",
            task_id=task_id,
        )
    return Future(tasks, _reader(context))


def _reader(context: Mapping[str, Any]) -> Callable[[TaskGroup], Any]:
    try:
        from qrmi.cudaq import analog, launch
    except ImportError as error:
        raise MissingExtraError(
            f"CUDA-Q or Qiskit cannot be imported: {error}", hint="pip install 'openqrmi[cudaq]'"
        ) from error
    return analog.decoder(context["shots"]) if context.get("call") == "evolve" else launch.read
