"""Names of the upstream library's primitives; everything here lives in `qrmi.qiskit`.

Names are loaded at first use, so that `QRMIService` needs no Qiskit.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrmi.primitives.base import QRMIBaseEstimatorV2, QRMIBaseSamplerV2, RuntimeJobV2
    from qrmi.registry import QRMIService

__all__ = ["QRMIBaseEstimatorV2", "QRMIBaseSamplerV2", "QRMIService", "RuntimeJobV2"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'qrmi.primitives' has no attribute {name!r}")
    home = "qrmi.registry" if name == "QRMIService" else "qrmi.primitives.base"
    return getattr(importlib.import_module(home), name)
