"""The sampler under upstream's name."""

from __future__ import annotations

from qrmi.primitives.base_sampler import QRMIBaseSamplerV2

__all__ = ["SamplerV2"]


class SamplerV2(QRMIBaseSamplerV2):
    """A sampler on a handle."""
