"""One daemon a folder: a lock that the kernel lets go of when its process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from qrmi.errors import ConfigError, Owner

__all__ = ["locked"]

_NAME = "qrmid.lock"


def locked(folder: Path) -> int:
    """The descriptor that holds the folder's lock until it is closed.

    Raises:
        ConfigError: another process holds it.
        OSError: the folder cannot be written to.
    """
    descriptor = os.open(folder / _NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        os.close(descriptor)
        raise ConfigError(
            f"another qrmid{f' (process {holder})' if holder else ''} uses {folder}",
            owner=Owner.SITE,
            hint="stop it first, or give this one a state folder of its own",
        ) from None
    with contextlib.suppress(OSError):  # a full disk: the lock holds, the number is for people
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor
