"""CUDA-Q on a resource: ``cudaq.set_target("qrmi")``, then CUDA-Q as ever.

The target comes with openqrmi as a plug-in that ``import cudaq`` finds. `sample`, `observe`, their
asynchronous and broadcast forms and `evolve` of a ``RydbergHamiltonian`` run on the resource; what
the resource cannot do is an error, never a simulation behind the user's back.

Bit strings and named registers are CUDA-Q's own: qubits in order of allocation, the first
leftmost, each with its last measurement. A measurement in the middle of a kernel is a real one
(CUDA-Q's own simulators put it off when no reset follows).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import cudaq

    from qrmi.resource import QuantumResource

__all__ = ["result", "set_target"]


def set_target(resource: QuantumResource | str | None = None) -> None:
    """The same as ``cudaq.set_target("qrmi", resource=resource)``, without a plug-in's help.

    Args:
        resource: a handle, a name for `qrmi.open`, or ``None`` for ``qrmi.open()``.

    Raises:
        MissingExtraError: CUDA-Q is not installed.
        UnsupportedFunctionError: this version of CUDA-Q lacks what the target needs.
        ResourceNotFoundError: there is no such resource.
    """
    from qrmi.cudaq import plugin, target

    target.import_cudaq()
    plugin.register()
    target.select(resource)


def result(
    task_id: str, timeout_seconds: float | None = None
) -> cudaq.SampleResult | cudaq.ObserveResult:
    """The result of a task that a CUDA-Q program started, in this process or another.

    Waits for the end of the task.

    Args:
        task_id: ``str(future)`` of an asynchronous result, or ``annotations["task_id"]`` of one.
        timeout_seconds: how long to wait; ``None`` for as long as it takes.

    Raises:
        TaskNotFoundError: no process of this user started such a task.
        InvalidInputError: another SDK started it.
        TaskFailedError: it failed; the message gives the reason.
        TaskCancelledError: it was stopped.
        WaitTimeoutError: it did not end in time.
    """
    from qrmi.cudaq import reopen

    return reopen.of_task(task_id).get(timeout_seconds)
