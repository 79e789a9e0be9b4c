"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math

__all__ = ["add_command", "json_flag", "positive_int", "seconds", "timeout_flag"]


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    summary: str,
    *,
    details: str = "",
    examples: str = "",
) -> argparse.ArgumentParser:
    """A command's parser with its help texts; examples are shown as they are."""
    epilog = f"examples:\n{examples}" if examples else None
    return commands.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.\n{details}".rstrip(),
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def json_flag(parser: argparse.ArgumentParser) -> None:
    """``--json``: data as one JSON value, nothing else on stdout."""
    parser.add_argument("--json", action="store_true", help="JSON for machines, nothing else")


def timeout_flag(parser: argparse.ArgumentParser) -> None:
    """``--timeout SECONDS``: the longest wait."""
    parser.add_argument(
        "--timeout",
        type=seconds,
        metavar="SECONDS",
        help="stop waiting after this long; the task goes on, exit code 5",
    )


def positive_int(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def seconds(text: str) -> float:
    """A time of at least 0 seconds."""
    value = float(text)
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"must be a time of at least 0 seconds, not {text}")
    return value
