"""Reading all of it: for an export, and to say what state it is in."""

from __future__ import annotations

import hashlib
from pathlib import Path

import attrs

from qrmi.journal import looks, writer
from qrmi.journal.catalog import Catalog, View
from qrmi.journal.claims import Claims
from qrmi.journal.ended import written_by
from qrmi.journal.events import FORMAT_VERSION, Fields, encoded
from qrmi.journal.files import Files
from qrmi.journal.segments import digest

__all__ = ["Health", "check", "exported"]


@attrs.frozen(kw_only=True)
class Health:
    """What state a journal is in.

    Attributes:
        folder: where it is.
        file_system: the kind of file system that the folder is on; empty when unknown.
        is_shared: other machines may see it, so each line is flushed to the server.
        tasks: starts, and tasks met.
        events: events, each counted once.
        files: files that are not in a segment.
        segments: segments in use.
        waiting: files and segments that are in a newer segment, and will be removed.
        damaged: names of files with lines that cannot be understood, and of damaged segments.
        torn: names of files that end in the middle of a line.
        hosts: machines that wrote files which are not in a segment.
        claims: claimed attempts of keys.
        bytes: all of it.
        newest_format: the newest format of a line; more than ``FORMAT_VERSION`` when a later
            release wrote it.
    """

    folder: str
    file_system: str
    is_shared: bool
    tasks: int
    events: int
    files: int
    segments: int
    waiting: int
    damaged: tuple[str, ...]
    torn: tuple[str, ...]
    hosts: tuple[str, ...]
    claims: int
    bytes: int
    newest_format: int


def check(folder: Path, files: Files, catalog: Catalog, claims: Claims, view: View) -> Health:
    """Look at every file. Raises `OSError` when one cannot be read."""
    names = catalog.names()
    chosen = {segment.name for segment in view.segments}
    replaced = {d for s in view.segments for d in s.replaced}
    damaged = [name for name, live in view.live.items() if live.damaged]
    damaged += [segment.name for segment in view.segments if not segment.is_sound()]
    plain = [name for name in view.live if name.endswith(writer.SUFFIX)]
    kind = files.kind(folder)
    return Health(
        folder=str(folder),
        file_system=kind,
        is_shared=files.is_shared(folder),
        tasks=looks.count(view),
        events=len(view.everything()),
        files=len(plain),
        segments=len(chosen),
        waiting=sum(digest(name) in replaced for name in names),
        damaged=tuple(damaged),
        torn=tuple(name for name, live in view.live.items() if live.torn),
        hosts=tuple(sorted({_host(name) for name in plain})),
        claims=len(claims.names()),
        bytes=sum(_size(files, folder / name) for name in names),
        newest_format=max((live.newest for live in view.live.values()), default=FORMAT_VERSION),
    )


def _host(name: str) -> str:
    found = written_by(name)
    return found.process.host if found is not None else "unknown"


def _size(files: Files, path: Path) -> int:
    try:
        return files.about(path).size
    except OSError:
        return 0


def exported(view: View) -> list[str]:
    """All events as JSON texts in order of time; tokens of sessions as digests."""
    return [encoded(_shown(event)) for event in looks.in_order(view.everything())]


def _shown(event: Fields) -> Fields:
    shown = {k: v for k, v in event.items() if k not in ("w", "n")}
    if "token" in shown:
        shown["token"] = "sha256:" + hashlib.sha256(shown["token"].encode()).hexdigest()[:16]
    return {**shown, "writer": event["w"], "line": event["n"]}
