"""The hook for OpenPBS and PBS Professional, which PBS runs inside its own Python.

PBS takes a hook as one file. `qrmi.schedulers.others.setup.pbs` writes that file from this module
and those that it imports; the file needs nothing that is not in the standard library.

===================  ==========================================================================
event                what happens
===================  ==========================================================================
queuejob, modifyjob  ``-l quantum_resources=a+b`` becomes one of ``qpu_a`` and one of ``qpu_b``
runjob               the QPUs are acquired; while they are busy or away the job stays queued
execjob_launch       the job's program gets its environment, from the daemon and not from PBS
execjob_end, endjob  the QPUs are given back
periodic             away QPUs are taken out of the count; forgotten leases are ended
===================  ==========================================================================

No token and no setting goes through a job's ``Variable_List``, which ``qstat -f`` shows.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import time
from typing import Any

from qrmi.schedulers.runs import (
    begin,
    end_runs,
    held,
    job_environment,
    mangled,
    names_in,
    sentence,
)
from qrmi.schedulers.speaking import Daemon

__all__ = ["serve"]

_REQUEST = "quantum_resources"
_JOINED_BY = ":"
_LISTS = (
    "QRMI_JOB_QPU_RESOURCES",
    "QRMI_JOB_QPU_TYPES",
    "SLURM_JOB_QPU_RESOURCES",
    "SLURM_JOB_QPU_TYPES",
    "QRMI_JOB_QPU_SLOTS",
)
_HOOK_SECONDS = 25.0  # PBS waits for a hook of the server, and does nothing else
_SETTLES_SECONDS = 60  # a lease may be this much older than its job's state says
_RUNNING = ("RUNNING", "EXITING", "SUSPEND", "SUSPEND_USERACTIVE", "BEGUN", "TRANSIT")


def serve(pbs: Any) -> None:
    """Answer the event that PBS calls for. Other jobs than those with QPUs are never rejected."""
    event = pbs.event()
    handlers = {
        "QUEUEJOB": _translate,
        "MODIFYJOB": _translate,
        "RUNJOB": _run,
        "EXECJOB_LAUNCH": _launch,
        "EXECJOB_END": _end,
        "ENDJOB": _end,
        "PERIODIC": _periodic,
    }
    for name, handler in handlers.items():
        if event.type == getattr(pbs, name, None):
            handler(pbs, event, _Site(pbs))
    event.accept()


class _Site:
    """What the hook's configuration file says: the daemon, the cluster, the consumables."""

    def __init__(self, pbs: Any) -> None:
        path = getattr(pbs, "hook_config_filename", None)
        given: dict[str, Any] = {}
        if path:
            with open(path, encoding="utf-8") as stream:  # noqa: PTH123 (an old Python runs this)
                given = json.load(stream)
        self.cluster = str(given.get("cluster") or "pbs")
        self.names: dict[str, str] = dict(given.get("consumables") or {})
        self.qmgr = str(given.get("qmgr") or "/opt/pbs/bin/qmgr")
        path = str(given.get("socket") or "")
        self._daemon = Daemon(
            socket=path if os.path.exists(path) else "",  # noqa: PTH110
            url=str(given.get("url") or ""),
            munge_socket=str(given.get("munge_socket") or ""),
        )

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self._daemon.ask(method, path, body, seconds=_HOOK_SECONDS)

    def job(self, job: Any) -> dict[str, Any]:
        return {"scheduler": "pbs", "cluster": self.cluster, "id": str(job.id)}


# --- a job is submitted -----------------------------------------------------------------------


def _translate(pbs: Any, event: Any, site: _Site) -> None:
    job = event.job
    text = _asked(job, _REQUEST)
    if text is None:
        return
    names, anys = names_in(str(text))
    known = set(site.names.values())
    unknown = [name for name in names if name not in known]
    if unknown or not (names or anys):
        listed = ", ".join(sorted(known)) or "none"
        event.reject(
            f"no QPU is called {', '.join(unknown) or repr(str(text))}; there are: {listed}; "
            f"`auto` takes any"
        )
    for name in names:
        consumable = mangled(name)
        already = _asked(job, consumable)
        job.Resource_List[consumable] = max(int(already or 0), 1)


def _asked(job: Any, name: str) -> Any:
    """What a job asks for; ``None`` also for a resource that this server does not know."""
    try:
        return job.Resource_List[name]
    except Exception:  # PBS raises errors of its own for names that it does not know
        return None


# --- a job is about to run --------------------------------------------------------------------


def _run(pbs: Any, event: Any, site: _Site) -> None:
    job = event.job
    want = _want(job, site)
    if not want:
        return
    run: dict[str, Any] = site.job(job)
    try:
        run.update(_described(job))
        answer = begin(site.ask, run, want)
    except BaseException as error:  # PBS interrupts a hook that takes too long
        _forget(site, run)
        event.reject(f"the quantum resources could not be asked for: {_told(error)}")
        return
    if answer.get("outcome") == "granted":
        return
    if answer.get("outcome") == "refused":
        job.Hold_Types = pbs.hold_types("s")
        event.reject(f"held, it cannot run like this: {sentence(answer)}; then qrls -h s")
    event.reject(f"waiting for a QPU: {sentence(answer)}")


