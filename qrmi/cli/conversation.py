"""A recording for people, and as JSON."""

from __future__ import annotations

import base64
import enum
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from qrmi.cli import console
from qrmi.payloads import Payload, values_of
from qrmi.recording import Call, Recording
from qrmi.tasks import ResourceStatus, Target, TaskResult

__all__ = ["as_json", "show", "summary"]

_LONGEST = 100


def summary(recording: Recording) -> str:
    """How much there is of it."""
    counts = (
        (len(recording.calls), "call"),
        (len(recording.task_ids), "task"),
        (len(recording.resources), "resource"),
    )
    told = ", ".join(f"{number} {what}{'' if number == 1 else 's'}" for number, what in counts)
    return f"{told}, {_size(recording.size)}"


def as_json(recording: Recording) -> dict[str, Any]:
    """Everything that is in it, long texts where they belong."""
    return {
        "file": str(recording.path),
        "header": recording.header,
        "resources": [_plain(each) for each in recording.resources.values()],
        "calls": [_call_as_json(call) for call in recording.calls],
        "torn_lines": recording.torn,
        "bytes": recording.size,
    }


def _call_as_json(call: Call) -> dict[str, Any]:
    told = {
        name: _plain(getattr(call, name))
        for name in ("index", "at", "took", "process", "thread", "resource", "method", "arguments")
    }
    if call.interrupted:
        return {**told, "interrupted": call.interrupted}
    return {**told, **({"error": call.error} if call.error else {"answer": _plain(call.answer)})}


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.name.lower()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, frozenset) else value)]
    if attrs.has(type(value)):
        fields = {f.name: _plain(getattr(value, f.name)) for f in attrs.fields(type(value))}
        return {"format": value.FORMAT, **fields} if isinstance(value, Payload) else fields
    return value


def show(recording: Recording) -> None:
    """Who asked what, and what came of it; equal calls in a row are one line."""
    head = recording.header
    packages = ", ".join(f"{name} {found}" for name, found in head.get("packages", {}).items())
    console.out(f"{summary(recording)}; {head.get('date', 'without a date')}")
    console.out(f"Python {head.get('python', '?')} on {head.get('system', '?')}: {packages}")
    for resource in recording.resources.values():
        settings = "".join(f" {key}={text}" for key, text in resource.settings.items())
        console.out(f"{resource.name} ({resource.type_name}){settings}")
    if recording.torn:
        console.out("the last line was cut off: a process ended while it was writing")
    console.out("")
    threads = {(call.process, call.thread) for call in recording.calls}
    rows = [_row(calls, wide=len(threads) > 1) for calls in _runs(recording.calls)]
    columns = ("at", "took", *(("process", "thread") if len(threads) > 1 else ()))
    console.table((*columns, "resource", "call", "answer"), rows)


def _runs(calls: tuple[Call, ...]) -> Iterator[list[Call]]:
    run: list[Call] = []
    for call in calls:
        if run and _says(call) != _says(run[-1]):
            yield run
            run = []
        run.append(call)
    if run:
        yield run


def _says(call: Call) -> tuple[str, ...]:
    return (call.process, call.thread, call.resource, _asked(call), _answered(call))


def _row(calls: list[Call], *, wide: bool) -> tuple[str, ...]:
    call = calls[0]
    took = sum(each.took for each in calls)
    who = (call.process, call.thread) if wide else ()
    times = f"{_asked(call)} x {len(calls)}" if len(calls) > 1 else _asked(call)
    return (f"{call.at:.3f} s", f"{took:.3f} s", *who, call.resource, times, _answered(call))


def _asked(call: Call) -> str:
    payload = call.arguments.get("payload")
    if isinstance(payload, Payload):
        size = sum(len(value) for value in values_of(payload) if isinstance(value, str))
        return f"{call.method}({payload.FORMAT}, {_size(size)})"
    return f"{call.method}({call.subject})"


def _answered(call: Call) -> str:
    if call.interrupted:
        return f"{call.interrupted}: no answer"
    if call.error is not None:
        return f"{call.error['class']}: {call.error.get('message', '')}"[:_LONGEST]
    for kind, tell in _TOLD:
        if isinstance(call.answer, kind):
            return tell(call.answer)
    return "" if call.answer is None else str(_plain(call.answer))[:_LONGEST]


def _status(status: ResourceStatus) -> str:
    queue = status.pending_job_count
    return status.status.name.lower() + ("" if queue is None else f", {queue} pending")


_TOLD: tuple[tuple[Any, Callable[[Any], str]], ...] = (
    ((TaskResult, Target), lambda answer: _size(len(answer.value))),
    (ResourceStatus, _status),
    (list, lambda answer: f"{len(answer)} of them"),
)


def _size(number: float) -> str:
    for unit in ("B", "kB", "MB"):
        if number < 1000:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:.3g} GB"
