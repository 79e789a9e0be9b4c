"""What a hook of Slurm's costs beyond the vendor's own answer, for jobs with and without a QPU.

The baseline is a bare isolated interpreter and one ``scontrol``, one after the other: what any
hook in Python that has to look at its job costs.
"""

from __future__ import annotations

import contextlib
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, seconds

__all__ = ["run"]

_ROUNDS = 15
_LIMIT = 2.0


def run() -> list[Row]:
    """Each context of the hook, on a Slurm and a daemon of their own; none without Slurm."""
    tests = Path(__file__).parents[1] / "tests"
    sys.path[:0] = [str(tests / each) for each in ("slurm", "schedulers", "servers")]
    if shutil.which("slurmctld", path="/usr/sbin:/usr/bin") is None:
        return [Row(what="hooks of Slurm", value="not measured: Slurm is not installed")]
    from slurm_site import SlurmSite

    site = SlurmSite()
    try:
        site.start()
        return _rows(site)
    finally:
        site.stop()


def _rows(site: Any) -> list[Row]:
    jobs = {
        "a job with a QPU": site.submit("sleep 600", "-L", "qpu_emu"),
        "a job without": site.submit("sleep 600"),
    }
    for job in jobs.values():
        site.lab.until_state(job, "RUNNING")
    bare = _baseline(site, next(iter(jobs.values())))
    contexts = ("prolog_slurmctld", "prolog_task", "epilog_slurmctld")
    return [
        _row(f"{context}, {what}", lambda c=context, j=job: _hook(site, c, j), bare)
        for context in contexts
        for what, job in jobs.items()
    ]


def _baseline(site: Any, job: str) -> Any:
    around = {"SLURM_CONF": str(site.lab.conf)}
    commands = (
        ["/usr/bin/python3", "-I", "-c", "pass"],
        ["/usr/bin/scontrol", "-d", "-o", "show", "job", job],
    )

    def bare() -> None:
        for command in commands:
            subprocess.run(command, env=around, check=True, stdout=subprocess.DEVNULL)

    return bare


def _hook(site: Any, context: str, job: str) -> None:
    around = {
        "SLURM_SCRIPT_CONTEXT": context,
        "SLURM_JOB_ID": job,
        "SLURM_CLUSTER_NAME": site.lab.cluster,
        "SLURM_JOB_UID": str(site.user.uid),
        "SLURM_JOB_NAME": "sbatch",
        "SLURM_JOB_RESTART_COUNT": "0",
    }
    subprocess.run([site.lab.hook], env=around, check=True, stdout=subprocess.DEVNULL)


def _row(what: str, hook: Any, bare: Any) -> Row:
    with contextlib.suppress(subprocess.CalledProcessError):
        hook()
    pairs = [(seconds(hook) * 1e3, seconds(bare) * 1e3) for _ in range(_ROUNDS)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    return Row(
        what=f"hook: {what}",
        value=f"{statistics.median(ours for ours, _ in pairs):.1f} ms, {ratio:.2f} of the baseline",
        baseline=f"python3 -I + scontrol {statistics.median(b for _, b in pairs):.1f} ms",
        limit=f"{_LIMIT:g} of the baseline",
        holds=ratio <= _LIMIT,
    )
