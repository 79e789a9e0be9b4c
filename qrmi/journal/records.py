"""What the events of many processes say together: one record for each start and each session.

Clocks of machines differ. What a start's key ties together needs no clock: ``started`` comes after
``intent`` whatever the times say. Within one file the lines are in order. Elsewhere times decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from qrmi.journal.events import Fields
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["LeaseRecord", "TaskRecord", "leases", "tasks"]

_CLOCKS_DIFFER_SECONDS = 3600.0  # between machines: an end this much too early is still believed
_RELEASES_DIFFER_SECONDS = 60.0  # less for sessions: one shown too long is better than one hidden


@attrs.frozen(kw_only=True)
class TaskRecord:
    """What the journal knows of one start of a task.

    Attributes:
        key: the idempotency key; written before the request left.
        id: the task's id; ``None`` when the answer never came.
        resource_id: the resource that it was sent to.
        resource_type: that resource's type as files spell it.
        payload_format: the format of what was sent.
        payload_digest: SHA-256 of what was sent, hexadecimal.
        context: what the adapter needs to rebuild its SDK's result.
        settings: the resource's settings, without secrets and defaults, by unprefixed key.
        status: the last status that a process of ours saw; ``None`` when the start is unsettled.
        started_at: seconds since the epoch.
        ended_at: when its end was first seen, or ``None``.
        reason: why the start was refused; empty when it was not.
        failure: why the task failed, in the service's words, where that had to be kept.
        attempt: how often it was tried with this key, counting from 1.
        sent_at: when its last attempt was begun; seconds since the epoch.
        lost_at: when the answer to its last attempt was lost, so that its writer sends it no
            more; ``None`` when that is not known, and once the start is settled.
        uncertain: the start was given up with `TaskStartUncertainError`, and nobody has settled
            it since.
    """

    key: str
    resource_id: str
    resource_type: str
    payload_format: str = ""
    payload_digest: str = ""
    context: Mapping[str, Any] = attrs.field(factory=dict)
    settings: Mapping[str, str] = attrs.field(factory=dict)
    started_at: float = 0.0
    id: TaskId | None = None
    status: TaskStatus | None = None
    ended_at: float | None = None
    reason: str = ""
    failure: str = ""
    attempt: int = 1
    sent_at: float = 0.0
    lost_at: float | None = None
    uncertain: bool = False


@attrs.frozen(kw_only=True)
class LeaseRecord:
    """A session that was acquired and has not been released, as far as the journal knows.

    Attributes:
        resource_id: the resource.
        resource_type: its type as files spell it.
        token: the session's token.
        settings: the resource's settings, without secrets and defaults.
        owner: who acquired it: ``host``, ``pid``, ``job``.
        borrowed: somebody else made the session, and will release it.
        acquired_at: seconds since the epoch.
    """

    resource_id: str
    resource_type: str
    token: str = attrs.field(repr=False)
    settings: Mapping[str, str] = attrs.field(factory=dict)
    owner: Mapping[str, Any] = attrs.field(factory=dict)
    borrowed: bool = False
    acquired_at: float = 0.0


@attrs.define
class _Start:
    """The events of one key, and what was seen of its task."""

    said: list[Fields] = attrs.field(factory=list)
    looks: list[Fields] = attrs.field(factory=list)

    def all(self, *names: str) -> list[Fields]:
        return [event for event in self.said if event["event"] in names]


_Place = tuple[str, str]  # a resource's id and a task's


def tasks(events: Iterable[Fields]) -> list[TaskRecord]:
    """The record of each start, and of each ended task that only its end is known of; any order.

    Args:
        events: each once, in any order but that of a writer's lines.
    """
    starts, looks = _sorted_out(events)
    places: dict[_Place, list[_Start]] = {}
    for start in starts.values():
        resource = start.all("intent")[-1]["resource"]
        for event in start.all("created", "started"):
            owners = places.setdefault((resource, event["task"]), [])
            if not any(owner is start for owner in owners):
                owners.append(start)
    met = []
    for place, seen in looks.items():
        if place in places:
            _assign(seen, places[place], place[1])
        elif any(e["event"] == "ended" and "type" in e for e in seen):
            met.append(_met(place, [e for e in seen if e["event"] == "ended"]))
    return [_record(key, start) for key, start in starts.items()] + met


def _sorted_out(
    events: Iterable[Fields],
) -> tuple[dict[str, _Start], dict[_Place, list[Fields]]]:
    """Starts whose intent is known, by key; what was seen of tasks, by place."""
    starts: dict[str, _Start] = {}
    looks: dict[_Place, list[Fields]] = {}
    for event in events:
        kind = event["event"]
        if kind in ("ended", "seen"):
            looks.setdefault((event["resource"], event["task"]), []).append(event)
        elif kind in _OF_A_START and "key" in event:
            if (start := starts.get(event["key"])) is None:
                start = starts[event["key"]] = _Start()
            start.said.append(event)
    return {k: s for k, s in starts.items() if s.all("intent")}, looks


_OF_A_START = frozenset({"intent", "created", "lost", "started", "refused", "uncertain"})


# --- whose end it was ---------------------------------------------------------------------------


def _assign(seen: list[Fields], owners: list[_Start], task: str) -> None:
    """Give each look to the start whose task was seen; some services use an id again."""
    begun = [
        (event, start)
        for start in owners
        for event in start.all("created", "started")
        if event["task"] == task
    ]
    for look in seen:
        before = [(e["at"], n) for n, (e, _) in enumerate(begun) if _precedes(e, look)]
        if not before:
            before = [(-e["at"], n) for n, (e, _) in enumerate(begun) if _may_precede(e, look)]
        if before:
            begun[max(before)[1]][1].looks.append(look)


def _precedes(first: Fields, second: Fields) -> bool:
    if first["w"] == second["w"]:
        return bool(first["n"] < second["n"])
    return bool(first["at"] <= second["at"])


def _may_precede(first: Fields, second: Fields, by: float = _CLOCKS_DIFFER_SECONDS) -> bool:
    """Whether one event may have come before another although its time is later."""
    return _host(first) != _host(second) and bool(first["at"] <= second["at"] + by)


def _host(event: Fields) -> str:
    return str(event["w"]).partition("@")[0]


# --- one record ---------------------------------------------------------------------------------


def _record(key: str, start: _Start) -> TaskRecord:
    intents = sorted(start.all("intent"), key=lambda e: (_attempt(e), e["at"]))
    refusals = start.all("refused")
    pending = [i for i in intents if not any(_settles(r, i, intents) for r in refusals)]
    last = (pending or intents)[-1]
    made: dict[str, Any] = {
        "key": key,
        "resource_id": last["resource"],
        "resource_type": last["type"],
        "payload_format": last["format"],
        "payload_digest": last["digest"],
        "context": last.get("context", {}),
        "settings": last.get("settings", {}),
        "started_at": min(i["at"] for i in pending) if pending else last["at"],
        "attempt": max(map(_attempt, intents)),
        "sent_at": max(map(_time, intents)),
    }
    if begun := start.all("started"):
        made |= {"id": TaskId(max(begun, key=_time)["task"]), "status": TaskStatus.QUEUED}
    elif created := _not_refused(start.all("created"), intents, pending):
        made["id"] = TaskId(max(created, key=_time)["task"])
    if not begun and not pending:
        final = max(refusals, key=_time)
        made |= {"reason": final["reason"] or "refused", "ended_at": final["at"]}
    elif not begun:
        made["lost_at"] = max(
            (e["at"] for e in start.all("lost") if _follows(e, last)), default=None
        )
        made["uncertain"] = bool(start.all("uncertain"))
    return TaskRecord(**(made | _seen(start, made.get("ended_at"))))


def _not_refused(
    created: list[Fields], intents: list[Fields], pending: list[Fields]
) -> list[Fields]:
    """The tasks made by attempts that nothing speaks against; all when there are none of those."""
    if not pending:
        return created
    return [event for event in created if _intent_of(event, intents) in (None, *pending)]


def _intent_of(event: Fields, intents: list[Fields]) -> Fields | None:
    """The intent that its writer followed with an event."""
    own = [i for i in intents if i["w"] == event["w"] and i["n"] < event["n"]]
    return max(own, key=lambda intent: int(intent["n"]), default=None)


def _attempt(event: Fields) -> int:
    number = event.get("attempt", 1)
    return number if isinstance(number, int) else 1


def _time(event: Fields) -> float:
    return float(event["at"])


def _follows(event: Fields, intent: Fields) -> bool:
    return _precedes(intent, event) or _may_precede(intent, event)


def _settles(refusal: Fields, intent: Fields, intents: list[Fields]) -> bool:
    """Whether a refusal says that nothing came of an intent with the same key.

    It speaks of the attempt that its writer had sent, and of all before.
    """
    if "attempt" in refusal and _attempt(refusal) < _attempt(intent):
        return False
    if refusal["w"] == intent["w"]:
        return bool(intent["n"] < refusal["n"])
    own = [i for i in intents if i["w"] == refusal["w"] and i["n"] < refusal["n"]]
    known = [*own, *([refusal] if "attempt" in refusal else ())]
    attempt = max(map(_attempt, known), default=_attempt(intent))
    if attempt != _attempt(intent):
        return attempt > _attempt(intent)
    return _precedes(intent, refusal) or _may_precede(intent, refusal)


def _seen(start: _Start, ended_at: float | None) -> dict[str, Any]:
    """What was seen of the task: the first word on its end, else the last on where it is."""
    if ended_at is not None:
        return {}
    if ends := [look for look in start.looks if look["event"] == "ended"]:
        return _end(ends)
    if start.looks and start.all("started"):
        return {"status": TaskStatus[max(start.looks, key=_time)["status"]]}
    return {}


def _end(ends: list[Fields]) -> dict[str, Any]:
    first = min(ends, key=_time)
    return {
        "status": TaskStatus[first["status"]],
        "ended_at": first["at"],
        "failure": str(first.get("failure", "")),
    }


def _met(place: _Place, ends: list[Fields]) -> TaskRecord:
    """A task that none of the user's processes started, as far as the journal knows."""
    typed = next(e for e in ends if "type" in e)
    return TaskRecord(
        key="",
        id=TaskId(place[1]),
        resource_id=place[0],
        resource_type=typed["type"],
        started_at=min(e["at"] for e in ends),
        **_end(ends),
    )


