"""Pulser on any resource: a `RemoteConnection` for Pulser's backends.

::

    from pulser import QPUBackend
    from qrmi.pulser import QRMIConnection

    results = QPUBackend(sequence, QRMIConnection()).run([{"runs": 500}], wait=True)
    results[0].final_bitstrings

Pulser is imported when a name of this module is first used; without it that is a
`qrmi.errors.MissingExtraError`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from qrmi.codecs.analog_text import import_pulser

if TYPE_CHECKING:
    from qrmi.pulser.backend import QRMIEmulatorBackend
    from qrmi.pulser.connection import PulserQRMIConnection, QRMIConnection
    from qrmi.pulser.preparation import SequenceRefusedError

__all__ = [
    "PulserQRMIConnection",
    "QRMIConnection",
    "QRMIEmulatorBackend",
    "SequenceRefusedError",
]

_HOMES = {
    "PulserQRMIConnection": "qrmi.pulser.connection",
    "QRMIConnection": "qrmi.pulser.connection",
    "QRMIEmulatorBackend": "qrmi.pulser.backend",
    "QRMIService": "qrmi.registry",  # older upstream code looks for it here
    "SequenceRefusedError": "qrmi.pulser.preparation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import_pulser()
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
