"""Sums over the ledger, by user, account, resource or job; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from qrmi.errors import InvalidInputError
from qrmi.site.books.usage import JobUsage, ResourceUse
from qrmi.site.terms import Message

__all__ = ["WAYS", "UsageRow", "usage", "usage_table"]


@attrs.frozen(kw_only=True)
class UsageRow(Message):
    """What the jobs of one user, account or resource used.

    A sum is over what is known: ``tasks`` of jobs whose tasks nobody counted are not in it, and
    it is ``None`` when that holds for all of them. ``uncounted`` says how many they are.

    Attributes:
        name: the user, account, resource, or the key of the job.
        jobs: how many runs of jobs.
        held_seconds: how long resources were held; by several at once it counts for each.
        slot_seconds: the same times the slots held.
        wait_seconds: from submission to lease, summed over the jobs where it is known.
        tasks, shots, qpu_seconds, task_wait_seconds, errors: as in `ResourceUse`.
        uncounted: resources of jobs whose tasks nobody counted.
    """

    name: str
    jobs: int = 0
    held_seconds: float = 0.0
    slot_seconds: float = 0.0
    wait_seconds: float = 0.0
    tasks: int | None = None
    shots: int | None = None
    qpu_seconds: float | None = None
    task_wait_seconds: float | None = None
    errors: dict[str, int] = attrs.field(factory=dict)
    uncounted: int = 0


_Share = tuple[JobUsage, tuple[ResourceUse, ...]]


def _whole(name: Callable[[JobUsage], str]) -> Callable[[JobUsage], Iterator[tuple[str, _Share]]]:
    def shares(entry: JobUsage) -> Iterator[tuple[str, _Share]]:
        yield name(entry), (entry, entry.resources)

    return shares


def _by_resource(entry: JobUsage) -> Iterator[tuple[str, _Share]]:
    for name in dict.fromkeys(use.resource for use in entry.resources):
        yield name, (entry, tuple(use for use in entry.resources if use.resource == name))


WAYS: dict[str, Callable[[JobUsage], Iterator[tuple[str, _Share]]]] = {
    "user": _whole(lambda entry: entry.job.user or f"uid {entry.job.uid}"),
    "account": _whole(lambda entry: entry.job.account or "(none)"),
    "resource": _by_resource,
    "job": _whole(lambda entry: entry.job.key),
}
"""What may be summed by."""


def usage(entries: Iterable[JobUsage], *, by: str) -> list[UsageRow]:
    """What was used, one row a user, account, resource or job, in the order of their names.

    Raises:
        InvalidInputError: ``by`` is none of `WAYS`.
    """
    if by not in WAYS:
        raise InvalidInputError(
            f"usage cannot be summed by {by!r}", hint="by: " + ", ".join(sorted(WAYS))
        )
    groups: defaultdict[str, list[_Share]] = defaultdict(list)
    for entry in entries:
        for name, share in WAYS[by](entry):
            groups[name].append(share)
    return [_row(name, groups[name]) for name in sorted(groups)]


def _row(name: str, shares: Sequence[_Share]) -> UsageRow:
    uses = [use for _, own in shares for use in own]
    owners = sorted({owner for use in uses for owner in use.errors})
    tasks, shots = _sum(u.tasks for u in uses), _sum(u.shots for u in uses)
    return UsageRow(
        name=name,
        jobs=len(shares),
        held_seconds=_seconds(sum(use.held_seconds for use in uses)),
        slot_seconds=_seconds(sum(use.held_seconds * use.slots for use in uses)),
        wait_seconds=_seconds(sum(entry.wait_seconds or 0.0 for entry, _ in shares)),
        tasks=None if tasks is None else int(tasks),
        shots=None if shots is None else int(shots),
        qpu_seconds=_rounded(_sum(use.qpu_seconds for use in uses)),
        task_wait_seconds=_rounded(_sum(use.task_wait_seconds for use in uses)),
        errors={owner: sum(use.errors.get(owner, 0) for use in uses) for owner in owners},
        uncounted=sum(use.tasks is None for use in uses),
    )


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _seconds(value: float) -> float:
    return round(value, 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else _seconds(value)


_COLUMNS = ("jobs", "held", "slot time", "waited", "tasks", "shots", "QPU time", "errors")


def usage_table(rows: Sequence[UsageRow], *, by: str) -> tuple[tuple[str, ...], list[list[str]]]:
    """Headings and cells for people; what nobody counted is ``-``."""
    cells = [
        [
            row.name,
            str(row.jobs),
            _duration(row.held_seconds),
            _duration(row.slot_seconds),
            _duration(row.wait_seconds),
            _number(row.tasks) + ("+" if row.uncounted and row.tasks is not None else ""),
            _number(row.shots),
            "-" if row.qpu_seconds is None else _duration(row.qpu_seconds),
            ", ".join(f"{owner} {count}" for owner, count in row.errors.items() if count),
        ]
        for row in rows
    ]
    return (by, *_COLUMNS), cells


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _duration(seconds: float) -> str:
    """``1.25 s``, ``3:05``, ``26:03:05``."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
