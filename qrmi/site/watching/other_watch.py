"""Whether PBS, LSF or Flux has a job still, for leases whose end nobody told."""

from __future__ import annotations

from qrmi.lifetime import jobs
from qrmi.site.terms import Job

__all__ = ["OtherWatch"]

_SCHEDULERS = ("pbs", "lsf", "flux")


class OtherWatch:
    """Asks the scheduler's own command, where it is on the daemon's search path.

    Args:
        cluster: whose jobs can be asked about here.
    """

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster

    def is_over(self, job: Job) -> bool | None:
        """Whether a job has ended; of a job that waits to run again, none of its runs has.

        Returns:
            ``None`` where that cannot be told, and of other schedulers' and clusters' jobs.
        """
        if job.scheduler not in _SCHEDULERS or job.cluster != self._cluster:
            return None
        return jobs.is_over(f"{job.scheduler}:{job.id}")
