"""Claims: of many processes that start with one key, exclusive creation picks one."""

from __future__ import annotations

import hashlib
from pathlib import Path

from qrmi.journal import exclusive
from qrmi.journal.events import FORMAT_VERSION, Fields
from qrmi.journal.files import GONE, Files

__all__ = ["FOLDER", "Claims"]

FOLDER = "claims"
_GAP = 3  # attempts that nobody claimed, after which no later one is looked for


class Claims:
    """The claims in one folder. Each is a file whose name is made from key and attempt."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files

    def make(self, key: str, attempt: int, shared: bool, fields: Fields) -> bool:
        """Claim one attempt of a key; false when it is somebody else's.

        Raises:
            OSError: it cannot be told whether it was made.
        """
        head = {"v": FORMAT_VERSION, "at": self._files.now(), "key": _of(key), "attempt": attempt}
        return exclusive.create(self._files, self._path(key, attempt), {**fields, **head}, shared)

    def of(self, key: str) -> list[Fields]:
        """The claims of a key by attempt, as they were made; empty ones for those that are torn.

        Raises:
            OSError: they cannot be read.
        """
        return [claim for _, claim in self._numbered(key)]

    def _numbered(self, key: str) -> list[tuple[int, Fields]]:
        found: list[tuple[int, Fields]] = []
        attempt = missing = 0
        while missing < _GAP:
            attempt += 1
            try:
                claim = exclusive.content(self._files, self._path(key, attempt))
            except OSError as error:
                if error.errno not in GONE:
                    raise
                missing += 1
                continue
            found.append((attempt, claim))
            missing = 0
        return found

    def remove(self, key: str, before: float) -> None:
        """Forget the claims of a key, unless one was made after ``before``."""
        claims = self._numbered(key)
        if all(float(claim.get("at", 0)) < before for _, claim in claims):
            for attempt, _ in reversed(claims):
                self._files.unlink(self._path(key, attempt))

    def names(self) -> list[str]:
        """The files in the folder; none when there is no folder."""
        try:
            return self._files.list(self._folder)
        except FileNotFoundError:
            return []

    def sweep(self) -> None:
        """Remove what ended processes of this machine left unfinished."""
        exclusive.sweep(self._files, self._folder, self.names())

    def _path(self, key: str, attempt: int) -> Path:
        return self._folder / f"{_of(key)[:32]}.{attempt}"


def _of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
