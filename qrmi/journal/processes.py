"""Who wrote a file: the process that its name tells, and whether that process has ended."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import attrs

from qrmi import config

__all__ = ["Process", "Writer", "has_ended", "this_process"]

_UNKNOWN = "0"
_NAME = re.compile(
    r"(?P<host>[^@]+)@(?P<boot>[0-9a-f]+)-(?P<space>[0-9a-f]+)-(?P<pid>\d+)-(?P<started>\d+)"
    r"-(?P<mark>[0-9a-f]+)-(?P<sequence>\d+)"
)
_FIRST_NAME = re.compile(r"(?P<host>.+)-(?P<pid>\d+)-\d{15,}-(?P<mark>[0-9a-f]{8})")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


@attrs.frozen(kw_only=True)
class Process:
    """A process, as its machine tells it from all others.

    Attributes:
        host: the machine's name, in characters that a file's name may have.
        boot: the beginning of the id of the machine's present boot; ``"0"`` when unknown.
        space: the namespace that process ids are counted in (a container has its own).
        pid: its number there.
        started: when it started, in clock ticks since the boot.
    """

    host: str
    boot: str = _UNKNOWN
    space: str = _UNKNOWN
    pid: int
    started: str = _UNKNOWN


@attrs.frozen(kw_only=True)
class Writer:
    """The name of a writer's file, without the suffix.

    Attributes:
        process: whose it is.
        mark: a random part, the same for all files of one writer.
        sequence: which of the writer's files it is, from 1.
    """

    process: Process
    mark: str
    sequence: int = 1

    def __str__(self) -> str:
        p = self.process
        return f"{p.host}@{p.boot}-{p.space}-{p.pid}-{p.started}-{self.mark}-{self.sequence}"

    @staticmethod
    def read(name: str) -> Writer | None:
        """The writer that a name tells; ``None`` for a name that no release of ours made."""
        found = _NAME.fullmatch(name)
        if found is not None:
            fields = found.groupdict()
            mark, sequence, pid = fields.pop("mark"), fields.pop("sequence"), fields.pop("pid")
            process = Process(pid=int(pid), **fields)
            return Writer(process=process, mark=mark, sequence=int(sequence))
        found = _FIRST_NAME.fullmatch(name)
        if found is None:
            return None
        process = Process(host=found["host"], pid=int(found["pid"]))
        return Writer(process=process, mark=found["mark"])


def this_process() -> Process:
    """The process that calls."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    return Process(
        host=_UNSAFE.sub("_", config.host_name()) or "host",
        boot=_boot(),
        space=_space(),
        pid=pid,
        started=_started(pid) or _UNKNOWN,
    )


def has_ended(process: Process) -> bool | None:
    """Whether a process of this machine has ended.

    Returns:
        ``None`` when that cannot be told from here: another machine's, or another container's.
    """
    here = this_process()
    if process.host != here.host:
        return None
    if _UNKNOWN not in (process.boot, here.boot) and process.boot != here.boot:
        return True
    if _UNKNOWN not in (process.space, here.space) and process.space != here.space:
        return None
    started = _started(process.pid)
    if started is None:
        return not _exists(process.pid)
    return _UNKNOWN != process.started != started


def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except (OSError, ValueError):
        return _UNKNOWN
    return re.sub(r"[^0-9a-f]", "", text)[:8] or _UNKNOWN


def _space() -> str:
    try:
        return f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return _UNKNOWN


def _started(pid: int) -> str | None:
    """The start of a process in clock ticks since the boot; ``None`` when it is not to be had."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a program's name may hold anything
    return fields[19] if len(fields) > 19 and fields[19].isdigit() else None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_process.cache_clear)
