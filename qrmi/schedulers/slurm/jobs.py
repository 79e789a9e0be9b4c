"""What `scontrol -d -o show job` says of a job, and which QPUs the job asks for. Pure.

A job's name and its paths may hold anything: whatever the user wrote there is not taken for a
field. The fields that count are written by Slurm, and stand between the two.

There is no regular expression here: hooks run this, and to load them takes as long as all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from qrmi.schedulers.slurm.licenses import wanted

__all__ = ["find", "limit_seconds", "submitted", "want"]

_EMPTY = ("", "(null)", "N/A", "None")
_UNLIMITED = ("UNLIMITED", "Partition_Limit", "INVALID", "NOT_SET")
_ANY = "auto"


def find(text: str, job: str, name: str | None = None) -> dict[str, str]:
    """The fields of one job, by name; empty when it is not there.

    Args:
        text: what was printed: one record, or those of all parts of an array or of a
            heterogeneous job.
        job: the job's id, a number.
        name: what the user calls it, where that is known; it is skipped as it is.
    """
    head, rest = _cut(text, f"JobId={job} ")
    if not head:
        return {}
    if name is not None and rest.startswith(name + " "):
        rest = rest[len(name) :]
    rest = rest[: _next_record(rest)]
    fields: dict[str, str] = {}
    for key, value in _pairs(head + rest):
        if key not in fields:  # what a user can forge comes after what Slurm says
            fields[key] = "" if value in _EMPTY else value
    comment = _comment(rest)
    fields["Comment"] = "" if comment in _EMPTY else comment
    return fields


def _cut(text: str, opening: str) -> tuple[str, str]:
    """A record up to its ``JobName=``, and what follows; both are empty when it is not there."""
    for begin in _line_begins(text):
        if text.startswith(opening, begin):
            end = _name_begins(text, begin + len(opening))
            if end:
                return text[begin:end], text[end:]
    return "", ""


def _line_begins(text: str) -> Iterator[int]:
    begin = 0
    while True:
        yield begin
        begin = text.find("\n", begin) + 1
        if begin == 0:
            return


def _name_begins(text: str, place: int) -> int:
    """Where the name that the user gave begins, with nothing but fields before it; or 0."""
    while not text.startswith("JobName=", place):
        blank = text.find(" ", place)
        key, equals, value = text[place:blank].partition("=")
        if blank < 0 or not (equals and _is_word(key)) or any(map(str.isspace, value)):
            return 0
        place = blank + 1
    return place + len("JobName=")


def _next_record(text: str) -> int:
    """Where the next record begins; else the text's end."""
    for begin in _line_begins(text):
        blank = text.find(" ", begin)
        is_record = blank > 0 and text.startswith("JobId=", begin)
        if is_record and text[begin + len("JobId=") : blank].isdecimal():
            return begin
    return len(text)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The ``key=value`` words; a value ends at its first blank, of whichever kind."""
    for word in text.split(" "):
        key, equals, value = word.partition("=")
        if equals and _is_word(key[:1]) and all(c.isalnum() or c in "_/:." for c in key):
            yield key, "" if value[:1].isspace() else "".join(value.split(None, 1)[:1])


def _comment(text: str) -> str:
    """What the user said with ``--comment``, which may have blanks: up to Slurm's next field."""
    rest = text.partition(" Comment=")[2]
    end = rest.find(" ")
    while end >= 0:
        following = rest.find(" ", end + 1)
        word = rest[end + 1 : following] if following >= 0 else rest[end + 1 :]
        key, equals, _ = word.partition("=")
        if not word or (equals and len(key) > 1 and _is_word(key) and key[0].isupper()):
            return rest[:end].strip()
        end = following
    return rest.strip()


def _is_word(text: str) -> bool:
    """Whether it is letters from A to Z."""
    return text.isascii() and text.isalpha()


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
    for item in map(str.strip, _without_brackets(text).split(",")):
        kind = item[len("gres:") :] if item.startswith(("gres:", "gres/")) else item
        parts = kind.replace("=", ":").split(":")
        if parts[0] != "qpu":
            continue
        count = int(parts.pop()) if len(parts) > 1 and parts[-1].isdecimal() else 1
        if count:
            found.append((":".join(parts[1:]), count))
    return found


def _without_brackets(text: str) -> str:
    """Without what stands in parentheses: ``qpu:emu:1(IDX:0)`` is ``qpu:emu:1``."""
    kept = ""
    while True:
        before, _, after = text.partition("(")
        _, closed, after = after.partition(")")
        if not closed:
            return kept + text
        kept, text = kept + before, after


def _words(comment: str) -> dict[str, str]:
    """The ``key=value`` words of a comment."""
    pairs = [word.partition("=") for word in comment.replace(";", " ").split()]
    return {key: value for key, _, value in pairs if key in ("qpu", "qpu_filters")}
