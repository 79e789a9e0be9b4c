"""Which files may hold secrets, and which may name commands: those that are nobody else's.

A file that holds a secret must not be readable or writable by its group or by others. A file that
names a command (``KEY_COMMAND``) must not be writable by them, and belongs to its user or to root.
The bits of the file itself count, of a link those of what it leads to: whether a folder above is
closed does not matter, because folders are opened sooner than files are remembered. An access
control list shows in the bits of the group.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from qrmi import config
from qrmi.errors import ConfigError, QrmiError

if TYPE_CHECKING:
    from qrmi.config import Config, ResourceDef

__all__ = [
    "VARIABLE",
    "complaint",
    "is_allowed",
    "must_be_private",
    "settle",
    "warn",
    "warn_of_secret",
]

_log = logging.getLogger(__name__)

VARIABLE = "QRMI_ALLOW_READABLE_CONFIG"
"""Names the files that are taken although others can read or write them."""

_READABLE = stat.S_IRGRP | stat.S_IROTH
_WRITABLE = stat.S_IWGRP | stat.S_IWOTH


def must_be_private(path: Path, about: os.stat_result) -> None:
    """Refuse a file that is a secret, or holds one, and is not its user's alone.

    Raises:
        ConfigError: unless `VARIABLE` names it.
    """
    _refuse(path, _of_secret(about))


def complaint(path: Path, about: os.stat_result, settled: Config) -> str:
    """What is wrong with a configuration file's permissions, in a few words; empty for nothing."""
    if not about.st_mode & (_READABLE | _WRITABLE) and _is_ours(about):
        return ""  # most are: no driver has to be looked at
    keys = list(_keys(settled))
    if "" in keys and (wrong := _of_secret(about)):
        return wrong
    return _of_commands(about) if "_COMMAND" in keys else ""


def settle(path: Path, about: os.stat_result, settled: Config) -> None:
    """Refuse a configuration file by what it holds.

    Raises:
        ConfigError: unless `VARIABLE` names it.
    """
    _refuse(path, complaint(path, about, settled))


def warn(path: Path, about: os.stat_result, settled: Config) -> None:
    """Say it in the log instead of refusing the file."""
    wrong = complaint(path, about, settled)
    if wrong and not is_allowed(path):
        _log.warning("%s %s: chmod 600 %s", path, wrong, path)


def warn_of_secret(path: Path) -> None:
    """Say it of another program's file, which is taken as that program takes it."""
    try:
        wrong = _of_secret(path.stat())
    except OSError:
        return
    if wrong and not is_allowed(path):
        _log.warning("%s %s: chmod 600 %s", path, wrong, path)


def is_allowed(path: Path) -> bool:
    """Whether `VARIABLE` names this file, alone or among others joined by colons."""
    named = config.environment().get(VARIABLE, "").split(os.pathsep)
    return any(name and _is_same(path, config.expanded(name)) for name in named)


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _refuse(path: Path, wrong: str) -> None:
    if wrong and not is_allowed(path):
        raise ConfigError(
            f"{path} {wrong}",
            hint=f"chmod 600 {path}; if it must stay as it is, {VARIABLE}={path} has it taken",
        )


def _of_secret(about: os.stat_result) -> str:
    if about.st_mode & _READABLE:
        return "holds secrets, and others can read it"
    return "holds secrets, and others can write to it" if about.st_mode & _WRITABLE else ""


def _of_commands(about: os.stat_result) -> str:
    if about.st_mode & _WRITABLE:
        return "names a command to run, and others can write to it"
    return "" if _is_ours(about) else "names a command to run, and belongs to another user"


def _is_ours(about: os.stat_result) -> bool:
    return os.geteuid() in (0, about.st_uid) or about.st_uid == 0


def _keys(settled: Config) -> Iterator[str]:
    """The form of each secret that a configuration gives: ``""`` for the secret itself."""
    for definition in settled.resource_map.values():
        yield from _keys_of(definition)


def _keys_of(definition: ResourceDef) -> Iterator[str]:
    from qrmi import plugins  # which looks at settings, and these at their files

    try:
        declarations = plugins.driver_class(definition.type_name).SETTINGS.declarations()
    except QrmiError:
        return  # its plug-in is not installed here, so that nobody can use it
    for declaration in declarations.values():
        for key in declaration.keys if declaration.secret else ():
            yield from (form for form in ("", "_COMMAND") if definition.environment.get(key + form))
