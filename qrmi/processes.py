"""Processes: what tells one from all others, on any machine, and whether it has ended."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

import attrs

from qrmi import config

__all__ = ["UNKNOWN", "Process", "has_ended", "safe_host", "this_process"]

UNKNOWN = "0"
"""What a field of `Process` holds that the system does not tell."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_AMBIGUOUS = ("localhost", "localhost.localdomain")  # names that many machines have
_ENDED = "ended"
_DEAD = ("Z", "X")  # of a process's state: it has ended and its parent has not looked


def safe_host(name: str) -> str:
    """A machine's name in characters that a file's name may have."""
    return _UNSAFE.sub("_", name) or "host"


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
    boot: str = UNKNOWN
    space: str = UNKNOWN
    pid: int
    started: str = UNKNOWN


def this_process() -> Process:
    """The process that calls."""
    return _process(os.getpid())


@functools.lru_cache(maxsize=1)
def _process(pid: int) -> Process:
    return Process(
        host=safe_host(config.host_name()),
        boot=_boot(),
        space=_space(),
        pid=pid,
        started=_started(pid) or UNKNOWN,
    )


def has_ended(process: Process) -> bool | None:
    """Whether a process of this machine has ended.

    Returns:
        ``None`` when that cannot be told from here: another machine's, or another container's.
    """
    here = this_process()
    if process.host != here.host:
        return None
    if UNKNOWN not in (process.boot, here.boot) and process.boot != here.boot:
        return None if process.host in _AMBIGUOUS else True
    if UNKNOWN not in (process.space, here.space) and process.space != here.space:
        return None
    started = _started(process.pid)
    if started is None:
        return not _exists(process.pid)
    if started == _ENDED:
        return True
    return UNKNOWN != process.started != started


def _boot() -> str:
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except (OSError, ValueError):
        return UNKNOWN
    return re.sub(r"[^0-9a-f]", "", text)[:8] or UNKNOWN


def _space() -> str:
    try:
        return f"{Path('/proc/self/ns/pid').stat().st_ino:x}"
    except OSError:
        return UNKNOWN


def _started(pid: int) -> str | None:
    """The start of a process in clock ticks since the boot; ``None`` when it is not to be had."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # a program's name may hold anything
    if len(fields) <= 19 or not fields[19].isdigit():
        return None
    return _ENDED if fields[0] in _DEAD else fields[19]


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
