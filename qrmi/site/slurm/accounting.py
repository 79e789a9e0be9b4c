"""What a job used, written to its AdminComment once it has ended."""

from __future__ import annotations

from collections.abc import Mapping

from qrmi.errors import QrmiError, ResourceUnavailableError
from qrmi.site.books.usage import JobUsage
from qrmi.site.running import CommandRefusedError
from qrmi.site.slurm.commands import SlurmCommands
from qrmi.site.terms import Job
from qrmi.waiting import Clock, SystemClock

__all__ = ["SlurmAccounting", "remark_of"]

_PAUSE_SECONDS = 10.0
_UNKNOWN = ("Nothing", "nothing")


def remark_of(figures: Mapping[str, object]) -> str:
    """``qrmi: tasks=3 shots=300 qpu_seconds=1.25``; numbers only, never a text of a vendor's."""
    shown = {k: v for k, v in figures.items() if isinstance(v, int | float)}
    return "qrmi: " + " ".join(f"{key}={value:.12g}" for key, value in shown.items())


class SlurmAccounting:
    """Tells Slurm what ended jobs used: `sacct -o JobID,AdminComment` shows it.

    A job that has ended cannot be changed in slurmctld (22.05), but its record in slurmdbd can.
    Without slurmdbd there is no record that outlives the job, and nothing is written: the site's
    ledger has the figures.

    Args:
        commands: Slurm's.
        clock: what pauses go by.
    """

    def __init__(self, commands: SlurmCommands, *, clock: Clock | None = None) -> None:
        self._commands = commands
        self._clock = clock or SystemClock()
        self._has_database: bool | None = None
        self._silent_until = float("-inf")

    def report(self, usage: JobUsage) -> None:
        """Write a job's sums; for jobs of other schedulers nothing. May be called again.

        Raises:
            QrmiError: Slurm did not take them. It is retryable where Slurm was silent, or knows
                nothing of the job yet; for ten seconds after a silence nothing is asked.
        """
        figures = usage.totals()
        if usage.job.scheduler == "slurm" and figures:
            self.write(usage.job, remark_of(figures))

    def write(self, job: Job, remark: str) -> bool:
        """Write a remark; whether there is a record to write it to. Raises as `report` does."""
        if self._clock.monotonic() < self._silent_until:
            raise ResourceUnavailableError(f"job {job.id}: Slurm was silent a moment ago")
        try:
            return self._written(job, f"AdminComment={remark}")
        except CommandRefusedError:
            raise
        except QrmiError:
            self._silent_until = self._clock.monotonic() + _PAUSE_SECONDS
            raise

    def _written(self, job: Job, value: str) -> bool:
        try:
            self._commands.run("scontrol", "update", f"JobId={job.id}", value)
            return True
        except CommandRefusedError:
            if not self._with_database():
                return False
        where = ["where", f"jobid={job.id}", f"cluster={job.cluster}"]
        shown = self._commands.run("sacctmgr", "-i", "modify", "job", *where, "set", value)
        if any(word in shown for word in _UNKNOWN):
            raise CommandRefusedError(f"slurmdbd does not know job {job.id} yet")
        return True

    def _with_database(self) -> bool:
        if self._has_database is None:
            shown = self._commands.run("scontrol", "show", "config")
            lines = [line for line in shown.splitlines() if line.startswith("AccountingStorageT")]
            self._has_database = any("slurmdbd" in line for line in lines)
        return self._has_database
