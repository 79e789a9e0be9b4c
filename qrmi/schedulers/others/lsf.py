"""What LSF starts: around a job, when one is submitted, and to learn which QPUs there are.

`qrmi lsf setup` makes one program of it, ``qrmi-lsf WORD``, where the word is one of

======  =======================================================================================
word    LSF starts it as
======  =======================================================================================
pre     ``PRE_EXEC``, as root: acquires. 0 goes on, 1 puts the job back into the queue
start   ``JOB_STARTER``, as the user: gives the job its environment and becomes the job
post    ``POST_EXEC``, as root: gives back
esub    ``esub``, as the user: ``bsub -a "qrmi(a+b)"`` becomes ``rusage[qpu_a=1,qpu_b=1]``
elim    ``elim``: tells LSF every few seconds how many slots of each QPU can be lent
======  =======================================================================================

Of a job's environment only its number is believed, which LSF itself sets. What the job asks for is
what ``bjobs`` says, and ``bjobs`` runs in an environment that the settings give it.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from qrmi.schedulers.calling import Site, SiteProblem
from qrmi.schedulers.runs import begin, end_runs, job_environment, mangled, names_in, sentence
from qrmi.schedulers.speaking import pause

__all__ = ["job_of", "main", "merged", "want_of"]

_GO_ON = 0
_BACK_TO_THE_QUEUE = 1
_ANY = "qpu_any"
_FIELDS = "user submit_time runtimelimit proj_name effective_resreq job_name"
_ASKED = re.compile(r"\b(qpu_\w+)\s*=\s*(\d+)")
_RUSAGE = re.compile(r"rusage\[([^\]]*)\]")
_ELIM_SECONDS = 15.0


def main(
    arguments: Sequence[str], environment: Mapping[str, str], settings: Mapping[str, Any]
) -> int:
    """Do what the first argument says; return the exit code that LSF understands."""
    words = {"pre": _pre, "start": _start, "post": _post, "esub": _esub, "elim": _elim}
    return words[arguments[0]](Site(settings), environment, list(arguments[1:]))


def job_of(site: Site, environ: Mapping[str, str]) -> dict[str, Any]:
    """The job that LSF runs this for; of its variables only the two numbers are taken."""
    number, index = environ.get("LSB_JOBID", ""), environ.get("LSB_JOBINDEX", "") or "0"
    if not (number.isdecimal() and index.isdecimal()):
        raise SiteProblem("LSF did not say which job this is")
    name = number if int(index) == 0 else f"{number}[{index}]"
    return {"scheduler": "lsf", "cluster": site.cluster, "id": name}


# --- before and after -------------------------------------------------------------------------


def _pre(site: Site, environ: Mapping[str, str], rest: list[str]) -> int:
    """Acquire. A refusal goes on, too: the job's own output tells it, and the job fails there."""
    run: dict[str, Any] = {}
    try:
        job = job_of(site, environ)
        asked = _asked(site, job["id"])
        if not _ASKED.search(asked["effective_resreq"]):
            return _GO_ON
        want = want_of(asked, site.resources())
        run = {**job, **_described(asked)}
        answer = begin(site.ask, run, want)
    except SiteProblem as problem:
        site.forget(run)
        return _back(site, environ.get("LSB_JOBID", ""), str(problem))
    if answer.get("outcome") in ("granted", "refused"):
        return _GO_ON
    return _back(site, job["id"], sentence(answer))


def _post(site: Site, environ: Mapping[str, str], rest: list[str]) -> int:
    """Give back what this host's run holds; what cannot be told now, the daemon ends later."""
    try:
        job = job_of(site, environ)
        end_runs(site.ask, job, "the job ended", host=os.uname().nodename)
    except SiteProblem as problem:
        print(f"qrmi: {problem}", file=sys.stderr)
    return 0


def _back(site: Site, number: str, reason: str) -> int:
    """Back to the queue; ``bjobs -l`` and ``bread`` show why."""
    if re.fullmatch(r"\d+(\[\d+\])?", number):
        site.run("bpost", "-d", f"qrmi: {reason}"[:500], number)
    return _BACK_TO_THE_QUEUE


def _asked(site: Site, number: str) -> dict[str, str]:
    """What LSF says about a job, by field."""
    done = site.run("bjobs", "-noheader", "-o", f"{_FIELDS} delimiter='^'", number)
    line = done.stdout.strip().splitlines()[-1:] or [""]
    values = line[0].split("^", _FIELDS.count(" "))
    if done.returncode or len(values) != _FIELDS.count(" ") + 1:
        raise SiteProblem("bjobs does not tell about the job")
    fields = zip(_FIELDS.split(), values)  # noqa: B905 (Python 3.8 may run this)
    return {key: "" if text == "-" else text for key, text in fields}


def want_of(asked: dict[str, str], known: Sequence[str]) -> dict[str, Any]:
    """What a job asks for, in the daemon's words.

    Args:
        asked: the fields of `bjobs`.
        known: the resources that there are.
    """
    counts: dict[str, int] = {}
    for section in _RUSAGE.findall(asked["effective_resreq"]):
        for name, count in _ASKED.findall(section):
            counts[name] = max(counts.get(name, 0), int(count))
    names = {mangled(name): name for name in known}
    anys = counts.pop(_ANY, 0)
    slots = {names.get(name, name[len("qpu_") :]): n for name, n in counts.items() if n}
    minutes = re.match(r"\d+(\.\d+)?", asked["runtimelimit"], re.ASCII)
    limit = float(minutes[0]) * 60 if minutes else None
    return {"names": list(slots), "slots": slots, "any": anys, "limit_seconds": limit}


