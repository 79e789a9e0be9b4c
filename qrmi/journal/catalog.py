"""What there is to read in the journal's folder: segments, and the files that are in none yet."""

from __future__ import annotations

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import attrs

from qrmi.journal import segments, writer
from qrmi.journal.events import FORMAT_VERSION, Fields, names_of, parsed, version_of
from qrmi.journal.files import GONE, About, Files
from qrmi.journal.segments import DamagedError, Segment, digest, opened

__all__ = ["Catalog", "Live", "View"]

_T = TypeVar("_T")
_log = logging.getLogger("qrmi.journal")
_TRIES = 100
_SEEN_AGAIN = 4096
"""Bytes before the place where a look goes on. They are read again: a line may have been taken back
and another one written since, within one tick of the server's clock."""


@attrs.define(kw_only=True)
class Live:
    """A file that is in no segment, or its part that is not, as far as it has been read.

    Attributes:
        about: the file as it was read.
        events: its events.
        names: the events by what they are found, as `names_of` tells.
        sound: bytes from the file's start that will not be read again.
        tail: the last of them.
        lines: how many lines they are.
        kept: events in them.
        damaged: lines that could not be understood.
        torn: bytes after the last whole line.
        newest: the newest format of a line.
    """

    about: About
    events: list[Fields] = attrs.field(factory=list)
    names: dict[str, list[Fields]] = attrs.field(factory=dict)
    sound: int = 0
    tail: bytes = b""
    lines: int = 0
    kept: int = 0
    damaged: int = 0
    torn: int = 0
    newest: int = FORMAT_VERSION

    def add(self, text: bytes, name: str) -> None:
        """Read on with what follows the sound bytes.

        A line that cannot be understood may be one whose bytes have not all arrived, so that what
        follows it is read again next time.
        """
        if len(self.events) > self.kept:
            del self.events[self.kept :]
            self.names = {}
        known = len(self.events) if self.names else 0
        self.damaged, is_sound, sound = 0, True, 0
        lines = text.split(b"\n")
        self.torn = len(lines.pop())
        for number, line in enumerate(lines, self.lines + 1):
            event = parsed(line, name, number)
            if event is not None:
                self.events.append(event)
            elif (version := version_of(line)) > FORMAT_VERSION:
                self.newest = max(self.newest, version)
            else:
                self.damaged += 1
                is_sound = False
            if is_sound:
                sound += len(line) + 1
                self.lines, self.kept = number, len(self.events)
        self.sound += sound
        self.tail = (self.tail + text[max(sound - _SEEN_AGAIN, 0) : sound])[-_SEEN_AGAIN:]
        for event in itertools.islice(self.events, known, None):
            for key in names_of(event):
                self.names.setdefault(key, []).append(event)


@attrs.frozen(kw_only=True)
class View:
    """What one look at the folder found.

    Attributes:
        segments: those that no other one replaces.
        live: files that are in no segment, by name.
    """

    segments: list[Segment]
    live: dict[str, Live]

    def gathered(self, names: Iterable[str]) -> list[Fields]:
        """All events that have one of the names, or share another name with one that has."""
        found: dict[tuple[str, int], Fields] = {}
        looked: set[str] = set()
        wanted = set(names)
        while wanted:
            looked |= wanted
            for event in self._having(wanted):
                found.setdefault((event["w"], event["n"]), event)
            wanted = {name for e in found.values() for name in names_of(e)} - looked
        return list(found.values())

    def _having(self, names: set[str]) -> Iterable[Fields]:
        for segment in self.segments:
            yield from segment.find(names)
        for live in self.live.values():
            for name in names:
                yield from live.names.get(name, ())

    def everything(self) -> list[Fields]:
        """All events, each once."""
        found: dict[tuple[str, int], Fields] = {}
        for segment in self.segments:
            for _, event in segments.read(segment.data()):
                found.setdefault((event["w"], event["n"]), event)
        for live in self.live.values():
            for event in live.events:
                found.setdefault((event["w"], event["n"]), event)
        return list(found.values())


@contextlib.contextmanager
def _missing(allowed: bool) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if not allowed or error.errno not in GONE:
            raise


class Catalog:
    """Looks at the folder, and reads again only what has changed. For threads."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._lock = threading.RLock()
        self._live: dict[str, Live] = {}
        self._segments: dict[str, Segment | None] = {}

    def after_fork(self) -> None:
        """In a child: another thread may have held the lock."""
        self._lock = threading.RLock()

    def with_view(self, look: Callable[[View], _T], own: str | None = None) -> _T:
        """What ``look`` makes of the folder's present contents.

        A file may go while it is read, once it has been in a segment for long. Then all is done
        again: a listing that is made now has the segment. A file that is listed again and missing
        again does not count any more.

        Args:
            look: called with a view, maybe more than once.
            own: a file of this process, which a stale listing may not have.

        Raises:
            OSError: the folder, or a file in it, cannot be read.
        """
        gone: set[str] = set()
        with self._lock:
            for left in reversed(range(_TRIES)):
                try:
                    return look(self._view(own, gone))
                except OSError as error:
                    if error.errno not in GONE or error.filename is None or not left:
                        raise
                    gone.add(Path(str(error.filename)).name)
        raise AssertionError("unreachable")

    def names(self) -> list[str]:
        """The names in the folder; none when there is no folder."""
        try:
            return self._files.list(self._folder)
        except FileNotFoundError:
            return []

    def segment(self, name: str) -> Segment | None:
        """A segment; ``None`` for one that is damaged."""
        if name not in self._segments:
            try:
                self._segments[name] = Segment.load(self._folder / name, self._files)
            except DamagedError as error:
                _log.warning("a part of the journal is damaged, its lines are read one by one: %s",
                             error)  # fmt: skip
                self._segments[name] = None
        return self._segments[name]

    def _view(self, own: str | None, gone: set[str]) -> View:
        """One look. A file that is missing is an error, unless it has been missing before."""
        names = sorted({*self.names(), *([own] if own else ())})
        loaded, damaged = [], set()
        for name in names:
            if name.endswith(segments.SUFFIX):
                with _missing(name in gone):
                    segment = self.segment(name)
                    if segment is None:
                        damaged.add(name)
                    else:
                        loaded.append(segment)
        self._segments = {name: self._segments[name] for name in names if name in self._segments}
        replaced = segments.largest(segment.replaced for segment in loaded)
        live: dict[str, Live] = {}
        for name in names:
            if name.endswith(writer.SUFFIX) or name in damaged:
                size = replaced.get(digest(name)) if replaced else None
                if size is None or self._size(name) > size:  # else a segment has all of it
                    with _missing(name in gone):
                        live[name] = self._read(name)
        self._live = live  # what is gone is forgotten
        chosen = [segment for segment in loaded if digest(segment.name) not in replaced]
        return View(segments=chosen, live=live)

    def _size(self, name: str) -> int:
        try:
            return self._files.about(self._folder / name).size
        except OSError as error:
            if error.errno not in GONE:
                raise
            return 0

    def _read(self, name: str) -> Live:
        known = self._live.get(name)
        with opened(self._files, self._folder / name) as source:
            about = source.about
            text = None
            if known is not None and known.about.inode == about.inode:
                start = known.sound - len(known.tail)
                text = source.read(max(about.size - start, 0), start)
                if not text.startswith(known.tail):
                    text = None  # the file was cut and written anew
            if known is None or text is None:
                known = Live(about=about)
                text = source.read(about.size, 0)
        known.about = about
        known.add(text[len(known.tail) :], _stem(name))
        return known


def _stem(name: str) -> str:
    return name.removesuffix(writer.SUFFIX)
