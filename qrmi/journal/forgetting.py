"""What `prune` may forget: tasks that have ended, with all that is known of them."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from qrmi.journal import records
from qrmi.journal.events import Fields
from qrmi.journal.grouping import Item
from qrmi.journal.records import TaskRecord

__all__ = ["Forgotten", "forget"]

_Place = tuple[str, str]
_OF_A_LEASE = ("acquired", "released")


@attrs.frozen(kw_only=True)
class Forgotten:
    """What is left, and what goes.

    Attributes:
        kept: the lines that stay.
        tasks: the records that go.
        sessions: how many sessions go.
        keys: the starts' keys that go.
    """

    kept: list[Item]
    tasks: list[TaskRecord]
    sessions: int
    keys: set[str]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to forget."""
        return not (self.tasks or self.sessions)


@attrs.define
class _Names:
    """Keys, tasks and sessions that events speak of."""

    keys: set[str] = attrs.field(factory=set)
    places: set[_Place] = attrs.field(factory=set)
    sessions: set[_Place] = attrs.field(factory=set)

    def add(self, event: Fields) -> None:
        resource = event.get("resource", "")
        if "key" in event:
            self.keys.add(event["key"])
        if "task" in event:
            self.places.add((resource, event["task"]))
        if "token" in event:
            self.sessions.add((resource, event["token"]))


def forget(items: Iterable[Item], outside: Iterable[Fields], before: float) -> Forgotten:
    """Part what ended, or was refused or released, before a time from all else.

    Args:
        items: what may be written anew.
        outside: events in files that may not; what they speak of is kept.
        before: seconds since the epoch.
    """
    listed, fixed = list(items), list(outside)
    events = {(e["w"], e["n"]): e for e in (*(e for _, e in listed), *fixed)}.values()
    held = _Names()
    for event in fixed:
        held.add(event)
    gone, kept = _Names(), _Names()
    tasks = []
    for record in records.tasks(events):
        place = (record.resource_id, record.id or "")
        if _may_go(record, before) and record.key not in held.keys and place not in held.places:
            tasks.append(record)
            gone.keys.add(record.key)
            gone.places.add(place)
        else:
            kept.keys.add(record.key)
            kept.places.add(place)
    gone.keys.discard("")
    gone.places -= kept.places
    gone.sessions = _released(events, before) - held.sessions
    left = [item for item in listed if not _goes(item[1], gone)]
    return Forgotten(kept=left, tasks=tasks, sessions=len(gone.sessions), keys=gone.keys)


def _may_go(record: TaskRecord, before: float) -> bool:
    return record.ended_at is not None and record.ended_at < before


def _released(events: Iterable[Fields], before: float) -> set[_Place]:
    last: dict[_Place, float] = {}
    for event in events:
        if event["event"] in _OF_A_LEASE:
            place = (event["resource"], event["token"])
            last[place] = max(event["at"], last.get(place, 0.0))
    open_ones = {(lease.resource_id, lease.token) for lease in records.leases(events)}
    return {place for place, at in last.items() if at < before} - open_ones


def _goes(event: Fields, gone: _Names) -> bool:
    resource = event.get("resource", "")
    if event["event"] in _OF_A_LEASE:
        return (resource, event["token"]) in gone.sessions
    if "key" in event:
        return event["key"] in gone.keys
    if "task" in event:
        return (resource, event["task"]) in gone.places
    return False
