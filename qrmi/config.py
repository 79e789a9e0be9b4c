"""The one place that reads the process environment and configuration files."""

from __future__ import annotations

import functools
import json
import os
import socket
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import (
    ConfigError,
    EnvVarNotSetError,
    JobListsError,
    Owner,
    ResourceUnavailableError,
)
from qrmi.tasks import ResourceType

__all__ = [
    "UNLIMITED_SECONDS",
    "Config",
    "ResourceDef",
    "child_environment",
    "config_path",
    "environment",
    "expanded",
    "get_job_qpu_resources_and_types",
    "host_name",
    "job_identity",
    "job_resources",
    "state_dir",
    "user_config",
]

UNLIMITED_SECONDS = 4294967295
"""How schedulers spell "no time limit"."""

_JOB_FAMILIES = ("QRMI", "SLURM")
_SCHEDULER_JOB_VARIABLES = ("QRMI_JOB_ID", "SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID")
_GRID_ENGINE_VARIABLES = ("JOB_ID", "SGE_TASK_ID")
_JOB_IDENTITY_VARIABLES = (
    *_SCHEDULER_JOB_VARIABLES,
    "SLURM_RESTART_COUNT",
    "SLURM_STEP_ID",
    "SLURM_PROCID",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    *_GRID_ENGINE_VARIABLES,
)


def environment() -> Mapping[str, str]:
    """The process environment, live."""
    return os.environ


def child_environment(**changes: str) -> dict[str, str]:
    """A copy of the environment with ``changes``, for a process that we start."""
    return {**os.environ, **changes}


def expanded(text: str) -> Path:
    """A path as people write it: ``~``, ``$NAME`` and ``${NAME}`` are expanded, ``$$`` is ``$``."""
    return Path(string.Template(text).safe_substitute(os.environ)).expanduser()


def host_name() -> str:
    """This machine's name."""
    return socket.gethostname()


def state_dir() -> Path:
    """Where the journal and the embedded simulator keep tasks; not created here.

    ``$QRMI_STATE_DIR``, else ``$XDG_STATE_HOME/qrmi``, else ``~/.local/state/qrmi``.
    """
    if chosen := os.environ.get("QRMI_STATE_DIR"):
        return _fixed(chosen) if chosen.startswith("/") else Path(chosen).expanduser().absolute()
    return _usual_state_dir(os.environ.get("XDG_STATE_HOME"), os.environ.get("HOME"))


@functools.lru_cache(maxsize=4)
def _fixed(path: str) -> Path:
    return Path(path)  # made three times a task if it were not kept


@functools.lru_cache(maxsize=4)
def _usual_state_dir(base: str | None, _home: str | None) -> Path:
    return (Path(base) if base else Path.home() / ".local" / "state") / "qrmi"


@attrs.frozen
class ResourceDef:
    """One resource of a configuration file.

    Attributes:
        name: what people call it.
        resource_type: the enum member for upstream's types, the plain string for any other.
        is_dynamic: the entry is an account to be expanded by discovery, not one device.
        environment: its settings by unprefixed key; not shown in ``repr``.
    """

    name: str
    resource_type: ResourceType | str
    is_dynamic: bool = False
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)

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
        """Read a file.

        Raises:
            ConfigError: it cannot be read, is not JSON (line and column are named), or an entry
                is malformed (its place is named).
        """
        file = Path(path)
        try:
            text = file.read_text(encoding="utf-8-sig")
        except OSError as error:
            raise ConfigError(
                f"cannot read {file}: {error.strerror or error}",
                hint="check the file's path and permissions",
            ) from error
        except UnicodeDecodeError as error:
            raise ConfigError(f"{file} is not UTF-8 text") from error
        return attrs.evolve(Config.loads(text, origin=str(file)), path=file)

    @staticmethod
    def loads(text: str, *, origin: str = "configuration") -> Config:
        """Read the text of a file; ``origin`` names it in errors. Raises `ConfigError`."""
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"{origin}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
            ) from error
        except RecursionError as error:
            raise ConfigError(f"{origin}: nested too deeply") from error
        root = _expect(data, dict, "an object", origin, "the top level")
        entries = _expect(root.get("resources"), list, "a list", origin, "resources")
        resources = [_resource(entry, index, origin) for index, entry in enumerate(entries)]
        return Config({r.name: r for r in resources}, _default(root, resources, origin))


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
    return ResourceDef(name, ResourceType.from_name(type_name), dynamic, values)


