"""Entry points: resource types to drivers, payload formats to codecs.

A distribution registers a resource type in the group ``qrmi.drivers`` (key: the type, value: the
`Driver` class) and a payload format's codec in ``qrmi.codecs`` (key: the format, value: a module).
Ours are registered exactly so.
"""

from __future__ import annotations

import functools
import re
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.driver import Driver
from qrmi.errors import (
    InvalidInputError,
    MissingExtraError,
    Owner,
    UnsupportedResourceTypeError,
)
from qrmi.recording import hooks
from qrmi.settings import Declaration, EnvironmentSource, Settings, Source
from qrmi.tasks import ResourceType

if TYPE_CHECKING:
    from qrmi.transport import Transport

__all__ = [
    "codec",
    "driver_class",
    "driver_from",
    "driver_types",
    "is_at_site",
    "make_driver",
    "plain_prefix",
    "site_class",
    "type_name",
]

_AT_SITE = Declaration(key="QRMI_SITE_GATEWAY", default="")
_NO = ("", "0", "false", "no", "off")


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
    return _made(driver_class(type_name), resource_id, type_name, settings, transport)


def driver_from(
    resource_id: str, type_name: str, source: Source, transport: Transport | None = None
) -> Driver:
    """The driver of one resource with settings from a source; opens nothing.

    Where the source says that a site keeps the credentials, it is a client of the site's daemon.

    Raises:
        InvalidInputError: the name is empty.
        EnvVarNotSetError: a required variable is absent.
        ConfigError: a required key is absent, or a text cannot be converted.
        UnsupportedFunctionError: a transport for a resource that is not reached over HTTP.
    """
    kind = hooks.replayed_class(type_name)
    if kind is None:
        for each in (source, _spelled_plainly(source)):
            if is_at_site(each):
                kind, source = site_class(type_name), each
                break
    kind = kind or _installed_class(type_name)
    return _made(kind, resource_id, type_name, kind.SETTINGS.load(source), transport)


def is_at_site(source: Source) -> bool:
    """Whether a source says that a site's daemon keeps the resource's credentials."""
    given = source.find(_AT_SITE)
    return given is not None and given.text.strip().lower() not in _NO


def site_class(type_name: str) -> type[Driver]:
    """The driver of a resource type where a site keeps the credentials. Raises `driver_class`'s."""
    from qrmi.site.driver import driver_of_site

    return driver_of_site(_installed_class(type_name), type_name)


def plain_prefix(prefix: str) -> str:
    """What the variables of a resource begin with where a shell cannot pass on its name."""
    text = re.sub(r"\W", "_", prefix, flags=re.ASCII)
    return f"_{text}" if text[:1].isdigit() else text


def _spelled_plainly(source: Source) -> Source:
    if isinstance(source, EnvironmentSource):
        return attrs.evolve(source, prefix=plain_prefix(source.prefix))
    return source


def _made(
    kind: type[Driver],
    resource_id: str,
    type_name: str,
    settings: Settings,
    transport: Transport | None,
) -> Driver:
    if not resource_id:
        raise InvalidInputError("a resource needs a name")
    driver = kind(resource_id, settings)
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
