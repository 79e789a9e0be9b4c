"""Which tasks the daemon started for whom: one SQLite file in its state folder.

A start is on disk before the vendor is asked, so that after a ``kill -9`` it is known whose task a
vendor may have. What came of it, and when, is what the books are kept from.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs

from qrmi.site.books.usage import TaskUse
from qrmi.site.keeping.database import Database
from qrmi.tasks import TaskStatus

__all__ = ["TaskRow", "TaskTable"]

_FILE_NAME = "tasks.sqlite"
_VERSION = 1
_SCHEMA = """
CREATE TABLE task (
    id INTEGER PRIMARY KEY,
    uid INTEGER NOT NULL,
    job TEXT NOT NULL,
    resource TEXT NOT NULL,
    entry TEXT NOT NULL,
    type TEXT NOT NULL,
    key TEXT,
    digest TEXT NOT NULL DEFAULT '',
    format TEXT NOT NULL DEFAULT '',
    shots INTEGER,
    task TEXT,
    asked REAL NOT NULL,
    started REAL,
    running REAL,
    ended REAL,
    status TEXT NOT NULL DEFAULT '',
    qpu_seconds REAL,
    owner TEXT NOT NULL DEFAULT '',
    refused INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX task_key ON task (uid, resource, key) WHERE key IS NOT NULL AND refused = 0;
CREATE INDEX task_id ON task (resource, task);
CREATE INDEX task_job ON task (job);
CREATE INDEX task_place ON task (uid, resource, asked);
"""


@attrs.frozen(kw_only=True)
class TaskRow:
    """What is kept of one task. Times are epoch seconds.

    Attributes:
        id: the row's number; 0 before it is kept.
        uid, job: whose it is: the user, and the run of the job (`qrmi.site.terms.Job.key`).
        resource, entry, type: where it runs, and the configuration's entry of that.
        key: the start's key; ``None`` for a part of a batch.
        digest: of its payload.
        format: of its payload.
        shots: where the payload says so.
        task: the vendor's id; ``None`` before it is known.
        asked: when it was asked for; started: when its id was known.
        running: when it was first seen running; ended: when it was first seen ended.
        status: the name of its last status that was seen; empty for none.
        qpu_seconds: how long it had the QPU: what the vendor reports, else the time between the
            two looks that saw it running and ended; ``None`` when neither is known.
        owner: who owns the error that it ended with; empty for none.
        refused: nothing came of the start.
    """

    id: int = 0
    uid: int
    job: str
    resource: str
    entry: str
    type: str
    key: str | None
    digest: str = ""
    format: str = ""
    shots: int | None = None
    task: str | None = None
    asked: float = 0.0
    started: float | None = None
    running: float | None = None
    ended: float | None = None
    status: str = ""
    qpu_seconds: float | None = None
    owner: str = ""
    refused: bool = attrs.field(default=False, converter=bool)

    @property
    def is_settled(self) -> bool:
        """Whether it is known what came of the start."""
        return self.refused or self.task is not None

    def use(self) -> TaskUse:
        """The same for the books."""
        waited = None
        if self.running is not None and self.started is not None:
            waited = max(self.running - self.started, 0.0)
        return TaskUse(
            resource=self.resource,
            task="" if self.refused else self.task or "",
            shots=self.shots,
            qpu_seconds=self.qpu_seconds,
            wait_seconds=waited,
            error=self.owner,
        )


_NAMES = tuple(field.name for field in attrs.fields(TaskRow))
_COLUMNS = ", ".join(_NAMES)
_PLACES = ", ".join("?" * (len(_NAMES) - 1))
_INSERT = f"INSERT INTO task ({_COLUMNS.removeprefix('id, ')}) VALUES ({_PLACES})"


class TaskTable:
    """The tasks of one daemon. Thread-safe; call `open` first.

    Args:
        folder: the daemon's state folder.
        now: the time, epoch seconds.
    """

    def __init__(self, folder: Path, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._file = Database(folder / _FILE_NAME, schema=_SCHEMA, version=_VERSION)

    def open(self) -> None:
        """Open the file, made at first use.

        Raises:
            ConfigError: it cannot be used, or is of a version that this one does not know.
        """
        self._file.open()

    def close(self) -> None:
        """Finish what is being written."""
        self._file.close()

    # --- what is written ------------------------------------------------------------------------

    def intend(self, row: TaskRow) -> TaskRow:
        """Keep a start that is about to be sent. Raises `ResourceUnavailableError`: it is not."""
        kept = attrs.evolve(row, asked=self._now())

        def work(connection: sqlite3.Connection) -> int:
            return int(connection.execute(_INSERT, attrs.astuple(kept)[1:]).lastrowid or 0)

        return attrs.evolve(kept, id=self._file.write(work))

    def started(self, row: TaskRow, task: str) -> TaskRow:
        """The vendor gave it this id."""
        return self._changed(row, task=task, started=row.started or self._now())

    def refused(self, row: TaskRow, owner: str) -> TaskRow:
        """Nothing came of the start, by whose fault."""
        return self._changed(row, refused=True, owner=owner, ended=self._now())

    def seen(self, row: TaskRow, status: TaskStatus) -> TaskRow:
        """A look at the task gave this status; only what is new is written."""
        if row.ended is not None or row.status == status.name:
            return row
        changes: dict[str, Any] = {"status": status.name}
        if status is TaskStatus.RUNNING and row.running is None:
            changes["running"] = self._now()
        if status.is_final:
            changes["ended"] = self._now()
            if row.running is not None:
                changes["qpu_seconds"] = max(changes["ended"] - row.running, 0.0)
        return self._changed(row, **changes)

    def measured(self, row: TaskRow, **changes: Any) -> TaskRow:
        """What the vendor says of it: ``qpu_seconds``, ``owner`` of its failure, ``shots``."""
        return self._changed(row, **changes)

    def add_parts(self, batch: TaskRow, ids: Iterable[str]) -> None:
        """Jobs of a batch belong to whoever the batch belongs to."""
        new = [task for task in ids if self.of_task(batch.resource, task) is None]
        parts = [attrs.evolve(batch, id=0, key=None, shots=None, task=task) for task in new]
        rows = [attrs.astuple(part)[1:] for part in parts]
        if rows:
            self._file.write(lambda connection: connection.executemany(_INSERT, rows) and None)

    def prune(self, before: float) -> None:
        """Forget tasks that were asked for before a time: their users can reach them no more."""
        self._file.write(
            lambda c: c.execute("DELETE FROM task WHERE asked < ?", (before,)) and None
        )

    def _changed(self, row: TaskRow, **changes: Any) -> TaskRow:
        names = ", ".join(f"{name} = ?" for name in changes)
        values = (*changes.values(), row.id)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"UPDATE task SET {names} WHERE id = ?", values)

        self._file.write(work)
        return attrs.evolve(row, **changes)

    # --- what is read ---------------------------------------------------------------------------

    def of_key(self, uid: int, resource: str, key: str) -> TaskRow | None:
        """The start of that key that was not refused."""
        where = "uid = ? AND resource = ? AND key = ? AND refused = 0"
        return next(iter(self._rows(where, uid, resource, key)), None)

    def of_task(self, resource: str, task: str) -> TaskRow | None:
        """The task of that id, whoever started it."""
        where = "resource = ? AND task = ? ORDER BY id DESC LIMIT 1"
        return next(iter(self._rows(where, resource, task)), None)

    def of_job(self, job: str) -> list[TaskRow]:
        """All starts of a job's run, oldest first; no parts of batches."""
        return self._rows("job = ? AND key IS NOT NULL ORDER BY id", job)

    def ids(self, resource: str, uid: int | None = None) -> set[str]:
        """Ids of the tasks of a user, or of all users, on a resource."""
        of_user = "uid = ?" if uid is not None else "? IS NULL"
        rows = self._rows(f"resource = ? AND {of_user} AND task IS NOT NULL", resource, uid)
        return {row.task for row in rows if row.task is not None}

    def unsettled(self, resource: str, uid: int) -> list[TaskRow]:
        """Starts of which it is not known what came of them."""
        where = "uid = ? AND resource = ? AND task IS NULL AND refused = 0 AND key IS NOT NULL"
        return self._rows(where, uid, resource)

    def last_of(self, resource: str, uid: int) -> TaskRow | None:
        """The newest task of a user on a resource."""
        where = "uid = ? AND resource = ? ORDER BY asked DESC LIMIT 1"
        return next(iter(self._rows(where, uid, resource)), None)

    def _rows(self, where: str, *values: object) -> list[TaskRow]:
        rows = self._file.read(f"SELECT {_COLUMNS} FROM task WHERE {where}", values)
        return [TaskRow(**dict(zip(_NAMES, row, strict=True))) for row in rows]
