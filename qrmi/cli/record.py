"""``qrmi record`` and ``qrmi replay``: a command whose conversation is written, or given back."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from qrmi.cli import arguments, console, conversation, exits
from qrmi.errors import InvalidInputError
from qrmi.recording import load, record, replay

__all__ = ["add_commands"]

_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_SIGNALLED = 128  # and the signal's number: what shells make of it


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add this group's commands."""
    parser = arguments.add_command(
        commands,
        "record",
        "run a command and record what is asked of resources, and what they answer",
        details="The file has each call of a resource's driver: programs and results to the byte, "
        "statuses, errors;\nno HTTP, no secret, no session token. Attach it to a report, or replay "
        "it in a test.\nProcesses that the command starts are recorded, too. Its input, output and "
        "signals are its own,\nand so is the exit code.",
        examples="  qrmi record run.jsonl -- python my_program.py\n"
        "  qrmi record run.jsonl -- qrmi run local ghz.qasm\n"
        "  qrmi replay run.jsonl",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="where to write the recording")
    parser.add_argument("--force", action="store_true", help="overwrite a file that is there")
    _takes_command(parser, "qrmi record [-h] [--force] FILE -- COMMAND [ARGUMENT ...]")
    parser.set_defaults(run=_record)
    parser = arguments.add_command(
        commands,
        "replay",
        "show a recording, or run a command on it, offline",
        details="Without a command: shows who asked what, and what came of it. With one: runs it, "
        "and everything\nthat it asks of resources is answered from the recording, in the recorded "
        "way; no network, no\nconfiguration, no credentials. What was never recorded is an error "
        "that says so.",
        examples="  qrmi replay run.jsonl\n"
        "  qrmi replay run.jsonl -- python my_program.py\n"
        "  qrmi replay run.jsonl --json | jq '.calls[] | select(.error)'",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help="the recording")
    arguments.json_flag(parser)
    _takes_command(parser, "qrmi replay [-h] [--json] FILE [-- COMMAND [ARGUMENT ...]]")
    parser.set_defaults(run=_replay)


def _takes_command(parser: argparse.ArgumentParser, usage: str) -> None:
    """Everything after the first ``--`` is a command, whatever it looks like."""
    parser.usage = usage
    parse = parser.parse_known_args

    def split(args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        given = list(args or ())
        at = given.index("--") if "--" in given else len(given)
        parsed, rest = parse(given[:at], namespace)
        parsed.program = given[at + 1 :]
        if rest and at == len(given):
            parser.error(f"put -- before the command: {parser.prog} FILE -- {' '.join(rest)[:60]}")
        return parsed, rest

    parser.parse_known_args = split  # type: ignore[method-assign, assignment]


def _record(args: argparse.Namespace) -> int:
    if not args.program:
        raise InvalidInputError("which command?", hint="qrmi record FILE -- COMMAND ARGUMENTS")
    _must_exist(args.program[0])
    with record(args.file, overwrite=args.force):
        code = _run(args.program)
    console.notice(f"recorded {conversation.summary(load(args.file))}: {args.file}")
    return code


def _replay(args: argparse.Namespace) -> int:
    if args.program:
        _must_exist(args.program[0])
        with replay(args.file):
            return _run(args.program)
    recording = load(args.file)
    if args.json:
        console.out_json(conversation.as_json(recording))
    else:
        conversation.show(recording)
    return exits.Exit.OK


def _must_exist(program: str) -> None:
    if shutil.which(program) is None:
        raise InvalidInputError(
            f"there is no command {program[:200]!r}", hint="nothing was run: check its name"
        )


def _run(command: Sequence[str]) -> int:
    """Run a command with our input and output; its exit code, as shells give it."""
    sys.stdout.flush()
    with _signals_kept() as pass_to:
        process = subprocess.Popen(command)
        pass_to(process)
        code = process.wait()
    return _SIGNALLED - code if code < 0 else code


@contextlib.contextmanager
def _signals_kept() -> Iterator[Callable[[subprocess.Popen[bytes]], None]]:
    """Stay alive on signals and pass them on; the terminal sends its own to the command itself."""
    running: list[subprocess.Popen[bytes]] = []

    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number in (signal.SIGINT, signal.SIGQUIT) and _is_from_terminal():
            return
        for process in running:
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] != signal.SIG_IGN:  # under nohup, say
            signal.signal(number, pass_on)
    try:
        yield running.append
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_from_terminal() -> bool:
    """Whether Ctrl-C reaches all of us: we are what the terminal runs in the foreground."""
    try:
        return os.tcgetpgrp(sys.__stdin__.fileno()) == os.getpgrp()  # type: ignore[union-attr]
    except (OSError, ValueError, AttributeError):
        return False
