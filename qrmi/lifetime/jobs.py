"""The scheduler's job that this process belongs to, and whether a job is over."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from qrmi import config

__all__ = ["is_over", "present_job"]

_LONGEST_ANSWER_SECONDS = 10.0


@attrs.frozen
class _Scheduler:
    """How one scheduler names jobs, and how it is asked about one.

    Attributes:
        variable: what its jobs find their id in.
        command: what asks about a job; the job's id is appended.
        over: whether an answer says that the job has ended; ``None`` when it does not tell.
    """

    variable: str
    command: tuple[str, ...]
    over: Callable[[int, str], bool | None]


def _of_slurm(code: int, text: str) -> bool | None:
    if code == 0:  # it lists jobs that wait, run or are being completed
        return not text.strip()
    return True if "Invalid job id" in text else None


def _of_pbs(code: int, text: str) -> bool | None:
    if code == 0:
        return False
    return True if "Unknown Job Id" in text or "has finished" in text else None


def _of_lsf(code: int, text: str) -> bool | None:
    if "is not found" in text:
        return True
    return text.split()[:1] in (["DONE"], ["EXIT"]) if code == 0 and text.strip() else None


def _of_flux(code: int, text: str) -> bool | None:
    return text.strip() == "INACTIVE" if code == 0 and text.strip() else None


def _of_grid_engine(code: int, text: str) -> bool | None:
    if code == 0:
        return False
    return True if "do not exist" in text else None


_SCHEDULERS = {
    "slurm": _Scheduler("SLURM_JOB_ID", ("squeue", "-h", "-o", "%T", "-j"), _of_slurm),
    "pbs": _Scheduler("PBS_JOBID", ("qstat",), _of_pbs),
    "lsf": _Scheduler("LSB_JOBID", ("bjobs", "-noheader", "-o", "stat"), _of_lsf),
    "flux": _Scheduler("FLUX_JOB_ID", ("flux", "jobs", "-no", "{state}"), _of_flux),
    "gridengine": _Scheduler("JOB_ID", ("qstat", "-j"), _of_grid_engine),
}
_ELSEWHERE = "QRMI_JOB_ID"  # a site's own hooks, under a scheduler that is not in the table


def present_job() -> str:
    """This process's job, ``slurm:4242`` for example; empty outside a job."""
    environ = config.environment()
    for name, scheduler in _SCHEDULERS.items():
        if name == "gridengine" and "SGE_TASK_ID" not in environ:
            continue  # JOB_ID alone may be anything
        if number := environ.get(scheduler.variable):
            return f"{name}:{number}"
    number = environ.get(_ELSEWHERE)
    return f"job:{number}" if number else ""


def is_over(job: str) -> bool | None:
    """Whether a job of `present_job`'s form has ended; ``None`` when that cannot be told here.

    The scheduler's own command is asked, where it is on the search path.
    """
    import shutil
    import subprocess  # neither is needed by programs that only hold leases

    name, _, number = job.partition(":")
    scheduler = _SCHEDULERS.get(name)
    if scheduler is None or not number or number.startswith("-"):
        return None
    if shutil.which(scheduler.command[0]) is None:
        return None
    try:
        done = subprocess.run(
            [*scheduler.command, number],
            capture_output=True,
            text=True,
            timeout=_LONGEST_ANSWER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return scheduler.over(done.returncode, done.stdout + done.stderr)
