"""One compaction at a time on a machine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from qrmi.journal import exclusive
from qrmi.journal.files import GONE, Files
from qrmi.journal.writers import Writer

__all__ = ["held"]

_SUFFIX = ".compacting"
_STALE_SECONDS = 3600.0


@contextlib.contextmanager
def held(files: Files, folder: Path) -> Iterator[float | None]:
    """While this holds, no other process of this machine compacts.

    Gives the time by the file server's clock; ``None`` when another process is at it. The marker
    only saves work: two compactions at once would lose nothing either. That of a process which
    has ended is removed.
    """
    path = folder / f"{files.this_process().host}{_SUFFIX}"
    if not _make(files, path):
        yield None
        return
    try:
        yield files.about(path).changed
    finally:
        with contextlib.suppress(OSError):
            files.unlink(path)


def _make(files: Files, path: Path) -> bool:
    if exclusive.create(files, path, {}, files.is_shared(path.parent)):
        return True
    try:
        owner = Writer.read(str(exclusive.content(files, path).get("writer")))
        ended = files.has_ended(owner.process) if owner is not None else None
        if ended is None:
            ended = files.now() - files.about(path).changed > _STALE_SECONDS
        if ended:
            files.unlink(path)
    except OSError as error:
        if error.errno not in GONE:
            raise
        ended = True
    return ended and exclusive.create(files, path, {}, files.is_shared(path.parent))
