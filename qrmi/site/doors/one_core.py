"""Threads that share Python's lock, kept on one core.

Only one of them runs at a time. On several cores each wakes another one whenever it lets go of the
lock for a moment, and the two of them then spend more on handing it over than on their work
(`benchmarks site` has the figures).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

__all__ = ["keeper"]

_PROCESSOR = 36  # field of /proc/self/stat after the program's name: proc(5)


def keeper() -> Callable[[], None]:
    """What keeps the thread that calls it on one core: the one that this process runs on now.

    It does nothing where the system has no such thing, or forbids it.
    """
    core = _core()

    def keep() -> None:
        if core is not None:
            with contextlib.suppress(OSError):
                os.sched_setaffinity(0, {core})

    return keep


def _core() -> int | None:
    if not hasattr(os, "sched_setaffinity"):
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):
        text = Path("/proc/self/stat").read_text()
        core = int(text.rpartition(")")[2].split()[_PROCESSOR])
        if core in os.sched_getaffinity(0):
            return core
    return None
