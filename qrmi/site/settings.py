"""`qrmid.toml`: where the daemon listens, what it serves, and who may tell it what to do."""

from __future__ import annotations

import difflib
import os
import pwd
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from qrmi.errors import ConfigError, Owner
from qrmi.schedulers.slurm.setup import slurm_conf

__all__ = ["DEFAULT_FILE", "DEFAULT_SOCKET", "GridEngineSettings", "SiteSettings", "SlurmSettings"]

DEFAULT_FILE = Path("/etc/qrmi/qrmid.toml")
"""Where the daemon looks for its settings when it is not told."""

DEFAULT_SOCKET = Path("/run/qrmid/qrmid.sock")
"""Where it listens, and where its clients look for it, when it is not said."""

_SLURM_CONF = "/etc/slurm/slurm.conf"
_T = TypeVar("_T")
_POSITIVE = attrs.validators.gt(0.0)


@attrs.frozen(kw_only=True)
class SlurmSettings:
    """The section ``[slurm]``.

    Attributes:
        enabled: whether the daemon speaks to Slurm: it then ends leases of jobs that are gone,
            holds jobs back while a resource is away, and reports what they used.
        scontrol, squeue, sacctmgr: the commands, by path or by name.
        conf: Slurm's configuration file; empty for the commands' own default.
        admin_comment: whether what a job used is written to its AdminComment.
    """

    enabled: bool = False
    scontrol: str = "scontrol"
    squeue: str = "squeue"
    sacctmgr: str = "sacctmgr"
    conf: str = ""
    admin_comment: bool = True


@attrs.frozen(kw_only=True)
class GridEngineSettings:
    """The section ``[gridengine]``, also for Open Cluster Scheduler.

    Attributes:
        enabled: whether the daemon speaks to Grid Engine.
        root, cell: SGE_ROOT and SGE_CELL.
        qconf, qstat: the commands, by path or by name.
        host: the host whose pools count the resources.
        environment: further variables for the commands, SGE_QMASTER_PORT for example.
    """

    enabled: bool = False
    root: str = ""
    cell: str = "default"
    qconf: str = "qconf"
    qstat: str = "qstat"
    host: str = "global"
    environment: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class SiteSettings:
    """What `qrmid.toml` says. Paths in it are relative to its own folder.

    Attributes:
        config: the `qrmi_config.json` whose resources are lent.
        state: the folder for leases and the ledger; the daemon's alone.
        socket: the UNIX socket.
        listen: ``host:port`` for other hosts, who prove themselves with MUNGE; empty for none.
        munge_socket: where munged listens; empty for the library's default.
        cluster: the cluster's name where a scheduler does not say it.
        admins: users, by name or number, who may lend and end; root, the daemon's own user and,
            where Slurm is served, its SlurmUser always may.
        public_url: how jobs on other hosts reach ``listen``; empty where there is one host.
        poll_seconds: how often each resource is asked whether it is there.
        reap_seconds: how often leases are compared with the scheduler's jobs.
        lost_seconds: a job whose host has not been heard of for so long is over.
        one_core: whether the threads that lend are kept on one core.
        slurm, gridengine: the sections of the schedulers.
    """

    config: Path = Path("/etc/qrmi/qrmi_config.json")
    state: Path = Path("/var/lib/qrmid")
    socket: Path = DEFAULT_SOCKET
    listen: str = ""
    munge_socket: str = ""
    cluster: str = "cluster"
    admins: tuple[str | int, ...] = ("root",)
    public_url: str = ""
    poll_seconds: float = attrs.field(default=10.0, validator=_POSITIVE)
    reap_seconds: float = attrs.field(default=30.0, validator=_POSITIVE)
    lost_seconds: float = attrs.field(default=600.0, validator=_POSITIVE)
    one_core: bool = True
    slurm: SlurmSettings = SlurmSettings()
    gridengine: GridEngineSettings = GridEngineSettings()
    path: Path | None = None

    def __attrs_post_init__(self) -> None:
        if self.listen:
            self.address()
        if self.public_url and not self.public_url.startswith("http://"):
            raise _wrong("public_url", "must begin with http://")

    def address(self) -> tuple[str, int]:
        """Host and port of ``listen``.

        Raises:
            ConfigError: it is malformed.
        """
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            raise _wrong("listen", f'must be "host:port", not {self.listen!r}')
        return host.strip("[]"), int(port)

    def admin_uids(self) -> frozenset[int]:
        """The numbers of the users who may lend and end.

        Raises:
            ConfigError: this host knows no user of that name.
        """
        return frozenset({0, os.geteuid(), *map(_uid, self.admins), *self._slurm_user()})

    def _slurm_user(self) -> set[int]:
        """Who runs slurmctld's hooks, by slurm.conf: they lend and end for Slurm's jobs."""
        if not self.slurm.enabled:
            return set()
        name = slurm_conf.read(Path(self.slurm.conf or _SLURM_CONF)).get("SlurmUser")
        try:
            return {_uid(name)} if name else set()
        except ConfigError:
            return set()

    @classmethod
    def load(cls, file: Path) -> SiteSettings:
        """Read a file.

        Raises:
            ConfigError: it cannot be read, is no TOML, or has a key that is unknown or malformed;
                the message names it.
        """
        return cls.from_table(_table(file), file=file)

    @classmethod
    def from_table(cls, table: Mapping[str, Any], *, file: Path) -> SiteSettings:
        """The settings of a file's content. Raises `ConfigError`."""
        base = file.absolute().parent
        values = _checked(cls, table, file, place="")
        for key, kind in (("slurm", SlurmSettings), ("gridengine", GridEngineSettings)):
            if key in values:
                values[key] = _made(kind, _checked(kind, values[key], file, place=f"{key}."), file)
        for key in ("config", "state", "socket"):
            if key in values:
                values[key] = base / _expanded(key, values[key], file)
        return _made(cls, {**values, "path": file}, file)


