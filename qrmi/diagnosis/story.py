"""What the journal tells of one task, start or lease, put into words; a pure function."""

from __future__ import annotations

import enum
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import attrs

from qrmi.diagnosis.sentences import is_bad, is_known, sentence, text

__all__ = ["Existence", "Failure", "Step", "Story", "failure_of", "tell"]


class _Event(Protocol):
    @property
    def at(self) -> float: ...

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> Mapping[str, Any]: ...

    @property
    def writer(self) -> str: ...


class Existence(enum.StrEnum):
    """Whether something on the service may still hold or use the device."""

    YES = "yes"
    PERHAPS = "perhaps"
    NO = "no"


@attrs.frozen(kw_only=True)
class Step:
    """One event.

    Attributes:
        at: seconds since the epoch.
        elapsed_seconds: since the first event.
        event: its name in the journal.
        text: what happened, in words.
        bad: whether it is a failure.
        writer: the process that wrote it.
        request_ids: ids of requests, for support.
    """

    at: float
    elapsed_seconds: float
    event: str
    text: str
    bad: bool = False
    writer: str = ""
    request_ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Failure:
    """An error that left a verb.

    Attributes:
        at: seconds since the epoch.
        step: the verb.
        error: the class's name.
        message: what it said.
        owner: who can act; empty when the journal does not say.
        retryable: whether the same call may succeed later.
        hint: what it advised.
        request_ids: what to quote to the service's support.
        resource_id: the resource, or ``None``.
        task_id: the task, or ``None``.
        key: the start's key, or ``None``.
    """

    at: float
    step: str
    error: str
    message: str
    owner: str = ""
    retryable: bool = False
    hint: str = ""
    request_ids: tuple[str, ...] = ()
    resource_id: str | None = None
    task_id: str | None = None
    key: str | None = None


@attrs.frozen(kw_only=True)
class Story:
    """All that the journal knows of one task, start or lease.

    Attributes:
        kind: ``task``, ``start`` (no id is known) or ``lease``.
        name: the task's id, the start's key, or the lease's token.
        resource_id: where.
        resource_type: as files spell it; empty when the journal does not say.
        task_id: the task, or ``None``.
        key: its idempotency key, or ``None``.
        state: ``running``, ``completed``, ``uncertain``, ``refused``, ``held`` … in one word.
        existence: whether it may be alive on the service.
        steps: what happened, in order of time.
        failure: the last error, if nothing good came after it.
        advice: what can be done now.
    """

    kind: str
    name: str
    resource_id: str
    resource_type: str
    task_id: str | None
    key: str | None
    state: str
    existence: Existence
    steps: tuple[Step, ...]
    failure: Failure | None
    advice: str


# --- what it comes to -----------------------------------------------------------------------------

_STARTS = {  # what the last word on a start means: state, existence
    "intent": ("sent, or about to be", Existence.PERHAPS),
    "created": ("made, program not confirmed", Existence.YES),
    "lost": ("uncertain", Existence.PERHAPS),
    "started": ("started", Existence.YES),
    "refused": ("refused", Existence.NO),
    "uncertain": ("uncertain", Existence.PERHAPS),
    "acquired": ("held", Existence.YES),
    "released": ("released", Existence.NO),
}
_ADVICE = {
    "sent, or about to be": "`qrmi explain {name} --look` asks the service for it; a start with "
    "the same key finds it or begins anew, never both",
    "made, program not confirmed": "`qrmi status {name}` asks the service; a start with the same "
    "key takes it up",
    "uncertain": "`qrmi explain {name} --look` asks the service for it; look before you start it "
    "again",
    "started": "`qrmi result {name} --wait` waits for it, `qrmi stop {name}` stops it",
    "queued": "`qrmi result {name} --wait` waits for it, `qrmi stop {name}` stops it",
    "running": "`qrmi result {name} --wait` waits for it, `qrmi stop {name}` stops it",
    "stopping": "`qrmi status {name}` says whether it has stopped",
    "completed": "`qrmi result {name}` shows its result",
    "failed": "`qrmi logs {name}` may tell more; start it again once its reason is removed",
    "cancelled": "start it again if you still want its result",
    "refused": "nothing runs: start it again once the reason is removed",
    "held": "`qrmi leases` lists what is held, `qrmi leases --reap` ends what nobody uses",
    "released": "nothing is left to do",
}


