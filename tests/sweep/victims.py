"""What is done to jobs and daemons in the sweep, by scheduler."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from processes import command_lines, environment_of

__all__ = ["GRID_ENGINE", "SLURM", "Blow"]

Blow = Callable[[Any, str, random.Random], None]
"""Does something to a site while a job of it is queued, begins, runs or ends."""


def _nothing(_site: Any, _job: str, _random: random.Random) -> None:
    """The job runs as it likes."""


def _kill(pids: Iterable[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _the_daemon(site: Any, _job: str, chance: random.Random) -> None:
    site.kill_daemon()
    time.sleep(chance.uniform(0, 0.5))
    site.start_daemon()


# --- Slurm --------------------------------------------------------------------------------------


def _scancel(site: Any, job: str, _random: random.Random) -> None:
    site.lab.run("scancel", job, check=False)


def _requeue(site: Any, job: str, _random: random.Random) -> None:
    site.lab.run("scontrol", "requeue", job, check=False)


def _the_controller(site: Any, _job: str, chance: random.Random) -> None:
    site.lab.kill("slurmctld")
    time.sleep(chance.uniform(0, 0.5))
    site.lab.start_daemon("slurmctld")


def _the_node_daemon(site: Any, _job: str, chance: random.Random) -> None:
    node = chance.choice(["n1", "n2"])
    site.lab.kill(node)
    time.sleep(chance.uniform(0, 0.5))
    site.lab.start_daemon(node)


def _the_slurm_hook(site: Any, _job: str, _random: random.Random) -> None:
    hook = str(site.lab.hook)
    _kill(pid for pid, words in command_lines() if hook in "\0".join(words))


def _the_jobs_processes(site: Any, job: str, _random: random.Random) -> None:
    mark = f"SLURM_JOB_ID={job}"
    _kill(pid for pid in site.lab.job_processes() if mark in environment_of(pid))


def _second_epilog(site: Any, job: str, _random: random.Random) -> None:
    """The controller's epilog once more, for a job that may well be running: only at its end."""
    site.lab.run("scancel", job, check=False)
    env = {
        "SLURM_SCRIPT_CONTEXT": "epilog_slurmctld",
        "SLURM_JOB_ID": job,
        "SLURM_CLUSTER_NAME": site.lab.cluster,
        "SLURM_RESTART_COUNT": "0",
    }
    for _ in range(2):
        site.lab.run(str(site.lab.hook), env=env, check=False)


# --- Grid Engine --------------------------------------------------------------------------------


def _qdel(site: Any, job: str, chance: random.Random) -> None:
    site.lab.run("qdel", *chance.choice([[], ["-f"]]), job, check=False)


def _reschedule(site: Any, job: str, _random: random.Random) -> None:
    site.lab.run("qmod", "-rj", job, check=False)


def _the_hooks(site: Any, _job: str, _random: random.Random) -> None:
    for which in ("prolog", "epilog"):
        _kill(site.lab.pythons_of(site.hooks / which))


def _the_shepherd(site: Any, job: str, _random: random.Random) -> None:
    for file in (Path(site.lab.spool) / "execd").rglob(f"active_jobs/{job}.1/pid"):
        with contextlib.suppress(OSError, ValueError):
            _kill([int(file.read_text())])


def _the_programs(site: Any, job: str, _random: random.Random) -> None:
    with contextlib.suppress(OSError):
        _kill(site.lab.job_processes(job))


SLURM: dict[str, Blow] = {
    "nothing": _nothing,
    "scancel": _scancel,
    "requeue": _requeue,
    "qrmid": _the_daemon,
    "slurmctld": _the_controller,
    "slurmd": _the_node_daemon,
    "hook": _the_slurm_hook,
    "processes": _the_jobs_processes,
    "second epilog": _second_epilog,
}
GRID_ENGINE: dict[str, Blow] = {
    "nothing": _nothing,
    "qdel": _qdel,
    "reschedule": _reschedule,
    "qrmid": _the_daemon,
    "hooks": _the_hooks,
    "shepherd": _the_shepherd,
    "processes": _the_programs,
}
