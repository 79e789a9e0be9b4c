"""Tasks of the embedded simulator as files: what any process, on any host, can read.

A task is a few files ``tasks/<id>.<name>``. Each is made elsewhere and linked into place, so that
it appears whole or not at all and only once::

    task     line 1: how to run it; line 2: its payload, as JSON
    state    where it is, while it has not ended; replaced atomically, and not by a short task
    end      line 1: its final state, set by exactly one writer, for ever; then its result
    log      what the simulation printed, logged or warned of
    closed   (batches) no more jobs come

They are as few as can be, two for a short task, because making a file is what costs on many file
systems. Nothing is synced to disk: after a power cut a task may be lost; after a crash of any
process it is not. Folders and files are for their owner only.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import attrs

from qrmi.errors import Owner, ResourceUnavailableError, TaskNotFoundError
from qrmi.tasks import TaskId, TaskStatus
from qrmi_local.service.state import State

__all__ = ["Store", "task_id_of_key"]

_NAMESPACE = uuid.UUID("6b1f6c0e-52f0-5d5c-9a3a-6f0a9d3a7c11")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[0-9]+)?")
_UUID_LENGTH = 36
_STALE_SECONDS = 86400.0
_NAMES = ("task", "state", "closed", "log", "end")


def task_id_of_key(key: str) -> TaskId:
    """The id of the task that is started with ``key``: always the same one."""
    return TaskId(str(uuid.uuid5(_NAMESPACE, key)))


@attrs.frozen(slots=False)
class Store:
    """All tasks below one folder; holds no open file.

    Attributes:
        root: the folder, ``$QRMI_STATE_DIR/local``; made when something is first written.
    """

    root: Path

    # --- writing ------------------------------------------------------------------------------

    def create(self, task_id: str, meta: Mapping[str, Any], payload: str) -> bool:
        """Add a task; false when there is one of this id already, which is left as it is.

        Args:
            task_id: the new task's id.
            meta: small JSON values: how to run it.
            payload: JSON text.

        Raises:
            ResourceUnavailableError: the folder cannot be written.
        """
        header = json.dumps(meta, separators=(",", ":"))
        one_line = payload.replace("\n", " ").replace("\r", " ")  # blanks: JSON escapes others
        with self._writing():
            draft = self._draft(f"{header}\n{one_line}\n")
            return self._put(draft, self._file(task_id, "task"))

    def set_state(self, task_id: str, state: State) -> None:
        """Replace the state of a task that has not ended."""
        with self._writing():
            os.replace(self._draft(state.to_json()), self._file(task_id, "state"))  # noqa: PTH105

    def end(self, task_id: str, state: State) -> bool:
        """Give a task its final state; false when it has one, which stays."""
        with self._writing():
            return self._put(self._draft(f"{state.to_json()}\n"), self._file(task_id, "end"))

    def offer_end(self, state: State, result: str) -> str:
        """Write a final state with a result, for `accept_end`; its name is returned."""
        with self._writing():
            return self._draft(f"{state.to_json()}\n{result}").rpartition("/")[2]

    def accept_end(self, task_id: str, offer: str) -> bool:
        """Make what `offer_end` wrote a task's end; false when it has one, which stays."""
        with self._writing():
            return self._put(f"{self._tasks}/{offer}", self._file(task_id, "end"))

    def close_batch(self, batch_id: str) -> None:
        """Mark a batch as complete; marking it twice is no error."""
        with self._writing():
            Path(self._file(batch_id, "closed")).touch(mode=0o600)

    def append_log(self, task_id: str, data: bytes) -> None:
        """Add to a task's log."""
        with self._writing(), Path(self._file(task_id, "log")).open("ab") as file:
            file.write(data)

    def put_device(self, digest: str, text: str) -> None:
        """Keep the description of a device under its digest."""
        path = self.device_path(digest)
        if not path.exists():
            with self._writing():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                draft = path.with_name(f".{uuid.uuid4().hex}")
                _write(str(draft), text)
                draft.replace(path)

    def remove(self, task_id: str) -> None:
        """Remove a task that has ended; from then on there is no such task."""
        with self._writing():
            for name in _NAMES:  # its end last: it must never look as if it were to be run again
                Path(self._file(task_id, name)).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Remove drafts and remains that a crash left behind a day ago or earlier."""
        entries = self._entries()
        known = {_task_of(entry) for entry in entries if entry.name.endswith(".task")}
        for entry in entries:
            with contextlib.suppress(OSError):
                if _task_of(entry) not in known and _age(entry) > _STALE_SECONDS:
                    Path(entry.path).unlink()

    # --- reading ------------------------------------------------------------------------------

    def exists(self, task_id: str) -> bool:
        """Whether there is such a task. Raises `TaskNotFoundError` for what cannot be an id."""
        return _is_file(self._file(task_id, "task"))

    def meta(self, task_id: str) -> dict[str, Any]:
        """How to run a task, as `create` was told. Raises `TaskNotFoundError`."""
        meta: dict[str, Any] = json.loads(self._lines(task_id, 1)[0])
        return meta

    def payload(self, task_id: str) -> str:
        """A task's payload, JSON text. Raises `TaskNotFoundError`."""
        return self._lines(task_id, 2)[1]

    def task(self, task_id: str) -> tuple[dict[str, Any], str]:
        """`meta` and `payload` at once."""
        header, payload = self._lines(task_id, 2)
        return json.loads(header), payload

    def state(self, task_id: str) -> State:
        """Where a task is. Raises `TaskNotFoundError`."""
        recorded = self.recorded(task_id)
        if recorded is None:
            return State(status=TaskStatus.QUEUED, queued_at=self.meta(task_id)["queued_at"])
        if not self.exists(task_id):
            raise _not_found(task_id)
        return recorded

    def recorded(self, task_id: str) -> State | None:
        """Where a task is; ``None`` when nothing was noted since it was created, if it was."""
        for name in ("end", "state", "end"):  # a state is replaced by an end, never the reverse
            with contextlib.suppress(FileNotFoundError), _open(self._file(task_id, name)) as file:
                return State.from_json(file.readline())
        return None

    def has_ended(self, task_id: str) -> bool:
        """Whether a task has a final state."""
        return _is_file(self._file(task_id, "end"))

    def ended_at(self, task_id: str) -> float | None:
        """When a task ended, seconds since 1970; ``None`` when it has not."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(self._file(task_id, "end")).st_mtime  # noqa: PTH116
        return None

    def is_closed(self, batch_id: str) -> bool:
        """Whether a batch takes no more jobs."""
        return _is_file(self._file(batch_id, "closed"))

    def outcome(self, task_id: str) -> tuple[State, str]:
        """Where a task is, and its result, empty unless it has one. Raises `TaskNotFoundError`."""
        with contextlib.suppress(FileNotFoundError), _open(self._file(task_id, "end")) as file:
            state = State.from_json(file.readline())
            if not self.exists(task_id):
                raise _not_found(task_id)
            return state, file.read()
        return self.state(task_id), ""

    def log(self, task_id: str) -> str:
        """A task's log so far; empty when nothing was logged. Raises `TaskNotFoundError`."""
        if not self.exists(task_id):
            raise _not_found(task_id)
        with contextlib.suppress(FileNotFoundError):
            return Path(self._file(task_id, "log")).read_text(encoding="utf-8", errors="replace")
        return ""

    def device(self, digest: str) -> str:
        """A device's description by its digest."""
        return self.device_path(digest).read_text(encoding="utf-8")

    def device_path(self, digest: str) -> Path:
        """The file in which a device's description is kept."""
        return self.root / "devices" / f"{digest}.json"

    def ids(self) -> list[TaskId]:
        """Ids of all tasks and jobs of batches, newest first."""
        found = []
        for entry in self._entries():
            if entry.name.endswith(".task") and _ID.fullmatch(_task_of(entry)):
                with contextlib.suppress(OSError):
                    # The file never changes: its time is that of the start.
                    found.append((entry.stat().st_mtime_ns, TaskId(_task_of(entry))))
        return [task_id for _, task_id in sorted(found, reverse=True)]

    def tasks(self) -> list[TaskId]:
        """Ids of all tasks, newest first, without the jobs of batches."""
        return [task_id for task_id in self.ids() if len(task_id) == _UUID_LENGTH]

    def jobs(self, batch_id: str) -> Iterator[TaskId]:
        """Ids of a batch's jobs, in the order in which they were added; a job has none."""
        if len(batch_id) != _UUID_LENGTH:
            return
        number = 0
        while self.exists(job := f"{batch_id}-{number}"):
            yield TaskId(job)
            number += 1

    # --- inside -------------------------------------------------------------------------------

    @cached_property
    def _tasks(self) -> str:
        return str(self.root / "tasks")  # a text: Path's operators would double the time of a task

    def _file(self, task_id: str, name: str) -> str:
        if not _ID.fullmatch(task_id):  # ids come from people: none may lead elsewhere
            raise _not_found(task_id)
        return f"{self._tasks}/{task_id}.{name}"

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._tasks) as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    def _lines(self, task_id: str, count: int) -> list[str]:
        try:
            with _open(self._file(task_id, "task")) as file:
                return [file.readline() for _ in range(count)]
        except FileNotFoundError:
            raise _not_found(task_id) from None

    def _draft(self, text: str) -> str:
        """A new file that nobody looks at yet."""
        path = f"{self._tasks}/.{uuid.uuid4().hex}"
        try:
            _write(path, text)
        except FileNotFoundError:
            Path(self._tasks).mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            _write(path, text)
        return path

    def _put(self, draft: str, path: str) -> bool:
        """Give a draft its name; false when another file has it."""
        try:
            os.link(draft, path)
        except FileExistsError:
            return False
        finally:
            os.unlink(draft)  # noqa: PTH108
        return True

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResourceUnavailableError(
                f"cannot write below {self.root}: {error.strerror or error}",
                owner=Owner.USER,
                hint="check the folder that QRMI_STATE_DIR names: space, permissions",
            ) from error


def _not_found(task_id: str) -> TaskNotFoundError:
    return TaskNotFoundError(f"the embedded simulator has no task {task_id!r}", task_id=task_id)


def _task_of(entry: os.DirEntry[str]) -> str:
    return entry.name.partition(".")[0]


def _age(entry: os.DirEntry[str]) -> float:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime


def _is_file(path: str) -> bool:
    return os.path.exists(path)  # noqa: PTH110 (all such: see `Store._tasks`)


def _open(path: str) -> IO[str]:
    return open(path, encoding="utf-8", newline="\n")  # noqa: PTH123


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode())
    except OSError:
        os.unlink(path)  # noqa: PTH108 (half a file would keep the very room that is short)
        raise
