"""The estimator under upstream's name."""

from __future__ import annotations

from qrmi.primitives.base_estimator import QRMIBaseEstimatorV2

__all__ = ["EstimatorV2"]


class EstimatorV2(QRMIBaseEstimatorV2):
    """An estimator on a handle."""
