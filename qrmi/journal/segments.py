"""Segments: the events of many ended writers in one file that is never changed, with an index.

A segment is text first: one JSON object a line, its writer and line number in ``w`` and ``n``,
the events of one task side by side. Tables for look-ups follow, and a footer that says where they
are; a segment that lost its end can still be read line by line.
"""

from __future__ import annotations

import contextlib
import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import attrs

from qrmi.journal.events import Fields, parsed
from qrmi.journal.files import Files, Source

__all__ = [
    "MET",
    "STARTED",
    "SUFFIX",
    "TIED",
    "DamagedError",
    "Group",
    "Row",
    "Segment",
    "digest",
    "image",
    "largest",
    "opened",
    "read",
]

SUFFIX = ".segment"
_FORMAT = 1
_MAGIC: Final = b"qrmiseg1"
_TRAILER = struct.Struct("<II8s")  # length and CRC-32 of the footer
_ROW = struct.Struct("<QQQdII")  # see `Row`
_ENTRY = struct.Struct("<QQI")  # a name's digest, and its group's place
_REPLACED = struct.Struct("<QQ")  # a file name's digest, and the file's size
_FAN = 1024  # buckets of the index, by the first bits of the digest
_FAN_BITS = 54
_TAIL = 16384  # bytes that are read first: trailer, footer and fan-out

STARTED, MET, TIED = 1, 2, 3
"""Kinds of rows: a start of ours; a task that ended, and that somebody else may have started; a
key and a task that belong together, where the start itself is elsewhere."""


class DamagedError(ValueError):
    """A segment's footer or tables cannot be read."""


def largest(tables: Iterable[Mapping[int, int]]) -> dict[int, int]:
    """Tables of replaced files as one; of two sizes the larger one, for a file that grew."""
    joined: dict[int, int] = {}
    for table in tables:
        for name, size in table.items():
            joined[name] = max(size, joined.get(name, 0))
    return joined


def digest(name: str) -> int:
    """A name (see `qrmi.journal.events.names_of`) in 64 bits."""
    return int.from_bytes(
        blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little"
    )


@attrs.frozen(kw_only=True)
class Group:
    """Events that belong together, as they go into a segment.

    Attributes:
        lines: JSON objects, without a newline.
        names: by what they are found.
        rows: the starts and tasks among them: kind, time, key's and task's digest (0: none).
        is_lease: a session was acquired, and not released, in them.
        failed_at: when the last ``failed`` among them was written; 0 when none.
    """

    lines: list[bytes]
    names: set[str]
    rows: list[tuple[int, float, int, int]] = attrs.field(factory=list)
    is_lease: bool = False
    failed_at: float = 0.0


@attrs.frozen
class Row:
    """A start or a task in a segment: where its group is, and what lists need to know."""

    offset: int
    length: int
    kind: int
    at: float
    key: int
    task: int


def image(groups: Iterable[Group], replaced: Mapping[int, int]) -> bytes:
    """The bytes of a segment.

    Args:
        groups: what it holds.
        replaced: the files that are in it, by the digests of their names, with their sizes.
    """
    parts = [f'{{"segment":{_FORMAT}}}\n'.encode()]
    place = len(parts[0])
    rows: list[tuple[int, float, int, int, int, int]] = []
    entries: list[tuple[int, int, int]] = []
    leases, failure, events = [], (0.0, 0, 0), 0
    for group in groups:
        text = b"\n".join(group.lines) + b"\n"
        where = (place, len(text))
        rows += [(kind, at, key, task, *where) for kind, at, key, task in group.rows]
        entries += [(digest(name), *where) for name in group.names]
        if group.is_lease:
            leases.append(where)
        failure = max(failure, (group.failed_at, *where))
        events += len(group.lines)
        parts.append(text)
        place += len(text)
    rows.sort(key=lambda row: row[1])
    entries.sort()
    tables, footer = _tables(rows, entries, sorted(replaced.items()), place)
    footer |= {"format": _FORMAT, "data": place, "events": events, "leases": leases}
    footer["failure"] = failure
    footer["check"] = zlib.crc32(b"".join([*parts, tables]))
    end = json.dumps(footer, separators=(",", ":")).encode()
    return b"".join([*parts, tables, end, _TRAILER.pack(len(end), zlib.crc32(end), _MAGIC)])


def _tables(
    rows: list[tuple[int, float, int, int, int, int]],
    entries: list[tuple[int, int, int]],
    replaced: list[tuple[int, int]],
    place: int,
) -> tuple[bytes, dict[str, Any]]:
    fan, counted = [], 0
    for bucket in range(_FAN):
        while counted < len(entries) and entries[counted][0] >> _FAN_BITS <= bucket:
            counted += 1
        fan.append(counted)
    listed = b"".join(
        _ROW.pack(offset, key, task, at, length, kind)
        for kind, at, key, task, offset, length in rows
    )
    index = b"".join(_ENTRY.pack(*entry) for entry in entries)
    inputs = b"".join(_REPLACED.pack(*pair) for pair in replaced)
    places = {
        "rows": [place, len(rows)],
        "index": [place + len(listed), len(entries)],
        "replaced": [place + len(listed) + len(index), len(replaced)],
    }
    return b"".join([listed, index, inputs, struct.pack(f"<{_FAN}I", *fan)]), places


@contextlib.contextmanager
def opened(files: Files, path: Path) -> Iterator[Source]:
    """A file for reading; what goes wrong with it is an `OSError` that names it."""
    try:
        with files.open(path) as source:
            yield source
    except OSError as error:
        error.filename = str(path)
        raise


