"""Look-ups in one view of the folder, by index where there is one."""

from __future__ import annotations

import heapq
import itertools
import json
import re
from collections.abc import Iterator

from qrmi.journal import records
from qrmi.journal.catalog import View
from qrmi.journal.events import Fields, encoded, parsed
from qrmi.journal.records import LeaseRecord, TaskRecord
from qrmi.journal.segments import MET, STARTED, TIED, digest

__all__ = [
    "containing",
    "count",
    "find",
    "ids",
    "last_failure",
    "leases",
    "newest",
    "of_task",
    "story",
    "tasks",
]

_MANY = 20  # more ids than these are not looked at one by one


def tasks(view: View) -> list[TaskRecord]:
    """All starts, newest first."""
    return _newest_first(records.tasks(view.everything()))


def newest(view: View, limit: int) -> list[TaskRecord]:
    """The newest starts, newest first, without reading many others."""
    if limit < 1:
        return []
    found: dict[tuple[str, str, str], TaskRecord] = {}
    oldest = float("-inf")  # of those that will be given, once there are enough
    for at, names in _by_age(view, limit):
        if at < oldest:
            break
        for record in records.tasks(view.gathered(names)):
            found.setdefault(_identity(record), record)
        if len(found) >= limit:
            oldest = heapq.nlargest(limit, (r.started_at for r in found.values()))[-1]
    return _newest_first(list(found.values()))[:limit]


def _identity(record: TaskRecord) -> tuple[str, str, str]:
    return ("", "", record.key) if record.key else (record.resource_id, str(record.id), "")


def _newest_first(found: list[TaskRecord]) -> list[TaskRecord]:
    return sorted(found, key=lambda record: record.started_at, reverse=True)


def _by_age(view: View, chunk: int) -> Iterator[tuple[float, list[str]]]:
    """Times and names of starts and of tasks that were met, newest first; some come twice.

    No record began later than the last time that comes with its name.
    """
    streams = [_segment_by_age(view, number, chunk) for number in range(len(view.segments))]
    return heapq.merge(_live_by_age(view), *streams, key=lambda pair: -pair[0])


def _live_by_age(view: View) -> Iterator[tuple[float, list[str]]]:
    found = [
        (event["at"], [_start_name(event)])
        for live in view.live.values()
        for event in live.events
        if _is_listed(event)
    ]
    return iter(sorted(found, key=lambda pair: pair[0], reverse=True))


def _segment_by_age(view: View, number: int, chunk: int) -> Iterator[tuple[float, list[str]]]:
    segment, given = view.segments[number], 0
    while given < segment.tasks:
        rows = segment.rows(max(2 * given, chunk + 1))
        for row in itertools.islice(rows, given, None):
            names = {_start_name(e) for e in segment.group(row) if _is_listed(e)}
            yield row.at, sorted(names)
        given = len(rows)


def _is_listed(event: Fields) -> bool:
    return event["event"] == "intent" or (event["event"] == "ended" and "type" in event)


def _start_name(event: Fields) -> str:
    return f"k\0{event['key']}" if event["event"] == "intent" else f"t\0{event['task']}"


def count(view: View) -> int:
    """How many starts, and tasks met, there are, without reading them."""
    keys: set[int] = set()
    tied: list[tuple[int, int]] = []
    met: set[int] = set()
    for kind, key, task in itertools.chain(_digests(view), _live_digests(view)):
        if kind == STARTED:
            keys.add(key)
        if kind == MET:
            met.add(task)
        else:
            tied.append((key, task))
    return len(keys) + len(met - {task for key, task in tied if key in keys})


def _digests(view: View) -> Iterator[tuple[int, int, int]]:
    for segment in view.segments:
        yield from segment.digests()


def _live_digests(view: View) -> Iterator[tuple[int, int, int]]:
    for live in view.live.values():
        for event in live.events:
            if event["event"] == "intent":
                yield STARTED, digest(event["key"]), 0
            elif event["event"] in ("created", "started"):
                yield TIED, digest(event["key"]), digest(event["task"])
            elif _is_listed(event):
                yield MET, 0, digest(event["task"])


def of_task(view: View, task_id: str, resource_id: str | None) -> TaskRecord | None:
    """The newest record of that id."""
    found = [
        record
        for record in records.tasks(view.gathered([f"t\0{task_id}"]))
        if record.id == task_id and resource_id in (None, record.resource_id)
    ]
    return max(found, key=lambda record: record.started_at, default=None)


def find(view: View, key: str) -> TaskRecord | None:
    """The record of that key."""
    for record in records.tasks(view.gathered([f"k\0{key}"])):
        if record.key == key:
            return record
    return None


def story(view: View, name: str) -> list[Fields]:
    """All events of a task's id, a key or a token, in order of time."""
    names = {f"{kind}\0{name}" for kind in "ktl"}
    return in_order(view.gathered(names))


def in_order(events: list[Fields]) -> list[Fields]:
    """Events by their times; those of one writer as it wrote them when times are equal."""
    return sorted(events, key=lambda event: (event["at"], event["w"], event["n"]))


def last_failure(view: View) -> Fields | None:
    """The newest ``failed`` event."""
    found = [e for segment in view.segments for e in segment.last_failure()]
    found += [e for live in view.live.values() for e in live.events]
    failed = [event for event in found if event["event"] == "failed"]
    return in_order(failed)[-1] if failed else None


def leases(view: View) -> list[LeaseRecord]:
    """Open sessions, oldest first."""
    found = [e for segment in view.segments for e in segment.leases()]
    found += [e for live in view.live.values() for e in live.events]
    names = {f"l\0{e['token']}" for e in found if e["event"] == "acquired"}
    return records.leases(view.gathered(names))


def ids(view: View, prefix: str) -> set[str]:
    """The ids that begin so, of tasks and not only of what was looked for."""
    text = encoded(prefix)[1:-1]
    pattern = re.compile(rb'"task":("' + re.escape(text.encode()) + rb'(?:[^"\\]|\\.)*")')
    candidates = {
        name
        for segment in view.segments
        for match in pattern.finditer(segment.data())
        if (name := _text_of(match[1])) is not None
    }
    for live in view.live.values():
        candidates |= {n[2:] for n in live.names if n.startswith(f"t\0{prefix}")}
    if len(candidates) > _MANY:
        return candidates
    return {i for i in candidates if of_task(view, i, None) is not None}


def _text_of(quoted: bytes) -> str | None:
    try:
        found = json.loads(quoted)
    except ValueError:
        return None
    return found if isinstance(found, str) else None


def containing(view: View, text: str) -> list[TaskRecord]:
    """Records of starts whose intent has a text somewhere, as it is in JSON; newest first."""
    wanted = encoded(text)[1:-1].encode()
    keys = {
        event["key"]
        for segment in view.segments
        for line in segment.data().split(b"\n")
        if wanted in line and (event := parsed(line)) is not None and event["event"] == "intent"
    }
    for live in view.live.values():
        keys |= {
            event["key"]
            for event in live.events
            if event["event"] == "intent" and wanted in encoded(event).encode()
        }
    found = records.tasks(view.gathered(f"k\0{key}" for key in keys))
    return _newest_first([record for record in found if record.key in keys])
