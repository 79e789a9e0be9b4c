"""``qrmi sbatch``, ``qrmi srun`` and ``qrmi salloc``: Slurm's own, with ``--qpu``."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qrmi.cli import arguments, console, exits
from qrmi.errors import QrmiError
from qrmi.schedulers.slurm.setup import request

__all__ = ["add_commands"]

_COMMANDS = {
    "sbatch": "submit a batch job that has QPUs",
    "srun": "run a program that has QPUs",
    "salloc": "get an allocation that has QPUs",
}
_LARGEST_SCRIPT = 4 * 1024 * 1024


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    for name, summary in _COMMANDS.items():
        parser = arguments.add_command(
            commands,
            name,
            summary,
            details=f"--qpu becomes -L, which Slurm counts; then {name} itself is run, with all\n"
            "other arguments as they are.\n\n"
            "  --qpu=NAME[:SLOTS][,NAME...]  these QPUs; they are had all together, or waited for\n"
            "  --qpu=auto[:COUNT]            whichever are free when the job begins\n"
            "  --show                        print the command and do not run it",
            examples=f"  qrmi {name} --qpu=emu --time=10 ...\n  qrmi {name} --qpu=auto ...",
        )
        parser.usage = f"qrmi {name} [--qpu=NAME[:SLOTS][,NAME...]] [{name.upper()} OPTIONS] ..."
        _passes_all(parser)
        parser.set_defaults(run=_run, slurm_command=name)


def _passes_all(parser: argparse.ArgumentParser) -> None:
    """Every word is Slurm's, whatever it looks like; but for --help, when it is the first one."""
    parse = parser.parse_known_args

    def split(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = list(args or ())
        parsed, _ = parse(given[:1] if given[:1] in (["-h"], ["--help"]) else [], namespace)
        parsed.words = given
        return parsed, []

    parser.parse_known_args = split  # type: ignore[method-assign, assignment]


def _run(args: argparse.Namespace) -> int:
    words: list[str] = args.words
    shown = words[:1] == ["--show"]
    words = words[1:] if shown else words
    name: str = args.slurm_command
    command = [name, *request.command_line(name, words, read=_script)]
    if shown:
        import shlex

        console.out(shlex.join(command))
        return exits.Exit.OK
    program = shutil.which(command[0])
    if program is None:
        raise QrmiError(
            f"there is no command {command[0]}", hint="Slurm's commands are not installed here"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(program, command)
    except OSError as error:
        raise QrmiError(f"cannot run {program}: {error.strerror or error}") from error


def _script(name: str) -> str:
    """The text of a batch script; empty where Slurm will say what is wrong with it."""
    path = Path(name)
    try:
        if not path.is_file() or path.stat().st_size > _LARGEST_SCRIPT:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
