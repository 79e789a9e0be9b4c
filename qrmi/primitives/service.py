"""Where the upstream library keeps `QRMIService`."""

from __future__ import annotations

from qrmi.registry import QRMIService

__all__ = ["QRMIService"]
