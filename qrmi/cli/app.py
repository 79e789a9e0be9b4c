"""The ``qrmi`` command: its parser and its log."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from qrmi.cli import (
    arguments,
    config,
    conformance,
    console,
    demo,
    doctor,
    exits,
    explain,
    gridengine,
    guard,
    journal,
    leases,
    record,
    resources,
    run_program,
    sandbox,
    schedulers,
    site,
    slurm,
    slurm_submit,
    tasks,
)

__all__ = ["build_parser", "run"]

_GROUPS = (
    demo,
    resources,
    run_program,
    tasks,
    leases,
    explain,
    doctor,
    record,
    journal,
    config,
    conformance,
    sandbox,
    site,
    slurm,
    slurm_submit,
    gridengine,
    schedulers,
)
_INTERRUPTED = "interrupted; a task that was started goes on: `qrmi tasks` lists it"
_EPILOG = (
    """\
examples:
  qrmi demo                         one handle under Qiskit, CUDA-Q and Pulser
  qrmi resources                    what there is to run on
  qrmi run local ghz.qasm           run a file, see the counts
  qrmi run local ghz.qasm --no-wait, then later: qrmi result ID
  qrmi tasks                        your newest tasks, on any resource
  qrmi doctor                       what stands in the way, and what to do
  qrmi explain LASTERROR            what happened, from the journal

A task's id may be shortened as long as it is unique. Data goes to stdout; notices, progress and
errors go to stderr. `qrmi COMMAND --help` tells more about a command.

"""
    + exits.EXIT_CODES_HELP
)


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = arguments.Parser(
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
    console.prepare_streams()
    parser = build_parser()
    given = sys.argv[1:] if argv is None else argv
    try:
        args = parser.parse_args(given)
    except SystemExit as stop:  # after --help and --version
        return int(stop.code or 0)
    except arguments.WrongArgumentsError as error:
        as_json = "--json" in given
        if not as_json:
            console.notice(error.usage.rstrip())
        console.error(error, as_json=as_json)
        return exits.Exit.USAGE
    if args.command is None:
        parser.print_help()
        return exits.Exit.USAGE
    _log_to_stderr(args.verbose)
    as_json = getattr(args, "json", False)
    return guard.guarded(lambda: args.run(args), as_json=as_json, interrupted=_INTERRUPTED)


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
