"""Several processes in one: each goes on only when the test says so, and may be killed anywhere.

A process is a thread with a journal of its own on a modelled network file system, a machine's clock
and a driver. Its thread stands still at each operation on files, at each request and at each pause,
until `Process.go_on`. So one thread runs at a time, and a test that fails fails again.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from qrmi import journal
from qrmi.driver import Capabilities
from qrmi.errors import (
    AnswerLostError,
    InvalidInputError,
    ResourceUnavailableError,
    TaskNotFoundError,
)
from qrmi.journal import Journal, events
from qrmi.payloads import Payload
from qrmi.resource import QuantumResource
from qrmi.starts import claiming, keys, reconciling, recovery
from qrmi.tasks import TaskId, TaskResult, TaskStatus
from qrmi.testing import ScriptedDriver
from qrmi.testing.network_files import Killed, Machine, NetworkFiles
from qrmi.testing.network_files import Server as FileServer

__all__ = ["KINDS", "Fate", "Process", "Service", "World"]

SETTLE_SECONDS = 60.0
SENDING_SECONDS = 60.0
READ_SECONDS = 30.0
_FOLDER = Path("/home/user/state/journal")
_LONGEST_STEP_SECONDS = 20.0
_MOST_STEPS = 3000

KINDS = {
    "key": Capabilities(idempotency_key=True, settle_seconds=SETTLE_SECONDS),
    "repeatable": Capabilities(idempotency_key=True, repeatable_start=True),
    "two steps": Capabilities(two_step=True, settle_seconds=SETTLE_SECONDS),
    "list": Capabilities(lists_recent=True, settle_seconds=SETTLE_SECONDS),
    "nothing": Capabilities(),
}
"""Services by what they offer for finding a lost start."""

_now = threading.local()


@attrs.frozen
class Fate:
    """What happens to a request.

    Attributes:
        kind: ``well``, ``refused``, ``down`` (it never left), ``lost`` (it never arrives), ``cut``
            (it arrives, its answer does not), or ``late`` (it arrives after the answer was given
            up).
        seconds: how late.
    """

    kind: str = "well"
    seconds: float = 0.0


@attrs.define
class _Task:
    key: str
    payload: Payload
    has_program: bool
    made_at: float


class Service:
    """The vendor: what really runs.

    Args:
        kind: one of `KINDS`.
        files: whose time it goes by.
    """

    def __init__(self, kind: str, files: FileServer) -> None:
        self.kind = kind
        self.files = files
        self.tasks: dict[TaskId, _Task] = {}
        self.late: list[tuple[float, Callable[[], object]]] = []
        self.runs: Counter[str] = Counter()

    def pass_time(self, until: float) -> None:
        """Time passes, and what was under way arrives, each at its moment."""
        due = sorted((each for each in self.late if each[0] <= until), key=lambda each: each[0])
        self.late = [each for each in self.late if each[0] > until]
        for at, call in due:
            self.files.time = max(at, self.files.time)
            call()
        self.files.time = until

    def start(self, payload: Payload, key: str) -> TaskId:
        """One step; the same key again is another task, unless ids are made of keys."""
        task_id = TaskId(f"of-{key}" if self.kind == "repeatable" else f"task-{len(self.tasks)}")
        if task_id not in self.tasks:
            self.tasks[task_id] = _Task(key, payload, True, self.files.time)
            self.runs[key] += 1
        return task_id

    def create(self, payload: Payload, key: str) -> TaskId:
        """The first of two steps."""
        task_id = TaskId(f"task-{len(self.tasks)}")
        self.tasks[task_id] = _Task(key, payload, False, self.files.time)
        return task_id

    def submit(self, task_id: TaskId) -> None:
        """The second; a second program for one id is refused."""
        task = self.tasks[task_id]
        if not task.has_program:
            task.has_program = True
            self.runs[task.key] += 1


class World:
    """All that the processes share.

    Args:
        kind: what the service offers.
        clock_errors: of the machines' clocks, in seconds.
    """

    def __init__(self, kind: str, clock_errors: list[float]) -> None:
        self.files = FileServer(lambda _what: _now.process.chance())
        self.service = Service(kind, self.files)
        self.machines = [
            Machine(name=f"host{n}", clock_error_seconds=error)
            for n, error in enumerate(clock_errors)
        ]
        self.processes: list[Process] = []

    def begin(
        self,
        host: int,
        work: Callable[[QuantumResource], Any],
        fates: Sequence[Fate] = (),
        luck: Sequence[bool] = (),
    ) -> Process:
        """A new process, which stands still at its beginning.

        Args:
            host: the number of its machine.
            work: what it does with its handle.
            fates: of the requests of its starts, in order; all goes well with further ones.
            luck: whether its view of the files is an old one, where that is possible, again and
                again in this order.
        """
        made = Process(self, self.machines[host], work, fates, luck)
        self.processes.append(made)
        return made

    def pass_time(self, seconds: float) -> None:
        """Time passes for all."""
        self.service.pass_time(self.files.time + seconds)

    def told(self, key: str) -> list[str]:
        """What the journal and the service have of a key, by the true time; for messages."""
        errors = {machine.name: machine.clock_error_seconds for machine in self.machines}
        lines = []
        for path, name in self.files.names.items():
            for line in (name.file.data if name.file else b"").splitlines():
                event = events.parsed(line)
                if event and key in (event.get("key"), None):
                    at = event["at"] - errors[path.name.partition("@")[0]]
                    about = [event.get(word) for word in ("attempt", "task", "reason")]
                    lines.append(f"{at:.3f} {path.name[:28]} {event['event']} {about}")
        lines += [
            f"{task.made_at:.3f} {task_id} is made"
            for task_id, task in self.service.tasks.items()
            if task.key == key
        ]
        return sorted(lines)

    def to_the_end(self) -> None:
        """Let all processes go on until they have ended; pauses pass."""
        for _ in range(5000):
            running = [process for process in self.processes if not process.is_over]
            if not running:
                return
            awake = [process for process in running if process.wakes_at <= self.files.time]
            for process in awake:
                process.go_on()
            if not awake:
                self.pass_time(min(p.wakes_at for p in running) - self.files.time)
        raise AssertionError("processes do not end")


class Process:
    """One process of the user.

    Args:
        world: where.
        machine: on which machine.
        work: what it does with its handle.
        fates: see `World.begin`.
        luck: likewise.

    Attributes:
        place: where it stands: at a ``file``, a ``claim``, a ``line`` of the journal, a ``look`` at
            the service, an ``answer`` of it, or a ``pause``.
        returned: what ``work`` gave, once it has.
        error: what it raised.
        is_over: whether it has ended.
        was_killed: whether it was killed.
        wakes_at: until when it pauses.
    """

    def __init__(
        self,
        world: World,
        machine: Machine,
        work: Callable[[QuantumResource], Any],
        fates: Sequence[Fate],
        luck: Sequence[bool],
    ) -> None:
        self.world = world
        self.place = ""
        self._fates = iter(fates)
        self._luck = itertools.cycle(luck or [False])
        self.files = _SteppedFiles(self, world.files, machine)
        self.journal = Journal(_FOLDER, files=self.files)
        self.returned: Any = None
        self.error: BaseException | None = None
        self.is_over = self.was_killed = False
        self.wakes_at = 0.0
        self._work = work
        self._turn = threading.Semaphore(0)
        self._done = threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def fate(self) -> Fate:
        """Of its next request."""
        return next(self._fates, Fate())

    def chance(self) -> bool:
        """Whether its view of the files is an old one."""
        return next(self._luck)

    def go_on(self, to: str = "") -> None:
        """Let it go on to the next such place, or to its end or a pause, if they come before."""
        for _ in range(_MOST_STEPS):
            if self.is_over or self.wakes_at > self.world.files.time:
                return
            self._turn.release()
            assert self._done.acquire(timeout=_LONGEST_STEP_SECONDS), "a step takes for ever"
            if self.place == to:
                return

    def kill(self, written: int) -> None:
        """End it where it stands; of a line that it is about to write, this much is written."""
        if self.is_over:
            return
        self.wakes_at = 0.0
        self.files.written = written
        self.files.operations = 0
        self.go_on()
        assert self.is_over, "it cannot be killed"

    # --- inside -------------------------------------------------------------------------------

    def step(self, place: str) -> None:
        """Stand still until the test lets it go on."""
        self.place = place
        if threading.current_thread() is self._thread:
            self._done.release()
            self._turn.acquire()

    def _run(self) -> None:
        _now.process = self
        self._turn.acquire()
        try:
            driver = _Driver(self)
            self.returned = self._work(QuantumResource.from_driver(driver, resource_type="model"))
        except Killed:
            self.was_killed = True
        except BaseException as error:
            self.error = error
        self.files.end()
        self.is_over = True
        self._done.release()

    # --- the clock of its driver --------------------------------------------------------------

    def monotonic(self) -> float:
        """A clock that does not err."""
        return self.world.files.time

    def sleep(self, seconds: float) -> None:
        """Pause."""
        self.wakes_at = self.world.files.time + seconds
        self.step("pause")
        self.alive()

    def alive(self) -> None:
        """A killed process does nothing more."""
        if self.files.operations is not None or not self.files.is_running:
            self.files.end()
            raise Killed


class _SteppedFiles(NetworkFiles):
    def __init__(self, process: Process, server: FileServer, machine: Machine) -> None:
        super().__init__(server, machine)
        self._owner = process

    def append(self, descriptor: int, data: bytes, flush: bool) -> None:
        self._owner.step("line")
        super().append(descriptor, data, flush)

    def link(self, old: Path, new: Path) -> bool:
        self._owner.step("claim")
        return super().link(old, new)

    def list(self, folder: Path) -> list[str]:
        self._owner.step("file")
        return super().list(folder)

    def create(self, path: Path) -> int:
        self._owner.step("file")
        return super().create(path)

    def unlink(self, path: Path) -> None:
        self._owner.step("file")
        super().unlink(path)


class _Driver(ScriptedDriver):
    """The service as one process sees it."""

    PAYLOADS = frozenset({"pasqal-cloud", "pulser-sequence"})
    settle_seconds = None  # type: ignore[assignment]
    sending_seconds = SENDING_SECONDS  # type: ignore[assignment]

    def __init__(self, process: Process) -> None:
        super().__init__("model")
        self.process = process
        self.service = process.world.service
        self.clock = process
        self.CAPABILITIES = KINDS[self.service.kind]  # type: ignore[misc]
        self.settle_seconds = self.CAPABILITIES.settle_seconds  # type: ignore[misc]

    def _sent(self, call: Callable[[], Any]) -> Any:
        """Send a request: nothing comes between the last look at the clock and this."""
        self.process.alive()
        fate = self.process.fate()
        given = None
        if fate.kind in ("well", "cut"):
            given = call()
        elif fate.kind == "late":
            self.service.late.append((self.service.files.time + fate.seconds, call))
        self.process.step("answer")
        self.process.alive()
        if fate.kind == "well":
            return given
        if fate.kind == "refused":
            raise InvalidInputError("the service refuses it")
        if fate.kind == "down":
            raise ResourceUnavailableError("there is no way to the service")
        self.process.sleep(READ_SECONDS)
        raise AnswerLostError("no answer in time")

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """In one step."""
        given: TaskId = self._sent(lambda: self.service.start(payload, key))
        return given

    def task_create(self, payload: Payload, key: str) -> TaskId:
        """The first of two."""
        given: TaskId = self._sent(lambda: self.service.create(payload, key))
        return given

    def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
        """The second."""
        self._sent(lambda: self.service.submit(task_id))

    def _asked(self) -> None:
        self.process.step("look")
        self.process.alive()

    def task_submitted(self, task_id: TaskId) -> bool:
        """Whether it has its program."""
        self._asked()
        return self.service.tasks[task_id].has_program

    def find_task(self, key: str) -> TaskId | None:
        """By its key."""
        self._asked()
        return next((i for i, task in self.service.tasks.items() if task.key == key), None)

    def recent_tasks(self, since: float) -> list[TaskId]:
        """Those made since; a minute more, for the clocks."""
        self._asked()
        made = [i for i, task in self.service.tasks.items() if task.made_at >= since - 60.0]
        return made[::-1]

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """All have ended at once."""
        self._asked()
        if task_id not in self.service.tasks:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        return TaskStatus.COMPLETED

    def task_result(self, task_id: TaskId) -> TaskResult:
        """What was sent."""
        self.task_status(task_id)
        return TaskResult(repr(self.service.tasks[task_id].payload))


def put_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each thread the journal, the clock and the name of its process."""
    clock = SimpleNamespace(time=lambda: _now.process.files.now())
    for module in (claiming, keys, reconciling, recovery):
        if hasattr(module, "time"):
            monkeypatch.setattr(module, "time", clock)
    monkeypatch.setattr(journal, "default", lambda: _now.process.journal)
    who = SimpleNamespace(
        this_process=lambda: _now.process.files.this_process(),
        has_ended=lambda process: _now.process.files.has_ended(process),
    )
    monkeypatch.setattr(keys, "processes", who)
