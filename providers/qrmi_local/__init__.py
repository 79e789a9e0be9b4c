"""The embedded resource ``local``: gate programs on Qiskit Aer, pulse sequences on Pulser.

It needs no account, server or configuration. `resource` makes a handle that imitates a device.
"""

from __future__ import annotations

from qrmi_local.imitation import resource

__all__ = ["resource"]
