"""The sampler of `qrmi.qiskit` with the constructor of the upstream library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from qrmi.primitives.runtime_job_v2 import deleting
from qrmi.qiskit import QRMIPrimitiveJob, SamplerV2
from qrmi.resource import QuantumResource

__all__ = ["QRMIBaseSamplerV2"]


class QRMIBaseSamplerV2(SamplerV2):
    """`qrmi.qiskit.SamplerV2` whose jobs are `RuntimeJobV2`.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_shots`` and ``run_options``.
    """

    _made_job: ClassVar[Callable[..., QRMIPrimitiveJob]] = staticmethod(deleting)

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)
