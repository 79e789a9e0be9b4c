"""Appending to this process's own file."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
import weakref
from pathlib import Path

import attrs

from qrmi.journal.files import GONE, Files
from qrmi.journal.writers import Writer

__all__ = ["SUFFIX", "Appender"]

SUFFIX = ".jsonl"
_FULL = 1 << 20  # bytes: a longer file is closed and another one begun, so that it can be compacted
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_TRIES = 8
_LOOK_SECONDS = 1.0  # on a disk of this machine nobody but its user removes the file of a process


@attrs.define(kw_only=True)
class _File:
    """A file of ours.

    Attributes:
        writer: its name.
        path: where it is.
        descriptor: for writing.
        pid: the process that began it.
        flush: each line is flushed to the file server.
        size: bytes of whole lines.
        busy: a line is being written, or was when something broke in.
        looked_at: when it was last looked whether the file is still there.
        close: closes it, at most once, and when nobody has it any more.
    """

    writer: Writer
    path: Path
    descriptor: int
    pid: int
    flush: bool
    size: int = 0
    busy: bool = False
    looked_at: float = 0.0
    close: weakref.finalize[[int], _File] = attrs.field(init=False)


class Appender:
    """Writes lines to a file that nobody else writes to. For threads, forks, signal handlers.

    A line is written whole or the call raises; a line never follows half of another one.
    """

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._lock = threading.RLock()  # a signal's handler may write while a line is written
        self._file: _File | None = None
        self._shared: bool | None = None
        self._mark, self._sequence, self._pid = "", 0, -1
        _all.add(self)

    @property
    def own_name(self) -> str | None:
        """The name of the file that is written to now, if there is one."""
        file = self._file
        return None if file is None or file.pid != os.getpid() else file.path.name

    @property
    def is_shared(self) -> bool:
        """Whether the folder is on a network, so that every line is flushed."""
        if self._shared is None:
            self._shared = self._files.is_shared(self._folder)
        return self._shared

    def append(self, line: bytes, at: float) -> bool:
        """Write one line; it has reached the operating system, or the file server, afterwards.

        Args:
            line: with its newline.
            at: the time.

        Returns:
            Whether a new file was begun.

        Raises:
            OSError: it was not written, or not wholly; what is left of it will be passed over.
        """
        with self._lock:
            file, begun = self._taken()
            try:
                kept = self._write(file, line, at)
            except OSError as error:
                if error.errno not in GONE or begun:
                    raise
                kept = False
            if kept:
                return begun
            self._write(self._taken(new=True)[0], line, at)
            return True

    def _taken(self, *, new: bool = False) -> tuple[_File, bool]:
        """A file that is marked as busy, and whether it was begun for that.

        A signal's handler may write at any point. Once the file is busy, it leaves it alone; one
        that broke in before may have closed it, and then it is not the current file any more.
        """
        begun = False
        while True:
            file = self._file
            if new or file is None or file.busy or file.pid != os.getpid() or file.size > _FULL:
                file, new, begun = self._begin(), False, True
            file.busy = True
            if self._file is file:
                return file, begun

    def _write(self, file: _File, line: bytes, at: float) -> bool:
        """Write one line; false when somebody removed the file, so that nobody would find it."""
        try:
            self._files.append(file.descriptor, line, file.flush)
            removed = False
            if file.flush or abs(at - file.looked_at) > _LOOK_SECONDS:
                removed = self._files.is_removed(file.descriptor)
                file.looked_at = at
        except OSError as error:
            self._undo(file, error)
            raise
        except BaseException:
            self._give_up(file)
            raise
        file.size += len(line)
        file.busy = False
        if removed or file is not self._file:  # or a handler broke in and began another one
            self._give_up(file)
        return not removed

    def _undo(self, file: _File, error: OSError) -> None:
        """Take back what was written of a line; else the file is not written to again."""
        try:
            self._files.truncate(file.descriptor, file.size, file.flush)
        except OSError:
            self._give_up(file)
            return
        file.busy = False
        if error.errno not in _NO_ROOM or file.size == 0 or file is not self._file:
            self._give_up(file)
        if file.size == 0:
            with contextlib.suppress(OSError):
                self._files.unlink(file.path)

    def _give_up(self, file: _File) -> None:
        if self._file is file:
            self._file = None
        with contextlib.suppress(OSError):
            file.close()

    def _begin(self) -> _File:
        """A new file, made by exclusive create; the one before it is left as it is."""
        before, pid = self._file, os.getpid()
        if before is not None and not before.busy:
            self._give_up(before)  # in a forked child, this closes its copy
        if self._pid != pid:
            self._mark, self._sequence, self._pid = self._files.random(), 0, pid
        for _ in range(_TRIES):
            self._sequence += 1
            process = self._files.this_process()
            writer = Writer(process=process, mark=self._mark, sequence=self._sequence)
            path = self._folder / f"{writer}{SUFFIX}"
            with contextlib.suppress(FileExistsError):  # or the answer to our own create was lost
                descriptor = self._create(path)
                shared = self.is_shared
                file = _File(writer=writer, path=path, descriptor=descriptor, pid=pid, flush=shared)
                file.close = weakref.finalize(file, self._files.close, descriptor)
                file.close.atexit = False  # what is written at the very end is written too
                self._file = file
                return file
        raise FileExistsError(errno.EEXIST, "no free name for a file")

    def _create(self, path: Path) -> int:
        try:
            return self._files.create(path)
        except FileNotFoundError:
            self._files.make_folder(self._folder)
            return self._files.create(path)

    def after_fork(self) -> None:
        """In a child: another thread may have held the lock, and the file is the parent's."""
        self._lock = threading.RLock()
        file, self._file = self._file, None
        self._pid = -1
        if file is not None:
            with contextlib.suppress(OSError):
                file.close()


_all: weakref.WeakSet[Appender] = weakref.WeakSet()


def _after_fork() -> None:
    for appender in list(_all):
        appender.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
