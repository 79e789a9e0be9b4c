"""The end of a run in EpilogSlurmctld: its QPUs are given back."""

from __future__ import annotations

import time
from typing import Any

from qrmi.schedulers.slurm.hooked import PAUSE_SECONDS, HookedJob, log
from qrmi.schedulers.speaking import Away, Lost, Refusal, pause

__all__ = ["end"]

_END_SECONDS = 1.0  # the daemon finds out by itself: nobody is kept waiting


def end(job: HookedJob) -> int:
    """Tell the daemon that the run is over. Whoever cannot be told finds out by itself."""
    ends = time.monotonic() + min(job.away_seconds, _END_SECONDS)
    while True:
        try:
            for run in _over(job):
                job.ask("POST", "/v1/leases/end", {"job": run, "why": "the job ended"})
            return 0
        except (Away, Lost) as error:
            if time.monotonic() > ends:
                log(f"job {job.id}: {error}; the daemon will find out that it is over")
                return 0
        except Refusal as error:
            log(f"job {job.id}: {error}")
            return 0
        pause(PAUSE_SECONDS)


def _over(job: HookedJob) -> list[dict[str, Any]]:
    """The runs of the job that are over.

    When Slurm puts a job back it counts the restart before it says that the run is over: of two
    numbers either may be meant. A run begins only after the end of the one before was told, so the
    newest that holds anything is over; one that is still to begin must not be fenced.
    """
    this = job.run({}, None)
    if this["restart"] == 0:
        return [this]
    named = job.named()
    query = "&".join(f"{key}={value}" for key, value in named.items())
    rows = job.ask("GET", "/v1/leases?" + query)
    runs = [dict(row["job"]) for row in rows]
    mine = [run for run in runs if all(run.get(key) == named[key] for key in named)]
    return [run for run in mine if run["restart"] <= this["restart"]]
