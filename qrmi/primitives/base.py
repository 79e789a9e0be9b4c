"""The primitives and jobs of `qrmi.qiskit` with the constructors of the upstream library."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, ClassVar, Self

from qrmi.qiskit import EstimatorV2, QRMIPrimitiveJob, SamplerV2
from qrmi.resource import QuantumResource

__all__ = ["QRMIBaseEstimatorV2", "QRMIBaseSamplerV2", "RuntimeJobV2"]


class RuntimeJobV2(QRMIPrimitiveJob):
    """A primitive's job.

    Dropping the object never stops or deletes the task. To clean up on the service, use the job
    with ``with``, or call `close`.

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
            self.resource.task_stop(self.job_id())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class QRMIBaseSamplerV2(SamplerV2):
    """`qrmi.qiskit.SamplerV2` whose jobs are `RuntimeJobV2`.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_shots`` and ``run_options``.
    """

    _job_class: ClassVar[type[QRMIPrimitiveJob]] = RuntimeJobV2

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)


class QRMIBaseEstimatorV2(EstimatorV2):
    """`qrmi.qiskit.EstimatorV2` whose jobs are `RuntimeJobV2`.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_precision`` and ``run_options``.
    """

    _job_class: ClassVar[type[QRMIPrimitiveJob]] = RuntimeJobV2

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)
