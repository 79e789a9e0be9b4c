"""The folder that Grid Engine keeps for a run of a job, written to by root.

Its files belong to root or to Grid Engine's own user, but for some that belong to the job's user.
So files are opened below the open folder, no link is followed, and one that the job's user could
have put there is left alone.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Mapping
from typing import Any

__all__ = ["Spool", "SpoolError"]

_LEASE = "qrmi_lease"
_ENVIRONMENT = "environment"
_USAGE = "usage"
_LARGEST_BYTES = 1_000_000
_BELOW = os.O_NOFOLLOW | os.O_CLOEXEC


class SpoolError(Exception):
    """The folder is not what it has to be, or cannot be written to."""


class Spool:
    """The folder of one run.

    Args:
        path: the folder, as Grid Engine said.
        job_uid: the job's user, whose files are not trusted; root's jobs own what root owns.

    Raises:
        SpoolError: there is no such folder, or others may write to it.
    """

    def __init__(self, path: str, job_uid: int | None = None) -> None:
        self._stranger = job_uid or None
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | _BELOW)
        except OSError as error:
            raise SpoolError(f"the job's spool folder: {_why(error)}") from None
        self._check(os.fstat(self._folder), "the job's spool folder")

    def distrust(self, job_uid: int) -> None:
        """Trust nothing that belongs to this user from now on. Raises `SpoolError`."""
        self._stranger = job_uid or None
        self._check(os.fstat(self._folder), "the job's spool folder")

    def read(self, name: str) -> str:
        """A file's text. Raises `SpoolError`."""
        file = self._open(name, os.O_RDONLY)
        try:
            return os.read(file, _LARGEST_BYTES).decode("utf-8", "replace")
        except OSError as error:
            raise SpoolError(f"{name}: {_why(error)}") from None
        finally:
            os.close(file)

    # --- the run's lease ----------------------------------------------------------------------

    def keep(self, job: Mapping[str, Any]) -> None:
        """Write down which run this is, before anything is asked for. Raises `SpoolError`."""
        self._append(_LEASE, json.dumps(job) + "\n", os.O_CREAT)

    def kept(self) -> dict[str, Any] | None:
        """What `keep` wrote last; ``None`` when this run asked for nothing.

        Raises:
            SpoolError: there is something, but it cannot be trusted or read.
        """
        try:
            lines = self.read(_LEASE).splitlines()
        except FileNotFoundError:
            return None
        try:
            job = json.loads(lines[-1])
        except (ValueError, IndexError):
            return None  # it was cut off: then nothing was asked for
        return job if isinstance(job, dict) else None

    # --- what Grid Engine reads ---------------------------------------------------------------

    def add_environment(self, variables: Mapping[str, str]) -> None:
        """Give the job these variables, after its own, so that these count.

        Raises:
            SpoolError: a value cannot be written like this, or there is no room; the file is then
                as it was.
        """
        for name, value in variables.items():
            if not name or "=" in name or any(c in name + value for c in "\n\r\0"):
                raise SpoolError(f"the variable {name[:60]!r} has more than one line")
        self._append(_ENVIRONMENT, "".join(f"{k}={v}\n" for k, v in variables.items()))

    def add_usage(self, amounts: Mapping[str, float]) -> None:
        """Add to what the run used, as ``qrmi_NAME=…``. Raises `SpoolError`."""
        lines = [f"qrmi_{name}={value:.12g}\n" for name, value in amounts.items()]
        self._append(_USAGE, "".join(lines))

    def _append(self, name: str, text: str, more: int = 0) -> None:
        file = self._open(name, os.O_RDWR | os.O_APPEND | more)
        try:
            size = os.fstat(file).st_size
            before = "\n" if size and os.pread(file, 1, size - 1) != b"\n" else ""
            self._write(file, name, (before + text).encode(), size)
        finally:
            os.close(file)

    def _write(self, file: int, name: str, data: bytes, size: int) -> None:
        try:
            if os.write(file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(file)
        except OSError as error:
            os.ftruncate(file, size)
            raise SpoolError(f"{name}: {_why(error)}") from None

    def _open(self, name: str, flags: int) -> int:
        try:
            file = os.open(name, flags | _BELOW, 0o600, dir_fd=self._folder)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SpoolError(f"{name}: {_why(error)}") from None
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            os.close(file)
            raise SpoolError(f"{name}: it is no plain file")
        try:
            self._check(found, name)
        except SpoolError:
            os.close(file)
            raise
        return file

    def _check(self, found: os.stat_result, what: str) -> None:
        if found.st_uid == self._stranger or found.st_mode & 0o022:
            raise SpoolError(f"{what}: the job's user could have written it")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__
