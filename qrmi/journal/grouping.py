"""Events put side by side by what they belong to: what a segment is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from qrmi.journal import records
from qrmi.journal.events import Fields, encoded, names_of
from qrmi.journal.segments import MET, STARTED, TIED, Group, digest

__all__ = ["Item", "grouped", "numbered"]

Item = tuple[bytes, Fields]
"""A line as a segment has it, and its event."""


def numbered(line: bytes, event: Fields) -> bytes:
    """A line with its writer and number in front, as segments have it."""
    if line[:5] == b'{"w":':
        return line
    return b'{"w":%s,"n":%d,%s' % (encoded(event["w"]).encode(), event["n"], line.lstrip()[1:])


@attrs.define
class _Bundle:
    items: list[Item] = attrs.field(factory=list)


def grouped(items: Iterable[Item]) -> list[Group]:
    """The events in groups; one that comes twice is taken once.

    Args:
        items: lines with writer and number, and their events.
    """
    homes: dict[str, _Bundle] = {}
    bundles: dict[int, _Bundle] = {}
    known: set[tuple[str, int]] = set()
    for line, event in items:
        mark = (event["w"], event["n"])
        if mark in known:
            continue
        known.add(mark)
        ties = list(_ties(event))
        found = {id(homes[tie]): homes[tie] for tie in ties if tie in homes}
        bundle = _joined(list(found.values()), homes, bundles)
        bundle.items.append((line, event))
        homes.update(dict.fromkeys(ties, bundle))
    return [_group(bundle.items) for bundle in bundles.values()]


def _joined(
    found: list[_Bundle], homes: dict[str, _Bundle], bundles: dict[int, _Bundle]
) -> _Bundle:
    """One bundle with all that is in those found; a new one when there is none."""
    if not found:
        bundle = _Bundle()
        bundles[id(bundle)] = bundle
        return bundle
    bundle = max(found, key=lambda b: len(b.items))
    for other in found:
        if other is not bundle:
            bundle.items += other.items
            for _, event in other.items:
                homes.update(dict.fromkeys(_ties(event), bundle))
            del bundles[id(other)]
    return bundle


def _ties(event: Fields) -> Iterator[str]:
    """What holds events together; unlike their names, a task's id is one resource's."""
    resource = event.get("resource", "")
    if key := event.get("key"):
        yield f"k\0{key}"
    if resource and (task := event.get("task")):
        yield f"t\0{resource}\0{task}"
    if token := event.get("token"):
        yield f"l\0{resource}\0{token}"


def _group(items: list[Item]) -> Group:
    events = [event for _, event in items]
    leases = any(event["event"] == "acquired" for event in events)
    return Group(
        lines=[line for line, _ in items],
        names={name for event in events for name in names_of(event)},
        rows=_rows(events),
        is_lease=leases and bool(records.leases(events)),
        failed_at=max((e["at"] for e in events if e["event"] == "failed"), default=0.0),
    )


def _rows(events: list[Fields]) -> list[tuple[int, float, int, int]]:
    begun: dict[str, float] = {}
    tasks: dict[str, str] = {}
    tied: set[tuple[str, str]] = set()
    met: dict[str, float] = {}
    for event in events:
        kind = event["event"]
        if kind == "intent":
            begun[event["key"]] = max(event["at"], begun.get(event["key"], event["at"]))
        elif kind in ("created", "started"):
            tasks[event["key"]] = event["task"]
            tied.add((event["key"], event["task"]))
        elif kind == "ended" and "type" in event:
            met[event["task"]] = min(event["at"], met.get(event["task"], event["at"]))
    rows = [(STARTED, at, digest(key), _task(tasks.get(key))) for key, at in begun.items()]
    own = {task for key, task in tied if key in begun}
    rows += [(MET, at, 0, digest(task)) for task, at in met.items() if task not in own]
    tied -= {(key, task) for key, task in tasks.items() if key in begun}
    return rows + [(TIED, 0.0, digest(key), digest(task)) for key, task in sorted(tied)]


def _task(task: str | None) -> int:
    return 0 if task is None else digest(task)
