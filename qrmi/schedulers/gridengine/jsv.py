"""Grid Engine's server JSV: turns ``-l qpu=a+b`` and ``-l qpu=auto`` into consumables.

It speaks the protocol of jsv(1) on standard input and output. Each job that asks for a QPU gets the
variable that its queue's prolog looks for, and is charged to the pool of all QPUs; names that there
are not are refused with the list of those that there are. Other jobs pass unchanged.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any

from qrmi.schedulers.gridengine.request import ANY, MAP, PREFIX, WORDS

__all__ = ["ASKED", "RejectedError", "main", "serve", "translate"]

ASKED = "OPENQRMI_ASKED"
"""The variable of jobs that ask for a QPU; the hooks of all others end at once."""

_AUTO = "auto"
_DROPPED = (MAP, *WORDS)


class RejectedError(Exception):
    """The request cannot be met; the text is for its user."""


def translate(requests: str, complexes: Mapping[str, str]) -> str | None:
    """The hard requests as the scheduler can count them.

    Args:
        requests: as ``-l`` takes them: ``qpu=a+b,h_rt=60``.
        complexes: consumables by resource.

    Returns:
        the requests to put in their place; ``None`` when no QPU is asked for.

    Raises:
        RejectedError: there is no such resource, or the amounts make no sense.
    """
    pairs = [_pair(each) for each in requests.split(",") if each.strip()]
    given = dict(pairs)
    known = set(complexes.values()) | {ANY}
    if not any(name == MAP or name.startswith(PREFIX) for name in given):
        return None
    others = [each for each in pairs if each[0] not in known and each[0] not in _DROPPED]
    for name, _ in others:
        if name.startswith(PREFIX):
            raise RejectedError(_unknown(name.removeprefix(PREFIX), complexes))
    counts = {name: _count(value) for name, value in pairs if name in known}
    for name, count in _named(given, complexes).items():
        counts[name] = max(counts.get(name, 0), count)
    counts = {name: count for name, count in counts.items() if count}
    named = sum(count for name, count in counts.items() if name != ANY)
    anys = given.get(MAP, "").split("+").count(_AUTO)
    if named or anys or counts:
        counts[ANY] = max(counts.get(ANY, 0), named + anys)
    kept = [f"{name}={value}" if value else name for name, value in others]
    return ",".join([*kept, *(f"{name}={count}" for name, count in counts.items())])


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.strip().partition("=")
    return name.strip(), value.strip()


def _named(given: Mapping[str, str], complexes: Mapping[str, str]) -> dict[str, int]:
    """The consumables that ``qpu=a+b`` stands for; ``qpu_slots`` is of its single name."""
    if MAP not in given:
        return {}
    words = [word.strip() for word in given[MAP].split("+")]
    names = [word for word in words if word != _AUTO]
    if not all(words):
        raise RejectedError("-l qpu=… needs names: -l qpu=NAME, qpu=NAME+NAME or qpu=auto")
    unknown = [name for name in names if name not in complexes]
    if unknown:
        raise RejectedError(_unknown(", ".join(unknown), complexes))
    slots = _count(given.get("qpu_slots", "1")) if "qpu_slots" in given else 1
    if slots != 1 and len(words) != 1:
        raise RejectedError("qpu_slots goes with one name; ask for -l qpu_NAME=N,qpu_NAME=N")
    if slots != 1 and not names:
        raise RejectedError("qpu_slots goes with a name; qpu=auto takes one slot")
    return {complexes[name]: slots for name in names}


def _unknown(names: str, complexes: Mapping[str, str]) -> str:
    listed = ", ".join(sorted(complexes)) or "none"
    return f"no QPU is called {names}; there are: {listed}; qpu=auto takes any"


def _count(value: str) -> int:
    if not (value.isascii() and value.isdecimal()) or int(value) > 1_000_000:
        raise RejectedError(f"an amount of a QPU is a whole number, not {value[:40]!r}")
    return int(value)


# --- the protocol ---------------------------------------------------------------------------------


def serve(complexes: Mapping[str, str], source: IO[str], sink: IO[str]) -> None:
    """Answer until ``QUIT`` or the end of the input."""
    requests = ""
    for line in source:
        word, _, rest = line.strip().partition(" ")
        if word == "START":
            requests = ""
            _say(sink, "STARTED")
        elif word == "PARAM" and rest.startswith("l_hard "):
            requests = rest.removeprefix("l_hard ")
        elif word == "BEGIN":
            for reply in _verdict(requests, complexes):
                _say(sink, reply)
        elif word == "QUIT":
            return


def _verdict(requests: str, complexes: Mapping[str, str]) -> Sequence[str]:
    try:
        wanted = translate(requests, complexes)
    except RejectedError as error:
        return [f"RESULT STATE REJECT {error}"]
    if wanted is None:
        return ["RESULT STATE ACCEPT"]
    return [f"PARAM l_hard {wanted}", f"ENV ADD {ASKED} 1", "RESULT STATE CORRECT"]


def _say(sink: IO[str], line: str) -> None:
    sink.write(line + "\n")
    sink.flush()


def main(path: str) -> int:
    """Serve with the names that ``qrmi gridengine setup`` wrote down."""
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123
        site: dict[str, Any] = json.load(stream)
    serve(site["complexes"], sys.stdin, sys.stdout)
    return 0