class Segment:
    """One segment, whose footer has been read. What it says never changes."""

    def __init__(self, path: Path, files: Files, footer: dict[str, Any], fan: bytes) -> None:
        self._path = path
        self._files = files
        self._fan = struct.unpack(f"<{_FAN}I", fan)
        self._data = int(footer["data"])
        self._rows, self.tasks = map(int, footer["rows"])
        self._index = int(footer["index"][0])
        self._leases = [(int(a), int(b)) for a, b in footer["leases"]]
        self._failure = footer["failure"]
        self._check = footer["check"]
        self.events = int(footer["events"])
        self._inputs = [int(number) for number in footer["replaced"]]
        self.replaced: dict[int, int] = {}
        self.size = 0
        self.changed = 0.0

    @staticmethod
    def load(path: Path, files: Files) -> Segment:
        """Read a segment's footer.

        Raises:
            DamagedError: it has none that can be read.
            OSError: the file cannot be read.
        """
        with opened(files, path) as source:
            about = source.about
            tail = source.read(_TAIL, max(about.size - _TAIL, 0))
            try:
                length, check, magic = _TRAILER.unpack(tail[-_TRAILER.size :])
                wanted = length + _TRAILER.size + 4 * _FAN
                if magic != _MAGIC or wanted > about.size:
                    raise DamagedError(f"{path.name} has no end")
                if wanted > len(tail):
                    tail = source.read(wanted, about.size - wanted)
                end = tail[-length - _TRAILER.size : -_TRAILER.size]
                if zlib.crc32(end) != check:
                    raise DamagedError(f"the footer of {path.name} is damaged")
                fan = tail[-wanted : -length - _TRAILER.size]
                made = Segment(path, files, json.loads(end), fan)
                made._read_replaced(source)
            except (struct.error, ValueError, KeyError, TypeError) as error:
                raise DamagedError(f"{path.name} cannot be read: {error}") from error
        made.size, made.changed = about.size, about.changed
        return made

    def _read_replaced(self, source: Source) -> None:
        place, count = self._inputs
        block = source.read(_REPLACED.size * count, place)
        self.replaced = dict(_REPLACED.iter_unpack(block))

    @property
    def name(self) -> str:
        """The file's name."""
        return self._path.name

    def find(self, names: Iterable[str]) -> Iterator[Fields]:
        """The events of all groups that have one of the names; maybe more."""
        with opened(self._files, self._path) as source:
            places = {place for name in names for place in self._places(source, name)}
            for offset, length in sorted(places):
                yield from _events(source.read(length, offset))

    def _places(self, source: Source, name: str) -> Iterator[tuple[int, int]]:
        wanted = digest(name)
        bucket = wanted >> _FAN_BITS
        first = self._fan[bucket - 1] if bucket else 0
        size = _ENTRY.size * (self._fan[bucket] - first)
        block = source.read(size, self._index + _ENTRY.size * first)
        for found, offset, length in _ENTRY.iter_unpack(block[: len(block) // 20 * 20]):
            if found == wanted:
                yield offset, length

    def rows(self, newest: int | None = None) -> list[Row]:
        """The starts and tasks, newest first; all of them or the newest few."""
        count = self.tasks if newest is None else min(newest, self.tasks)
        with opened(self._files, self._path) as source:
            start = self._rows + _ROW.size * (self.tasks - count)
            block = source.read(_ROW.size * count, start)
        made = [
            Row(offset, length, kind, at, key, task)
            for offset, key, task, at, length, kind in _ROW.iter_unpack(block)
        ]
        return made[::-1]

    def digests(self) -> Iterator[tuple[int, int, int]]:
        """Kind, and digests of key and task, of all starts and tasks."""
        with opened(self._files, self._path) as source:
            block = source.read(_ROW.size * self.tasks, self._rows)
        return ((kind, key, task) for _, key, task, _, _, kind in _ROW.iter_unpack(block))

    def group(self, row: Row) -> list[Fields]:
        """The events around one start or task."""
        return self._read([(row.offset, row.length)])

    def leases(self) -> list[Fields]:
        """Events around sessions that were not released in this segment."""
        return self._read(self._leases)

    def last_failure(self) -> list[Fields]:
        """Events around the newest failure."""
        at, offset, length = self._failure
        return self._read([(offset, length)]) if at else []

    def _read(self, places: list[tuple[int, int]]) -> list[Fields]:
        if not places:
            return []
        with opened(self._files, self._path) as source:
            return [e for offset, size in places for e in _events(source.read(size, offset))]

    def data(self) -> bytes:
        """All lines."""
        with opened(self._files, self._path) as source:
            return source.read(self._data, 0)

    def is_sound(self) -> bool:
        """Whether all of it is as it was written."""
        with opened(self._files, self._path) as source:
            size = self._inputs[0] + _REPLACED.size * self._inputs[1] + 4 * _FAN
            return bool(zlib.crc32(source.read(size, 0)) == self._check)


def read(text: bytes) -> Iterator[tuple[bytes, Fields]]:
    """Lines and events of a segment's text, or of what is left of a damaged one."""
    for line in text.split(b"\n")[:-1]:
        if line[:5] == b'{"w":' and (event := parsed(line)) is not None:
            yield line, event


def _events(text: bytes) -> Iterator[Fields]:
    return (event for _, event in read(text))
