"""Files that one of many processes gets to make: whole or not at all."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from qrmi.journal.events import Fields, encoded
from qrmi.journal.files import Files
from qrmi.journal.writers import Writer

__all__ = ["DRAFT", "content", "create", "sweep", "write"]

DRAFT = ".draft"
_LARGEST = 1 << 16
_TRIES = 8


def create(files: Files, path: Path, fields: Fields, shared: bool) -> bool:
    """Make a file with JSON in it, unless there is one of that name.

    It is written first, and then given its name in one step, so that nobody reads half of it. A
    writer whose answer was lost on the network finds its own mark in the file.

    Returns:
        Whether it was made; false when the name was taken.

    Raises:
        OSError: it cannot be told whether it was made.
    """
    for left in reversed(range(_TRIES)):
        writer = str(Writer(process=files.this_process(), mark=files.random()))
        body = (encoded({**fields, "writer": writer}) + "\n").encode()
        draft = path.parent / f"{writer}{DRAFT}"
        try:
            write(files, draft, body, shared)
            break
        except FileExistsError:  # the answer to our own creation was lost
            if not left:
                raise
    try:
        return _named(files, draft, path, body, shared)
    except FileExistsError:
        return _is_ours(files, path, writer)
    except OSError:
        if _is_ours(files, path, writer):
            return True
        raise
    finally:
        with contextlib.suppress(OSError):
            files.unlink(draft)


def _named(files: Files, draft: Path, path: Path, body: bytes, shared: bool) -> bool:
    if not files.link(draft, path):  # a file system without second names
        write(files, path, body, shared)
    return True


def _is_ours(files: Files, path: Path, writer: str) -> bool:
    try:
        return content(files, path).get("writer") == writer
    except OSError:
        return False


def write(files: Files, path: Path, body: bytes, flush: bool) -> None:
    """A new file with all of its content; none is left when that fails."""
    try:
        descriptor = files.create(path)
    except FileNotFoundError:
        files.make_folder(path.parent)
        descriptor = files.create(path)
    try:
        files.append(descriptor, body, flush)
    except BaseException:
        with contextlib.suppress(OSError):
            files.unlink(path)
        raise
    finally:
        files.close(descriptor)


def content(files: Files, path: Path) -> Fields:
    """What is in such a file; nothing when it is torn.

    Raises:
        OSError: it cannot be read, or is not there.
    """
    with files.open(path) as source:
        text = source.read(_LARGEST, 0)
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def sweep(files: Files, folder: Path, names: list[str]) -> None:
    """Remove what ended processes of this machine left unfinished in a folder."""
    for name in names:
        writer = Writer.read(name.removesuffix(DRAFT)) if name.endswith(DRAFT) else None
        if writer is not None and files.has_ended(writer.process):
            files.unlink(folder / name)
