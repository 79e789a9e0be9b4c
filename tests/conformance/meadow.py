"""A service in a folder: the sound animal of the zoo. Each task is a file; its status is a time.

Any process that knows the folder can look at a task, so handles on it can be handed over.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from pathlib import Path

import attrs

from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    InvalidInputError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi.payloads import Payload
from qrmi.settings import Secret, Settings, setting
from qrmi.tasks import ResourceStatus, ResourceStatusCode, Target, TaskId, TaskResult, TaskStatus

__all__ = ["Meadow", "MeadowSettings", "Program"]

QUEUED_SECONDS = 0.01


@attrs.frozen(kw_only=True)
class MeadowSettings(Settings):
    """The folder, and a secret that nothing may show."""

    folder: str = setting("MEADOW_FOLDER", help="Where tasks are kept.")
    password: Secret = setting("MEADOW_PASSWORD", convert=Secret, help="The gate's password.")


@attrs.frozen
class Program(Payload):
    """How long a task takes, and whether it fails."""

    FORMAT = "meadow"

    seconds: float = 0.02
    fails: bool = False
    text: str = attrs.field(default="a program that is long enough to be seen", repr=False)


class Meadow(Driver):
    """A driver without a fault."""

    PAYLOADS = frozenset({"meadow"})
    CAPABILITIES = Capabilities(
        sessions=True, logs=True, stop_running=True, idempotency_key=True, queue_position=True
    )
    SETTINGS = MeadowSettings
    settings: MeadowSettings

    @property
    def tasks(self) -> Path:
        return Path(self.settings.folder) / "tasks"

    @property
    def sessions(self) -> Path:
        return Path(self.settings.folder) / "sessions"

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        return True

    def status(self) -> ResourceStatus:
        return ResourceStatus(ResourceStatusCode.ONLINE, pending_job_count=0)

    def target(self) -> Target:
        return Target('{"grass": "green"}')

    def acquire(self) -> str:
        token = uuid.uuid4().hex
        self.sessions.mkdir(parents=True, exist_ok=True)
        (self.sessions / token).touch()
        return token

    def release(self, token: str) -> None:
        (self.sessions / token).unlink(missing_ok=True)

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        task_id = TaskId(uuid.uuid4().hex)
        self.write(task_id, at=time.time(), key=key, program=attrs.asdict(payload))
        return task_id

    def task_status(self, task_id: TaskId) -> TaskStatus:
        task = self.read(task_id)
        if task.get("stopped"):
            return TaskStatus.CANCELLED
        age = time.time() - task["at"]
        if age < QUEUED_SECONDS:
            return TaskStatus.QUEUED
        if age < task["program"]["seconds"]:
            return TaskStatus.RUNNING
        return TaskStatus.FAILED if task["program"]["fails"] else TaskStatus.COMPLETED

    def task_result(self, task_id: TaskId) -> TaskResult:
        status = self.task_status(task_id)
        if status is TaskStatus.COMPLETED:
            return TaskResult(json.dumps({"sheep": task_id}))
        if status is TaskStatus.FAILED:
            raise TaskFailedError("the sheep ran away", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        raise TaskNotReadyError(f"task {task_id} is {status.name.lower()}", task_id=task_id)

    def task_stop(self, task_id: TaskId) -> bool:
        if not self.task_status(task_id).is_final:
            self.write(task_id, **{**self.read(task_id), "stopped": True})
        return True

    def task_logs(self, task_id: TaskId) -> str:
        self.read(task_id)
        return "baa\n"

    def find_task(self, key: str) -> TaskId | None:
        return next((id_ for id_ in self.list_tasks() if self.read(id_)["key"] == key), None)

    def list_tasks(self) -> list[TaskId]:
        with contextlib.suppress(FileNotFoundError):
            files = [path for path in self.tasks.iterdir() if path.suffix == ".json"]
            newest = sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
            return [TaskId(path.stem) for path in newest]
        return []

    # --- files --------------------------------------------------------------------------------

    def read(self, task_id: TaskId) -> dict:
        if not task_id.isalnum() or not task_id.isascii():
            raise InvalidInputError(f"{task_id!r} is no task id", task_id=task_id)
        try:
            return json.loads((self.tasks / f"{task_id}.json").read_text())
        except OSError:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id) from None

    def write(self, task_id: TaskId, **task: object) -> None:
        self.tasks.mkdir(parents=True, exist_ok=True)
        new = self.tasks / f"{task_id}.{uuid.uuid4().hex}.new"
        new.write_text(json.dumps(task))
        new.rename(self.tasks / f"{task_id}.json")
