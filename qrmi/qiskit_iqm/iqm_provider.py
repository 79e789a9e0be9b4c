"""Where the upstream library keeps the classes of `qrmi.qiskit_iqm`."""

from __future__ import annotations

from qrmi.qiskit_iqm import IQMProvider, QRMIBackend

__all__ = ["IQMProvider", "QRMIBackend"]
