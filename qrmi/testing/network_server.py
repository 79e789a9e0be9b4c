"""The server and the machines behind `qrmi.testing.network_files`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from qrmi.journal.files import About

__all__ = ["File", "Machine", "Name", "Server"]


@attrs.define
class File:
    """A file on the server. ``past``: sizes and times of change, with when they came about."""

    number: int
    data: bytes = b""
    names: int = 1
    changed: float = 0.0
    past: list[tuple[float, str, About]] = attrs.field(factory=list)


@attrs.define
class Name:
    """What a name stands for, since when and by whose doing, and which machines have seen it."""

    file: File | None
    since: float
    machine: str
    before: File | None = None
    seen: set[str] = attrs.field(factory=set)


class Server:
    """The file server: what is really there.

    Args:
        choose: called where a cache may or may not be stale, and where an answer may be lost;
            true for the bad case.
    """

    def __init__(self, choose: Callable[[str], bool] = lambda _what: False) -> None:
        self.choose = choose
        self.time = 1_000_000.0
        self.room: int | None = None
        self.meanwhile: Callable[[str], None] | None = None
        self.names: dict[Path, Name] = {}
        self._numbers = 0
        self._marks = 0

    def interrupt(self, place: str) -> None:
        """Let something else happen now, once, if a test has put it into ``meanwhile``."""
        call, self.meanwhile = self.meanwhile, None
        if call is not None:
            call(place)

    def file(self, path: Path) -> File | None:
        """What a name stands for."""
        found = self.names.get(path)
        return None if found is None else found.file

    def name(self, path: Path, file: File | None, machine: str) -> None:
        """Make a name stand for a file, or for nothing."""
        before = self.file(path)
        if before is not None:
            before.names -= 1
        self.names[path] = Name(file, self.time, machine, before)

    def new_file(self, machine: str) -> File:
        """An empty file without a name yet."""
        self._numbers += 1
        made = File(self._numbers, names=0)
        self.changed(made, machine)
        return made

    def changed(self, file: File, machine: str) -> None:
        """Note that a machine has changed a file."""
        file.changed = self.time
        about = About(size=len(file.data), inode=file.number, changed=file.changed)
        file.past.append((self.time, machine, about))

    def mark(self) -> str:
        """Eight hexadecimal digits, another time others."""
        self._marks += 1
        return f"{self._marks:08x}"


@attrs.define
class Machine:
    """One machine: its name, its clock's error, its present boot, the processes that run on it."""

    name: str
    clock_error_seconds: float = 0.0
    boot: int = 1
    running: set[int] = attrs.field(factory=set)
    pids: int = 100

    def reboot(self) -> None:
        """All processes end."""
        self.boot += 1
        self.running.clear()