def tell(events: Sequence[_Event]) -> Story:
    """The story that a non-empty list of events tells; unknown events are passed over."""
    known = sorted((event for event in events if is_known(event.name)), key=lambda e: e.at)
    first = known[0] if known else events[0]
    merged = _merged(known)
    task_id, key, token = (merged.get(name) for name in ("task", "key", "token"))
    kind, name = _subject(task_id, key, token)
    state, existence = _state(known)
    failure = _last_failure(known)
    return Story(
        kind=kind,
        name=name,
        resource_id=merged.get("resource", ""),
        resource_type=merged.get("type", ""),
        task_id=task_id,
        key=key,
        state=state,
        existence=existence,
        steps=tuple(_step(event, first.at) for event in known),
        failure=failure,
        advice=_advice(state, name),
    )


def failure_of(event: _Event) -> Failure:
    """What a ``failed`` event says."""
    fields = event.fields
    ids = fields.get("request_ids")
    return Failure(
        at=event.at,
        step=text(fields, "step"),
        error=text(fields, "error"),
        message=text(fields, "message"),
        owner=text(fields, "owner"),
        retryable=fields.get("retryable") is True,
        hint=text(fields, "hint"),
        request_ids=tuple(map(str, ids)) if isinstance(ids, list | tuple) else (),
        resource_id=text(fields, "resource") or None,
        task_id=text(fields, "task") or None,
        key=text(fields, "key") or None,
    )


def _merged(events: Sequence[_Event]) -> dict[str, str]:
    """What is the same throughout; of ids the latest, because a start may be sent again."""
    found: dict[str, str] = {}
    for event in events:
        for name in ("resource", "type", "task", "key", "token"):
            if value := text(event.fields, name):
                found[name] = value
    return found


def _subject(task_id: str | None, key: str | None, token: str | None) -> tuple[str, str]:
    if task_id:
        return "task", task_id
    return ("start", key) if key else ("lease", token or "")


def _state(events: Sequence[_Event]) -> tuple[str, Existence]:
    state, existence = "unknown", Existence.PERHAPS
    has_ended = False
    for event in events:
        if event.name in _STARTS:
            state, existence = _STARTS[event.name]
            has_ended = False
        elif event.name == "ended" and not has_ended:  # the first word on it is the last
            state, existence = text(event.fields, "status", "ended").lower(), Existence.NO
            has_ended = True
        elif event.name == "seen" and not has_ended:
            state, existence = text(event.fields, "status", "started").lower(), Existence.YES
        elif event.name == "stopping" and not has_ended:
            state = "stopping"
    return state, existence


def _last_failure(events: Sequence[_Event]) -> Failure | None:
    """The last error, unless the same verb's end was reached after it."""
    found: Failure | None = None
    for event in events:
        if event.name == "failed":
            found = failure_of(event)
        elif event.name in ("started", "ended", "released"):
            found = None if event.name != "ended" or not is_bad(event.name, event.fields) else found
    return found


def _step(event: _Event, begun: float) -> Step:
    ids = event.fields.get("request_ids")
    return Step(
        at=event.at,
        elapsed_seconds=max(event.at - begun, 0.0),
        event=event.name,
        text=sentence(event.name, event.fields),
        bad=is_bad(event.name, event.fields),
        writer=event.writer,
        request_ids=tuple(map(str, ids)) if isinstance(ids, list | tuple) else (),
    )


def _advice(state: str, name: str) -> str:
    usual = _ADVICE.get(state, "`qrmi status {name}` asks the service")
    return usual.format(name=shlex.quote(name))
