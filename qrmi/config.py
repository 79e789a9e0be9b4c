"""The one place that reads the process environment, and which configuration file is in force."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import string
from collections.abc import Iterator, Mapping
from pathlib import Path

from qrmi.config_file import Config, ResourceDef
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
    "changed_environment",
    "child_environment",
    "config_path",
    "environment",
    "expanded",
    "get_job_qpu_resources_and_types",
    "host_name",
    "job_identity",
    "job_resources",
    "recording_file",
    "replay_file",
    "sessions_stay",
    "signals_are_handled",
    "site_address",
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

_SITE_FILE = Path("/etc/qrmi/qrmi_config.json")


def environment() -> Mapping[str, str]:
    """The process environment, live."""
    return os.environ


def child_environment(**changes: str) -> dict[str, str]:
    """A copy of the environment with ``changes``, for a process that we start."""
    return {**os.environ, **changes}


@contextlib.contextmanager
def changed_environment(**changes: str | None) -> Iterator[None]:
    """Change this process's environment for a while; ``None`` takes a variable out."""
    before = {name: os.environ.get(name) for name in changes}
    try:
        _set_environment(changes)
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def sessions_stay() -> bool:
    """Whether sessions are left open when the process ends: ``$QRMI_LEASES`` is ``keep``."""
    return os.environ.get("QRMI_LEASES", "").lower() == "keep"


def signals_are_handled() -> bool:
    """Whether handlers may be installed: ``$QRMI_SIGNALS`` is not ``off``."""
    return os.environ.get("QRMI_SIGNALS", "").lower() not in ("off", "0", "no", "false")


def site_address() -> tuple[Path | None, str]:
    """Where the site's daemon is: ``$QRMI_SITE_SOCKET``, else ``$QRMI_SITE_URL``."""
    path = os.environ.get("QRMI_SITE_SOCKET")
    return Path(path) if path else None, os.environ.get("QRMI_SITE_URL", "")


def recording_file() -> Path | None:
    """Where all that is asked of resources is to be recorded: ``$QRMI_RECORD``, or ``None``."""
    chosen = os.environ.get("QRMI_RECORD")
    return Path(chosen).expanduser().absolute() if chosen else None


def replay_file() -> Path | None:
    """The recording that is to answer in place of resources: ``$QRMI_REPLAY``, or ``None``."""
    chosen = os.environ.get("QRMI_REPLAY")
    return Path(chosen).expanduser().absolute() if chosen else None


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


def config_path() -> Path | None:
    """The configuration file in force, or ``None``.

    ``$QRMI_CONFIG`` (which must exist), else ``~/.config/qrmi/qrmi_config.json``, else
    ``/etc/qrmi/qrmi_config.json`` where that may be read.
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
    own = home / "qrmi" / "qrmi_config.json"
    if own.is_file():
        return own
    # a site that lends its resources through a daemon keeps its file from its users
    is_open = _SITE_FILE.is_file() and os.access(_SITE_FILE, os.R_OK)
    return _SITE_FILE if is_open else None


def user_config() -> Config:
    """The configuration in force; empty when there is no file.

    Raises:
        ConfigError: it is malformed, or holds secrets and is not its user's alone
            (`qrmi.secrecy.privacy`).
    """
    path = config_path()
    if path is None:
        return Config({})
    try:
        about = path.stat()
    except OSError:
        return Config.load(path)  # which says what is wrong
    version = (about.st_mtime_ns, about.st_size, about.st_ino, about.st_mode, about.st_uid)
    return _loaded(path, version, os.environ.get("QRMI_ALLOW_READABLE_CONFIG"))


@functools.lru_cache(maxsize=4)
def _loaded(path: Path, _version: tuple[int, ...], _allowed: str | None) -> Config:
    """Each handle asks for it; the file is read again when it changes."""
    from qrmi.secrecy import privacy

    loaded, about = Config.read(path)
    privacy.settle(path, about, loaded)
    return loaded


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
        owner=Owner.SITE if job_identity() or _has_job_lists() else Owner.USER,
        hint="a scheduler sets it for jobs that ask for a QPU; elsewhere use qrmi.open(name)",
    )


def _has_job_lists() -> bool:
    """Whether some scheduler gave at least one of the two lists."""
    return any(
        f"{family}_JOB_QPU_{suffix}" in os.environ
        for family in _JOB_FAMILIES
        for suffix in ("RESOURCES", "TYPES")
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
            retryable=False,
            hint="ask the site, quoting the job's id",
        )
    if not any(os.environ.get(f"{family}_JOB_QPU_RESOURCES") for family in _JOB_FAMILIES):
        return []
    names, types = get_job_qpu_resources_and_types()
    pairs = [pair for pair in zip(names, types, strict=True) if any(pair)]  # after a last delimiter
    if not all(map(all, pairs)):
        raise ConfigError(
            f"a QPU of this job has no name or no type: {names} and {types}",
            owner=Owner.SITE,
            hint=JobListsError.default_hint,
        )
    return [ResourceDef(name, ResourceType.from_name(kind)) for name, kind in pairs]


def job_identity() -> str | None:
    """What tells this scheduler job, restart, step and rank from others; ``None`` outside one."""
    environ = os.environ
    grid_engine = all(name in environ for name in _GRID_ENGINE_VARIABLES)
    if not grid_engine and not any(name in environ for name in _SCHEDULER_JOB_VARIABLES):
        return None
    return ".".join(environ.get(name, "") for name in _JOB_IDENTITY_VARIABLES)
