"""A recording as resources again: offline, without configuration and without credentials."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from qrmi.driver import Driver
from qrmi.errors import NotRecordedError, WaitTimeoutError
from qrmi.interchange.troubles import error_from
from qrmi.interchange.verbs import STARTS, Verbs
from qrmi.recording.comparing import renamed
from qrmi.recording.conversation import Call, Recording, Resource
from qrmi.recording.hiding import Scrubber
from qrmi.recording.matching import Script
from qrmi.recording.reading import load
from qrmi.settings import Settings
from qrmi.tasks import BatchJob, TaskResult, TaskStatus

if TYPE_CHECKING:
    from qrmi.payloads import Payload
    from qrmi.transport import Transport

__all__ = ["Replay", "ReplayDriver"]

_RESPONSIVE_SECONDS = 1.0  # who holds a request for less wants to be told of each status
_PATIENCE_SECONDS = 10.0  # with a task whose end came of a stop that nobody asks for now


class Replay:
    """Gives a recorded conversation back: a driver for each resource in it.

    How far the program has come is kept here, so a new replay starts at the beginning.

    Args:
        path: the recording.
        claims: a folder in which the processes of one replay agree on who was given which start;
            ``None`` for one process.

    Raises:
        RecordingError: the file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], *, claims: Path | None = None) -> None:
        self.recording: Recording = load(path)
        self._claims = claims
        self._lock = threading.Lock()
        self._scripts: dict[str, Script] = {}

    def driver_class(self, type_name: str) -> type[ReplayDriver]:
        """The driver of a resource type; it has no settings, so none is asked for.

        Raises:
            NotRecordedError: no resource of the type was recorded.
        """
        known = {each.type_name for each in self.recording.resources.values()}
        if type_name not in known:
            raise NotRecordedError(
                f"no resource of type {type_name!r} was recorded: {self.recording.path} has "
                + (", ".join(sorted(known)) or "none")
            )
        return type("ReplayDriver", (ReplayDriver,), {"REPLAY": self, "TYPE_NAME": type_name})

    def driver(self, name: str) -> Driver:
        """The driver of a recorded resource.

        Raises:
            NotRecordedError: no such resource was recorded.
        """
        return self.driver_class(self.resource(name).type_name)(name, Settings())

    def resource(self, name: str) -> Resource:
        """What is known of a recorded resource. Raises `NotRecordedError` when nothing is."""
        if name not in self.recording.resources:
            names = ", ".join(sorted(self.recording.resources)) or "none"
            raise NotRecordedError(
                f"no resource {name!r} was recorded: {self.recording.path} has {names}"
            )
        return self.recording.resources[name]

    def opened(self, name: str | None) -> str | None:
        """The resource that ``qrmi.open`` gave for a name, or for none; ``None``: not known."""
        found = self.recording.opened.get(name or "")
        if found is None and name is None and len(self.recording.resources) == 1:
            return next(iter(self.recording.resources))
        return found

    def script(self, name: str) -> Script:
        """How far the program has come with a resource."""
        with self._lock:
            if name not in self._scripts:
                self._scripts[name] = Script(self.recording, name, self._claim)
            return self._scripts[name]

    def _claim(self, index: int) -> bool:
        if self._claims is None or not self._claims.is_dir():
            return True
        try:
            (self._claims / str(index)).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


