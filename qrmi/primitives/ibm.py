"""The upstream library's module for IBM devices: the same primitives and backends as everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qrmi.primitives.base import QRMIBaseEstimatorV2, QRMIBaseSamplerV2
from qrmi.qiskit import QRMIBackend
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from qiskit.transpiler import Target

__all__ = ["EstimatorV2", "SamplerV2", "get_backend", "get_target"]


class SamplerV2(QRMIBaseSamplerV2):
    """A sampler on a handle."""


class EstimatorV2(QRMIBaseEstimatorV2):
    """An estimator on a handle."""


def get_backend(qrmi: QuantumResource, use_fractional_gates: bool = False) -> QRMIBackend:
    """The backend of a handle.

    Args:
        qrmi: the handle.
        use_fractional_gates: keep ``rx`` and ``rzz`` in the target; see `QRMIBackend`.

    Raises:
        UnsupportedPayloadError: the resource takes no gate programs.
    """
    backend = QRMIBackend(qrmi, fractional_gates=use_fractional_gates)
    backend.require_gates()
    return backend


def get_target(qrmi: QuantumResource) -> Target:
    """The target of a handle's backend, without fractional gates."""
    return get_backend(qrmi).target
