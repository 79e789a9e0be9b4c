"""The backend under upstream's name."""

from __future__ import annotations

from qrmi.qiskit import QRMIBackend
from qrmi.resource import QuantumResource

__all__ = ["QRMIBackend", "get_backend"]


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