class ReplayDriver(Verbs):
    """A recorded resource. Made by `Replay.driver`.

    Calls are answered as they were recorded; time does not pass. It can hold a request, so that
    a wait gets the task's end at once.
    """

    REPLAY: ClassVar[Replay]
    TYPE_NAME: ClassVar[str]
    PAYLOADS = frozenset()

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._resource = self.REPLAY.resource(resource_id)
        able = attrs.evolve(self._resource.capabilities, push=True, min_poll_seconds=0.001)
        vars(self).update(PAYLOADS=self._resource.payloads, CAPABILITIES=able)
        self._script = self.REPLAY.script(resource_id)
        self.clock = _ReplayClock()
        self._held_since: dict[str, float] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (self.REPLAY.recording.path, self.resource_id)

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The devices that were found with these filters."""
        for found in cls.REPLAY.recording.discovered:
            if (found.type_name, dict(found.filters)) == (cls.TYPE_NAME, dict(filters)):
                return [cls(name, settings) for name in found.names]
        raise NotRecordedError(
            f"no list of devices of type {cls.TYPE_NAME!r} with these filters was recorded: "
            + (" & ".join(f"{key}={value}" for key, value in filters.items()) or "none")
        )

    def use(self, transport: Transport) -> None:
        """Nothing is sent."""

    @property
    def settle_seconds(self) -> float | None:
        """As recorded; pauses take no time."""
        return self._resource.settle_seconds

    @property
    def sending_seconds(self) -> float:
        """As recorded."""
        return self._resource.sending_seconds

    def _ask(self, method: str, arguments: dict[str, Any]) -> Any:
        if method in STARTS:
            return _given(self._script.start(method, arguments["payload"], arguments["key"]))
        if method == "task_wait":
            return _given(self._waited(arguments["task_id"], arguments["timeout_seconds"]))
        call = self._script.next(method, _hidden(arguments))
        return _translated(_given(call), self._script.translation(call.subject))

    def can_find(self, payload: Payload) -> bool:
        """As recorded of a start of this payload; of none, as the capabilities say."""
        recorded = self._script.starts_of(payload)
        return recorded[0].findable if recorded else self.CAPABILITIES.idempotency_key

    def mark_of(self, payload: Payload, key: str) -> str:
        """As recorded of a start of this payload; of none, nothing."""
        recorded = self._script.starts_of(payload)
        return recorded[0].mark if recorded else ""

    def _waited(self, task_id: str, timeout_seconds: float) -> Call:
        """What a wait gives: the next status or, when it may take its time, the end."""
        lasts = timeout_seconds >= _RESPONSIVE_SECONDS
        script = self._script
        try:
            call, is_new = (script.until_end if lasts else script.next_change)(task_id)
        except NotRecordedError:
            if task_id not in script.cut_short:
                raise
            raise self._unended(task_id, TaskStatus.RUNNING) from None
        if is_new or not self._is_over(task_id):
            return call
        raise self._unended(task_id, call.answer)

    def _unended(self, task_id: str, status: TaskStatus) -> WaitTimeoutError:
        return WaitTimeoutError(
            f"task {task_id} is still {status.name.lower()}",
            hint="the recording ends before the task does",
            resource_id=self.resource_id,
            task_id=task_id,
        )

    def _is_over(self, task_id: str) -> bool:
        """Whether no more is to come of a task; for a while, somebody may yet stop it."""
        if not self._script.is_held(task_id):
            return True
        since = self._held_since.setdefault(task_id, time.monotonic())
        return time.monotonic() - since > _PATIENCE_SECONDS


class _ReplayClock:
    """Time that passes only by sleeping, at once."""

    def __init__(self) -> None:
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds


def _hidden(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as they are recorded: a token by its placeholder."""
    token = arguments.get("token")
    return arguments if token is None else {**arguments, "token": Scrubber().token(str(token))}


def _given(call: Call) -> Any:
    if call.error is not None:
        raise error_from(call.error)
    return call.answer


def _translated(answer: Any, names: Mapping[str, str]) -> Any:
    """A result with the identifiers that this run gave to its observables."""
    if not names:
        return answer
    if isinstance(answer, list):
        return [_translated(item, names) for item in answer]
    field = {TaskResult: "value", BatchJob: "result"}.get(type(answer))
    text = getattr(answer, field) if field else None
    if field is None or text is None:
        return answer
    return attrs.evolve(answer, **{field: renamed(text, names)})


def _revive(path: Path, name: str) -> Driver:
    from qrmi.recording import hooks

    active = hooks.active_replay()
    replay = active if active and active.recording.path == path else Replay(path)
    return replay.driver(name)
