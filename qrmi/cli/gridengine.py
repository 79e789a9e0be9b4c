"""``qrmi gridengine``: have Grid Engine, or Open Cluster Scheduler, lend the site's QPUs."""

from __future__ import annotations

import argparse
import socket
import sys
from pathlib import Path

import attrs

from qrmi.cli import arguments, console, exits, gridengine_check
from qrmi.config_file import Config
from qrmi.errors import ConfigError, InvalidInputError, Owner
from qrmi.schedulers.gridengine.setup import fragments, plan
from qrmi.site.settings import DEFAULT_FILE, SiteSettings

__all__ = ["add_commands"]

_FOLDER = Path("/etc/qrmi/gridengine")
_SETUP = """Reads qrmid.toml and the qrmi_config.json that it names. Nothing is changed: --print
shows every file, --write makes a folder of them (usual: /etc/qrmi/gridengine), and both say what
is left to do. apply.sh there then tells qmaster, remove.sh takes that back. Write again when a
QPU is added or removed."""
_CHECK = """Looks at what qmaster was told, at the hooks and at the daemon. Nothing is changed, and
no vendor is asked. Exit code 1 when something is wrong."""


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    group = arguments.add_command(
        commands, "gridengine", "have Grid Engine or Open Cluster Scheduler lend QPUs"
    )
    actions = group.add_subparsers(dest="action", metavar="ACTION", required=True)
    parser = arguments.add_command(
        actions,
        "setup",
        "write what Grid Engine needs",
        details=_SETUP,
        examples="  qrmi gridengine setup --print\n"
        f"  qrmi gridengine setup --write {_FOLDER} --queue all.q --queue long.q",
    )
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--print", action="store_true", dest="show", help="show every file")
    how.add_argument("--write", type=Path, metavar="DIR", help="write them into this folder")
    parser.add_argument("--force", action="store_true", help="replace files that are not ours")
    _shared_flags(parser)
    arguments.json_flag(parser)
    parser.set_defaults(run=_setup)
    parser = arguments.add_command(
        actions, "check", "say what is wrong with an installation", details=_CHECK
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help=f"what was written (usual: {_FOLDER})"
    )
    _shared_flags(parser)
    arguments.json_flag(parser)
    parser.set_defaults(run=_check)


def _shared_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help=f"qrmid.toml (usual: {DEFAULT_FILE})"
    )
    parser.add_argument("--root", type=Path, metavar="DIR", help="SGE_ROOT")
    parser.add_argument("--cell", default="", metavar="NAME", help="SGE_CELL (usual: default)")
    parser.add_argument(
        "--queue", action="append", default=[], metavar="NAME", help="a queue (usual: all.q)"
    )
    parser.add_argument(
        "--python", type=Path, metavar="PATH", help="the Python of the hooks, on every host"
    )


def _setup(args: argparse.Namespace) -> int:
    made = _plan(args, args.write or _FOLDER)
    files, steps = fragments.fragments(made), list(fragments.steps(made))
    if not args.show:
        _write(made.folder, files, force=args.force)
    if args.json:
        rows = [attrs.asdict(file) for file in files]
        console.out_json({"folder": str(made.folder), "files": rows, "steps": steps})
        return exits.Exit.OK
    for file in files:
        kind = " (a program)" if file.executable else ""
        if args.show:
            console.out(console.styled(f"==== {made.folder / file.name}{kind}", "bold"))
            console.out(file.content)
        else:
            console.out(f"wrote {made.folder / file.name}{kind}")
    console.out(f"\n{console.styled('to do', 'bold')}")
    for number, step in enumerate(steps, start=1):
        console.out(f" {number}. {step}")
    return exits.Exit.OK


def _write(folder: Path, files: list[fragments.Fragment], *, force: bool) -> None:
    """Write the files, each whole, and none over one that is not ours unless that is forced."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for file in files:
            path = folder / file.name
            if (
                not force
                and path.exists()
                and fragments.MARK not in path.read_text(encoding="utf-8")
            ):
                raise InvalidInputError(
                    f"{path} is not ours", hint="move it away, or replace it with --force"
                )
        folder.chmod(0o755)
        for file in files:
            path = folder / file.name
            new = path.with_name(f".{file.name}.new")
            new.write_text(file.content, encoding="utf-8")
            new.chmod(0o755 if file.executable else 0o644)
            new.replace(path)
    except OSError as error:
        raise ConfigError(
            f"cannot write {folder}: {error.strerror or error}", owner=Owner.SITE
        ) from error


def _plan(args: argparse.Namespace, folder: Path) -> plan.Plan:
    settings = SiteSettings.load(args.config or DEFAULT_FILE)
    configuration, _ = Config.read(settings.config)
    commands = plan.commands_of(settings, args.root, args.cell)
    return plan.Plan(
        slots=plan.slots_of(configuration),
        folder=folder.absolute(),
        queues=tuple(args.queue) or ("all.q",),
        interpreter=args.python or Path(sys.executable),
        library=plan.library_folder(),
        commands=commands,
        cluster=plan.cluster_of(commands),
        host=socket.gethostname(),
        socket=settings.socket.absolute(),
        url=settings.public_url,
        munge_socket=settings.munge_socket,
        keeps_usage=plan.keeps_usage(commands.run("qconf", "-help").partition("\n")[0]),
    )


def _check(args: argparse.Namespace) -> int:
    return gridengine_check.run(_plan(args, args.folder or _FOLDER), as_json=args.json)
