"""Opening a job again by its id, in this process or another one."""

from __future__ import annotations

from qrmi.codecs.group import TaskGroup
from qrmi.errors import InvalidInputError
from qrmi.qiskit.analog import AnalogJob
from qrmi.qiskit.backends import QRMIBackend
from qrmi.qiskit.handles import handle_of
from qrmi.qiskit.jobs import QRMIJob, QRMIPrimitiveJob
from qrmi.resource import QuantumResource

__all__ = ["job"]


def job(
    task_id: str, resource: QuantumResource | QRMIBackend | str | None = None
) -> QRMIPrimitiveJob | QRMIJob | AnalogJob:
    """Open a job again by its id, in this process or another one.

    Args:
        task_id: what ``job_id()`` gave. Of a job of several tasks, the id of any one will do where
            the journal knows them.
        resource: where it runs: a handle, a name or a backend; when ``None``, the journal tells.

    Raises:
        TaskNotFoundError: the journal knows no such task.
        InvalidInputError: the task is not one of Qiskit's.
    """
    handle = None if resource is None else handle_of(resource)
    group = TaskGroup.find(task_id, handle)
    handle, task_id = group.resource, group.id
    context = group.context()
    kind = context.get("kind")
    if kind == "run":
        return QRMIJob(handle, task_id)
    if kind != "analog":
        return QRMIPrimitiveJob(handle, task_id)
    if context.get("sdk") != "qiskit":
        raise InvalidInputError(
            f"task {task_id} is a pulse sequence, not a Qiskit circuit",
            hint=f"get its result with `qrmi result {task_id}` or through qrmi.pulser",
            task_id=task_id,
        )
    return AnalogJob(handle, task_id)
