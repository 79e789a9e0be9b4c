"""From what a user may name a resource by, to its handle."""

from __future__ import annotations

from typing import Any

from qrmi import registry
from qrmi.errors import UnsupportedPayloadError
from qrmi.qiskit.errors import InvalidPubTypeError
from qrmi.resource import QuantumResource

__all__ = ["handle_of", "require"]


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


def require(resource: QuantumResource, payload_format: str, programs: str) -> None:
    """Raise `UnsupportedPayloadError` when the resource does not take the format.

    Args:
        resource: the handle.
        payload_format: what a program would be sent as.
        programs: what such programs are called.
    """
    if payload_format not in resource.payloads:
        name = resource.resource_id()
        raise UnsupportedPayloadError(
            f"{name} does not run {programs}",
            hint=f"it takes: {', '.join(sorted(resource.payloads)) or 'no payload at all'}",
            resource_id=name,
        )
