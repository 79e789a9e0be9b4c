"""What the running Slurm says of itself, against what a setup wants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from qrmi.diagnosis.findings import Finding, Verdict, of_error
from qrmi.errors import QrmiError
from qrmi.schedulers.slurm.licenses import PREFIX
from qrmi.schedulers.slurm.setup.fragments import gres_of, licenses_of
from qrmi.schedulers.slurm.setup.plan import Plan
from qrmi.schedulers.slurm.setup.slurm_conf import OURS, SlurmConf
from qrmi.site.settings import SiteSettings
from qrmi.site.slurm.commands import SlurmCommands, records

__all__ = ["HOOKS", "findings", "running"]

HOOKS = ("PrologSlurmctld", "EpilogSlurmctld", "TaskProlog")
_OLDEST = (22, 5)
_RESTART = "restart slurmctld: `scontrol reconfigure` takes up no new PrologSlurmctld"


def _ok(check: str, text: str) -> Finding:
    return Finding(subject="slurm", check=check, text=text)


def _wrong(check: str, text: str, advice: str, verdict: Verdict = Verdict.PROBLEM) -> Finding:
    return Finding(subject="slurm", check=check, verdict=verdict, text=text, advice=advice)


def running(commands: SlurmCommands) -> tuple[SlurmConf, list[Finding]]:
    """The configuration that slurmctld runs with; without values when it does not answer."""
    try:
        text = commands.run("scontrol", "show", "config")
    except QrmiError as error:
        return SlurmConf(), [of_error("slurm", "slurmctld", error)]
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        name = re.sub(r"\[\d+\]$", "", key.strip()).lower()  # newer ones number several programs
        if equals:
            values[name] = f"{values[name]},{value.strip()}" if name in values else value.strip()
    live = SlurmConf(values=values)
    return live, [_version(live.get("SLURM_VERSION"))]


def _version(text: str) -> Finding:
    match = re.match(r"(\d+)\.(\d+)", text)
    if match and (int(match[1]), int(match[2])) < _OLDEST:
        advice = "22.05 is the oldest that this is tested with"
        return _wrong("slurmctld", f"Slurm {text}", advice, Verdict.WARNING)
    return _ok("slurmctld", f"Slurm {text} answers")


def findings(
    plan: Plan, live: SlurmConf, commands: SlurmCommands, settings: SiteSettings
) -> Iterator[Finding]:
    """What slurmctld was told."""
    yield from (_hook(plan, live, key) for key in HOOKS)
    yield from _restart(plan, live)
    yield _user(live, settings)
    try:
        yield from _licenses(plan, commands)
        yield from _gres(plan, live, commands)
    except QrmiError as error:
        yield of_error("slurm", "scontrol", error)
    yield _lua(live)


def _hook(plan: Plan, live: SlurmConf, key: str) -> Finding:
    programs = live.items(key)
    if not programs:
        text = "is not set: jobs get no QPU"
        advice = f"Include {plan.folder / OURS} at the end of {plan.conf}; then {_RESTART}"
        return _wrong(key, text, advice)
    value = ", ".join(programs)
    if any(program.rpartition("/")[2] == plan.hook.name for program in programs):
        return _ok(key, value)
    if any(_calls(Path(program), plan.hook.name) for program in programs):
        return _ok(key, f"{value}, which starts {plan.hook.name}")
    return _wrong(key, f"is {value}, which is not ours", f"let it end with: exec {plan.hook}")


def _calls(program: Path, name: str) -> bool:
    try:
        return name in program.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _restart(plan: Plan, live: SlurmConf) -> Iterator[Finding]:
    booted = live.get("BOOT_TIME")
    if not booted.isdecimal():
        return
    for path in (plan.conf, plan.folder / OURS):
        try:
            changed = path.stat().st_mtime
        except OSError:
            continue
        if changed > int(booted) + 1:
            text = f"{path} was changed after slurmctld started"
            yield _wrong("restart", text, _RESTART, Verdict.WARNING)


def _user(live: SlurmConf, settings: SiteSettings) -> Finding:
    shown = live.get("SlurmUser")
    match = re.fullmatch(r"(.*)\((\d+)\)", shown)
    if match and int(match[2]) not in settings.admin_uids():
        text = f"{match[1]}, who runs the hooks, may not lend"
        names = ", ".join(f'"{name}"' for name in (*map(str, settings.admins), match[1]))
        return _wrong("SlurmUser", text, f"in qrmid.toml: admins = [{names}]")
    return _ok("SlurmUser", f"{shown} may lend")


def _licenses(plan: Plan, commands: SlurmCommands) -> Iterator[Finding]:
    shown = records(commands.run("scontrol", "-o", "show", "licenses"))
    there = {each["LicenseName"]: each.get("Total", "") for each in shown if "LicenseName" in each}
    advice = (
        "`qrmi slurm setup --write` writes what qrmi_config.json says; `scontrol reconfigure` "
        "takes it up"
    )
    wrong = False
    for name, count in licenses_of(plan).items():
        if name not in there:
            wrong = True
            yield _wrong("licenses", f"{name} is missing", advice)
        elif there[name] != str(count):
            wrong = True
            text = f"{name} is counted {there[name]} times, and has {count} slot(s)"
            yield _wrong("licenses", text, advice)
    for name in there:
        if name.startswith(PREFIX) and name not in licenses_of(plan):
            text = f"{name} is no resource of the site: its jobs are refused when they begin"
            yield _wrong("licenses", text, advice, Verdict.WARNING)
    if not wrong:
        yield _ok("licenses", ", ".join(f"{n}:{c}" for n, c in licenses_of(plan).items()))


def _gres(plan: Plan, live: SlurmConf, commands: SlurmCommands) -> Iterator[Finding]:
    nodes = {
        each.get("NodeName", ""): each.get("Gres", "")
        for each in records(commands.run("scontrol", "-o", "show", "node"))
    }
    offering = {node: gres for node, gres in nodes.items() if re.search(r"\bqpu\b", gres)}
    if "qpu" not in live.items("GresTypes"):
        text = "GresTypes lacks qpu: --gres=qpu is refused"
        yield _wrong("gres", text, f"Include {plan.folder / OURS}; {_RESTART}")
        return
    if not offering and not plan.nodes:
        yield _ok("gres", "no node offers qpu; --gres=qpu is counted by licenses")
        return
    wanted = set(gres_of(plan).split(","))
    for node, gres in offering.items():
        there = {re.sub(r"\(.*?\)", "", g) for g in gres.split(",") if g.startswith("qpu")}
        if there != wanted:
            text = f"{node} offers {','.join(sorted(there))}"
            advice = f"on its NodeName line: Gres={gres_of(plan)}"
            yield _wrong("gres", text, advice, Verdict.WARNING)
    if not offering:
        advice = f"add Gres={gres_of(plan)} to the line NodeName={plan.nodes}"
        yield _wrong("gres", f"no node offers qpu, {plan.nodes} should", advice)
    elif not plan.nodes:
        text = f"{', '.join(offering)} offer(s) qpu, and the setup does not know it"
        advice = "`qrmi slurm setup --write DIR --nodes NODES`"
        yield _wrong("gres", text, advice, Verdict.WARNING)
    else:
        yield _ok("gres", f"{', '.join(offering)}: {gres_of(plan)}")


def _lua(live: SlurmConf) -> Finding:
    value = live.get("JobSubmitPlugins")
    if "lua" in live.items("JobSubmitPlugins"):
        return _ok("lua", f"JobSubmitPlugins={value}")
    text = "JobSubmitPlugins has no lua: --gres=qpu, --comment=qpu= and #QRMI lines are not counted"
    advice = f"Include {OURS}, or set JobSubmitPlugins=lua; then restart slurmctld"
    return _wrong("lua", text, advice)
