"""The ledger: one line of JSON for each run of a job, written at its end, once.

``<state>/ledger/2026-11.0001.jsonl`` holds November's, in UTC; a file that has grown to its limit
is followed by ``2026-11.0002.jsonl``. Lines are `JobUsage` by field name, with ``key`` before them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qrmi.errors import InvalidInputError, ResourceUnavailableError
from qrmi.site.books import summing
from qrmi.site.books.usage import JobUsage

__all__ = ["Ledger", "read_line", "written_line"]

_log = logging.getLogger(__name__)

_FOLDER = "ledger"
_MOST_BYTES = 64 * 1024 * 1024
_NAME = re.compile(r"(\d{4}-\d{2})\.(\d{4,})\.jsonl")


def written_line(usage: JobUsage) -> str:
    """An entry as its line, without the end of the line."""
    fields = {"key": usage.job.key, **usage.as_json()}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def read_line(line: str) -> JobUsage | None:
    """The entry of a line; ``None`` for a line that is torn or is none of these."""
    try:
        return JobUsage.from_json(json.loads(line, parse_constant=_refuse))
    except (ValueError, RecursionError, InvalidInputError):
        return None


def _refuse(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


class Ledger:
    """What jobs used, kept for good.

    One daemon owns the folder. All methods may be called from several threads.

    Args:
        state: the daemon's state folder; ``ledger`` in it is made when it is first needed.
        most_bytes: when a file is followed by another.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        state: Path,
        *,
        most_bytes: int = _MOST_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.folder = state / _FOLDER
        self._most_bytes = most_bytes
        self._now = now
        self._lock = threading.Lock()
        self._keys: set[str] | None = None

    def note(self, usage: JobUsage) -> bool:
        """`note_all` of one entry; false when the ledger has one of that key."""
        return bool(self.note_all([usage]))

    def note_all(self, entries: Iterable[JobUsage]) -> list[JobUsage]:
        """Write entries down for good; those whose keys the ledger did not have.

        The keys of this month and the one before count: an end is told again within seconds, or
        after a restart of the daemon. Once this returns, a crash of the machine loses nothing.

        Raises:
            ResourceUnavailableError: not all could be written; all may be noted again.
        """
        with self._lock:
            try:
                known = self._known_keys()
                new = {e.job.key: e for e in entries if e.job.key not in known}
                if new:
                    self._append([written_line(entry) for entry in new.values()])
            except OSError as error:
                self._keys = None  # some of it may have been written
                raise ResourceUnavailableError(
                    f"cannot write the ledger {self.folder}: {error.strerror or error}",
                    hint="check the folder: space, permissions; the entries are written later",
                ) from error
            known.update(new)
        return list(new.values())

    def entries(self, since: float | None = None) -> Iterator[JobUsage]:
        """All entries that ended at ``since`` or later, oldest file first; each key once.

        Torn lines are passed over.

        Raises:
            ResourceUnavailableError: a file cannot be read.
        """
        found: set[str] = set()
        first = "" if since is None else _month(since - 86400)
        for file in self.files():
            if file.name[:7] < first:
                continue
            for usage in self._read(file):
                key = usage.job.key
                if key not in found and (since is None or usage.ended >= since):
                    found.add(key)
                    yield usage

    def usage(
        self, *, by: str, since: float | None = None, uid: int | None = None
    ) -> list[dict[str, Any]]:
        """`summing.usage` of the entries as plain JSON values; one user's only, with ``uid``."""
        entries = (e for e in self.entries(since) if uid is None or e.job.uid == uid)
        return [row.as_json() for row in summing.usage(entries, by=by)]

    def files(self) -> list[Path]:
        """The ledger's files, oldest first."""
        try:
            found = [file for file in self.folder.iterdir() if _NAME.fullmatch(file.name)]
        except FileNotFoundError:
            return []
        return sorted(found, key=_place)

    def _read(self, file: Path) -> Iterator[JobUsage]:
        try:
            with file.open(encoding="utf-8", errors="replace") as lines:
                for line in lines:
                    usage = read_line(line)
                    if usage is not None:
                        yield usage
                    elif line.strip():
                        _log.debug("%s has a line that is torn", file)
        except OSError as error:
            raise ResourceUnavailableError(
                f"cannot read the ledger {file}: {error.strerror or error}",
                hint="check the folder's permissions",
            ) from error

    def _known_keys(self) -> set[str]:
        """Keys of this month and the last; read once."""
        if self._keys is None:
            first = _month(self._now() - 31 * 86400)
            files = [file for file in self.files() if file.name[:7] >= first]
            self._keys = {usage.job.key for file in files for usage in self._read(file)}
        return self._keys

    def _append(self, lines: list[str]) -> None:
        """Lines, on the disk; a torn one before them is closed, so that it harms no other."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        file = self._current()
        is_new = not file.exists()
        descriptor = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            size = os.fstat(descriptor).st_size
            is_torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            text = "".join(f"{line}\n" for line in lines)
            try:
                _write_all(descriptor, (b"\n" if is_torn else b"") + text.encode("utf-8"))
                os.fsync(descriptor)
            except OSError:
                with contextlib.suppress(OSError):
                    os.ftruncate(descriptor, size)  # a full disk: leave no torn line behind
                raise
        finally:
            os.close(descriptor)
        if is_new:
            _sync_folder(self.folder)

    def _current(self) -> Path:
        """The file that the next line goes to."""
        month = _month(self._now())
        numbers = [number for name, number in map(_place, self.files()) if name == month]
        number = max(numbers, default=1)
        file = self.folder / f"{month}.{number:04}.jsonl"
        if file.exists() and file.stat().st_size >= self._most_bytes:
            return self.folder / f"{month}.{number + 1:04}.jsonl"
        return file


def _month(epoch: float) -> str:
    return datetime.fromtimestamp(max(epoch, 0.0), UTC).strftime("%Y-%m")


def _place(file: Path) -> tuple[str, int]:
    match = _NAME.fullmatch(file.name)
    return (match[1], int(match[2])) if match else ("", 0)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