def _want(job: Any, site: _Site) -> dict[str, Any]:
    """What the job asks for, in the daemon's words; empty when it asks for no QPU."""
    slots = {name: int(_asked(job, each) or 0) for each, name in site.names.items()}
    names = [name for name in slots if slots[name] > 0]
    anys = names_in(str(_asked(job, _REQUEST) or ""))[1]
    if not names and not anys:
        return {}
    limit = _asked(job, "walltime")
    return {
        "names": names,
        "slots": {name: slots[name] for name in names},
        "any": anys,
        "limit_seconds": None if limit is None else float(int(limit)),
    }


def _described(job: Any) -> dict[str, Any]:
    user = str(getattr(job, "euser", None) or str(job.Job_Owner).split("@")[0])
    try:
        uid = pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ValueError(f"this host knows no user {user}") from None
    submitted = getattr(job, "ctime", None) or getattr(job, "qtime", None)
    return {
        "restart": int(time.time()),
        "submitted": int(submitted) if submitted else 0,
        "uid": uid,
        "user": user,
        "account": str(getattr(job, "Account_Name", None) or ""),
        "name": str(getattr(job, "Job_Name", None) or ""),
    }


def _forget(site: _Site, run: dict[str, Any]) -> None:
    """Refuse what may still be in flight; where this fails, `_periodic` ends it."""
    try:
        if "restart" in run:
            site.ask("POST", "/v1/leases/end", {"job": run, "why": "the hook was stopped"})
    except Exception:
        return


def _told(error: BaseException) -> str:
    return " ".join((str(error) or type(error).__name__).split())


# --- on the node ------------------------------------------------------------------------------


def _launch(pbs: Any, event: Any, site: _Site) -> None:
    """Give the job's program its environment; a refusal is told there, and fails only the job."""
    if not _want(event.job, site):
        return
    try:
        told = job_environment(site.ask, site.job(event.job))
        values = dict(told.get("environment") or {})
        problem = "" if told.get("outcome") == "granted" else sentence(told)
        if told.get("outcome") == "none":
            problem = "the site holds no QPU for this job; it is over, or its hook did not run"
    except Exception as error:
        values, problem = {}, f"the site's quantum daemon cannot be asked: {_told(error)}"
    if problem:
        values["QRMI_PLUGIN_ERROR"] = problem.replace(",", ";")
    for name in _LISTS:
        if name in values and "QRMI_LIST_DELIMITER" not in values:
            values[name] = values[name].replace(",", _JOINED_BY)
    for name, value in {**values, "QRMI_LIST_DELIMITER": _JOINED_BY}.items():
        event.env[name] = value


def _end(pbs: Any, event: Any, site: _Site) -> None:
    job = event.job
    if not _want(job, site):
        return
    until = None
    if event.type == getattr(pbs, "EXECJOB_END", None):
        began = getattr(job, "stime", None)
        if not began:
            return  # which run this was is not known on this node; the server ends it
        until = int(began)
    try:
        end_runs(site.ask, site.job(job), "the job ended", until=until)
    except Exception as error:
        pbs.logjobmsg(job.id, f"qrmi: the QPU is given back later: {_told(error)}")


# --- now and then -----------------------------------------------------------------------------


def _periodic(pbs: Any, event: Any, site: _Site) -> None:
    try:
        _reap(pbs, site)
        _count(pbs, site)
    except Exception as error:
        pbs.logmsg(pbs.LOG_WARNING, f"qrmi: {_told(error)}")


def _reap(pbs: Any, site: _Site) -> None:
    """End the leases of jobs that do not run: of those that vanished, and of failed starts."""
    running = {getattr(pbs, f"JOB_STATE_{word}", word) for word in _RUNNING}
    for run in held(site.ask, {"scheduler": "pbs", "cluster": site.cluster}):
        if time.time() - run.get("restart", 0) < _SETTLES_SECONDS:
            continue
        job = pbs.server().job(run["id"])
        if job is None or job.job_state not in running:
            site.ask("POST", "/v1/leases/end", {"job": run, "why": "PBS does not run the job"})


def _count(pbs: Any, site: _Site) -> None:
    """Make the server's count of each QPU's slots what can be lent now."""
    told = site.ask("GET", "/v1/resources")
    listed = told.get("resources", []) if isinstance(told, dict) else told
    by_name = {each["name"]: each for each in listed}
    available = pbs.server().resources_available
    for consumable, name in site.names.items():
        entry = by_name.get(name, {})
        count = int(entry.get("slots", 1)) if entry.get("state") == "online" else 0
        try:
            unchanged = int(available[consumable]) == count
        except Exception:  # it was never set
            unchanged = False
        if not unchanged:
            line = f"set server resources_available.{consumable} = {count}"
            subprocess.run([site.qmgr, "-c", line], check=False, timeout=20)
