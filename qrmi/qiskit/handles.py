"""From what a user may name a resource by, to its handle."""

from __future__ import annotations

from typing import Any

from qrmi import registry
from qrmi.qiskit.errors import InvalidPubTypeError
from qrmi.resource import QuantumResource

__all__ = ["handle_of"]


def handle_of(mode: Any) -> QuantumResource:
    """The handle of a handle, a backend of ours, a resource's name, or ``None``.

    Raises:
        ResourceNotFoundError: no resource of that name.
        InvalidPubTypeError: anything else, such as another provider's backend.
    """
    if mode is None or isinstance(mode, str):
        return registry.open(mode)
    resource = getattr(mode, "resource", mode)
    if isinstance(resource, QuantumResource):
        return resource
    raise InvalidPubTypeError(
        f"expected a QuantumResource, its name, a QRMIBackend or None, not {type(mode).__name__}",
        hint="a device of another provider runs through that provider's own primitives",
    )
