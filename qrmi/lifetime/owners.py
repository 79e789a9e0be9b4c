"""Who holds a lease: a process of a host, in a scheduler's job; and whether it is still there."""

from __future__ import annotations

import enum
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi import config
from qrmi.lifetime import jobs

__all__ = ["LeaseOwner", "OwnerState"]

_PROC = Path("/proc")
_AMBIGUOUS = ("localhost", "localhost.localdomain")  # names that many machines have
_DEAD = ("Z", "X")  # of a process's state in /proc: it has ended and its parent has not looked


class OwnerState(enum.StrEnum):
    """What is known of a lease's owner."""

    ALIVE = "alive"
    GONE = "gone"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class LeaseOwner:
    """Who holds a lease.

    Attributes:
        host: the machine.
        pid: the process; ``None`` when the lease was left to its job, or to whoever has its token.
        job: the scheduler's job, ``slurm:4242`` for example; empty outside one.
        since: tells the process from a later one with the same number; empty where that cannot
            be told.
    """

    host: str
    pid: int | None
    job: str = ""
    since: str = ""

    @classmethod
    def here(cls, *, stays: bool = False) -> LeaseOwner:
        """This process; with ``stays``, its job alone."""
        pid = os.getpid()
        return cls(
            host=config.host_name(),
            pid=None if stays else pid,
            job=jobs.present_job(),
            since="" if stays else _since(pid),
        )

    @classmethod
    def read(cls, fields: Mapping[str, Any]) -> LeaseOwner:
        """An owner as the journal has it; what is not there is not known."""
        pid = fields.get("pid")
        return cls(
            host=str(fields.get("host", "")),
            pid=pid if isinstance(pid, int) and pid > 0 else None,
            job=str(fields.get("job") or ""),
            since=str(fields.get("since") or ""),
        )

    def fields(self) -> dict[str, Any]:
        """JSON values from which `read` makes it again."""
        return attrs.asdict(self)

    def __str__(self) -> str:
        process = "" if self.pid is None else f" process {self.pid}"
        return f"{self.host}{process}" + (f" job {self.job}" if self.job else "")

    def state(self) -> OwnerState:
        """Whether it is still there. Asks the operating system, then the scheduler."""
        seen = self._process_state()
        if seen is not OwnerState.UNKNOWN or not self.job:
            return seen
        over = jobs.is_over(self.job)
        if over is None:
            return OwnerState.UNKNOWN
        return OwnerState.GONE if over else OwnerState.ALIVE

    def _process_state(self) -> OwnerState:
        if self.pid is None or self.host != config.host_name():
            return OwnerState.UNKNOWN
        boot, _, rest = self.since.partition("/")
        space, _, begun = rest.partition("/")
        if not self.since or not _boot():
            return OwnerState.ALIVE if _exists(self.pid) else OwnerState.GONE
        if boot != _boot():  # the machine was started again since, or it is another one
            return OwnerState.UNKNOWN if self.host in _AMBIGUOUS else OwnerState.GONE
        if space != _process_space():  # a container's process has a number of its own there
            return OwnerState.UNKNOWN
        return OwnerState.ALIVE if _begun(self.pid) == begun else OwnerState.GONE


@functools.lru_cache(maxsize=1)
def _since(pid: int) -> str:
    begun = _begun(pid)
    return f"{_boot()}/{_process_space()}/{begun}" if begun and _boot() else ""


@functools.cache
def _boot() -> str:
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _process_space() -> str:
    try:
        return str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return ""


def _begun(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none that runs."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in _DEAD else fields[19]
    except (OSError, IndexError):
        return ""


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


if hasattr(os, "register_at_fork"):  # a child may have the number of an earlier process
    os.register_at_fork(after_in_child=_since.cache_clear)
