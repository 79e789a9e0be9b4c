"""The device under upstream's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qrmi.qiskit import analog
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from pulser.devices import Device

__all__ = ["get_device", "get_target"]


def get_device(qrmi: QuantumResource) -> Device:
    """The Pulser device of a handle.

    Raises:
        UnsupportedPayloadError: the resource describes no device for pulse sequences.
    """
    return analog.device_of(qrmi)


def get_target(qrmi: QuantumResource) -> Any:
    """The device as qiskit-pasqal-provider's ``PasqalTarget``.

    Raises:
        UnsupportedPayloadError: the resource describes no device for pulse sequences.
    """
    from qiskit_pasqal_provider.providers.target import PasqalTarget

    return PasqalTarget(device=analog.device_of(qrmi))
