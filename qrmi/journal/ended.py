"""Which files nobody writes to any more, as far as this machine can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from qrmi.journal import writer
from qrmi.journal.files import About, Files
from qrmi.journal.writers import Writer
from qrmi.processes import Process

__all__ = ["ABANDONED_SECONDS", "Ended", "weight", "written_by"]

ABANDONED_SECONDS = 30 * 86400.0
_OTHER_BOOT_SECONDS = 3600.0  # machines may share a name: who was silent for so long has ended
_FULL_COUNTS = 16  # a full file is worth as many small ones


def written_by(name: str) -> Writer | None:
    """Who wrote a journal file; ``None`` when its name does not tell, or it is no such file."""
    if not name.endswith(writer.SUFFIX):
        return None
    return Writer.read(name.removesuffix(writer.SUFFIX))


class Ended:
    """Tells files whose writer has ended, or has gone on to another file.

    Args:
        files: the file system.
        names: all names in the folder.
        about: gives a file's age.
        now: the time by the file server's clock.
        abandoned: files of other machines and of unknown ones count, after 30 days of silence.
    """

    def __init__(
        self,
        files: Files,
        names: Iterable[str],
        about: Callable[[str], About],
        now: float,
        *,
        abandoned: bool = False,
    ) -> None:
        self._files = files
        self._about = about
        self._now = now
        self._abandoned = abandoned
        self._newest = _newest(names)

    def __contains__(self, name: str) -> bool:
        """Whether nobody will write to this file. Raises `OSError` when it is gone."""
        found = written_by(name)
        if found is None:
            return self._is_abandoned(name)
        if found.sequence < self._newest[(found.process, found.mark)]:
            return found.process.host == self._files.this_process().host
        ended = self._files.has_ended(found.process)
        if ended is None:
            return self._is_abandoned(name)
        if ended and found.process.boot != self._files.this_process().boot:
            return self._silence(name) > _OTHER_BOOT_SECONDS
        return ended

    def _is_abandoned(self, name: str) -> bool:
        return self._abandoned and self._silence(name) > ABANDONED_SECONDS

    def _silence(self, name: str) -> float:
        return self._now - self._about(name).changed


def _newest(names: Iterable[str]) -> dict[tuple[Process, str], int]:
    newest: dict[tuple[Process, str], int] = {}
    for name in names:
        if (found := written_by(name)) is not None:
            place = (found.process, found.mark)
            newest[place] = max(found.sequence, newest.get(place, 0))
    return newest


def weight(names: Iterable[str], host: str) -> int:
    """How much a machine has to compact, in small files; those still written to included."""
    listed = [name for name in names if name.startswith((f"{host}@", f"{host}-"))]
    newest = _newest(listed)
    total = 0
    for name in listed:
        if (found := written_by(name)) is not None:
            is_full = found.sequence < newest[(found.process, found.mark)]
            total += _FULL_COUNTS if is_full else 1
    return total
