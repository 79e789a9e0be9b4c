"""Values of the driver interface as bytes: what travels between a job and the daemon.

The first line is JSON, ``{"value": …, "texts": [LENGTH, …]}``; `qrmi.interchange.values` says how a
value is written in it. Long texts (programs and results) follow it, each as it is, in UTF-8: they
are neither escaped nor joined, so that a large result is held as few times as can be.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from qrmi.errors import Owner, UnexpectedAnswerError
from qrmi.interchange.values import Decoder, Encoder

__all__ = ["CONTENT_TYPE", "Packed", "unpacked", "unpacked_from"]

CONTENT_TYPE = "application/x-qrmi"
"""The media type of such a body."""

_PIECE = 256 * 1024
_LONGEST_LINE = 64 * 1024 * 1024
_UTF8 = ("utf-8", "surrogatepass")  # half a surrogate pair is a character like any other


class Packed:
    """A value as pieces of bytes; may be gone through more than once.

    Args:
        value: of the driver interface.

    Raises:
        TypeError: it is none of these.
    """

    def __init__(self, value: Any) -> None:
        encoder = Encoder(by_digest=False)
        head: dict[str, Any] = {"value": encoder.encode(value)}
        self._texts = list(encoder.texts.values())
        sizes = [_size(text) for text in self._texts]
        head["texts"] = sizes
        self._line = json.dumps(head, separators=(",", ":")).encode("ascii") + b"\n"
        self.length = len(self._line) + sum(sizes)

    def __repr__(self) -> str:
        return f"<Packed: {self.length} bytes>"

    def __iter__(self) -> Iterator[bytes]:
        yield self._line
        for text in self._texts:
            yield from _pieces(text)


def _pieces(text: str) -> Iterator[bytes]:
    for begin in range(0, len(text), _PIECE):
        yield text[begin : begin + _PIECE].encode(*_UTF8)


def _size(text: str) -> int:
    return len(text) if text.isascii() else sum(map(len, _pieces(text)))


def unpacked(body: bytes) -> Any:
    """The value of a whole body.

    Raises:
        ValueError: it is malformed.
    """
    end = body.find(b"\n") + 1
    if not end:
        raise ValueError("its first line does not end")
    view, texts = memoryview(body), {}
    head, sizes = _head(body[:end])
    for number, size in enumerate(sizes):
        if end + size > len(body):
            raise ValueError("it ends too early")
        texts[str(number)] = str(view[end : end + size], *_UTF8)
        end += size
    if end != len(body):
        raise ValueError("it is longer than it says")
    return Decoder(texts).decode(head)


def unpacked_from(stream: BinaryIO) -> Any:
    """The value of a body that is still being read; of each text there are two copies at most.

    Raises:
        UnexpectedAnswerError: it is malformed.
        OSError: it cannot be read.
    """
    try:
        line = stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ConnectionError("it ended in the middle of an answer")
        head, sizes = _head(line)
        texts = {str(number): _text(stream, size) for number, size in enumerate(sizes)}
        return Decoder(texts).decode(head)
    except ValueError as error:
        raise UnexpectedAnswerError(
            f"the site's daemon answered something odd: {error}", owner=Owner.SITE
        ) from None


def _text(stream: BinaryIO, size: int) -> str:
    data = bytearray(size)
    view, filled = memoryview(data), 0
    read_into = getattr(stream, "readinto", None) or functools.partial(_read_into, stream)
    while filled < size:
        count = read_into(view[filled:])
        if not count:
            raise ConnectionError("it ended in the middle of an answer")
        filled += count
    view.release()
    return str(data, *_UTF8)


def _read_into(stream: BinaryIO, view: memoryview) -> int:
    data = stream.read(min(len(view), _PIECE))
    view[: len(data)] = data
    return len(data)


def _head(line: bytes) -> tuple[Any, list[int]]:
    try:
        head = json.loads(line)
        value, sizes = head["value"], head["texts"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"its first line is malformed: {type(error).__name__}") from None
    if not isinstance(sizes, list) or not all(type(size) is int and size >= 0 for size in sizes):
        raise ValueError("the lengths of its texts are malformed")
    return value, sizes
