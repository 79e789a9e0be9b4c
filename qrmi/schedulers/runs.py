"""One run of a job under schedulers that do not number their runs.

PBS and LSF start a job again under the same id. Each run gets the second in which it began as its
number, so that the end of one run never touches another: see `qrmi.site.terms.Job`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

__all__ = ["begin", "end_runs", "held", "job_environment", "mangled", "names_in", "sentence"]

_AUTO = "auto"
_MOST_TRIES = 5


def begin(ask: Callable[..., Any], job: dict[str, Any], want: dict[str, Any]) -> Any:
    """Ask for what a new run of a job wants; what its earlier runs still hold is given back first.

    A job runs once at a time: whoever begins a run knows that the earlier ones are over, also when
    nobody said so. The run's number, ``restart``, grows where it was used before.

    Returns:
        the answer, as `qrmi.site.terms.Answer` writes it.
    """
    for earlier in held(ask, job):
        _end_run(ask, earlier, "the job runs again")
        job["restart"] = max(job["restart"], earlier.get("restart", 0) + 1)
    answer: Any = {}
    for _ in range(_MOST_TRIES):
        answer = ask("POST", "/v1/leases", {"job": job, "want": want, "wait_seconds": 0})
        if answer.get("outcome") != "ended":
            break
        job["restart"] += 1  # ended within the very second in which it began before
    return answer


def end_runs(
    ask: Callable[..., Any],
    job: dict[str, Any],
    why: str,
    *,
    until: int | None = None,
    host: str = "",
) -> list[str]:
    """Give back what the job's runs hold, and refuse what is still in flight for them.

    Args:
        ask: takes a method, a path and a body; raises where there is no good answer.
        job: scheduler, cluster and id.
        why: a word for the daemon's log.
        until: runs that began later are left alone.
        host: runs that are known to be on another host are left alone.

    Returns:
        the names that were given back.
    """
    released: list[str] = []
    for run in held(ask, job):
        if until is not None and run.get("restart", 0) > until + _MOST_TRIES:
            continue
        if host and run.get("host") and run["host"] != host:
            continue
        released += _end_run(ask, run, why)
    return released


def held(ask: Callable[..., Any], job: dict[str, Any]) -> list[dict[str, Any]]:
    """The runs of a job that have leases, or are about to; without an id: of every job."""
    wanted = {key: str(job[key]) for key in ("scheduler", "cluster", "id") if key in job}
    query = "&".join(f"{key}={_percent_encoded(value)}" for key, value in wanted.items())
    told = ask("GET", f"/v1/leases?{query}")
    leases = told.get("leases", []) if isinstance(told, dict) else told
    runs = [lease["job"] for lease in leases]
    return [run for run in runs if all(run.get(key) == wanted[key] for key in wanted)]


def job_environment(ask: Callable[..., Any], job: dict[str, Any]) -> Any:
    """The daemon's answer about a job's environment: outcome, reason, hint, environment."""
    return ask("POST", "/v1/environment", {key: job[key] for key in ("scheduler", "cluster", "id")})


def _end_run(ask: Callable[..., Any], run: dict[str, Any], why: str) -> list[str]:
    told = ask("POST", "/v1/leases/end", {"job": run, "why": why})
    return list(told.get("released", ()))


def _percent_encoded(text: str) -> str:
    return re.sub(rb"[^A-Za-z0-9_.-]", lambda m: b"%%%02X" % ord(m[0]), text.encode()).decode()


def names_in(text: str) -> tuple[list[str], int]:
    """The resources that ``a+b`` names, and how many ``auto`` stand among them.

    Commas and colons separate as well. Blanks around names do not count; a name that is given
    twice counts once.
    """
    words = [word.strip() for word in re.split(r"[+,:]", text.strip().strip("'\""))]
    names = [word for word in words if word and word != _AUTO]
    return list(dict.fromkeys(names)), words.count(_AUTO)


def mangled(name: str) -> str:
    """The consumable that counts a resource's slots: schedulers allow fewer characters."""
    return "qpu_" + re.sub(r"[^A-Za-z0-9_]", "_", name)


def sentence(told: dict[str, Any]) -> str:
    """Why not, and what to do, in one line."""
    reason = str(told.get("reason") or told.get("message") or "no reason was given")
    hint = str(told.get("hint") or "")
    return " ".join(f"{reason}; {hint}".split()) if hint else " ".join(reason.split())
