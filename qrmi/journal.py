"""The journal: what was started, acquired and seen to end, kept for every later process.

A folder of append-only files of JSON lines, one file per writing process, so that many processes
on many nodes can write to one shared home without a lock. Readers merge the files and pass over a
torn last line. A record holds ids, names, times and the adapter's context; never a payload, a
result or a secret.
"""

from __future__ import annotations

import functools
import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi import config
from qrmi.errors import JournalError, TaskNotFoundError
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["FORMAT_VERSION", "Journal", "TaskRecord", "default", "members"]

FORMAT_VERSION = 1
_encode = json.JSONEncoder(separators=(",", ":")).encode  # made once: it is used at each start
_SUFFIX = ".jsonl"
_TEXTS = {  # what must be there, as text, in the events that make a task's record
    "intent": ("key", "resource", "type", "format", "digest"),
    "created": ("key", "task"),
    "started": ("key", "task"),
    "refused": ("key", "reason"),
    "ended": ("task", "status"),
}


def members(**fields: Any) -> str:
    """Fields as `Journal.append` takes them in ``also``; at least one."""
    return _encode(fields)[1:-1] + ","


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


class Journal:
    """The journal in one folder. Safe to share between threads, and across ``fork``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._pid: int | None = None

    def __repr__(self) -> str:
        return f"Journal({str(self._folder)!r})"

    # --- writing ------------------------------------------------------------------------------

    def append(self, event: str, *, also: str = "", **fields: Any) -> None:
        """Write one event; it has reached the operating system when this returns.

        Args:
            event: what happened.
            also: more fields, that do not change from one event to the next; see `members`.
            **fields: what there is to say of it.

        Raises:
            JournalError: it could not be written.
        """
        text = _encode({"event": event, **fields})
        line = f'{{"v":{FORMAT_VERSION},"at":{time.time():.6f},{also}{text[1:]}\n'.encode()
        try:
            with self._lock:
                self._write(line)
        except OSError as error:
            raise JournalError(
                f"cannot write the journal in {self._folder}: {error.strerror or error}"
            ) from error

    def _write(self, line: bytes) -> None:
        descriptor = self._own_file()
        try:
            _write_all(descriptor, line)
        except OSError:
            os.close(descriptor)
            self._descriptor = None  # the next line must not follow half a one
            raise

    def _own_file(self) -> int:
        """This process's file, made by exclusive create; a forked child makes its own."""
        if self._descriptor is None or self._pid != os.getpid():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._folder / (_writer_name() + _SUFFIX)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(path, flags, 0o600)
            self._pid = os.getpid()
        return self._descriptor

    # --- reading ------------------------------------------------------------------------------

    def tasks(self) -> list[TaskRecord]:
        """All starts, newest first."""
        return sorted(self._merged().values(), key=lambda r: r.started_at, reverse=True)

    def task(self, task_id: str, resource_id: str | None = None) -> TaskRecord:
        """The record of one task.

        Raises:
            TaskNotFoundError: no process of this user journalled such a task.
        """
        for record in self.tasks():
            if record.id == task_id and resource_id in (None, record.resource_id):
                return record
        raise TaskNotFoundError(f"no task {task_id} in the journal", task_id=task_id)

    def find(self, key: str) -> TaskRecord | None:
        """The record of the start with this key, or ``None``."""
        return self._merged().get(key)

    def _merged(self) -> dict[str, TaskRecord]:
        events = sorted(self._events(), key=lambda event: event["at"])
        starts: dict[str, TaskRecord] = {}
        keys: dict[tuple[str, str], str] = {}
        for event in events:
            if event["event"] == "intent":
                starts.setdefault(event["key"], _intended(event))
        for event in events:
            if event["event"] in ("created", "started") and event["key"] in starts:
                record = starts[event["key"]]
                keys[(record.resource_id, event["task"])] = event["key"]
        for event in events:  # tasks that none of the user's processes started
            place = (event.get("resource", ""), event.get("task", ""))
            if event["event"] == "ended" and "type" in event and place not in keys:
                keys[place] = "\0".join(place)
                starts[keys[place]] = _met(event)
        for event in events:
            key = event.get("key") or keys.get((event.get("resource", ""), event.get("task", "")))
            if key in starts:
                starts[key] = _advanced(starts[key], event)
        return starts

    def _files(self) -> list[Path]:
        try:
            paths = list(self._folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(
                f"cannot read the journal in {self._folder}: {error.strerror or error}"
            ) from error
        return sorted(path for path in paths if path.suffix == _SUFFIX)

    def _events(self) -> Iterator[dict[str, Any]]:
        for path in self._files():
            try:
                lines = path.read_bytes().split(b"\n")
            except OSError:
                continue  # gone since the listing
            for line in lines[:-1]:  # what follows the last newline is empty or torn
                event = _parsed(line)
                if event is not None:
                    yield event


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _writer_name() -> str:
    return f"{config.host_name()}-{os.getpid()}-{time.time_ns()}-{uuid.uuid4().hex[:8]}"


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    known = isinstance(event, dict) and event.get("v") == FORMAT_VERSION
    return event if known and _is_whole(event) else None


def _is_whole(event: dict[str, Any]) -> bool:
    """Whether an event has what its readers rely on; one of a later release may not."""
    kind = event.get("event")
    return (
        isinstance(kind, str)
        and isinstance(event.get("at"), int | float)
        and all(isinstance(event.get(name), str) for name in _TEXTS.get(kind, ()))
        and all(isinstance(event.get(name, ""), str) for name in ("key", "resource", "task"))
        and all(isinstance(event.get(name, {}), dict) for name in ("context", "settings"))
        and (kind != "ended" or event["status"] in TaskStatus.__members__)
    )


def _intended(event: dict[str, Any]) -> TaskRecord:
    return TaskRecord(
        key=event["key"],
        resource_id=event["resource"],
        resource_type=event["type"],
        payload_format=event["format"],
        payload_digest=event["digest"],
        context=event.get("context", {}),
        settings=event.get("settings", {}),
        started_at=event["at"],
    )


def _met(event: dict[str, Any]) -> TaskRecord:
    return TaskRecord(
        key="",
        id=TaskId(event["task"]),
        resource_id=event["resource"],
        resource_type=str(event["type"]),
        started_at=event["at"],
    )


def _advanced(record: TaskRecord, event: dict[str, Any]) -> TaskRecord:
    if event["event"] == "created":
        return attrs.evolve(record, id=TaskId(event["task"]))
    if event["event"] == "started":  # an end before it was another's: some services reuse ids
        task_id = TaskId(event["task"])
        return attrs.evolve(record, id=task_id, status=TaskStatus.QUEUED, ended_at=None, failure="")
    if event["event"] == "refused":
        return attrs.evolve(record, reason=event["reason"], ended_at=event["at"])
    if event["event"] == "ended" and record.ended_at is None:  # the first word on it is the last
        return attrs.evolve(
            record,
            status=TaskStatus[event["status"]],
            ended_at=event["at"],
            failure=str(event.get("failure", "")),
        )
    return record


@functools.cache
def _journal_in(state_dir: Path) -> Journal:
    return Journal(state_dir / "journal")


if hasattr(os, "register_at_fork"):  # a thread of the parent may hold a journal's lock
    os.register_at_fork(after_in_child=_journal_in.cache_clear)


def default() -> Journal:
    """The user's journal, in the state folder."""
    return _journal_in(config.state_dir())
