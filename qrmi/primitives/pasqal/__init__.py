"""The upstream library's modules for Pasqal devices: analog circuits through a handle."""

from __future__ import annotations

from qrmi.primitives.pasqal.sampler import (
    QPPSamplerV2,
    QRMIPasqalBackend,
    QRMIPasqalJob,
    SamplerV2,
)
from qrmi.primitives.pasqal.target import get_device, get_target

__all__ = [
    "QPPSamplerV2",
    "QRMIPasqalBackend",
    "QRMIPasqalJob",
    "SamplerV2",
    "get_device",
    "get_target",
]
