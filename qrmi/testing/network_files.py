"""A model of a home directory on a network file system, to put behind `qrmi.journal.Journal`.

Several machines, each with the caches that NFS and Lustre clients have: what another machine has
written is there once it has flushed and the reader opens the file anew; listings, names and
attributes may be as old as ``STALE_SECONDS``; an answer may be lost after the server has acted.
Machines crash, processes are killed in the middle of a write, the disk is full.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import attrs

from qrmi.journal.files import About, Files
from qrmi.processes import Process
from qrmi.testing.network_server import File, Machine, Name, Server

__all__ = ["STALE_SECONDS", "Killed", "Machine", "NetworkFiles", "Server"]

STALE_SECONDS = 60.0
"""The longest that a client takes a listing, a name or an attribute for true."""


class Killed(BaseException):
    """The process ends here. Nothing that it does afterwards has an effect."""


class NetworkFiles(Files):
    """The file system as one process on one machine sees it.

    Attributes:
        operations: how many operations are left before the process is killed, or ``None``.
        written: when it is killed in a write, how much of it has reached the server.
    """

    def __init__(self, server: Server, machine: Machine) -> None:
        machine.pids += 1
        machine.running.add(machine.pids)
        self.server = server
        self.machine = machine
        self.operations: int | None = None
        self.written = 0
        self._process = Process(
            host=machine.name, boot=f"{machine.boot:x}", space="1", pid=machine.pids, started="1"
        )
        self._open: dict[int, File] = {}

    @property
    def is_running(self) -> bool:
        """Whether the process has not ended."""
        same_boot = self._process.boot == f"{self.machine.boot:x}"
        return same_boot and self._process.pid in self.machine.running

    def end(self) -> None:
        """The process ends."""
        self.machine.running.discard(self._process.pid)

    def _step(self) -> None:
        if not self.is_running:
            raise Killed
        if self.operations is not None:
            self.operations -= 1
            if self.operations < 0:
                self.end()
                raise Killed

    # --- what is not a file -------------------------------------------------------------------

    def now(self) -> float:
        """The machine's clock."""
        return self.server.time + self.machine.clock_error_seconds

    def this_process(self) -> Process:
        """The process."""
        return self._process

    def has_ended(self, process: Process) -> bool | None:
        """As the real one: known for processes of this machine only."""
        if process.host != self.machine.name:
            return None
        if process.boot != f"{self.machine.boot:x}":
            return True
        return process.pid not in self.machine.running

    def random(self) -> str:
        """No two are the same."""
        return self.server.mark()

    def kind(self, folder: Path) -> str:
        """A network's."""
        return "nfs4"

    # --- names --------------------------------------------------------------------------------

    def _is_fresh(self, name: Name) -> bool:
        """Whether the change of a name may not have got about to this machine."""
        recent = self.server.time - name.since < STALE_SECONDS
        known = self.machine.name in (name.machine, *name.seen)
        return recent and not known and self.server.choose("stale name")

    def _looked_up(self, path: Path) -> File:
        name = self.server.names.get(path)
        if name is None or name.file is None or (name.before is None and self._is_fresh(name)):
            raise _error(errno.ENOENT)
        name.seen.add(self.machine.name)
        return name.file

    def list(self, folder: Path) -> list[str]:
        """Names that another machine made or removed a short time ago may be missing, or there."""
        self._step()
        found = []
        for path, name in self.server.names.items():
            there = name.file is not None
            if path.parent == folder and there != self._is_fresh(name):
                found.append(path.name)
        self.server.interrupt("list")
        return found

    def make_folder(self, folder: Path) -> None:
        """Folders are always there."""
        self._step()

    def rename(self, old: Path, new: Path) -> None:
        """At the server, in one step; the answer may be lost."""
        self._step()
        file = self._looked_up(old)
        file.names += 1
        self.server.name(new, file, self.machine.name)
        self.server.name(old, None, self.machine.name)
        self.server.changed(file, self.machine.name)
        if self.server.choose("lost answer"):
            raise _error(errno.ENOENT)

    def link(self, old: Path, new: Path) -> bool:
        """At the server, in one step; the answer may be lost, and the repetition says EEXIST."""
        self._step()
        if self.server.file(new) is not None:
            raise FileExistsError(errno.EEXIST, "exists")
        file = self._looked_up(old)
        file.names += 1
        self.server.name(new, file, self.machine.name)
        if self.server.choose("lost answer"):
            raise FileExistsError(errno.EEXIST, "exists")
        return True

    def unlink(self, path: Path) -> None:
        """At the server."""
        self._step()
        if self.server.file(path) is not None:
            self.server.name(path, None, self.machine.name)

    def flush_folder(self, folder: Path) -> None:
        """Names are the server's."""
        self._step()

    # --- writing ------------------------------------------------------------------------------

    def create(self, path: Path) -> int:
        """At the server; the answer may be lost, and the repetition says EEXIST."""
        self._step()
        if self.server.file(path) is not None:
            raise FileExistsError(errno.EEXIST, "exists")
        file = self.server.new_file(self.machine.name)
        file.names += 1
        self.server.name(path, file, self.machine.name)
        if self.server.choose("lost answer"):
            raise FileExistsError(errno.EEXIST, "exists")
        self._open[file.number] = file
        return file.number

    def append(self, descriptor: int, data: bytes, flush: bool) -> None:
        """Write and flush; a kill or a full disk leaves a part of it."""
        assert flush, "what is not flushed on a network may be lost"
        file = self._open[descriptor]
        try:
            self._step()
        except Killed:
            if self._is_of_this_boot():
                self._store(file, data[: self.written])
            raise
        if file.names == 0:
            raise _error(errno.ESTALE)
        half = len(data) // 2
        if self.server.choose("the second page first"):
            before = file.data
            self._store(file, bytes(half) + data[half:])
            self.server.interrupt("append")
            file.data = before + data
            self.server.changed(file, self.machine.name)
            return
        for part in (data[:half], data[half:]):
            self._store(file, part)
            self.server.interrupt("append")

    def _is_of_this_boot(self) -> bool:
        return self._process.boot == f"{self.machine.boot:x}"

    def _store(self, file: File, data: bytes) -> None:
        room = self.server.room
        stored = data if room is None else data[:room]
        if room is not None:
            self.server.room = room - len(stored)
        file.data += stored
        self.server.changed(file, self.machine.name)
        if len(stored) < len(data):
            raise _error(errno.ENOSPC)

    def truncate(self, descriptor: int, size: int, flush: bool) -> None:
        """Cut the file; a server that is in trouble may not do it."""
        self._step()
        if self.server.choose("no truncation"):
            raise _error(errno.EIO)
        file = self._open[descriptor]
        file.data = file.data[:size]
        self.server.changed(file, self.machine.name)

    def is_removed(self, descriptor: int) -> bool:
        """Whether the file has no name any more."""
        self._step()
        return self._open[descriptor].names == 0

    def close(self, descriptor: int) -> None:
        """Nothing is left to flush."""
        self._open.pop(descriptor, None)

    # --- reading ------------------------------------------------------------------------------

    def about(self, path: Path) -> About:
        """Maybe as it was before another machine's last changes."""
        self._step()
        file = self._looked_up(path)
        found = file.past[-1][2]
        for at, machine, about in reversed(file.past):
            found = about
            recent = self.server.time - at < STALE_SECONDS and machine != self.machine.name
            if not (recent and self.server.choose("stale attributes")):
                break
        return found

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[_Read]:
        """What has been flushed by now."""
        self._step()
        file = self._looked_up(path)
        self.server.interrupt("open")
        yield _Read(self, file, file.past[-1][2], file.data)


@attrs.define
class _Read:
    _files: NetworkFiles
    _file: File
    about: About
    _data: bytes

    def read(self, size: int, offset: int) -> bytes:
        """As it was when it was opened, unless another machine has removed it."""
        if self._file.names == 0 and self._files.server.choose("stale handle"):
            raise _error(errno.ESTALE)
        return self._data[offset : offset + size]


def _error(number: int) -> OSError:
    return OSError(number, errno.errorcode[number])
