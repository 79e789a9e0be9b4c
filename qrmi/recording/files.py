"""The files of a recording: beginning one, finding its parts, making one file of them."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qrmi.errors import RecordingError

__all__ = ["files_of", "make_room", "merge"]


def parts_of(path: Path) -> list[Path]:
    """The parts that other processes wrote beside a recording."""
    return sorted(path.parent.glob(glob.escape(path.name) + ".*.part"))


def files_of(path: Path) -> list[Path]:
    """The recording's own file and its parts.

    Raises:
        RecordingError: there is none of them.
    """
    found = [*([path] if path.is_file() else []), *parts_of(path)]
    if not found:
        raise RecordingError(f"there is no recording {path}", hint="check the file's path")
    return found


def make_room(path: Path, *, overwrite: bool) -> None:
    """See to it that nothing of an older recording stands where a new one is to be written.

    Raises:
        RecordingError: something does, and must not be overwritten; or it cannot be removed.
    """
    there = [*([path] if path.exists() else []), *parts_of(path)]
    if there and not overwrite:
        raise RecordingError(
            f"{there[0]} is there already", hint="choose another file, or overwrite it (--force)"
        )
    try:
        for old in there:
            old.unlink(missing_ok=True)
    except OSError as error:
        raise RecordingError(
            f"cannot overwrite {old}: {error.strerror or error}", hint="choose another file"
        ) from error


def merge(path: Path) -> None:
    """Make one file of a recording and its parts; lines that were not finished are left out.

    Raises:
        RecordingError: it cannot be read or written; all parts are still there.
    """
    parts = parts_of(path)
    if not parts:
        return
    whole = path.with_name(f"{path.name}.{os.getpid()}.merging")
    try:
        whole.touch(mode=0o600, exist_ok=False)
        with whole.open("wb") as out:
            out.writelines(_lines_of(files_of(path)))
            out.flush()
            os.fsync(out.fileno())
        whole.replace(path)
        for part in parts:
            part.unlink(missing_ok=True)
    except OSError as error:
        whole.unlink(missing_ok=True)
        raise RecordingError(
            f"cannot make one file of {path} and its parts: {error.strerror or error}",
            hint="`qrmi replay` reads them as they are: keep them together",
        ) from error


def _lines_of(files: list[Path]) -> Iterator[bytes]:
    seen: set[str] = set()
    for file in files:
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n") and not _is_repeated(line, seen):
                    yield line


def _is_repeated(line: bytes, seen: set[str]) -> bool:
    """Whether the line is a long text that was there before; else take note of it."""
    if not line.startswith(b'{"kind": "text"'):
        return False
    try:
        entry: Any = json.loads(line)
        digest = str(entry.get("digest"))
    except (ValueError, AttributeError):
        return False
    repeated = digest in seen
    seen.add(digest)
    return repeated
