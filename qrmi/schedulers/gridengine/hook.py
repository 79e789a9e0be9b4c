"""Grid Engine's queue prolog and epilog, also for Open Cluster Scheduler.

Grid Engine starts them as root on the job's host, with the job's own environment, from which they
take nothing as configuration: who the job is stands in its spool folder, what it asks for is asked
of Grid Engine, and where the daemon is was written down by ``qrmi gridengine setup``.

=====  =============================================================================================
exit   what Grid Engine does
=====  =============================================================================================
0      it goes on
99     the job is put back and tried again
100    the job gets the state E: its user has to change it
other  the *queue* gets the state E, so nothing else may ever leave
=====  =============================================================================================
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from qrmi.schedulers.gridengine import request
from qrmi.schedulers.gridengine.master import NotNowError, described, show
from qrmi.schedulers.gridengine.spool import Spool, SpoolError
from qrmi.schedulers.speaking import Away, Daemon, Lost, Refusal, pause

__all__ = ["main"]

_OK, _PUT_BACK, _JOB_ERROR = 0, 99, 100
_LONGEST_SECONDS = {"prolog": 95, "epilog": 60}  # Grid Engine stops waiting after 120
_END_SECONDS = 10.0
_PATIENCE_TURNS = 12
_TURN_SECONDS = 1.5
_LOOK_SECONDS = 0.3
_ROUTE = "/v1/leases"
_AMOUNTS = ("held_seconds", "wait_seconds", "tasks", "shots", "qpu_seconds")


class _LateError(BaseException):
    """The hook has taken too long."""


def main(arguments: Sequence[str] = ()) -> int:
    """Run ``prolog SITE.json JOB TASK`` or ``epilog SITE.json JOB TASK``; the exit code.

    Never raises, and never returns anything else than 0, 99 or 100. An epilog always returns 0:
    what it could not do is done by the daemon.
    """
    what, path, *ids = [*arguments, "", ""]
    try:
        _not_for_ever(_LONGEST_SECONDS.get(what, 60))
        with open(path, "rb") as stream:  # noqa: PTH123 (pathlib takes as long as all else)
            site = json.loads(stream.read())
        code = _prolog(site, ids) if what == "prolog" else _epilog(site, ids)
    except NotNowError as error:
        return _put_back(str(error))
    except BaseException as error:
        code = _put_back(f"{type(error).__name__}: {error}") if what == "prolog" else _OK
    return code if code in (_OK, _PUT_BACK, _JOB_ERROR) else _PUT_BACK


def _not_for_ever(seconds: int) -> None:
    def stop(*_: object) -> None:
        raise _LateError(f"the site did not answer within {seconds} s")

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)


def _put_back(why: str) -> int:
    _log(f"this job waits: {why}")
    return _PUT_BACK


# --- prolog ---------------------------------------------------------------------------------------


def _prolog(site: Mapping[str, Any], ids: Sequence[str]) -> int:
    spool, config = _run_of_a_job(ids)
    known = described(site, config["job_id"])
    wanted = request.want(known, site.get("names") or {}, _granted(spool))
    if wanted is None:
        return _OK
    job = _job(site, config, known)
    spool.keep(job)
    daemon = _daemon(site)
    try:
        return _acquire(daemon, site, spool, job, wanted)
    except BaseException:
        _end(daemon, job, "the prolog failed")
        raise


def _acquire(
    daemon: Daemon,
    site: Mapping[str, Any],
    spool: Spool,
    job: dict[str, Any],
    wanted: dict[str, Any],
) -> int:
    asked = {"job": job, "want": wanted, "wait_seconds": float(site.get("wait_seconds", 3))}
    answer = _patiently(daemon, _ROUTE, asked)
    outcome = answer.get("outcome")
    if outcome == "granted":
        told = _patiently(
            daemon,
            "/v1/environment",
            {key: job[key] for key in ("scheduler", "cluster", "id")},
        )
        if told.get("outcome") != "granted":
            raise NotNowError(_sentence(told))
        spool.add_environment(told["environment"])
        show(site, job, "")
        return _OK
    if outcome == "refused":
        _log(f"this job cannot have its QPU: {_sentence(answer)}")
        _log(f"mend and submit it again; this one is waiting in error (`qdel {_number(job)}`)")
        show(site, job, f"refused: {_sentence(answer)}")
        return _JOB_ERROR
    show(site, job, f"waiting: {_sentence(answer)}")
    return _PUT_BACK


def _run_of_a_job(ids: Sequence[str]) -> tuple[Spool, dict[str, str]]:
    """The spool folder of the run that this hook was started for, and what its file says.

    Grid Engine sets the folder's variable after the user's own ones, so the user cannot; that the
    folder belongs to this job is checked all the same.
    """
    spool = Spool(os.environ.get("SGE_JOB_SPOOL_DIR", ""))
    config = request.parse_config(spool.read("config"))
    if (config.get("job_id"), _task(config.get("ja_task_id"))) != (ids[0], _task(ids[1])):
        raise SpoolError("the job's spool folder is another job's")
    spool.distrust(_uid(config["job_owner"]))
    return spool, config


def _task(number: str | None) -> str:
    """A task's number; jobs that are no arrays have one, too."""
    return number if number and number not in ("0", "undefined") else "1"


