"""Keeping the folder small: compacting, and writing anew without what is forgotten.

What is in a segment is removed from its own file only by a later compaction, after a time that is
longer than any listing on a network is stale; so a reader finds it in one place or the other. A
crash between any two steps leaves both, and an event found twice counts once.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import attrs

from qrmi.journal import exclusive, marker, segments, writer
from qrmi.journal.catalog import Catalog
from qrmi.journal.claims import Claims
from qrmi.journal.ended import Ended, weight
from qrmi.journal.events import FORMAT_VERSION, parsed, version_of
from qrmi.journal.files import GONE, About, Files
from qrmi.journal.forgetting import Forgotten, forget
from qrmi.journal.grouping import Item, grouped, numbered
from qrmi.journal.segments import DamagedError, Segment, digest
from qrmi.journal.writers import Writer

__all__ = ["CompactReport", "Upkeep"]

_log = logging.getLogger("qrmi.journal")
_GRACE_SECONDS = 600.0  # longer than any client of a network keeps a listing or an attribute
_MANY = 64  # files of ended processes before they are compacted in passing
_PASSING_BYTES = 1 << 20  # compacted in passing at most: a tenth of a second
_PASSING_FILES = 256
_TIER = 2  # a segment is taken along when it is not larger than this many times the rest


@attrs.frozen(kw_only=True)
class CompactReport:
    """What one compaction did.

    Attributes:
        files: files brought together, segments among them.
        events: events in the new segment.
        removed: files removed that an earlier compaction had brought together.
        waiting: files that a later one will remove.
        left: files that are still written to, or that another machine has to compact.
        segment: the new segment's name; empty when there was nothing to do.
    """

    files: int = 0
    events: int = 0
    removed: int = 0
    waiting: int = 0
    left: int = 0
    segment: str = ""


@attrs.define
class _Folder:
    """The folder as one compaction sees it.

    Attributes:
        names: what is in it.
        now: the time by the file server's clock.
        segments: those that can be read, by name.
        replaced: what they hold: sizes by digests of names.
    """

    names: list[str]
    now: float
    segments: dict[str, Segment]
    replaced: dict[int, int]

    def current(self) -> list[Segment]:
        return [s for name, s in self.segments.items() if digest(name) not in self.replaced]


@attrs.define
class _Inputs:
    """What goes into a new segment: lines, and the sizes of the files that they come from."""

    items: list[Item] = attrs.field(factory=list)
    sizes: dict[str, int] = attrs.field(factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())


class Upkeep:
    """Compacts one journal's folder on behalf of this machine. Only `in_passing` never raises."""

    def __init__(self, folder: Path, files: Files, catalog: Catalog, claims: Claims) -> None:
        self._folder = folder
        self._files = files
        self._catalog = catalog
        self._claims = claims

    def in_passing(self) -> None:
        """Compact a little, when ended processes have left many files; never an error."""
        try:
            host = self._files.this_process().host
            names = self._catalog.names()
            if weight(names, host) < _MANY:
                return
            folder = self._seen(names, 0.0)
            left = [name for name in names if digest(name) not in folder.replaced]
            now = self._files.now()
            old = any(now - s.changed > _GRACE_SECONDS for s in folder.segments.values())
            if weight(left, host) >= _MANY or (old and len(left) < len(names)):
                self._in_passing()
        except Exception as error:  # nothing that the caller could do, and nothing is lost
            _log.debug("the journal was not compacted in passing: %s", error)

    def _in_passing(self) -> None:
        with marker.held(self._files, self._folder) as now:
            if now is None:
                return
            folder = self._seen(self._catalog.names(), now)
            self._remove(folder)
            inputs = _Inputs()
            self._take_files(inputs, folder, Ended(self._files, folder.names, self._about, now),
                             most_bytes=_PASSING_BYTES, most_files=_PASSING_FILES)  # fmt: skip
            if len(inputs.sizes) >= _MANY // 4 or inputs.bytes >= _PASSING_BYTES // 4:
                self._take_segments(inputs, folder, most_bytes=_PASSING_BYTES)
                self._publish(inputs, folder)

    def compact(self, *, abandoned: bool = False) -> CompactReport:
        """Compact all that this machine may; see `Journal.compact`."""
        with marker.held(self._files, self._folder) as now:
            if now is None:
                raise BlockingIOError("another process compacts it just now")
            self._claims.sweep()
            folder = self._seen(self._catalog.names(), now)
            exclusive.sweep(self._files, self._folder, folder.names)
            removed = self._remove(folder)
            over = Ended(self._files, folder.names, self._about, now, abandoned=abandoned)
            inputs = _Inputs()
            self._take_files(inputs, folder, over)
            self._take_damaged(inputs, folder)
            left = [n for n in folder.names if n.endswith(writer.SUFFIX) and n not in inputs.sizes]
            left = [n for n in left if digest(n) not in folder.replaced]
            self._take_segments(inputs, folder)
            name = ""
            if len(inputs.sizes) > 1 or any(n.endswith(writer.SUFFIX) for n in inputs.sizes):
                name = self._publish(inputs, folder)
            waiting = [n for n in folder.names if digest(n) in folder.replaced or n in inputs.sizes]
            return CompactReport(
                files=len(inputs.sizes) if name else 0,
                events=len(inputs.items) if name else 0,
                removed=removed,
                waiting=len(waiting) if name else len(waiting) - len(inputs.sizes),
                left=len(left),
                segment=name,
            )

    def prune(self, before: float, *, dry_run: bool) -> Forgotten:
        """Forget; see `Journal.prune`."""
        with marker.held(self._files, self._folder) as now:
            if now is None:
                raise BlockingIOError("another process compacts it just now")
            folder = self._seen(self._catalog.names(), now)
            inputs = _Inputs()
            self._take_files(inputs, folder, Ended(self._files, folder.names, self._about, now))
            self._take_segments(inputs, folder, everywhere=True)
            outside = self._catalog.with_view(
                lambda view: [
                    event
                    for name, live in view.live.items()
                    if name not in inputs.sizes
                    for event in live.events
                ]
            )
            forgotten = forget(inputs.items, outside, before)
            if not forgotten.is_empty and not dry_run:
                self._publish(_Inputs(forgotten.kept, inputs.sizes), folder)
                for key in forgotten.keys:
                    with contextlib.suppress(OSError):  # the task is forgotten all the same
                        self._claims.remove(key, before)
            return forgotten

    # --- steps --------------------------------------------------------------------------------

    def _seen(self, names: list[str], now: float) -> _Folder:
        folder = _Folder(names, now, {}, {})
        for name in names:
            if name.endswith(segments.SUFFIX):
                with contextlib.suppress(FileNotFoundError):
                    if (segment := self._catalog.segment(name)) is not None:
                        folder.segments[name] = segment
        folder.replaced = segments.largest(s.replaced for s in folder.segments.values())
        return folder

    def _remove(self, folder: _Folder) -> int:
        """Remove files that have been in a segment for long enough; how many."""
        removed = 0
        for segment in folder.segments.values():
            if folder.now - segment.changed < _GRACE_SECONDS:
                continue
            listed = [name for name in folder.names if digest(name) in segment.replaced]
            with contextlib.suppress(FileNotFoundError):  # itself removed a moment ago
                if listed and segment.is_sound():
                    removed += sum(self._remove_one(name, segment.replaced) for name in listed)
        return removed

    def _remove_one(self, name: str, replaced: dict[int, int]) -> bool:
        with contextlib.suppress(FileNotFoundError), self._files.open(self._folder / name) as file:
            if file.about.size > replaced[digest(name)]:  # its writer was not dead after all
                return False
            self._files.unlink(self._folder / name)
            return True
        return False

    def _take_files(
        self,
        inputs: _Inputs,
        folder: _Folder,
        over: Ended,
        *,
        most_bytes: float = float("inf"),
        most_files: float = float("inf"),
    ) -> None:
        """Read files that nobody writes to any more and that are not in a segment."""
        for name in folder.names:
            if not name.endswith(writer.SUFFIX) or len(inputs.sizes) >= most_files:
                continue
            try:
                known = folder.replaced.get(digest(name))
                if known is not None and self._about(name).size <= known:
                    continue
                if name in over and inputs.bytes <= most_bytes:
                    self._take(inputs, name)
            except OSError as error:
                if error.errno not in GONE:
                    raise

    def _take(self, inputs: _Inputs, name: str) -> None:
        with self._files.open(self._folder / name) as source:
            size = source.about.size
            text = source.read(size, 0)
        items: list[Item] = []
        for number, line in enumerate(text.split(b"\n")[:-1], 1):
            event = parsed(line, name.removesuffix(writer.SUFFIX), number)
            if event is not None:
                items.append((numbered(line, event), event))
            elif version_of(line) > FORMAT_VERSION:
                return  # it is for the release that wrote it
        inputs.items += items
        inputs.sizes[name] = size

    def _take_damaged(self, inputs: _Inputs, folder: _Folder) -> None:
        """Read what is left of this machine's damaged segments."""
        for name in folder.names:
            is_damaged = name.endswith(segments.SUFFIX) and name not in folder.segments
            if is_damaged and self._is_own(name):
                with self._files.open(self._folder / name) as source:
                    size = source.about.size
                    inputs.items += segments.read(source.read(size, 0))
                inputs.sizes[name] = size

    def _take_segments(
        self,
        inputs: _Inputs,
        folder: _Folder,
        *,
        most_bytes: float = float("inf"),
        everywhere: bool = False,
    ) -> None:
        """Read segments: all, or with ``most_bytes`` those not much larger than the rest."""
        for segment in sorted(folder.current(), key=lambda s: s.size):
            own = everywhere or self._is_own(segment.name)
            if most_bytes < float("inf"):
                room = min(most_bytes - inputs.bytes, _TIER * inputs.bytes)
                own = own and segment.size <= room
            if own:
                inputs.items += segments.read(segment.data())
                inputs.sizes[segment.name] = segment.size

    def _is_own(self, name: str) -> bool:
        found = Writer.read(name.removesuffix(segments.SUFFIX))
        return found is not None and found.process.host == self._files.this_process().host

    def _publish(self, inputs: _Inputs, folder: _Folder) -> str:
        """Write a segment under a name that nobody looks at, then give it its own."""
        listed = {digest(name) for name in folder.names}
        merged = [folder.segments[name] for name in inputs.sizes if name in folder.segments]
        held = segments.largest(segment.replaced for segment in merged)
        replaced = {name: size for name, size in held.items() if name in listed}
        replaced |= {digest(name): size for name, size in inputs.sizes.items()}
        body = segments.image(grouped(inputs.items), replaced)
        made = str(Writer(process=self._files.this_process(), mark=self._files.random()))
        draft = self._folder / f"{made}{exclusive.DRAFT}"
        path = self._folder / f"{made}{segments.SUFFIX}"
        exclusive.write(self._files, draft, body, flush=True)
        try:
            self._files.rename(draft, path)
        except OSError:
            if not self._is_there(path):  # else only the answer was lost
                with contextlib.suppress(OSError):
                    self._files.unlink(draft)
                raise
        self._files.flush_folder(self._folder)
        return path.name

    def _is_there(self, path: Path) -> bool:
        with contextlib.suppress(OSError, DamagedError):
            return Segment.load(path, self._files).is_sound()
        return False

    def _about(self, name: str) -> About:
        return self._files.about(self._folder / name)
