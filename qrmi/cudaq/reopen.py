"""Results of tasks that another call, or another process, has started."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from qrmi import registry
from qrmi.cudaq.futures import SDK, Future
from qrmi.errors import InvalidInputError, MissingExtraError

__all__ = ["of_task"]


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