def _expect(value: object, kind: type, wanted: str, origin: str, place: str) -> Any:
    if isinstance(value, kind):
        return value
    found = "is missing" if value is None else f"must be {wanted}, not {type(value).__name__}"
    raise ConfigError(f"{origin}: {place} {found}")


def config_path() -> Path | None:
    """The configuration file in force, or ``None``.

    ``$QRMI_CONFIG`` (which must exist), else ``~/.config/qrmi/qrmi_config.json``, else
    ``/etc/qrmi/qrmi_config.json``.
    """
    if chosen := os.environ.get("QRMI_CONFIG"):
        path = Path(chosen).expanduser()
        if not path.is_file():
            raise ConfigError(
                f"QRMI_CONFIG names {path}, which is not a file", hint="correct it, or unset it"
            )
        return path
    base = os.environ.get("XDG_CONFIG_HOME")
    home = Path(base) if base else Path.home() / ".config"
    candidates = (home / "qrmi" / "qrmi_config.json", Path("/etc/qrmi/qrmi_config.json"))
    return next((path for path in candidates if path.is_file()), None)


def user_config() -> Config:
    """The configuration in force; empty when there is no file."""
    path = config_path()
    if path is None:
        return Config({})
    try:
        about = path.stat()
    except OSError:
        return Config.load(path)  # which says what is wrong
    return _loaded(path, (about.st_mtime_ns, about.st_size, about.st_ino))


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, _version: tuple[int, ...]) -> Config:
    return Config.load(path)  # each handle asks for it; the file is read again when it changes


def get_job_qpu_resources_and_types() -> tuple[list[str], list[str]]:
    """Names and types of the QPUs that the scheduler gave this job, as parallel lists.

    Raises:
        EnvVarNotSetError: the scheduler set no such variables.
        JobListsError: the lists differ in length.
    """
    delimiter = os.environ.get("QRMI_LIST_DELIMITER") or ","
    names = _job_list("QPU_RESOURCES", delimiter)
    types = _job_list("QPU_TYPES", delimiter)
    if len(names) != len(types):
        raise JobListsError(
            "invalid configuration: inconsistent number of QPU resources and types: "
            f"{names} vs {types}"
        )
    return names, types


def _job_list(suffix: str, delimiter: str) -> list[str]:
    for family in _JOB_FAMILIES:
        text = os.environ.get(f"{family}_JOB_{suffix}")
        if text is not None:
            return [item.strip() for item in text.split(delimiter)] if text else []
    raise EnvVarNotSetError(
        f"QRMI_JOB_{suffix} environment variable is not set",
        owner=Owner.SITE,
        hint="a scheduler sets it for jobs that ask for a QPU; elsewhere use qrmi.open(name)",
    )


def job_resources() -> list[ResourceDef]:
    """The QPUs that this job was given; empty outside a job or without a QPU.

    Raises:
        ResourceUnavailableError: the site's plug-in reports, in ``QRMI_PLUGIN_ERROR``, why it
            gave none.
        ConfigError: the variables contradict each other, or one of the two is absent.
    """
    if reason := os.environ.get("QRMI_PLUGIN_ERROR"):
        raise ResourceUnavailableError(
            f"the site could not give this job its QPU: {reason}",
            hint="ask the site, quoting the job's id",
        )
    if not any(os.environ.get(f"{family}_JOB_QPU_RESOURCES") for family in _JOB_FAMILIES):
        return []
    names, types = get_job_qpu_resources_and_types()
    pairs = [pair for pair in zip(names, types, strict=True) if any(pair)]  # after a last delimiter
    if not all(map(all, pairs)):
        raise ConfigError(
            f"a QPU of this job has no name or no type: {names} and {types}", owner=Owner.SITE
        )
    return [ResourceDef(name, ResourceType.from_name(kind)) for name, kind in pairs]


def job_identity() -> str | None:
    """What tells this scheduler job, restart, step and rank from others; ``None`` outside one."""
    environ = os.environ
    grid_engine = all(name in environ for name in _GRID_ENGINE_VARIABLES)
    if not grid_engine and not any(name in environ for name in _SCHEDULER_JOB_VARIABLES):
        return None
    return ".".join(environ.get(name, "") for name in _JOB_IDENTITY_VARIABLES)
