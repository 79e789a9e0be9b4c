"""Servers on loopback that speak the vendors' protocols: for tests, and for ``qrmi sandbox``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from qrmi_sandbox.server import Server

__all__ = ["SERVERS", "make_server"]

SERVERS = {
    "alice-bob-felis": "qrmi_sandbox.felis:FelisServer",
    "ibm-quantum-compute-service": "qrmi_sandbox.compute_service:ComputeServiceServer",
    "ibm-quantum-system": "qrmi_sandbox.quantum_system:QuantumSystemServer",
    "iqm-server": "qrmi_sandbox.iqm:IQMServer",
    "oqtopus": "qrmi_sandbox.oqtopus:OqtopusServer",
    "pasqal-cloud": "qrmi_sandbox.pasqal_cloud:PasqalCloudServer",
    "pasqal-local": "qrmi_sandbox.warden:WardenServer",
    "qiskit-runtime-service": "qrmi_sandbox.compute_service:RuntimeServiceServer",
}
"""The server of each resource type, as ``module:class``; loaded when it is asked for."""


def make_server(resource_type: str, **options: Any) -> Server:
    """Make the server of a resource type; it does not listen yet.

    Raises:
        KeyError: there is none for that type.
    """
    module, _, name = SERVERS[resource_type].partition(":")
    made: Server = getattr(importlib.import_module(module), name)(**options)
    return made
