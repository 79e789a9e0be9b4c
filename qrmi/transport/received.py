"""What libcurl hands over of an answer: lines of its head, and a body that may be large."""

from __future__ import annotations

import contextlib
import io
import mmap
from collections.abc import Iterable

__all__ = ["HeaderLines", "LargeBody"]

_FEW_BYTES = 2 * 1024 * 1024
_MOST_FORESEEN_BYTES = 256 * 1024 * 1024


class HeaderLines(list[bytes]):
    """Headers of an answer, looked through when one is asked for."""

    __slots__ = ()

    def get(self, name: str) -> str | None:
        """The last value of a header by its name, in lower case."""
        wanted = name.encode() + b":"
        for line in reversed(self):
            if line[: len(wanted)].lower() == wanted:
                return line[len(wanted) :].strip().decode("latin-1")
        return None


class LargeBody:
    """Takes one body after the other, each piece by piece.

    A large one lies in huge pages where the kernel has them: to be given 50 MB in pages of 4 kB
    takes as long as to receive them.

    Args:
        lines: where the lines of the answer's head are by the time its body comes.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self._few = io.BytesIO()
        self._many: mmap.mmap | None = None
        self._end = 0

    def write(self, piece: bytes) -> None:
        """Append a piece."""
        begin, self._end = self._end, self._end + len(piece)
        if self._end <= _FEW_BYTES:
            self._few.write(piece)
        else:
            self._room(begin)[begin : self._end] = piece

    def content(self) -> bytes | memoryview:
        """What has come; it is given away, and another body may come."""
        few, many, end = self._few, self._many, self._end
        self._few, self._many, self._end = io.BytesIO(), None, 0
        return few.getvalue() if many is None else memoryview(many)[:end]

    def _room(self, begin: int) -> mmap.mmap:
        """Memory for all that has come."""
        held = self._many
        if held is not None and self._end <= len(held):
            return held
        foreseen = self._foreseen() if held is None else 0
        self._many = _mapped(max(foreseen, self._end if foreseen else 2 * self._end))
        self._many[:begin] = self._few.getvalue() if held is None else held[:begin]
        self._few = io.BytesIO()
        return self._many

    def _foreseen(self) -> int:
        """How many bytes will come, as the head has it; zero when nobody knows."""
        length = HeaderLines(self._lines).get("content-length") or ""
        return min(int(length), _MOST_FORESEEN_BYTES) if length.isdecimal() else 0


def _mapped(size: int) -> mmap.mmap:
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError, AttributeError):  # a kernel or a system that has none
        made.madvise(mmap.MADV_HUGEPAGE)
    return made
