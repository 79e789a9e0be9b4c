"""The estimator of `qrmi.qiskit` with the constructor of the upstream library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from qrmi.primitives.runtime_job_v2 import deleting
from qrmi.qiskit import EstimatorV2, QRMIPrimitiveJob
from qrmi.resource import QuantumResource

__all__ = ["QRMIBaseEstimatorV2"]


class QRMIBaseEstimatorV2(EstimatorV2):
    """`qrmi.qiskit.EstimatorV2` whose jobs are `RuntimeJobV2`.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_precision`` and ``run_options``.
    """

    _made_job: ClassVar[Callable[..., QRMIPrimitiveJob]] = staticmethod(deleting)

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)
