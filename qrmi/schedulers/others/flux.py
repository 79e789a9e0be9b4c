"""What Flux starts around a job.

`qrmi flux setup` makes one program of it, ``qrmi-flux WORD``, where the word is one of

======  =======================================================================================
word    Flux starts it as
======  =======================================================================================
prolog  a script of ``prolog.d``, as root on the job's first node: acquires
epilog  a script of ``epilog.d`` and of ``housekeeping.d``, as root: gives back
env     a plug-in of the job's shell, as the user: prints the job's environment
======  =======================================================================================

A prolog that fails drains its nodes, so this one never does: a job that gets no QPU is ended by an
exception with the reason, which ``flux job attach`` and ``flux jobs`` show. A job asks with
``--setattr=system.qrmi.qpu=a+b``. Flux cannot put a job back into its queue; a job whose QPU is
busy waits in its prolog, for a bounded time.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from qrmi.schedulers.calling import Site, SiteProblem
from qrmi.schedulers.runs import job_environment, names_in, sentence
from qrmi.schedulers.speaking import pause

__all__ = ["main", "number_of", "want_of"]

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_A_WAIT_SECONDS = 60.0
_PATIENCE_SECONDS = 1500.0  # Flux ends a prolog, and drains its nodes, after 30 minutes
_PAUSE_SECONDS = 5.0


def main(
    arguments: Sequence[str], environment: Mapping[str, str], settings: Mapping[str, Any]
) -> int:
    """Do what the first argument says. The exit code is 0, whatever happened."""
    words = {"prolog": _prolog, "epilog": _epilog, "env": _env}
    environ = dict(environment)
    if len(arguments) > 1:
        environ["FLUX_JOB_ID"] = arguments[1]  # a job shell has it in no variable
    try:
        words[arguments[0]](Site(settings), environ)
    except SiteProblem as problem:
        print(f"qrmi: {problem}", file=sys.stderr)
    return 0


def number_of(text: str) -> int:
    """A job's number, from the form in which Flux gave it: decimal, or ``ƒ`` and base 58.

    Raises:
        SiteProblem: it is neither.
    """
    if text.isdecimal():
        return int(text)
    digits = text[1:] if text[:1] in ("ƒ", "f") else ""
    if not digits or set(digits) - set(_ALPHABET):
        raise SiteProblem("Flux did not say which job this is")
    number = 0
    for digit in digits:
        number = number * 58 + _ALPHABET.index(digit)
    return number


def want_of(jobspec: dict[str, Any]) -> dict[str, Any]:
    """What a job asks for, in the daemon's words; empty when it asks for no QPU.

    ``system.qrmi.qpu`` is ``"a+b"``, ``"auto"``, a list of names, or an object of slots by name.

    Raises:
        SiteProblem: it is something else.
    """
    system = (jobspec.get("attributes") or {}).get("system") or {}
    asked = system.get("qrmi") or {}
    asked = asked.get("qpu") if isinstance(asked, dict) else None
    if not asked:
        return {}
    slots: dict[str, int] = {}
    if isinstance(asked, dict):
        slots, asked = asked, list(asked)
    words = asked if isinstance(asked, list) else [asked]
    if not all(isinstance(each, str) for each in words) or not all(
        isinstance(each, int) and each > 0 for each in slots.values()
    ):
        raise SiteProblem("system.qrmi.qpu must be names joined by +, a list, or slots by name")
    names, anys = names_in("+".join(words))
    limit = system.get("duration") or None
    return {"names": names, "slots": slots, "any": anys, "limit_seconds": limit}


def _job(site: Site, environ: Mapping[str, str]) -> dict[str, Any]:
    number = number_of(environ.get("FLUX_JOB_ID", ""))
    return {"scheduler": "flux", "cluster": site.cluster, "id": str(number)}


def _prolog(site: Site, environ: Mapping[str, str]) -> None:
    job = _job(site, environ)
    try:
        jobspec = json.loads(_flux(site, "job", "info", job["id"], "jobspec"))
        want = want_of(jobspec)
        if not want:
            return
        answer = _patient(site, {**job, **_described(site, environ, job["id"], jobspec)}, want)
    except SiteProblem as problem:
        answer = {"reason": str(problem)}
    except ValueError:
        answer = {"reason": "Flux does not tell what the job asks for"}
    if answer.get("outcome") != "granted":
        _give_up(site, job)
        reason = f"this job gets no QPU: {sentence(answer)}"
        _flux(site, "job", "raise", "--severity=0", "--type=qrmi", job["id"], "--", reason)


def _give_up(site: Site, job: dict[str, Any]) -> None:
    try:
        _end(site, job)
    except SiteProblem:
        return  # the epilog does it again


def _patient(site: Site, job: dict[str, Any], want: dict[str, Any]) -> Any:
    """Ask until the answer is not "later", or patience is over."""
    patience = float(site.settings.get("patience_seconds", _PATIENCE_SECONDS))
    until = time.monotonic() + patience
    while True:
        left = until - time.monotonic()
        wait = max(0.0, min(_A_WAIT_SECONDS, left))
        answer = site.ask("POST", "/v1/leases", {"job": job, "want": want, "wait_seconds": wait})
        if answer.get("outcome") != "later" or left <= _PAUSE_SECONDS:
            return answer
        pause(min(_PAUSE_SECONDS, left))


def _epilog(site: Site, environ: Mapping[str, str]) -> None:
    _end(site, _job(site, environ))


def _end(site: Site, job: dict[str, Any]) -> None:
    """Give back what the job holds, and refuse what is still in flight. A Flux job runs once."""
    site.ask("POST", "/v1/leases/end", {"job": {**job, "restart": 0}, "why": "the job ended"})


def _env(site: Site, environ: Mapping[str, str]) -> None:
    """Print ``NAME=VALUE`` lines for the shell's plug-in, or ``!`` and why the job must end."""
    told = job_environment(site.ask, _job(site, environ))
    if told.get("outcome") == "refused":
        print(f"!{sentence(told)}")
        return
    for name, value in (told.get("environment") or {}).items():
        if re.fullmatch(r"[A-Za-z0-9_.@-]+", name) and "\n" not in value:
            print(f"{name}={value}")


def _described(
    site: Site, environ: Mapping[str, str], number: str, jobspec: dict[str, Any]
) -> dict[str, Any]:
    user = environ.get("FLUX_JOB_USERID", "")
    if not user.isdecimal():
        raise SiteProblem("Flux did not say whose job this is")
    import pwd

    try:
        name = pwd.getpwuid(int(user)).pw_name
    except KeyError:
        name = ""
    system = (jobspec.get("attributes") or {}).get("system") or {}
    bank = system.get("bank") or system.get("project") or ""
    submitted = _flux(site, "jobs", "-no", "{t_submit}", number).strip()
    return {
        "restart": 0,
        "submitted": int(float(submitted)) if re.fullmatch(r"[\d.]+", submitted) else 0,
        "uid": int(user),
        "user": name,
        "account": str(bank),
        "name": str((system.get("job") or {}).get("name") or "")[:200],
    }


def _flux(site: Site, *words: str) -> str:
    done = site.run("flux", *words)
    if done.returncode:
        raise SiteProblem(f"`flux {words[0]}` failed with exit code {done.returncode}")
    return str(done.stdout)
