"""Arguments that several commands share."""

from __future__ import annotations

import argparse
import math
from typing import NoReturn

from qrmi.errors import InvalidInputError

__all__ = [
    "Parser",
    "WrongArgumentsError",
    "add_command",
    "age",
    "json_flag",
    "positive_int",
    "seconds",
    "seed",
    "timeout_flag",
]


class WrongArgumentsError(InvalidInputError):
    """The command line does not make sense; ``usage`` says what would."""

    def __init__(self, message: str = "", *, usage: str = "") -> None:
        super().__init__(message, hint="see --help")
        self.usage = usage


class Parser(argparse.ArgumentParser):
    """A parser that raises, so that the caller decides how errors are shown."""

    def error(self, message: str) -> NoReturn:
        """Raise `WrongArgumentsError`."""
        raise WrongArgumentsError(f"{self.prog}: {message}", usage=self.format_usage())


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
    return _whole(text, least=1)


def seed(text: str) -> int:
    """A whole number of at least 0."""
    return _whole(text, least=0)


def _whole(text: str, *, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least {least}, not {text}")
    return value


def seconds(text: str) -> float:
    """A time of at least 0 seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise argparse.ArgumentTypeError(f"must be a time of at least 0 seconds, not {text}")
    return value


_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def age(text: str) -> float:
    """A time that has passed, as ``90min``, ``12h``, ``7d`` or ``4w``; in seconds."""
    unit = text.lstrip("0123456789.")
    if unit not in _UNITS or unit == text:
        raise argparse.ArgumentTypeError(
            f"must be a number and a unit (s, min, h, d, w), 7d for example, not {text}"
        )
    return seconds(text[: -len(unit)]) * _UNITS[unit]
