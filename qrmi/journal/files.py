"""The journal's one door to the file system; tests put a model of a network behind it."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import attrs

from qrmi import processes
from qrmi.journal import mounts
from qrmi.processes import Process

__all__ = ["GONE", "About", "Files", "Source"]

GONE = frozenset({errno.ENOENT, errno.ESTALE, errno.ENOTDIR})
"""What a file answers that another machine has removed."""

_NO_LINKS = frozenset(
    {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EXDEV, errno.EMLINK}
)


@attrs.frozen(kw_only=True)
class About:
    """A file's size in bytes, identity, and last change, of its name too, by the server's clock."""

    size: int
    inode: int
    changed: float


class Source(Protocol):
    """A file that is open for reading."""

    @property
    def about(self) -> About:
        """As the server told it when the file was opened."""

    def read(self, size: int, offset: int) -> bytes:
        """Up to ``size`` bytes from ``offset`` on; fewer at the end."""


@attrs.frozen
class _Open:
    descriptor: int
    about: About

    def read(self, size: int, offset: int) -> bytes:
        parts = []
        while size > 0:
            part = os.pread(self.descriptor, min(size, 1 << 24), offset)
            if not part:
                break
            parts.append(part)
            size -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)


class Files:
    """The operating system's file system. All calls raise `OSError` when they fail."""

    def now(self) -> float:
        """Seconds since the epoch, by this machine's clock."""
        return time.time()

    def this_process(self) -> Process:
        """The process that calls."""
        return processes.this_process()

    def has_ended(self, process: Process) -> bool | None:
        """Whether a process has ended; ``None`` when that cannot be told from here."""
        return processes.has_ended(process)

    def random(self) -> str:
        """Eight hexadecimal digits that nobody else has."""
        return os.urandom(4).hex()

    def kind(self, folder: Path) -> str:
        """The kind of file system that a folder is on; empty when unknown."""
        return mounts.kind_of(folder)

    def is_shared(self, folder: Path) -> bool:
        """Whether other machines may see the folder, so that what is written must be flushed."""
        return mounts.is_network(self.kind(folder))

    # --- folders ------------------------------------------------------------------------------

    def list(self, folder: Path) -> list[str]:
        """The names in a folder; on a network, as they were up to a minute ago."""
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]

    def make_folder(self, folder: Path) -> None:
        """Make a folder that only this user can enter, and those above it."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def rename(self, old: Path, new: Path) -> None:
        """Give a file another name, in one step; a file of that name is replaced."""
        old.rename(new)

    def link(self, old: Path, new: Path) -> bool:
        """Give a file a second name, in one step; `FileExistsError` when the name is taken.

        Returns:
            Whether the file system can do that.
        """
        try:
            new.hardlink_to(old)
        except OSError as error:
            if error.errno in _NO_LINKS:
                return False
            raise
        return True

    def unlink(self, path: Path) -> None:
        """Remove a file; nothing when there is none."""
        path.unlink(missing_ok=True)

    def flush_folder(self, folder: Path) -> None:
        """See to it that names in a folder outlast a power failure, where that can be had."""
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    # --- writing ------------------------------------------------------------------------------

    def create(self, path: Path) -> int:
        """A new file to append to, for this user only; `FileExistsError` when the name is taken."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        return os.open(path, flags, 0o600)

    def append(self, descriptor: int, data: bytes, flush: bool) -> None:
        """Write all of it at the file's end; with ``flush`` it has reached the server then."""
        written = os.write(descriptor, data)
        while written < len(data):
            data = data[written:]
            written = os.write(descriptor, data)
        if flush:
            os.fsync(descriptor)

    def truncate(self, descriptor: int, size: int, flush: bool) -> None:
        """Cut a file that we append to."""
        os.ftruncate(descriptor, size)
        if flush:
            os.fsync(descriptor)

    def is_removed(self, descriptor: int) -> bool:
        """Whether a file that we append to has no name any more."""
        return os.fstat(descriptor).st_nlink == 0

    def close(self, descriptor: int) -> None:
        """Close a file that we appended to."""
        os.close(descriptor)

    # --- reading ------------------------------------------------------------------------------

    def about(self, path: Path) -> About:
        """A file's size and age; on a network, as they were up to a minute ago."""
        return _about(path.stat())

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[Source]:
        """A file for reading, with all that other machines had flushed by now."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            yield _Open(descriptor, _about(os.fstat(descriptor)))
        finally:
            os.close(descriptor)


def _about(found: os.stat_result) -> About:
    changed = max(found.st_mtime, found.st_ctime)  # the latter tells when it got its name
    return About(size=found.st_size, inode=found.st_ino, changed=changed)