def _described(asked: dict[str, str]) -> dict[str, Any]:
    import pwd

    try:
        uid = pwd.getpwnam(asked["user"]).pw_uid
    except KeyError:
        raise SiteProblem(f"this host knows no user {asked['user']}") from None
    return {
        "restart": int(time.time()),
        "submitted": _epoch(asked["submit_time"], time.time()),
        "uid": uid,
        "user": asked["user"],
        "account": asked["proj_name"],
        "host": os.uname().nodename,
        "name": asked["job_name"][:200],
    }


def _epoch(text: str, now: float) -> int:
    """``Nov 23 00:12``, with seconds or a year where LSF is told to show them; 0 if unreadable."""
    for form in ("%b %d %H:%M:%S %Y", "%b %d %H:%M %Y"):
        for year, sure in (("", True), (f" {time.localtime(now).tm_year}", False)):
            try:
                found = time.strptime(text.strip() + year, form)
            except ValueError:
                continue
            then = time.mktime(found)
            if not sure and then > now + 86400:  # December, seen in January
                then = time.mktime((found.tm_year - 1, *found[1:]))
            return int(then)
    return 0


# --- the job ----------------------------------------------------------------------------------


def _start(site: Site, environ: Mapping[str, str], rest: list[str]) -> int:
    """Become the job's command, in the job's environment; its exit code is the job's."""
    given = dict(environ)
    try:
        told = job_environment(site.ask, job_of(site, environ))
        if told.get("outcome") == "refused" and _wants(environ):
            print(f"qrmi: this job gets no QPU: {sentence(told)}", file=sys.stderr)
            return 1
        given.update(told.get("environment") or {})
    except SiteProblem as problem:
        if _wants(environ):
            given["QRMI_PLUGIN_ERROR"] = str(problem)
    command = list(rest)
    if len(command) == 1 and not os.path.isfile(command[0]):  # noqa: PTH113 (pathlib is slow)
        command = ["/bin/sh", "-c", command[0]]  # the queue says "%USRCMD"
    try:
        os.execvpe(command[0], command, given)
    except (OSError, IndexError) as error:
        print(f"qrmi: the job's command cannot be started: {error}", file=sys.stderr)
        return 127 if isinstance(error, FileNotFoundError) else 126


def _wants(environ: Mapping[str, str]) -> bool:
    """Whether the job asks for a QPU, as LSF tells the job itself; only the job depends on it."""
    asked = environ.get("LSB_EFFECTIVE_RSRCREQ")
    return asked is None or _ASKED.search(asked) is not None


# --- submission -------------------------------------------------------------------------------


def _esub(site: Site, environ: Mapping[str, str], rest: list[str]) -> int:
    """Turn ``-a "qrmi(a+b)"`` into a resource requirement; unknown names stop the submission."""
    names, anys = names_in("+".join(rest))
    if not names and not anys:
        return 0
    try:
        known = site.resources()
    except SiteProblem:
        known = names  # the job waits until the daemon is there
    unknown = [name for name in names if name not in known]
    if unknown:
        print(
            f"no QPU is called {', '.join(unknown)}; there are: {', '.join(sorted(known))}; "
            "auto takes any",
            file=sys.stderr,
        )
        return int(environ.get("LSB_SUB_ABORT_VALUE") or 97)
    parts = [f"{mangled(name)}=1" for name in names] + ([f"{_ANY}={anys}"] if anys else [])
    present = _submitted(environ.get("LSB_SUB_PARM_FILE", "")).get("LSB_SUB_RES_REQ", "")
    text = merged(present, ",".join(parts))
    with open(environ["LSB_SUB_MODIFY_FILE"], "a", encoding="utf-8") as stream:  # noqa: PTH123
        stream.write(f'LSB_SUB_RES_REQ="{text}"\n')
    return 0


def _submitted(path: str) -> dict[str, str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:  # noqa: PTH123
            lines = [line.rstrip("\n").partition("=") for line in stream]
    except OSError:
        return {}
    return {key: value.strip('"') for key, _, value in lines}


def merged(present: str, usage: str) -> str:
    """A resource requirement that also uses ``usage``, in the one section for it."""
    if not _RUSAGE.search(present):
        return f"{present} rusage[{usage}]".strip()
    return _RUSAGE.sub(lambda found: f"rusage[{usage},{found[1]}]", present)


# --- availability -----------------------------------------------------------------------------


def _elim(site: Site, environ: Mapping[str, str], rest: list[str]) -> int:
    """Tell LSF for ever; what is not known to be there counts as nothing."""
    once = "--once" in rest
    known: list[str] = []
    while True:
        try:
            rows = site.ask("GET", "/v1/resources")
            slots = {r["name"]: r.get("slots", 1) * (r.get("state") == "online") for r in rows}
            known = list(slots)
        except SiteProblem:
            slots = dict.fromkeys(known, 0)
        values = {mangled(name): count for name, count in slots.items()}
        values[_ANY] = sum(count > 0 for count in slots.values())
        line = " ".join(f"{name} {count}" for name, count in values.items())
        print(f"{len(values)} {line}", flush=True)
        if once:
            return 0
        pause(_ELIM_SECONDS)
