"""The sockets that the daemon listens on."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path

from qrmi.errors import ConfigError, Owner

__all__ = ["tcp_socket", "unix_socket"]

_BACKLOG = 1024


def unix_socket(path: Path) -> socket.socket:
    """A listening socket in the place of a dead one; everybody may connect.

    Raises:
        ConfigError: another daemon listens there, or it cannot be listened there.
    """
    if len(os.fsencode(path)) > 100:
        raise _no_door(str(path), "the path is too long for a socket")
    new = path.with_name(f".{path.name}.new")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _reachable(path.parent)
        _refuse_a_living_one(path)
        with contextlib.suppress(FileNotFoundError):
            new.unlink()
        listening.bind(str(new))
        new.chmod(0o666)
        listening.listen(_BACKLOG)
        new.replace(path)  # from one moment to the next: no client finds the place empty
    except OSError as error:
        listening.close()
        raise _no_door(str(path), error.strerror or str(error)) from error
    except ConfigError:
        listening.close()
        raise
    listening.setblocking(False)
    return listening


def _reachable(folder: Path) -> None:
    """Make a folder that everybody can enter, whatever this process's umask; others stay."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        each.chmod(0o755)


def _refuse_a_living_one(path: Path) -> None:
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.stat().st_mode):
        raise _no_door(str(path), "a file that is no socket is in its place")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        with contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            probe.connect(str(path))
            raise _no_door(str(path), "another daemon listens there")


def tcp_socket(host: str, port: int) -> socket.socket:
    """A listening socket for other hosts. Raises `ConfigError`."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _no_door(f"{host}:{port}", error.strerror or str(error)) from error
    listening.setblocking(False)
    return listening


def _no_door(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"cannot listen on {where}: {why}",
        owner=Owner.SITE,
        hint="`qrmi site status` tells whether a daemon runs; `socket` and `listen` of qrmid.toml",
    )
