"""Slurm's hook: PrologSlurmctld, EpilogSlurmctld and TaskProlog are this one program.

====================  ==========================================================================
PrologSlurmctld       asks the site's daemon for the job's QPUs; a status other than 0 puts the job
                      back into the queue and drains no node
EpilogSlurmctld       tells the daemon that the job is over
TaskProlog            runs as the job's user: prints the job's environment for Slurm to set, or
                      says why there is none and fails this job alone
====================  ==========================================================================

A QPU that is busy means "later". What will never work lets the job start, so that its own output
says why. Commands such as srun and salloc, whose jobs Slurm cannot put back, wait a while instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qrmi.schedulers.slurm.hooked import HookedJob, SlurmSilent, log

__all__ = ["main"]


def main(
    arguments: Sequence[str], environment: Mapping[str, str], settings: Mapping[str, Any]
) -> int:
    """Do what Slurm started the program for, and return its exit status.

    Args:
        arguments: the context's name, where ``SLURM_SCRIPT_CONTEXT`` does not say it.
        environment: the process's; it says which job this is, and nothing else is believed.
        settings: ``socket``, ``url``, ``munge_socket``: where the daemon is; ``scontrol`` and
            ``conf``: the command and Slurm's configuration; ``cluster``: its name, where Slurm
            does not say it; ``wait_seconds`` and ``away_seconds``; ``licenses_only``: whether
            QPUs are asked for by licenses alone, so that nobody is asked about jobs without.
    """
    context = arguments[0] if arguments else environment.get("SLURM_SCRIPT_CONTEXT", "")
    run = {"prolog_slurmctld": _begins, "epilog_slurmctld": _ends, "prolog_task": _runs}.get(
        context
    )
    job = HookedJob(environment, settings)
    if run is None or not job.id:
        return 0  # a context that is none of ours must not harm the job
    if settings.get("licenses_only") and run is not _runs and not job.has_license():
        return 0
    return run(job)


def _begins(job: HookedJob) -> int:
    try:
        text = job.record()
    except OSError as error:
        log(f"cannot run scontrol, so no job gets a QPU: {error}")
        return 0  # an installation that is broken must not stop jobs without one
    except SlurmSilent as error:
        log(f"job {job.id}: scontrol fails: {error}")
        return 1
    if "qpu" not in text:
        return 0  # of most jobs this is all there is to find out
    from qrmi.schedulers.slurm.begin import begin

    return begin(job, text)


def _ends(job: HookedJob) -> int:
    from qrmi.schedulers.slurm.end import end

    return end(job)


def _runs(job: HookedJob) -> int:
    from qrmi.schedulers.slurm.task import export

    return export(job)
