"""Who holds a lease: a process of a host, in a scheduler's job; and whether it is still there."""

from __future__ import annotations

import enum
import os
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi import config, processes
from qrmi.lifetime import jobs
from qrmi.processes import Process

__all__ = ["LeaseOwner", "OwnerState"]


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
            since="" if stays else _since(),
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
        return {"host": self.host, "pid": self.pid, "job": self.job, "since": self.since}

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
        if self.pid is None:
            return OwnerState.UNKNOWN
        boot, _, rest = self.since.partition("/")
        space, _, begun = rest.partition("/")
        process = Process(
            host=processes.safe_host(self.host),
            pid=self.pid,
            boot=boot or processes.UNKNOWN,
            space=space or processes.UNKNOWN,
            started=begun or processes.UNKNOWN,
        )
        return _STATES[processes.has_ended(process)]


_STATES = {None: OwnerState.UNKNOWN, False: OwnerState.ALIVE, True: OwnerState.GONE}


def _since() -> str:
    here = processes.this_process()
    return f"{here.boot}/{here.space}/{here.started}"
