"""Names of the upstream library's primitives; everything here lives in `qrmi.qiskit`.

Names are loaded at first use, so that `QRMIService` needs no Qiskit.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrmi.primitives.base_estimator import QRMIBaseEstimatorV2
    from qrmi.primitives.base_sampler import QRMIBaseSamplerV2
    from qrmi.primitives.runtime_job_v2 import RuntimeJobV2
    from qrmi.registry import QRMIService

__all__ = ["QRMIBaseEstimatorV2", "QRMIBaseSamplerV2", "QRMIService", "RuntimeJobV2"]

_HOMES = {
    "QRMIBaseEstimatorV2": "qrmi.primitives.base_estimator",
    "QRMIBaseSamplerV2": "qrmi.primitives.base_sampler",
    "QRMIService": "qrmi.registry",
    "RuntimeJobV2": "qrmi.primitives.runtime_job_v2",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'qrmi.primitives' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
