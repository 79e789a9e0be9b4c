"""``qrmi slurm``: makes a Slurm lend QPUs, and finds what is wrong with one that should."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import attrs

from qrmi.cli import arguments, console, exits
from qrmi.config_file import Config
from qrmi.diagnosis.findings import Finding, Verdict
from qrmi.errors import InvalidInputError
from qrmi.schedulers import hook
from qrmi.schedulers.slurm.setup import fragments, slurm_conf, writing
from qrmi.schedulers.slurm.setup.plan import Plan, qpus_of
from qrmi.site.settings import DEFAULT_FILE, SiteSettings
from qrmi.site.slurm.commands import SlurmCommands, program_path

__all__ = ["add_commands"]

_SLURM_CONF = Path("/etc/slurm/slurm.conf")
_MARKS = {
    Verdict.OK: ("ok", "green"),
    Verdict.WARNING: ("warning", "yellow"),
    Verdict.PROBLEM: ("failure", "red"),
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    group = arguments.add_command(commands, "slurm", "set a Slurm up to lend QPUs, and check it")
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    parser = arguments.add_command(
        actions,
        "setup",
        "show or write what Slurm needs",
        details="Reads qrmid.toml, the resources that it names, and the slurm.conf that is there.\n"
        "No file of the site's own is changed: what is left to do by hand is listed at the end.",
        examples="  qrmi slurm setup --print\n"
        "  qrmi slurm setup --write /etc/slurm\n"
        "  qrmi slurm setup --write /etc/slurm --nodes quantum[1-2]",
    )
    _common(parser)
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--print", action="store_true", help="show every file, write none")
    how.add_argument(
        "--write", metavar="DIR", type=Path, help="write the files there: beside slurm.conf"
    )
    parser.add_argument(
        "--nodes",
        metavar="NODES",
        default="",
        help="nodes that offer --gres=qpu themselves, such as the one beside the QPU; "
        "without it, --gres=qpu works on all nodes",
    )
    parser.add_argument(
        "--python",
        metavar="PATH",
        type=Path,
        default=Path(hook.PYTHON),
        help="the Python of hooks, on every node (default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="replace files that are not ours")
    arguments.json_flag(parser)
    parser.set_defaults(run=_setup)
    parser = arguments.add_command(
        actions,
        "check",
        "say what is wrong with an installation, and what to do",
        details="Run it on the host of slurmctld, as root. Nothing is changed and no job is\n"
        "started. Exit code 1 when there is a failure.",
    )
    _common(parser)
    arguments.json_flag(parser)
    parser.set_defaults(run=_check)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_FILE,
        help="qrmid.toml (default: %(default)s)",
    )
    parser.add_argument(
        "--slurm-conf",
        metavar="FILE",
        type=Path,
        help=f"default: [slurm] conf of qrmid.toml, else {_SLURM_CONF}",
    )


# --- qrmi slurm setup ---------------------------------------------------------------------------


def _setup(args: argparse.Namespace) -> int:
    plan = _plan(args)
    files = fragments.fragments(plan)
    if args.print:
        _show_files(files, plan, as_json=args.json)
        return exits.Exit.OK
    done = writing.write(files, plan.folder, force=args.force)
    kept = tuple(each.path.name for each in done if each.state == "kept")
    steps = list(fragments.steps(plan, kept=kept))
    if args.json:
        rows = [{"path": str(each.path), "state": each.state} for each in done]
        console.out_json({"files": rows, "steps": steps})
        return exits.Exit.OK
    console.table(("file", "state"), [(each.path, each.state) for each in done])
    _show_steps(steps)
    return exits.Exit.OK


def _plan(args: argparse.Namespace) -> Plan:
    settings = SiteSettings.load(args.config)
    conf = _conf_of(args, settings)
    if not args.python.is_absolute():
        raise InvalidInputError(f"--python needs an absolute path, not {args.python}")
    return Plan(
        qpus=qpus_of(Config.load(settings.config)),
        folder=args.write.absolute() if args.write else conf.parent,
        conf=conf,
        present=slurm_conf.read(conf),
        interpreter=args.python,
        scontrol=Path(program_path(settings.slurm.scontrol, "scontrol")),
        socket=settings.socket.absolute(),
        url=settings.public_url,
        munge_socket=settings.munge_socket,
        version=SlurmCommands(scontrol=settings.slurm.scontrol, conf=str(conf)).version(),
        nodes=args.nodes,
    )


def _conf_of(args: argparse.Namespace, settings: SiteSettings) -> Path:
    given: Path | None = args.slurm_conf
    return (given or Path(settings.slurm.conf or _SLURM_CONF)).absolute()


def _show_files(files: Iterable[fragments.Fragment], plan: Plan, *, as_json: bool) -> None:
    steps = list(fragments.steps(plan))
    if as_json:
        console.out_json({"files": [attrs.asdict(each) for each in files], "steps": steps})
        return
    for each in files:
        kind = " (a program)" if each.executable else ""
        console.out(console.styled(f"==== {plan.folder / each.name}{kind}", "bold"))
        console.out(each.content)
    _show_steps(steps)


def _show_steps(steps: Iterable[str]) -> None:
    console.out(f"\n{console.styled('to do', 'bold')}")
    for number, step in enumerate(steps, 1):
        console.out(f" {number}. {step}")


# --- qrmi slurm check ---------------------------------------------------------------------------


def _check(args: argparse.Namespace) -> int:
    from qrmi.schedulers.slurm.setup.checking import check

    with console.Progress(quiet=args.json, lines=False) as progress:
        progress.say("looking at Slurm and at qrmid")
        found = check(args.config, args.slurm_conf)
    failures = sum(each.verdict is Verdict.PROBLEM for each in found)
    warnings = sum(each.verdict is Verdict.WARNING for each in found)
    if args.json:
        rows = [_row(each) for each in found]
        console.out_json({"failures": failures, "warnings": warnings, "findings": rows})
    else:
        _show(found)
        console.out(f"\n{failures} failure(s), {warnings} warning(s)")
    return exits.Exit.ERROR if failures else exits.Exit.OK


def _row(found: Finding) -> dict[str, str]:
    return {
        "about": found.subject,
        "check": found.check,
        "verdict": _MARKS[found.verdict][0],
        "text": found.text,
        "what to do": found.advice,
    }


def _show(found: Iterable[Finding]) -> None:
    rows = []
    for each in found:
        word, colour = _MARKS[each.verdict]
        rows.append((each.subject, each.check, console.styled(word, colour), each.text))
        if each.advice:
            rows.append(("", "", "", f"-> {each.advice}"))
    console.table(("about", "check", "verdict", "what there is"), rows)
