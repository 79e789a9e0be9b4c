"""What `scontrol -d -o show job` says of a job, and which QPUs the job asks for. Pure.

A job's name and its paths may hold anything: whatever the user wrote there is not taken for a
field. The fields that count are written by Slurm, and stand between the two.
"""

from __future__ import annotations

import re
import time
from typing import Any

from qrmi.schedulers.slurm.licenses import wanted

__all__ = ["find", "limit_seconds", "submitted", "want"]

_EMPTY = ("", "(null)", "N/A", "None")
_UNLIMITED = ("UNLIMITED", "Partition_Limit", "INVALID", "NOT_SET")
_COMMENT = re.compile(r" Comment=(.*?)(?=  | [A-Z][A-Za-z]+=|$)", re.S)
_ANY = "auto"


def find(text: str, job: str, name: str | None = None) -> dict[str, str]:
    """The fields of one job, by name; empty when it is not there.

    Args:
        text: what was printed: one record, or those of all parts of an array or of a
            heterogeneous job.
        job: the job's id, a number.
        name: what the user calls it, where that is known; it is skipped as it is.
    """
    start = re.search(rf"^JobId={re.escape(job)} (?:[A-Za-z]+=\S* )*?JobName=", text, re.M)
    if start is None:
        return {}
    head, rest = text[start.start() : start.end()], text[start.end() :]
    if name is not None and rest.startswith(name + " "):
        rest = rest[len(name) :]
    rest = re.split(r"^JobId=\d+ ", rest, maxsplit=1, flags=re.M)[0]
    fields: dict[str, str] = {}
    for key, value in re.findall(r"(?:^| )([A-Za-z][\w/:.]*)=(\S*)", head + rest):
        if key not in fields:  # what a user can forge comes after what Slurm says
            fields[key] = "" if value in _EMPTY else value
    comment = _COMMENT.search(rest)
    fields["Comment"] = comment[1].strip() if comment else ""
    fields["Comment"] = "" if fields["Comment"] in _EMPTY else fields["Comment"]
    return fields


def want(fields: dict[str, str]) -> dict[str, Any] | None:
    """What a job asks for, as `qrmi.site.terms.Want` reads it; ``None`` when it wants no QPU.

    Licenses and generic resources count; a comment such as ``qpu=a,b`` or ``qpu=auto`` counts
    where there is neither. ``qpu_filters=…`` in the comment says what a free choice must be able
    to do.
    """
    slots, pool = wanted(fields.get("LicensesAlloc") or fields.get("Licenses", ""))
    bound, more = _generic(fields)
    if pool and _leaves_choice(fields):
        bound, more = {}, 0  # the pool has it; what a node bound may be held by license elsewhere
    for name, count in bound.items():
        slots[name] = max(count, slots.get(name, 0))
    several = max(pool - sum(bound.values()) - more, 0) + more
    words = _words(fields.get("Comment", ""))
    if not slots and not several:
        names = [each for each in words.get("qpu", "").split(",") if each]
        slots = {name: 1 for name in names if name != _ANY}
        several = names.count(_ANY)
    if not slots and not several:
        return None
    return {
        "names": list(slots),
        "slots": slots,
        "any": several,
        "filters": words.get("qpu_filters", ""),
        "limit_seconds": limit_seconds(fields.get("TimeLimit", "")),
    }


def limit_seconds(text: str) -> float | None:
    """A time limit such as ``1-02:00:00``, or ``None`` for no limit."""
    if text in _UNLIMITED or text in _EMPTY:
        return None
    days, _, clock = text.rpartition("-")
    parts = [*clock.split(":")]
    if not all(part.isdecimal() for part in [*parts, days or "0"]):
        return None
    seconds = 0
    for part in parts:
        seconds = seconds * 60 + int(part)
    return float(int(days or 0) * 86400 + seconds)


def submitted(fields: dict[str, str]) -> int:
    """When it was submitted, epoch seconds; 0 when Slurm does not say.

    Slurm prints epoch seconds under ``SLURM_TIME_FORMAT=%s``, and local time elsewhere.
    """
    text = fields.get("SubmitTime", "")
    if text.isdecimal():
        return int(text)
    try:
        return int(time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%S")))
    except (OverflowError, ValueError):
        return 0


def _generic(fields: dict[str, str]) -> tuple[dict[str, int], int]:
    """Slots by QPU that generic resources bind, and how many QPUs more are to be found.

    Whoever asks for QPUs without a name gets different ones: what Slurm binds twice is found
    elsewhere.
    """
    found: dict[str, int] = {}
    for item in _items(fields.get("JOB_GRES", "")):
        found[item[0]] = found.get(item[0], 0) + item[1]
    untyped = found.pop("", 0)
    if _leaves_choice(fields):
        extra = sum(found.values()) - len(found)
        return dict.fromkeys(found, 1), extra + untyped
    return found, untyped


def _leaves_choice(fields: dict[str, str]) -> bool:
    """Whether generic resources are asked for without saying which."""
    asked = fields.get("TresPerNode", "") or fields.get("TresPerJob", "")
    return any(kind == "" for kind, _ in _items(asked))


def _items(text: str) -> list[tuple[str, int]]:
    """Type and count of each ``qpu``, from ``gres:qpu:emu:1,qpu:2`` and its like."""
    found = []
    for item in re.sub(r"\([^)]*\)", "", text).split(","):
        parts = re.sub(r"^gres[:/]", "", item.strip()).replace("=", ":").split(":")
        if parts[0] != "qpu":
            continue
        count = int(parts.pop()) if len(parts) > 1 and parts[-1].isdecimal() else 1
        if count:
            found.append((":".join(parts[1:]), count))
    return found


def _words(comment: str) -> dict[str, str]:
    """The ``key=value`` words of a comment."""
    pairs = [word.partition("=") for word in re.split(r"[\s;]+", comment)]
    return {key: value for key, _, value in pairs if key in ("qpu", "qpu_filters")}
