"""Where a supervisor is met: its socket, its locks, its log.

The socket and the locks lie in ``/tmp/qrmi-<uid>``, not in the state folder, which may be on a
network file system and have a name too long for a socket (108 bytes); and not below ``$TMPDIR``,
which differs between a user's shells and jobs on one host. Their names come from the host and the
state folder, so there is one supervisor for each user, host and state folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import attrs

from qrmi import config
from qrmi.errors import Owner, ResourceUnavailableError

__all__ = ["Place", "locked"]

_PARENT = Path("/tmp")


@attrs.frozen(slots=False)
class Place:
    """The meeting place for one store on this host.

    Attributes:
        root: the store's folder.
    """

    root: Path

    @cached_property
    def socket(self) -> Path:
        """The supervisor's UNIX socket."""
        return self._file("sock")

    @cached_property
    def address(self) -> str:
        """The same as a text."""
        return str(self.socket)

    @property
    def life_lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self._file("lock")

    @property
    def start_lock(self) -> Path:
        """Held by a client while it starts a supervisor."""
        return self._file("start")

    @property
    def log(self) -> Path:
        """What the supervisor has to say."""
        return self.root / f"supervisor-{config.host_name()}.log"

    def prepare(self) -> None:
        """Make the folders.

        Raises:
            ResourceUnavailableError: they cannot be made, or someone else's folder stands there.
        """
        folder = _folder()
        try:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
        except OSError as error:
            raise ResourceUnavailableError(
                f"cannot make {error.filename}: {error.strerror or error}",
                owner=Owner.USER,
                hint="check its permissions, or set QRMI_STATE_DIR",
            ) from error
        if found.st_uid != os.getuid() or found.st_mode & 0o170077 != 0o040000:
            raise ResourceUnavailableError(
                f"{folder} is not a folder that belongs to you alone",
                owner=Owner.USER,
                retryable=False,
                hint=f"remove {folder}, or ask the administrator of this machine to",
            )

    def _file(self, suffix: str) -> Path:
        name = f"{config.host_name()}\0{self.root}".encode()
        return _folder() / f"{hashlib.sha256(name).hexdigest()[:20]}.{suffix}"


def _folder() -> Path:
    return _PARENT / f"qrmi-{os.getuid()}"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file of this host; waits for it.

    The kernel lets go of it when the process ends, however it ends.
    """
    import fcntl

    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
