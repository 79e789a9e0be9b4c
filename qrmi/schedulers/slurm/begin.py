"""The begin of a job in PrologSlurmctld: its QPUs, or back into the queue."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from qrmi.schedulers.slurm.hooked import (
    AWAY_HINT,
    PAUSE_SECONDS,
    HookedJob,
    SlurmSilent,
    log,
    sentence,
)
from qrmi.schedulers.slurm.jobs import find, submitted, want
from qrmi.schedulers.slurm.licenses import bound
from qrmi.schedulers.speaking import Away, Lost, Refusal, pause

__all__ = ["begin"]

_WAIT_SECONDS = 60.0  # how long srun and salloc wait for a QPU that is busy
_LONGEST_WORD = 500


def begin(job: HookedJob, text: str) -> int:
    """Ask for the job's QPUs: 0 when it may start, 1 when it is to be put back.

    Args:
        job: which job.
        text: Slurm's record of it.
    """
    fields = find(text, job.id, job.environment.get("SLURM_JOB_NAME"))
    wish = want(fields)
    if wish is None:
        return 0
    stays = fields.get("BatchFlag") != "1" or fields.get("Requeue") == "0"
    run = job.run(fields, submitted(fields))
    told = _acquired(job, run, wish, _patience(job) if stays else 0.0)
    outcome = told.get("outcome")
    if outcome == "granted":
        _bind(job, fields, wish, told.get("grants") or [])
        return 0
    if outcome == "refused":
        if fields.get("BatchFlag") != "1":
            _notify(job, told, fields)
        return 0  # the first task says why, and fails
    if stays or outcome is None:
        _notify(job, told, fields)
    return 1


def _patience(job: HookedJob) -> float:
    return float(job.settings.get("wait_seconds", _WAIT_SECONDS))


def _acquired(
    job: HookedJob, run: dict[str, Any], wish: dict[str, Any], wait: float
) -> dict[str, Any]:
    """The daemon's answer; without an outcome where there is none, and then it is given back."""
    body = {"job": run, "want": wish, "wait_seconds": wait}
    ends = time.monotonic() + max(wait, job.away_seconds)
    trouble: Exception
    while True:
        try:
            return dict(job.ask("POST", "/v1/leases", body, seconds=wait + 60.0))
        except (Away, Lost) as error:  # asking again for the same run is safe
            trouble = error
        except Refusal as error:
            log(f"job {job.id}: {error}")
            hint = error.told.get("hint") or AWAY_HINT
            return {"reason": str(error), "hint": hint}
        if time.monotonic() > ends:
            break
        pause(PAUSE_SECONDS)
        body["wait_seconds"] = max(0.0, min(wait, ends - time.monotonic()))
    log(f"job {job.id}: {trouble}")
    if isinstance(trouble, Lost):
        _give_up(job, run, "the hook got no answer")
    return {"reason": str(trouble), "hint": AWAY_HINT}


def _give_up(job: HookedJob, run: dict[str, Any], why: str) -> None:
    try:
        job.ask("POST", "/v1/leases/end", {"job": run, "why": why[:500]}, seconds=10.0)
    except (Away, Lost, Refusal) as error:
        log(f"job {job.id}: {error}; the daemon will find out that it is over")


def _bind(
    job: HookedJob, fields: dict[str, str], wish: dict[str, Any], grants: list[dict[str, Any]]
) -> None:
    """Tell Slurm which QPUs a job got that left the choice to the site: so it counts right."""
    licenses = fields.get("Licenses", "")
    if not wish["any"] or not licenses:
        return
    slots = {str(each["resource"]): int(each.get("slots", 1)) for each in grants}
    try:
        new = bound(licenses, slots)
        if new != licenses:
            job.scontrol("update", "JobId=" + job.id, "Licenses=" + new)
    except (OSError, SlurmSilent) as error:
        log(f"job {job.id}: its licenses stay {licenses}: {error}")


def _notify(job: HookedJob, told: Mapping[str, Any], fields: Mapping[str, str]) -> None:
    """Tell whoever waits at srun or salloc why, or leave word with the job; a courtesy, no more."""
    text = "qrmi: " + sentence(told)[:_LONGEST_WORD]
    try:
        if fields.get("BatchFlag") == "1":
            job.scontrol("update", f"JobId={job.id}", f"AdminComment={text}")
        else:
            job.scontrol("notify", job.id, text)
    except (OSError, SlurmSilent):
        return
