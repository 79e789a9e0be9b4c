"""``qrmi pbs``, ``qrmi lsf``, ``qrmi flux``: what they need to lend QPUs, and what is missing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import attrs

from qrmi import config
from qrmi.cli import arguments, console, exits
from qrmi.schedulers.calling import Site, SiteProblem
from qrmi.schedulers.hook import PYTHON
from qrmi.schedulers.others.setup import flux, lsf, pbs
from qrmi.schedulers.others.setup.fragments import Finding, Fragment, written
from qrmi.schedulers.others.setup.lending import Lending
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

__all__ = ["add_commands"]

_HOOKS_FOLDER = Path("/etc/qrmi")
_LSF_VARIABLES = (
    "LSF_ENVDIR",
    "LSF_SERVERDIR",
    "LSF_BINDIR",
    "LSF_LIBDIR",
    "LD_LIBRARY_PATH",
    "PATH",
)


@attrs.frozen(kw_only=True)
class _Scheduler:
    """One of the three."""

    title: str
    fragments: Callable[[Lending, dict[str, str]], tuple[Fragment, ...]]
    check: Callable[[Lending, Site], list[Finding]]
    variables: tuple[str, ...]


_SCHEDULERS = {
    "pbs": _Scheduler(
        title="OpenPBS and PBS Professional",
        fragments=lambda lending, _: pbs.fragments(lending),
        check=pbs.check,
        variables=("PATH",),
    ),
    "lsf": _Scheduler(
        title="LSF",
        fragments=lsf.fragments,
        check=lsf.check,
        variables=_LSF_VARIABLES,
    ),
    "flux": _Scheduler(
        title="Flux",
        fragments=flux.fragments,
        check=flux.check,
        variables=("PATH",),
    ),
}


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    for name, scheduler in _SCHEDULERS.items():
        group = arguments.add_command(commands, name, f"lend QPUs to jobs of {scheduler.title}")
        actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
        _add_setup(actions, name, scheduler)
        parser = arguments.add_command(
            actions,
            "check",
            "say what is missing on this host",
            details=f"Asks qrmid and {scheduler.title}, and changes nothing. "
            "The exit code is 1 when something is missing.",
        )
        _common_flags(parser)
        parser.set_defaults(run=lambda args, each=scheduler: _check(args, each))


def _add_setup(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, scheduler: _Scheduler
) -> None:
    parser = arguments.add_command(
        actions,
        "setup",
        "show or write the files that it needs",
        details="Made for the resources of the site's qrmi_config.json; make them again when you\n"
        "add one. Nothing is installed: each file says where it belongs.",
        examples=f"  qrmi {name} setup --print\n  qrmi {name} setup --write /root/qrmi-{name}",
    )
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--print", action="store_true", help="show every file, write none")
    way.add_argument("--write", type=Path, metavar="DIR", help="write them to this folder")
    _common_flags(parser)
    parser.set_defaults(run=lambda args: _setup(args, scheduler))


def _common_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        default=DEFAULT_FILE,
        help=f"the daemon's settings ({DEFAULT_FILE})",
    )
    parser.add_argument(
        "--folder",
        type=Path,
        metavar="DIR",
        default=_HOOKS_FOLDER,
        help=f"where the hooks' files are on the hosts ({_HOOKS_FOLDER})",
    )
    parser.add_argument(
        "--python",
        metavar="PATH",
        default=PYTHON,
        help="the Python of hooks, on every host (default: %(default)s)",
    )
    arguments.json_flag(parser)


def _lending(args: argparse.Namespace) -> Lending:
    settings = SiteSettings.load(args.config)
    return Lending.of(settings, python=args.python, folder=args.folder)


def _variables(scheduler: _Scheduler) -> dict[str, str]:
    here = config.environment()
    return {name: here[name] for name in scheduler.variables if name in here}


def _setup(args: argparse.Namespace, scheduler: _Scheduler) -> int:
    made = scheduler.fragments(_lending(args), _variables(scheduler))
    paths = written(made, args.write) if args.write else [Path(each.name) for each in made]
    if args.json:
        console.out_json(
            [
                {"path": str(path), "about": each.about, "text": each.text}
                for path, each in zip(paths, made, strict=True)
            ]
        )
    elif args.write:
        console.table(
            ("file", "what to do with it"),
            [(str(path), each.about) for path, each in zip(paths, made, strict=True)],
        )
    else:
        for each in made:
            console.out(console.styled(f"==== {each.name}: {each.about}", "bold"))
            console.out(each.text)
    return exits.Exit.OK


def _check(args: argparse.Namespace, scheduler: _Scheduler) -> int:
    lending = _lending(args)
    site = Site(lending.hook_settings(environment=_variables(scheduler)))
    findings = [_daemon_finding(site), *scheduler.check(lending, site)]
    problems = sum(not each.is_well for each in findings)
    rows = [
        {
            "state": "ok" if each.is_well else "wrong",
            "about": each.what,
            "text": "" if each.is_well else f"{each.problem}; {each.hint}",
        }
        for each in findings
    ]
    if args.json:
        console.out_json({"problems": problems, "findings": rows})
    else:
        columns = ("about", "state", "remark")
        console.table(columns, [(row["about"], row["state"], row["text"]) for row in rows])
        console.out(f"\n{problems} problem(s)")
    return exits.Exit.ERROR if problems else exits.Exit.OK


def _daemon_finding(site: Site) -> Finding:
    try:
        site.resources()
    except SiteProblem as problem:
        return Finding(what="qrmid", problem=str(problem), hint="systemctl start qrmid")
    return Finding(what="qrmid")
