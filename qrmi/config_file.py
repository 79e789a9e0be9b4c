"""`qrmi_config.json`: which resources it lists, and what is wrong with it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import ConfigError
from qrmi.secrecy.scrubbing import Hidden, HiddenObject
from qrmi.tasks import ResourceType

__all__ = ["Config", "ResourceDef"]


@attrs.frozen
class ResourceDef:
    """One resource of a configuration file.

    Attributes:
        name: what people call it.
        resource_type: the enum member for upstream's types, the plain string for any other.
        is_dynamic: the entry is an account to be expanded by discovery, not one device.
        environment: its settings by unprefixed key; not shown in ``repr``.
        slots: how many slots of it a site lends at once.
        export_secrets: a site puts its secret settings into the environment of jobs, too.
        gateway: jobs reach it through the site's daemon; ``None`` for: where the daemon keeps a
            secret that they would need.
    """

    name: str
    resource_type: ResourceType | str
    is_dynamic: bool = False
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    slots: int = 1
    export_secrets: bool = False
    gateway: bool | None = None

    @property
    def type_name(self) -> str:
        """The type as files spell it."""
        kind = self.resource_type
        return kind.type_name if isinstance(kind, ResourceType) else kind


@attrs.frozen
class Config:
    """A `qrmi_config.json`.

    Attributes:
        resource_map: resources by name, in the file's order; a later duplicate wins.
        default: the resource that ``qrmi.open()`` gives, or ``None``.
        path: the file it was read from, or ``None``.
    """

    resource_map: dict[str, ResourceDef]
    default: str | None = None
    path: Path | None = None

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Config:
        """Read a file. One that others can read, and that holds secrets, is warned of in the log.

        Raises:
            ConfigError: it cannot be read, is not JSON (line and column are named), or an entry
                is malformed (its place is named).
        """
        from qrmi.secrecy import privacy

        loaded, about = Config.read(Path(path))
        privacy.warn(Path(path), about, loaded)
        return loaded

    @staticmethod
    def read(file: Path) -> tuple[Config, os.stat_result]:
        """A file's content, and what the file was when it was read. Raises `ConfigError`."""
        try:
            with file.open(encoding="utf-8-sig") as stream:
                about = os.fstat(stream.fileno())
                text = Hidden(stream.read())
        except OSError as error:
            raise ConfigError(
                f"cannot read {file}: {error.strerror or error}",
                hint="check the file's path and permissions",
            ) from error
        except UnicodeDecodeError:
            text = None  # that error shows what it could not read
        if text is None:
            raise ConfigError(f"{file} is not UTF-8 text")
        return attrs.evolve(Config.loads(text, origin=str(file)), path=file), about

    @staticmethod
    def loads(text: str, *, origin: str = "configuration") -> Config:
        """Read the text of a file; ``origin`` names it in errors. Raises `ConfigError`."""
        text = Hidden(text)
        data, mistake = _parsed(text)
        if mistake:
            raise ConfigError(f"{origin}{mistake}")
        root = _expect(data, dict, "an object", origin, "the top level")
        entries = _expect(root.get("resources"), list, "a list", origin, "resources")
        resources = [_resource(entry, index, origin) for index, entry in enumerate(entries)]
        return Config({r.name: r for r in resources}, _default(root, resources, origin))


def _parsed(text: str) -> tuple[Any, str]:
    """The value, or where and why there is none; no error that shows the text leaves here."""
    try:
        return json.loads(text, object_hook=HiddenObject), ""
    except json.JSONDecodeError as error:
        return None, f", line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
    except RecursionError:
        return None, ": nested too deeply"


def _default(root: dict[str, Any], resources: list[ResourceDef], origin: str) -> str | None:
    default = root.get("default")
    if default is None:
        return None
    name: str = _expect(default, str, "a text", origin, "default")
    names = [resource.name for resource in resources]
    if name not in names and name != "local":
        raise ConfigError(
            f'{origin}: "default" names {name!r}, which is not among the resources: '
            + ", ".join(names)
        )
    return name


def _resource(entry: object, index: int, origin: str) -> ResourceDef:
    place = f"resources[{index}]"
    fields = _expect(entry, dict, "an object", origin, place)
    name = _expect(fields.get("name"), str, "a text", origin, f"{place}.name")
    type_name = _expect(fields.get("type"), str, "a text", origin, f"{place}.type")
    if not name or not type_name:
        raise ConfigError(f"{origin}: {place}: name and type must not be empty")
    dynamic = _expect(
        fields.get("is_dynamic", False), bool, "true or false", origin, f"{place}.is_dynamic"
    )
    values = _expect(fields.get("environment"), dict, "an object", origin, f"{place}.environment")
    for key, value in values.items():
        _expect(value, str, "a text", origin, f"{place}.environment.{key}")
    return ResourceDef(
        name, ResourceType.from_name(type_name), dynamic, values, **_lending(fields, origin, place)
    )


def _lending(fields: dict[str, Any], origin: str, place: str) -> dict[str, Any]:
    """What only a site's daemon heeds."""
    slots = _expect(fields.get("slots", 1), int, "a whole number", origin, f"{place}.slots")
    if isinstance(slots, bool) or slots < 1:
        raise ConfigError(f"{origin}: {place}.slots must be a whole number of at least 1")
    truth = "true or false"
    exported = _expect(
        fields.get("export_secrets", False), bool, truth, origin, f"{place}.export_secrets"
    )
    gateway = fields.get("gateway")
    if gateway is not None:
        _expect(gateway, bool, truth, origin, f"{place}.gateway")
    return {"slots": slots, "export_secrets": exported, "gateway": gateway}


def _expect(value: object, kind: type, wanted: str, origin: str, place: str) -> Any:
    if isinstance(value, kind):
        return value
    found = "is missing" if value is None else f"must be {wanted}, not {type(value).__name__}"
    raise ConfigError(f"{origin}: {place} {found}")
