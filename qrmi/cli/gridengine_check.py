"""``qrmi gridengine check``: what is wrong with an installation, and what to do about it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import attrs

from qrmi.cli import console, exits
from qrmi.cli.site_check import Finding
from qrmi.errors import QrmiError
from qrmi.schedulers.gridengine.setup import fragments
from qrmi.schedulers.gridengine.setup.plan import Plan
from qrmi.schedulers.speaking import Away, Daemon, Lost, Refusal
from qrmi.site.gridengine.switch import pools
from qrmi.site.running import CommandRefusedError

__all__ = ["check", "run"]

_APPLY = "run apply.sh again"


def run(plan: Plan, *, as_json: bool) -> int:
    """Check, show, and tell by the exit code."""
    findings = list(check(plan))
    problems = sum(finding.state == "wrong" for finding in findings)
    if as_json:
        rows = [attrs.asdict(finding) for finding in findings]
        console.out_json({"problems": problems, "findings": rows})
    else:
        console.table(("about", "state", "remark"), [(f.about, f.state, f.text) for f in findings])
        warnings = sum(finding.state == "warning" for finding in findings)
        console.out(f"\n{problems} problem(s), {warnings} warning(s)")
    return exits.Exit.ERROR if problems else exits.Exit.OK


def check(plan: Plan) -> Iterator[Finding]:
    """Everything that can be seen from this host without changing anything."""
    yield from _files(plan)
    yield from _daemon(plan)
    try:
        plan.commands.run("qconf", "-sh")
    except QrmiError as error:
        yield _wrong("qmaster", f"{error.message}; {error.hint}".rstrip("; "))
        return
    yield _ok("qmaster", f"answers; cluster {plan.cluster}")
    for part in (_complexes, _pools, _queues, _jsv, _sensor, _hosts):
        try:
            yield from part(plan)
        except QrmiError as error:
            yield _wrong(part.__name__.lstrip("_"), error.message)


def _files(plan: Plan) -> Iterator[Finding]:
    expected = fragments.fragments(plan)
    absent = [file.name for file in expected if not (plan.folder / file.name).exists()]
    again = f"qrmi gridengine setup --write {plan.folder}"
    if absent:
        yield _wrong("files", f"{plan.folder} lacks {', '.join(absent)}: {again}")
        return
    old = [f.name for f in expected if _text(plan.folder / f.name) != f.content]
    if old:
        text = f"{', '.join(old)} in {plan.folder} are of another configuration: {again}"
        yield Finding(state="warning", about="files", text=text)
    for path in (plan.folder, *(plan.folder / file.name for file in expected)):
        about = path.stat()
        if about.st_uid != 0 or about.st_mode & 0o022:
            yield _wrong("files", f"{path} could be written by others than root, who runs it")
            return
    if not os.access(plan.interpreter, os.X_OK):
        yield _wrong("files", f"{plan.interpreter} is no program: name one with --python")
    elif not old:
        yield _ok("files", str(plan.folder))


def _daemon(plan: Plan) -> Iterator[Finding]:
    socket = "" if plan.url else str(plan.socket)
    daemon = Daemon(socket=socket, url=plan.url, munge_socket=plan.munge_socket)
    try:
        rows = daemon.ask("GET", "/v1/resources", seconds=10.0)
    except (Away, Lost, Refusal) as error:
        yield _wrong("qrmid", f"{error}; `systemctl status qrmid` on its host tells more")
        return
    names = {str(row.get("name")) for row in rows if isinstance(row, dict)}
    missing = sorted(set(plan.slots) - names)
    if missing:
        yield _wrong("qrmid", f"does not lend {', '.join(missing)}: reload it")
    else:
        yield _ok("qrmid", f"lends {', '.join(sorted(names))}")


def _complexes(plan: Plan) -> Iterator[Finding]:
    lines = [line.split() for line in plan.commands.run("qconf", "-sc").splitlines()]
    present = {words[0]: words for words in lines if len(words) >= 8 and words[0][0] != "#"}
    for line in fragments.complex_lines(plan):
        wanted = line.split()
        found = present.get(wanted[0])
        if found is None:
            yield _wrong("complexes", f"{wanted[0]} is not there: {_APPLY}")
            return
        if "JOB" in wanted and (found[3], found[5]) != ("<=", "JOB"):
            yield _wrong("complexes", f"{wanted[0]} is no consumable of jobs: {_APPLY}")
            return
    yield _ok("complexes", ", ".join(line.split()[0] for line in fragments.complex_lines(plan)))


def _pools(plan: Plan) -> Iterator[Finding]:
    host = plan.commands.host
    present = pools(plan.commands.run("qconf", "-se", host))
    wanted = fragments.values_of(plan)
    absent = [name for name in wanted if name not in present]
    off = [name for name in wanted if present.get(name) == 0]
    if absent:
        yield _wrong("pools", f"host {host} does not offer {', '.join(absent)}: {_APPLY}")
    elif off:
        text = f"{', '.join(off)} offers nothing: `qrmi site status` tells why"
        yield Finding(state="warning", about="pools", text=text)
    else:
        yield _ok("pools", ", ".join(f"{name}={present[name]}" for name in wanted))
    strangers = sorted(set(present) - set(wanted))
    if strangers:
        text = f"{', '.join(strangers)}: no resource of the configuration is called so"
        yield Finding(state="warning", about="pools", text=text)


def _queues(plan: Plan) -> Iterator[Finding]:
    for queue in plan.queues:
        text = plan.commands.run("qconf", "-sq", queue)
        for hook in ("prolog", "epilog"):
            found = re.search(rf"(?m)^{hook}\s+(.*)$", text)
            value = found[1].strip() if found else "NONE"
            if f"{plan.folder}/{hook} " not in value:
                yield _wrong(f"queue {queue}", f"{hook} is {value}, not ours: {_APPLY}")
            elif not value.startswith("root@"):
                yield _wrong(f"queue {queue}", f"{hook} does not run as root@: {_APPLY}")
            else:
                yield _ok(f"queue {queue}", f"{hook} is ours")


def _jsv(plan: Plan) -> Iterator[Finding]:
    found = re.search(r"(?m)^jsv_url\s+(.*)$", plan.commands.run("qconf", "-sconf", "global"))
    value = found[1].strip() if found else "none"
    if value == f"script:{plan.folder / 'jsv'}":
        yield _ok("jsv_url", value)
    else:
        text = f"is {value}: jobs get QPUs only if it does what {plan.folder / 'jsv'} does"
        yield Finding(state="warning", about="jsv_url", text=text)


def _sensor(plan: Plan) -> Iterator[Finding]:
    try:
        names = plan.commands.run("qconf", "-sconfl").split()
    except CommandRefusedError:  # no host has a configuration of its own
        names = []
    setting = str(plan.folder / "load_sensor")
    hosts = [h for h in names if setting in plan.commands.run("qconf", "-sconf", h)]
    if hosts:
        yield _ok("load_sensor", f"on {', '.join(hosts)}")
    else:
        text = "on no host: while qrmid is down, jobs are started and put back again"
        yield Finding(state="warning", about="load_sensor", text=text)


def _hosts(plan: Plan) -> Iterator[Finding]:
    asking = set(plan.commands.run("qconf", "-ss").split())
    asking |= set(plan.commands.run("qconf", "-sh").split())
    silent = sorted(set(plan.commands.run("qconf", "-sel").split()) - asking)
    if silent:
        text = f"{', '.join(silent)} may not ask qmaster about jobs: qconf -as {silent[0]}"
        yield Finding(state="warning", about="hosts", text=text)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def _ok(about: str, text: str) -> Finding:
    return Finding(state="ok", about=about, text=text)


def _wrong(about: str, text: str) -> Finding:
    return Finding(state="wrong", about=about, text=text)
