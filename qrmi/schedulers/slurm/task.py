"""TaskProlog, as the job's user: the environment of a job's QPUs, or why there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

from qrmi.schedulers.slurm.hooked import AWAY_HINT, PAUSE_SECONDS, HookedJob, SlurmSilent, sentence
from qrmi.schedulers.speaking import Away, Lost, Refusal, pause

__all__ = ["export"]

_OURS = ("QRMI_JOB_", "SLURM_JOB_QPU_")


def export(job: HookedJob) -> int:
    """Print what Slurm puts into the task's environment; fail a job that has no QPU it wanted."""
    ends = time.monotonic() + job.away_seconds
    wants: bool | None = None
    while True:
        told = _environment(job)
        if told.get("outcome") == "granted":
            return _exported(told.get("environment") or {})
        if told.get("outcome") == "none":
            return _forgotten(job)
        wants = _wants(job) if wants is None else wants
        if not wants:
            return _forgotten(job)  # it never asked for one: nothing that is wrong is its matter
        if "outcome" in told or time.monotonic() > ends:
            sys.stdout.write(f"print qrmi: {sentence(told)}\n")
            return 1
        pause(PAUSE_SECONDS)


def _environment(job: HookedJob) -> dict[str, Any]:
    """The daemon's answer; without an outcome where there is none."""
    try:
        return dict(job.ask("POST", "/v1/environment", job.named()))
    except Refusal as error:
        return {"reason": str(error), "hint": error.told.get("hint") or AWAY_HINT}
    except (Away, Lost) as error:
        return {"reason": str(error), "hint": AWAY_HINT}


def _wants(job: HookedJob) -> bool:
    try:
        text = job.record()
    except (OSError, SlurmSilent):
        return False
    if "qpu" not in text:
        return False
    from qrmi.schedulers.slurm.jobs import find, want

    return want(find(text, job.id, job.environment.get("SLURM_JOB_NAME"))) is not None


def _exported(values: Mapping[str, Any]) -> int:
    lines = [f"export {name}={value}" for name, value in values.items() if _is_line(value)]
    sys.stdout.write("".join(line + "\n" for line in lines))
    return 0


def _is_line(value: Any) -> bool:
    return "\n" not in str(value) and "\0" not in str(value)


def _forgotten(job: HookedJob) -> int:
    """Unset what a job without QPUs inherited from the job that submitted it."""
    if job.environment.get("QRMI_JOB_ID", job.id) not in ("", job.id):
        sys.stdout.write("".join(f"unset {name}\n" for name in job.environment if _is_lent(name)))
    return 0


def _is_lent(name: str) -> bool:
    return name.startswith(_OURS) or "_QRMI_JOB_" in name or name.endswith("_QRMI_SITE_GATEWAY")
