"""Entry points: resource types to drivers, payload formats to codecs.

A distribution registers a resource type in the group ``qrmi.drivers`` (key: the type, value: the
`Driver` class) and a payload format's codec in ``qrmi.codecs`` (key: the format, value: a module).
Ours are registered exactly so.
"""

from __future__ import annotations

import functools
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

from qrmi.driver import Driver
from qrmi.errors import (
    InvalidInputError,
    MissingExtraError,
    Owner,
    UnsupportedResourceTypeError,
)
from qrmi.recording import hooks
from qrmi.settings import Settings
from qrmi.tasks import ResourceType

if TYPE_CHECKING:
    from qrmi.transport import Transport

__all__ = ["codec", "driver_class", "driver_types", "make_driver", "type_name"]


@functools.cache
def _entries(group: str) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def driver_types() -> list[str]:
    """All resource types that can be used here, sorted."""
    return sorted(_entries("qrmi.drivers"))


def driver_class(type_name: str) -> type[Driver]:
    """The driver of a resource type; in a replay, the one that answers from the recording.

    Raises:
        UnsupportedResourceTypeError: no installed distribution brings such a type.
        MissingExtraError: the plug-in is installed but cannot be imported.
        NotRecordedError: this is a replay, and the recording has no such type.
    """
    return hooks.replayed_class(type_name) or _installed_class(type_name)


@functools.cache
def _installed_class(type_name: str) -> type[Driver]:
    entry = _entries("qrmi.drivers").get(type_name)
    if entry is None:
        known = ", ".join(driver_types()) or "none"
        raise UnsupportedResourceTypeError(
            f"no driver for resource type {type_name!r}",
            hint=f"installed types: {known}",
        )
    loaded: type[Driver] = _load(entry)
    return loaded


def type_name(resource_type: str | ResourceType) -> str:
    """A resource type as configuration files spell it."""
    if isinstance(resource_type, ResourceType):
        return resource_type.type_name
    if not isinstance(resource_type, str):
        raise TypeError(
            f"resource_type is a text or ResourceType, not {type(resource_type).__name__}"
        )
    return resource_type


def make_driver(
    resource_id: str, type_name: str, settings: Settings, transport: Transport | None = None
) -> Driver:
    """The driver of one resource; opens nothing.

    Raises:
        InvalidInputError: the name is empty.
        UnsupportedFunctionError: a transport for a resource that is not reached over HTTP.
    """
    if not resource_id:
        raise InvalidInputError("a resource needs a name")
    driver = driver_class(type_name)(resource_id, settings)
    if transport is not None:
        driver.use(transport)
    return hooks.recorded(driver, type_name)


@functools.cache
def codec(payload_format: str) -> ModuleType:
    """The codec module of a payload format.

    Raises:
        UnsupportedResourceTypeError: no installed distribution brings such a codec.
    """
    entry = _entries("qrmi.codecs").get(payload_format)
    if entry is None:
        raise UnsupportedResourceTypeError(
            f"no codec for payload format {payload_format!r}",
            hint="install the package that brings the resource type",
        )
    module: ModuleType = _load(entry)
    return module


def _load(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (ImportError, AttributeError) as error:
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        raise MissingExtraError(
            f"plug-in {entry.name!r} of {distribution} cannot be loaded: {error}",
            owner=Owner.SITE,
            hint=f"reinstall {distribution}",
        ) from error
