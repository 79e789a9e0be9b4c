"""Where older releases of the upstream library kept `QRMIService`."""

from __future__ import annotations

from qrmi.registry import QRMIService

__all__ = ["QRMIService"]
