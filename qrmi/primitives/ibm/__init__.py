"""The upstream library's modules for IBM devices: the same primitives as everywhere."""

from __future__ import annotations

from qrmi.primitives.ibm.backend import get_backend
from qrmi.primitives.ibm.estimator import EstimatorV2
from qrmi.primitives.ibm.sampler import SamplerV2
from qrmi.primitives.ibm.target import get_target

__all__ = ["EstimatorV2", "SamplerV2", "get_backend", "get_target"]
