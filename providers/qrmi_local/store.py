"""Tasks of the embedded simulator as files: what any process, on any host, can read.

A task is a folder ``tasks/<id>``, made elsewhere and renamed into place, so that it appears whole
or not at all and only once::

    task.jsonl   line 1: how to run it (`read_meta`); line 2: its payload, as JSON
    state        where it is, while it has not ended; replaced atomically
    end          its final state; linked into place, so exactly one writer sets it, for ever
    result       JSON text, written before an ``end`` that says COMPLETED
    log          what the simulation printed, logged or warned of
    closed       (batches) no more jobs come

Nothing is synced to disk: after a power cut a task may be lost; after a crash of any process it
is not. Folders and files are for their owner only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import ResourceUnavailableError, TaskNotFoundError
from qrmi.tasks import TaskId, TaskStatus

__all__ = ["State", "Store", "task_id_of_key"]

_NAMESPACE = uuid.UUID("6b1f6c0e-52f0-5d5c-9a3a-6f0a9d3a7c11")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(-[0-9]+)?")
_UUID_LENGTH = 36
_STALE_DRAFT_SECONDS = 86400.0


def task_id_of_key(key: str) -> TaskId:
    """The id of the task that is started with ``key``: always the same one."""
    return TaskId(str(uuid.uuid5(_NAMESPACE, key)))


@attrs.frozen(kw_only=True)
class State:
    """Where a task is.

    Attributes:
        status: its status.
        reason: why it failed; empty otherwise.
        queued_at, started_at, ended_at: seconds since 1970, ``None`` when not yet.
        attempts: how often it was begun.
    """

    status: TaskStatus
    reason: str = ""
    queued_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    attempts: int = 0

    def to_json(self) -> str:
        """One JSON object; the status by name."""
        return json.dumps({**attrs.asdict(self), "status": self.status.name})

    @classmethod
    def from_json(cls, text: str) -> State:
        """The inverse of `to_json`."""
        values = json.loads(text)
        return cls(**{**values, "status": TaskStatus[values["status"]]})


@attrs.frozen
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
        draft = self.root / "tasks" / f".{uuid.uuid4().hex}"
        with self._writing():
            self._make_draft(draft)
            header = json.dumps(meta, separators=(",", ":"))
            one_line = payload.replace("\n", " ").replace("\r", " ")  # blanks: JSON escapes others
            _write(draft / "task.jsonl", f"{header}\n{one_line}\n")
            try:
                draft.rename(self._folder(task_id))
            except OSError as error:
                shutil.rmtree(draft, ignore_errors=True)
                if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
                    return False
                raise
        return True

    def set_state(self, task_id: str, state: State) -> None:
        """Replace the state of a task that has not ended."""
        with self._writing():
            _replace(self._folder(task_id) / "state", state.to_json())

    def end(self, task_id: str, state: State) -> bool:
        """Give a task its final state; false when it has one, which stays."""
        folder = self._folder(task_id)
        draft = folder / f".{uuid.uuid4().hex}"
        with self._writing():
            _write(draft, state.to_json())
            try:
                os.link(draft, folder / "end")
            except FileExistsError:
                return False
            finally:
                draft.unlink()
        return True

    def close_batch(self, batch_id: str) -> None:
        """Mark a batch as complete; marking it twice is no error."""
        with self._writing(), contextlib.suppress(FileExistsError):
            (self._folder(batch_id) / "closed").touch(mode=0o600, exist_ok=False)

    def write_result(self, task_id: str, text: str) -> None:
        """Keep a result; it counts once the task has ended as COMPLETED."""
        with self._writing():
            _replace(self._folder(task_id) / "result", text)

    def append_log(self, task_id: str, data: bytes) -> None:
        """Add to a task's log."""
        with self._writing(), (self._folder(task_id) / "log").open("ab") as file:
            file.write(data)

    def put_device(self, digest: str, text: str) -> None:
        """Keep the description of a device under its digest."""
        path = self.device_path(digest)
        if not path.exists():
            with self._writing():
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                _replace(path, text)

    def sweep(self) -> None:
        """Remove drafts that a crash left behind a day ago or earlier."""
        for entry in self._entries():
            with contextlib.suppress(OSError):
                if entry.name.startswith(".") and _age(entry) > _STALE_DRAFT_SECONDS:
                    shutil.rmtree(entry.path)

    # --- reading ------------------------------------------------------------------------------

    def exists(self, task_id: str) -> bool:
        """Whether there is such a task. Raises `TaskNotFoundError` for what cannot be an id."""
        return (self._folder(task_id) / "task.jsonl").exists()

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
        if recorded is not None:
            return recorded
        return State(status=TaskStatus.QUEUED, queued_at=self.meta(task_id)["queued_at"])

    def recorded(self, task_id: str) -> State | None:
        """Where a task is; ``None`` when nothing was noted since it was created, if it was."""
        folder = self._folder(task_id)
        for name in ("end", "state"):
            with contextlib.suppress(FileNotFoundError):
                return State.from_json((folder / name).read_text())
        return None

    def has_ended(self, task_id: str) -> bool:
        """Whether a task has a final state."""
        return (self._folder(task_id) / "end").exists()

    def is_closed(self, batch_id: str) -> bool:
        """Whether a batch takes no more jobs."""
        return (self._folder(batch_id) / "closed").exists()

    def result(self, task_id: str) -> str:
        """The result of a task that has ended as COMPLETED."""
        return (self._folder(task_id) / "result").read_text(encoding="utf-8")

    def log(self, task_id: str) -> str:
        """A task's log so far; empty when nothing was logged. Raises `TaskNotFoundError`."""
        if not self.exists(task_id):
            raise _not_found(task_id)
        with contextlib.suppress(FileNotFoundError):
            return (self._folder(task_id) / "log").read_text(encoding="utf-8", errors="replace")
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
            if _ID.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    # The file never changes: its time is that of the start.
                    when = (Path(entry.path) / "task.jsonl").stat().st_mtime_ns
                    found.append((when, TaskId(entry.name)))
        return [task_id for _, task_id in sorted(found, reverse=True)]

    def tasks(self) -> list[TaskId]:
        """Ids of all tasks, newest first, without the jobs of batches."""
        return [task_id for task_id in self.ids() if len(task_id) == _UUID_LENGTH]

    def jobs(self, batch_id: str) -> Iterator[TaskId]:
        """Ids of a batch's jobs, in the order in which they were added; a job has none."""
        if len(batch_id) != _UUID_LENGTH:
            return
        if len(batch_id) != _UUID_LENGTH:  # a job, or no id at all
            return
        number = 0
        while self.exists(job := f"{batch_id}-{number}"):
            yield TaskId(job)
            number += 1

    # --- inside -------------------------------------------------------------------------------

    def _folder(self, task_id: str) -> Path:
        if not _ID.fullmatch(task_id):  # ids come from people: none may lead elsewhere
            raise _not_found(task_id)
        return self.root / "tasks" / task_id

    def _entries(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / "tasks") as entries:
                return list(entries)
        except FileNotFoundError:
            return []

    def _lines(self, task_id: str, count: int) -> list[str]:
        try:
            with (self._folder(task_id) / "task.jsonl").open(encoding="utf-8") as file:
                return [file.readline() for _ in range(count)]
        except FileNotFoundError:
            raise _not_found(task_id) from None

    def _make_draft(self, draft: Path) -> None:
        try:
            draft.mkdir(mode=0o700)
        except FileNotFoundError:
            draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root.chmod(0o700)
            draft.mkdir(mode=0o700)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ResourceUnavailableError(
                f"cannot write below {self.root}: {error.strerror or error}",
                hint="check the folder that QRMI_STATE_DIR names: space, permissions",
            ) from error


def _not_found(task_id: str) -> TaskNotFoundError:
    return TaskNotFoundError(f"the embedded simulator has no task {task_id!r}", task_id=task_id)


def _age(entry: os.DirEntry[str]) -> float:
    return time.time() - entry.stat(follow_symlinks=False).st_mtime


def _write(path: Path, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{uuid.uuid4().hex}")
    _write(draft, text)
    draft.replace(path)
