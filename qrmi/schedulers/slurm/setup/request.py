"""``--qpu`` for sbatch, srun and salloc: a command line that asks for licenses. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from qrmi.errors import InvalidInputError
from qrmi.schedulers.slurm.licenses import POOL, can_be_license, license_of, parse, text

__all__ = ["command_line", "licenses_for", "of_script"]

_ANY = ("auto", "any")
_LICENSES = ("--licenses", "-L")
# Options without a value, or with one that only follows "=": the word after them is not theirs.
_SHORT_ALONE = "HhkKOQsvVWIXZEl"
_LONG_ALONE = frozenset(
    {
        "bell",
        "contiguous",
        "disable-status",
        "exclusive",
        "get-user-env",
        "help",
        "hold",
        "ignore-pbs",
        "immediate",
        "interactive",
        "join",
        "kill-on-bad-exit",
        "kill-on-invalid-dep",
        "label",
        "multi-prog",
        "nice",
        "no-allocate",
        "no-bell",
        "no-kill",
        "no-requeue",
        "no-shell",
        "oversubscribe",
        "overcommit",
        "overlap",
        "parsable",
        "preserve-env",
        "pty",
        "quiet",
        "quit-on-interrupt",
        "reboot",
        "requeue",
        "share",
        "spread-job",
        "test-only",
        "unbuffered",
        "usage",
        "use-min-nodes",
        "verbose",
        "version",
        "wait-all-nodes",
        "whole",
    }
)
_VALUE_TOO = frozenset({"wait"})  # sbatch takes none, srun takes one


def licenses_for(request: str) -> dict[str, int]:
    """The licenses of ``a,b:2`` or ``auto``.

    Raises:
        InvalidInputError: it is none of these.
    """
    found: dict[str, int] = {}
    slots = 0
    for item in filter(None, re.split(r"[,;+\s]+", request)):
        name, _, count = item.partition(":")
        is_count = count.isdecimal() and int(count) >= 1
        if not can_be_license(name) or (":" in item and not is_count):
            raise InvalidInputError(
                f"--qpu={request}: {item!r} is no NAME or NAME:SLOTS",
                hint="--qpu=NAME[:SLOTS][,NAME…], or --qpu=auto",
            )
        slots += int(count or 1)
        if name not in _ANY:
            found[license_of(name)] = found.get(license_of(name), 0) + int(count or 1)
    if not slots:
        raise InvalidInputError("--qpu names no QPU", hint="`qrmi resources` lists them")
    return {**found, POOL: slots}


def command_line(
    command: str, given: Sequence[str], *, read: Callable[[str], str] = lambda _: ""
) -> list[str]:
    """The arguments of ``sbatch``, ``srun`` or ``salloc`` with ``--qpu`` made into ``-L``.

    What follows the script, or the program, is its own. A ``-L`` of the user's is joined with
    ours; every other argument stays as it is, where it is.

    Args:
        command: whose arguments these are.
        given: the arguments.
        read: the text of a batch script, by the name on the command line: a ``-L`` there would be
            replaced by ours, and is joined with it instead.

    Raises:
        InvalidInputError: a ``--qpu`` is malformed.
    """
    kept: list[str] = []
    requests: list[str] = []
    licenses: list[str] = []
    rest = list(given)
    while rest:
        word = rest.pop(0)
        if word == "--" or not word.startswith("-") or word == "-":
            rest.insert(0, word)
            break
        name, equals, value = _split(word)
        if name == "--qpu":
            requests.append(value if equals else _next(word, rest))
        elif name in _LICENSES:
            licenses.append(value if equals else _next(word, rest))
        else:
            kept.append(word)
            if not equals and rest and _takes_value(command, word):
                kept.append(rest.pop(0))
    if not requests:
        return list(given)
    is_wrapped = any(word.partition("=")[0] == "--wrap" for word in kept)
    if command == "sbatch" and rest and not licenses and not is_wrapped:
        licenses = [of_script(read(rest[0]))]
    return ["-L", _joined(requests, licenses[-1:]), *kept, *rest]


def of_script(script: str) -> str:
    """The licenses that a batch script asks for with ``#SBATCH``; empty for none.

    A ``-L`` on the command line replaces them, so that ours has to repeat them.
    """
    found = ""
    for line in script.splitlines():
        if match := re.match(r"#SBATCH\s+(?:.*\s)?(?:-L\s*|--licenses[=\s]\s*)(\S+)", line):
            found = match[1]
        elif line.strip() and not line.startswith("#"):
            break
    return found


def _split(word: str) -> tuple[str, str, str]:
    """An option, ``=`` when its value is in the same word, and that value."""
    if word.startswith("--"):
        return word.partition("=")
    if word.startswith("-L") and len(word) > 2:
        return "-L", "=", word[2:].removeprefix("=")
    return word, "", ""


def _next(word: str, rest: list[str]) -> str:
    if not rest:
        raise InvalidInputError(f"{word} needs a value", hint="see --help")
    return rest.pop(0)


def _takes_value(command: str, word: str) -> bool:
    """Whether the next word is this option's value."""
    if word.startswith("--"):
        name = word[2:]
        if name in _VALUE_TOO:
            return command == "srun"
        return name not in _LONG_ALONE
    for place, letter in enumerate(word[1:], 1):
        if letter == "W" and command == "srun":
            return place == len(word) - 1
        if letter not in _SHORT_ALONE:
            return place == len(word) - 1  # -n4 has its value, -n has the next word
    return False


def _joined(requests: Sequence[str], licenses: Sequence[str]) -> str:
    ours = licenses_for(",".join(requests))
    others = parse(",".join(licenses))
    for name in ours:
        others.pop(name, None)
    return text({**others, **ours})
