"""Connections to supervisors that are open and not in use, for all clients of this process.

A connection costs more than a request. Threads never share one: it is taken out while it is used.
A forked process opens its own.
"""

from __future__ import annotations

import atexit
import collections
import os
import socket

__all__ = ["close_all", "keep", "kept", "opened"]

_MOST = 8

_free: dict[tuple[int, str], collections.deque[socket.socket]] = {}


def kept(path: str) -> socket.socket | None:
    """Take a connection that was kept; ``None`` when there is none."""
    try:
        return _free[os.getpid(), path].pop()
    except (KeyError, IndexError):
        return None


def opened(path: str) -> socket.socket:
    """Open a new connection. Raises `OSError` when nobody listens there."""
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        line.connect(path)  # without a time limit: waits in the queue
    except BaseException:
        line.close()
        raise
    return line


def keep(path: str, line: socket.socket) -> None:
    """Keep a connection on which no answer is due."""
    free = _free.setdefault((os.getpid(), path), collections.deque())
    if len(free) < _MOST:
        free.append(line)
    else:
        line.close()


def close_all(path: str) -> None:
    """Close what is kept: the supervisor is gone, or no more is to be asked."""
    while (line := kept(path)) is not None:
        line.close()


@atexit.register
def _close_everything() -> None:
    for _, path in list(_free):
        close_all(path)