_WANTED: dict[str, tuple[str, Any]] = {
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "Path": ("a path", lambda value: isinstance(value, str) and value != ""),
    "float": (
        "a number of seconds",
        lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    ),
    "tuple[str | int, ...]": (
        "a list of user names or numbers",
        lambda value: isinstance(value, list) and all(map(_is_user, value)),
    ),
    "dict[str, str]": (
        "a table of texts",
        lambda value: isinstance(value, dict) and all(isinstance(v, str) for v in value.values()),
    ),
    "SlurmSettings": ("a section", lambda value: isinstance(value, dict)),
    "GridEngineSettings": ("a section", lambda value: isinstance(value, dict)),
}


def _expanded(key: str, text: str, file: Path) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as error:  # ~nobody
        raise _wrong(key, "names the home of a user that is not known", file=file) from error


def _is_user(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _table(file: Path) -> dict[str, Any]:
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(
            f"cannot read {file}: {error.strerror or error}",
            owner=Owner.SITE,
            hint="check the path; --config names another file",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} is not TOML: {error}", owner=Owner.SITE, hint="correct that line"
        ) from error


def _checked(kind: type, table: Mapping[str, Any], file: Path, *, place: str) -> dict[str, Any]:
    """The table's values, if each is known and of the right type."""
    fields = {field.name: field for field in attrs.fields(kind) if field.name != "path"}
    for key, value in table.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            meant = f"did you mean {place}{near[0]}?" if near else f"it knows: {', '.join(fields)}"
            raise _wrong(f"{place}{key}", "is unknown", file=file, hint=meant)
        wanted, fits = _WANTED[str(fields[key].type)]
        if not fits(value):
            found = type(value).__name__
            raise _wrong(f"{place}{key}", f"must be {wanted}, not {found}", file=file)
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def _made(kind: type[_T], values: Mapping[str, Any], file: Path) -> _T:
    try:
        return kind(**values)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error.message}", owner=Owner.SITE, hint=error.hint) from error
    except ValueError as error:  # attrs puts the message first
        raise ConfigError(
            f"{file}: {error.args[0]}", owner=Owner.SITE, hint="correct it"
        ) from error


def _uid(user: str | int) -> int:
    if isinstance(user, int):
        return user
    if user.isdecimal():
        return int(user)
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError as error:
        raise _wrong("admins", f"this host knows no user {user!r}") from error


def _wrong(key: str, what: str, *, file: Path | None = None, hint: str = "") -> ConfigError:
    where = f"{file}: " if file else ""
    return ConfigError(
        f"{where}{key} {what}", owner=Owner.SITE, hint=hint or "docs/qrmid.md lists the keys"
    )
