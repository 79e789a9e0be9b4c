"""The site's memory: leases and fences in one SQLite file, on disk before anybody acts on them.

What is written is flushed before the call returns. One daemon at a time: the folder is locked, and
the kernel lets go of the lock when the process ends, however it ends.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import attrs

from qrmi.errors import ConfigError, Owner
from qrmi.site.keeping.database import Database
from qrmi.site.lending.folder_lock import locked
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState
from qrmi.site.lending.store_rows import (
    COLUMNS,
    FENCE,
    INSERT,
    KNOWN,
    SCHEMA,
    SCHEMA_VERSION,
    UPDATE,
    parts_text,
    possibly_asked,
    record_of,
    row_of,
)
from qrmi.site.terms import Job

__all__ = ["FILE_NAME", "SCHEMA_VERSION", "Store"]

_T = TypeVar("_T")
FILE_NAME = "leases.sqlite"
_PAGE = 200


class Store:
    """The leases of one daemon.

    Thread-safe. Call `open` first; the constructor opens nothing.

    Args:
        folder: the daemon's state folder; made for its user alone when there is none.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held_lock: int | None = None
        self._file = Database(folder / FILE_NAME, schema=SCHEMA, version=SCHEMA_VERSION)

    def open(self) -> None:
        """Lock the folder and open the file.

        Raises:
            ConfigError: another daemon uses the folder, it cannot be used, or its file is of a
                version that this one does not know.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._held_lock = locked(self._folder)
            self._file.open()
        except OSError as error:
            self.close()
            raise ConfigError(
                f"the state folder {self._folder} cannot be used: {error}",
                owner=Owner.SITE,
                hint="give qrmid a folder of its own on a local disk (`state` in qrmid.toml)",
            ) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Finish what is being written and let go of the folder. Closing twice is no error."""
        self._file.close()
        if self._held_lock is not None:
            os.close(self._held_lock)
            self._held_lock = None

    # --- what is written ----------------------------------------------------------------------

    def put(self, record: LeaseRecord) -> None:
        """Keep a lease, in place of any other of its key; behind a fence it is ending."""
        self._write(INSERT, row_of(record))

    def change(self, record: LeaseRecord) -> None:
        """Keep another state of a lease. One that is ending already stays so."""
        parts = parts_text(record.parts)
        row = (str(record.state), parts, record.granted, record.reason, record.hint)
        self._write(UPDATE, (*row, record.key, record.id))

    def remove(self, record: LeaseRecord) -> None:
        """Forget a lease; its fence, if there is one, stays."""
        self._write("DELETE FROM lease WHERE key = ? AND lease = ?", (record.key, record.id))

    def undo_intents(self) -> None:
        """Leases that were asked for by a daemon that is no more are ending."""

        def work(connection: sqlite3.Connection) -> None:
            rows = connection.execute(f"SELECT {COLUMNS} FROM lease WHERE state = 'asking'")
            for record in map(record_of, rows.fetchall()):
                parts = parts_text(possibly_asked(record.parts))
                connection.execute(
                    "UPDATE lease SET state = 'ending', parts = ? WHERE key = ?",
                    (parts, record.key),
                )

        self.write(work)

    def fence(self, job: Job, now: float) -> tuple[list[LeaseRecord], list[LeaseRecord]]:
        """Let no request of the job through from now on; its leases are ending.

        Without a time of submission that is so for all submissions up to now.

        Returns:
            Those that were held and of which no vendor keeps anything: they are forgotten with
            this. And those that have to be given back.
        """

        def work(
            connection: sqlite3.Connection,
        ) -> tuple[list[LeaseRecord], list[LeaseRecord]]:
            where, names = "key = ?", [job.key]
            if job.submitted is None:
                where, names = "place = ? AND run = ?", [job.place, job.run]
            rows = connection.execute(f"SELECT {COLUMNS} FROM lease WHERE {where}", names)
            records = [record_of(row) for row in rows.fetchall()]
            times = [record.job.submitted or 0 for record in records]
            before = max([int(now), *times]) if job.submitted is None else None
            connection.execute(FENCE, (names[-1], before, now))
            gone = [r for r in records if r.state is LeaseState.HELD and not r.is_kept]
            for record in gone:
                connection.execute("DELETE FROM lease WHERE key = ?", (record.key,))
            if len(gone) < len(records):
                connection.execute(
                    f"UPDATE lease SET state = 'ending' WHERE {where} AND state <> 'refused'",
                    names,
                )
            left = (r for r in records if r not in gone and r.state is not LeaseState.REFUSED)
            return gone, [attrs.evolve(record, state=LeaseState.ENDING) for record in left]

        return self.write(work)

    def prune(self, before: float) -> None:
        """Forget fences and refusals that are older than a time."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM fence WHERE at < ?", (before,))
            connection.execute("DELETE FROM lease WHERE state = 'refused' AND since < ?", (before,))

        self.write(work)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(statement, values)

        self.write(work)

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Have ``work`` done in a transaction; return its answer once that is on disk.

        For the books that are kept beside the leases, too: `open_accounts`.

        Raises:
            ResourceUnavailableError: it could not be written, and nothing of it was.
        """
        return self._file.write(work)

    def read(self, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
        """The rows of a query, for those books."""
        return self._file.read(statement, values)

    # --- what is read -------------------------------------------------------------------------

    def known(self, job: Job) -> tuple[bool, LeaseRecord | None]:
        """Whether requests of this submission are refused, and what there is of its key."""
        ((is_fenced, *row),) = self._file.read(KNOWN, (job.key, job.run, job.submitted))
        return bool(is_fenced), record_of(tuple(row)) if row[0] is not None else None

    def lease(self, key: str) -> LeaseRecord | None:
        """What there is of a key."""
        rows = self._file.read(f"SELECT {COLUMNS} FROM lease WHERE key = ?", (key,))
        return record_of(rows[0]) if rows else None

    def newest(self, place: str) -> LeaseRecord | None:
        """The newest lease, or refusal, of a job by ``scheduler/cluster/id``; held ones first."""
        rows = self._file.read(
            f"SELECT {COLUMNS} FROM lease WHERE place = ? "
            "ORDER BY state = 'held' DESC, since DESC, id DESC LIMIT 1",
            (place,),
        )
        return record_of(rows[0]) if rows else None

    def leases(self, *states: LeaseState, place: str | None = None) -> Iterator[LeaseRecord]:
        """Those in one of the states, all but refusals by default, oldest first; read by and by.

        Args:
            *states: which.
            place: only those of a job, by ``scheduler/cluster/id``.
        """
        wanted = states or (LeaseState.ASKING, LeaseState.HELD, LeaseState.ENDING)
        where = f"state IN ({', '.join('?' * len(wanted))})"
        values = [*map(str, wanted)]
        if place is not None:
            where, values = f"{where} AND place = ?", [*values, place]
        last = -1
        while True:
            rows = self._file.read(
                f"SELECT id, {COLUMNS} FROM lease WHERE id > ? AND {where} ORDER BY id LIMIT ?",
                (last, *values, _PAGE),
            )
            for row in rows:
                yield record_of(row[1:])
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def counts(self) -> dict[str, int]:
        """How many leases there are, by state."""
        return dict(self._file.read("SELECT state, count(*) FROM lease GROUP BY state"))
