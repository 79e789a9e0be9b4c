"""The job of `qrmi.qiskit` with the constructor of the upstream library."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from qrmi.qiskit import QRMIPrimitiveJob
from qrmi.resource import QuantumResource

__all__ = ["RuntimeJobV2", "deleting"]


class RuntimeJobV2(QRMIPrimitiveJob):
    """A primitive's job.

    Dropping the object never stops or deletes the task. To clean up on the service, use the job
    with ``with``, or call `close`: a job that a primitive made cleans up then, one opened by its id
    only with ``delete_job``.

    Args:
        qrmi: the handle.
        job_id: the task.
        delete_job: whether `close` cleans up after the task.
        **kwargs: as for `QRMIPrimitiveJob`.
    """

    def __init__(
        self, qrmi: QuantumResource, job_id: str, *, delete_job: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(qrmi, job_id, **kwargs)
        self._delete_job = delete_job

    def close(self) -> None:
        """Clean up after a task that has ended, when asked to; one that goes on is left alone."""
        if self._delete_job and self.in_final_state():
            self.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def deleting(*args: Any, **kwargs: Any) -> RuntimeJobV2:
    """The job of a run, which upstream always makes with ``delete_job``."""
    return RuntimeJobV2(*args, delete_job=True, **kwargs)