def _granted(spool: Spool) -> dict[str, str]:
    """Ids that Grid Engine granted; where it grants none, these are the user's words.

    They count only for a resource map that the job asks for, and then they are Grid Engine's.
    """
    lines = request.parse_config(spool.read("environment"))
    mark = "SGE_HGR_"
    return {k.removeprefix(mark): v for k, v in lines.items() if k.startswith(mark)}


def _job(
    site: Mapping[str, Any], config: Mapping[str, str], known: Mapping[str, Any]
) -> dict[str, Any]:
    """The run, as `qrmi.site.terms.Job` writes it; its number is the second of its start."""
    task = _task(config.get("ja_task_id"))
    starts = known["starts"]
    if task not in starts:
        raise NotNowError("Grid Engine does not say that it runs")
    account = config.get("acct_project", "none")
    return {
        "scheduler": "gridengine",
        "cluster": site["cluster"],
        "id": f"{config['job_id']}.{task}",
        "restart": starts[task],
        "submitted": known["submitted"],
        "uid": _uid(config["job_owner"]),
        "user": config["job_owner"],
        "account": account if account != "none" else config.get("account", ""),
        "host": config.get("host", ""),
        "name": known["name"][:200],
    }


def _uid(user: str) -> int:
    import pwd

    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise NotNowError(f"this host knows no user {user}") from None


# --- epilog ---------------------------------------------------------------------------------------


def _epilog(site: Mapping[str, Any], ids: Sequence[str]) -> int:
    spool, _ = _run_of_a_job(ids)
    try:
        job = spool.kept()
    except SpoolError as error:
        _log(f"the lease is left to the daemon: {error}")
        return _OK
    if job is None:
        return _OK
    daemon = _daemon(site)
    _end(daemon, job, "")
    amounts = _used(daemon, job, float(site.get("usage_seconds", 0)))
    if amounts:
        spool.add_usage(amounts)
    return _OK


def _used(daemon: Daemon, job: Mapping[str, Any], seconds: float) -> dict[str, float]:
    """What the books say that the run used; empty where they do not have it in time.

    Args:
        daemon: the site's.
        job: the run.
        seconds: how long they are waited for; 0 where Grid Engine would not keep it.
    """
    key = "/".join(str(job[k]) for k in ("scheduler", "cluster", "id", "restart", "submitted"))
    latest = time.monotonic() + seconds
    path = f"/v1/usage?by=job&since={time.time() - 3600:.0f}"
    while time.monotonic() < latest:
        try:
            rows = daemon.ask("GET", path, seconds=_END_SECONDS)
        except (Away, Lost, Refusal):
            return {}
        for row in rows if isinstance(rows, list) else []:
            if row.get("name") == key:
                amounts = {name: row.get(name) for name in _AMOUNTS}
                return {k: v for k, v in amounts.items() if isinstance(v, int | float)}
        pause(_LOOK_SECONDS)
    return {}


# --- parts ----------------------------------------------------------------------------------------


def _daemon(site: Mapping[str, Any]) -> Daemon:
    return Daemon(
        socket=site.get("socket", ""),
        url=site.get("url", ""),
        munge_socket=site.get("munge_socket", ""),
    )


def _patiently(daemon: Daemon, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask again while the daemon is being restarted: every request here may be repeated."""
    for turn in range(_PATIENCE_TURNS):
        try:
            answer = daemon.ask("POST", path, body)
        except (Away, Lost) as error:
            if turn + 1 == _PATIENCE_TURNS:
                raise NotNowError(str(error)) from None
            pause(_TURN_SECONDS)
            continue
        except Refusal as error:
            told = {"message": str(error), **error.told}
            if error.status == 400:  # it will never be understood
                return {**told, "outcome": "refused"}
            raise NotNowError(_sentence(told)) from None
        return answer if isinstance(answer, dict) else {}
    raise AssertionError


def _end(daemon: Daemon, job: Mapping[str, Any], why: str) -> dict[str, Any]:
    """Give back; where this fails, the daemon finds out by itself that the run is over."""
    try:
        body = {"job": job, "why": why}
        answer = daemon.ask("POST", f"{_ROUTE}/end", body, seconds=_END_SECONDS)
    except (Away, Lost, Refusal) as error:
        _log(f"the daemon will give the QPU back: {error}")
        return {}
    return answer if isinstance(answer, dict) else {}


def _number(job: Mapping[str, Any]) -> str:
    return str(job["id"]).split(".")[0]


def _sentence(told: Mapping[str, Any]) -> str:
    reason = str(told.get("reason") or told.get("message") or "no reason was given")
    hint = str(told.get("hint") or "")
    return " ".join(f"{reason}; {hint}".split()) if hint else " ".join(reason.split())


def _log(text: str) -> None:
    """One line for the job's own output, which Grid Engine opened as its user."""
    line = "qrmi: " + "".join(c if c.isprintable() else " " for c in text[:1000]) + "\n"
    try:
        os.write(2, line.encode("utf-8", "replace"))
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
