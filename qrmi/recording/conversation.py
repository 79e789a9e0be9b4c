"""What a recording says, as values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi.driver import Capabilities
from qrmi.interchange.verbs import STARTS, subject

__all__ = ["Call", "Discovered", "KnownTask", "Recording", "Resource"]


@attrs.frozen(kw_only=True)
class Resource:
    """A resource whose driver was recorded.

    Attributes:
        name: its name.
        type_name: its type; empty when the recorder was not told.
        payloads: the payload formats that it takes.
        capabilities: what it can.
        settle_seconds: the driver's property of that name; so is `sending_seconds`.
        settings: those that are not secret, by key.
    """

    name: str
    type_name: str
    payloads: frozenset[str]
    capabilities: Capabilities
    settle_seconds: float | None = None
    sending_seconds: float = 60.0
    settings: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, eq=False)
class Call:
    """One call of a driver's method.

    Attributes:
        index: its place among all calls, in the order in which they began.
        at: when it began, in seconds since the recording began.
        took: how long it took, in seconds.
        process: which process made it; ``thread``: which of its threads.
        arguments: by name.
        answer: what was returned, when neither `error` nor `interrupted` says otherwise.
        error: what was raised, as `qrmi.interchange.troubles` tells it; ``None`` when nothing was.
        interrupted: what ended the program in mid-call, ``KeyboardInterrupt`` say; or empty.
        digest: of the payload among the arguments; empty without one.
        findable: of a start: whether the service could look the task up by its key.
        number: its place among the calls of its process.
    """

    index: int = 0
    at: float
    took: float
    process: str
    thread: str
    resource: str
    method: str
    arguments: dict[str, Any] = attrs.field(repr=False)
    answer: Any = attrs.field(default=None, repr=False)
    error: Mapping[str, Any] | None = None
    interrupted: str = ""
    digest: str = ""
    findable: bool = False
    mark: str = ""
    number: int = 0

    @property
    def subject(self) -> str:
        """The task, the token or the key that it is about; empty for the resource."""
        return subject(self.method, self.arguments)

    @property
    def is_start(self) -> bool:
        """Whether it made a task."""
        return self.method in STARTS


@attrs.frozen(kw_only=True)
class KnownTask:
    """What the journal knew of a task that was started before the recording.

    Attributes:
        fields: of the journal's ``intent``: key, resource, type, format, digest, context.
        task_id: its id.
    """

    task_id: str
    fields: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Discovered:
    """The devices that an account was found to have."""

    type_name: str
    filters: Mapping[str, str]
    names: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False)
class Recording:
    """A whole recording.

    Attributes:
        path: the file it was read from.
        header: its first line.
        processes: the first lines of all processes' parts, by process.
        resources: by name.
        calls: in the order in which they began.
        opened: what ``qrmi.open`` gave for a name, or for none (``""``).
        discovered: the answers of discovery, in order.
        tasks: tasks that were started before the recording.
        torn: lines that a process did not finish writing.
        size: bytes in all files.
    """

    path: Path
    header: Mapping[str, Any]
    processes: Mapping[str, Mapping[str, Any]] = attrs.field(repr=False)
    resources: Mapping[str, Resource]
    calls: tuple[Call, ...] = attrs.field(repr=False)
    opened: Mapping[str, str] = attrs.field(factory=dict)
    discovered: tuple[Discovered, ...] = ()
    tasks: tuple[KnownTask, ...] = ()
    torn: int = 0
    size: int = 0

    @property
    def job(self) -> list[tuple[str, str]]:
        """Names and types of the QPUs that the recorded job was given."""
        return [(str(name), str(kind)) for name, kind in self.header.get("job", [])]

    @property
    def task_ids(self) -> list[str]:
        """Ids of the tasks that were started or looked at, in order."""
        found: dict[str, None] = {}
        for call in self.calls:
            about = call.answer if call.is_start else call.arguments.get("task_id")
            if isinstance(about, str):
                found.setdefault(about)
        return list(found)
