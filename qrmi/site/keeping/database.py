"""One SQLite file of the daemon: many threads write, and read beside the writing."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from qrmi.errors import ConfigError, Owner
from qrmi.site.keeping.committing import Committer

__all__ = ["Database"]

_T = TypeVar("_T")


class Database:
    """A file that holds one schema, for this user alone. Thread-safe; call `open` first.

    What is written is flushed (WAL, ``synchronous=FULL``) before `write` returns; writes of many
    threads share a flush.

    Args:
        path: of the file; made at first use.
        schema: the statements that make it.
        version: the schema's, kept in ``user_version``.
    """

    def __init__(self, path: Path, *, schema: str, version: int) -> None:
        self._path = path
        self._schema = schema
        self._version = version
        self._lock = threading.Lock()
        self._committer: Committer | None = None
        self.reader: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file.

        Raises:
            ConfigError: it cannot be used, or is of a version that this daemon does not know.
        """
        try:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            writer = self._connection()
            try:
                writer.execute("PRAGMA journal_mode = WAL")
                writer.execute("PRAGMA synchronous = FULL")
                self._prepare(writer)
                self.reader = self._connection()
                self.reader.execute("PRAGMA query_only = ON")
            except BaseException:
                writer.close()
                raise
        except (OSError, sqlite3.Error) as error:
            raise ConfigError(
                f"{self._path} cannot be used: {error}",
                owner=Owner.SITE,
                hint="give qrmid a folder of its own on a local disk (`state` in qrmid.toml)",
            ) from error
        self._committer = Committer(writer)

    def close(self) -> None:
        """Finish what is being written. Closing twice is no error."""
        if self._committer is not None:
            self._committer.close()
        with self._lock:
            if self.reader is not None:
                self.reader.close()
                self.reader = None

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Have ``work`` done in a transaction; return its answer once that is on disk.

        See `Committer.write`: it may be done twice, and has to change nothing but the file.

        Raises:
            ResourceUnavailableError: it could not be written, and nothing of it was.
        """
        if self._committer is None:
            raise RuntimeError(f"{self._path.name} is not open")
        return self._committer.write(work)

    def read(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, as the last write left them."""
        with self._lock:
            if self.reader is None:
                raise RuntimeError(f"{self._path.name} is not open")
            return self.reader.execute(statement, values).fetchall()

    def _connection(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self._path, timeout=10.0, isolation_level=None, check_same_thread=False
        )

    def _prepare(self, writer: sqlite3.Connection) -> None:
        (version,) = writer.execute("PRAGMA user_version").fetchone()
        if version == 0:
            set_version = f"PRAGMA user_version = {self._version};"
            writer.executescript(f"BEGIN IMMEDIATE; {self._schema} {set_version} COMMIT;")
        elif version != self._version:
            raise ConfigError(
                f"{self._path} is of version {version}, this qrmid knows {self._version}",
                owner=Owner.SITE,
                hint="run the qrmid that wrote it, or let its leases end and move the file away",
            )
