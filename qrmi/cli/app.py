"""The ``qrmi`` command: its parser, and what happens to errors."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from qrmi.cli import config, console, demo, exits, resources, run_program, tasks
from qrmi.errors import Owner, QrmiError

__all__ = ["build_parser", "run"]

_log = logging.getLogger(__name__)

_GROUPS = (demo, resources, run_program, tasks, config)
_INTERRUPTED = "interrupted; a task that was started goes on: `qrmi tasks` lists it"
_EPILOG = (
    """\
examples:
  qrmi demo                         one handle under Qiskit, CUDA-Q and Pulser
  qrmi resources                    what there is to run on
  qrmi run local ghz.qasm           run a file, see the counts
  qrmi run local ghz.qasm --no-wait, then later: qrmi result ID
  qrmi tasks                        your newest tasks, on any resource

A task's id may be shortened as long as it is unique. Data goes to stdout; notices, progress and
errors go to stderr. `qrmi COMMAND --help` tells more about a command.

"""
    + exits.EXIT_CODES_HELP
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="qrmi",
        description="Run quantum programs on any resource, and look after their tasks.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"openqrmi {_version()}")
    parser.add_argument(
        "-v", "--verbose", action="count", default=0, help="log what is done; twice for more"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for group in _GROUPS:
        group.add_commands(commands)
    return parser


def run(argv: Sequence[str] | None = None) -> int:
    """Parse ``argv``, run the command, and return its exit code; errors go to stderr."""
    parser = build_parser()
    try:
        args = parser.parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    if args.command is None:
        parser.print_help()
        return exits.Exit.USAGE
    _log_to_stderr(args.verbose)
    return _guarded(args)


def _guarded(args: argparse.Namespace) -> int:
    try:
        code = int(args.run(args))
        sys.stdout.flush()
    except QrmiError as error:
        console.error(error, as_json=getattr(args, "json", False))
        return exits.of_error(error)
    except KeyboardInterrupt as interrupt:
        console.notice(str(interrupt) or _INTERRUPTED)
        return exits.of_error(interrupt)
    except BrokenPipeError:  # the reader, `head` for one, has what it wants
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.Exit.OK
    except Exception as error:  # a defect, ours or an SDK's: the traceback is for its report
        _log.info("unexpected", exc_info=True)
        problem = QrmiError(
            f"unexpected {type(error).__name__}: {error}",
            owner=Owner.VENDOR,
            hint="run `qrmi -v ...` for the traceback, and report it",
        )
        console.error(problem, as_json=getattr(args, "json", False))
        return exits.Exit.ERROR
    return code


def _log_to_stderr(verbosity: int) -> None:
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbosity, 2)]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("qrmi")
    logger.handlers = [handler]
    logger.setLevel(level)
    logger.propagate = False


def _version() -> str:
    try:
        return version("openqrmi")
    except PackageNotFoundError:
        return "(not installed: run from its sources)"