# --- sessions -----------------------------------------------------------------------------------


def leases(events: Iterable[Fields]) -> list[LeaseRecord]:
    """The sessions that were acquired and not released, oldest first."""
    taken: dict[_Place, list[Fields]] = {}
    released: dict[_Place, list[Fields]] = {}
    for event in events:
        kept = {"acquired": taken, "released": released}.get(event["event"])
        if kept is not None:
            kept.setdefault((event["resource"], event["token"]), []).append(event)
    found = []
    for place, acquired in taken.items():
        ends = released.get(place, [])[::-1]  # the last one ends most of them
        left = [a for a in acquired if not any(_ends(r, a) for r in ends)]
        if left:
            found.append(_lease(min(left, key=lambda e: (bool(e.get("borrowed")), e["at"]))))
    return sorted(found, key=lambda lease: lease.acquired_at)


def _ends(release: Fields, acquired: Fields) -> bool:
    return _precedes(acquired, release) or _may_precede(acquired, release, _RELEASES_DIFFER_SECONDS)


def _lease(event: Fields) -> LeaseRecord:
    return LeaseRecord(
        resource_id=event["resource"],
        resource_type=event["type"],
        token=event["token"],
        settings=event.get("settings", {}),
        owner=event.get("owner", {}),
        borrowed=bool(event.get("borrowed", False)),
        acquired_at=event["at"],
    )
