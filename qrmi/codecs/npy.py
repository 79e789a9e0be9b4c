"""Arrays as text: base64 of zlib of an ``.npy`` file, as in the JSON of the IBM services."""

from __future__ import annotations

import binascii
import io
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["deflate", "read", "write"]

_CHUNK = 1 << 14


def deflate(data: Any, compression: int = zlib.Z_DEFAULT_COMPRESSION) -> str:
    """Base64 of zlib of some bytes."""
    return binascii.b2a_base64(zlib.compress(data, compression), newline=False).decode("ascii")


def write(array: NDArray[Any], *, compression: int = zlib.Z_DEFAULT_COMPRESSION) -> str:
    """Write an array that holds no Python objects."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return deflate(buffer.getbuffer(), compression)


def read(compressed: bytes) -> NDArray[Any]:
    """Read an array, piece by piece, from the zlib bytes of an ``.npy`` file.

    Needs no memory beyond the array's own. Pickled objects are refused.

    Raises:
        ValueError: it is cut off or no such array; `zlib.error`, `TypeError` and others occur too.
    """
    array: NDArray[Any] = np.lib.format.read_array(_Inflated(compressed), allow_pickle=False)
    return array


class _Inflated(io.RawIOBase):
    """The decompressed bytes of a zlib text, produced as they are read."""

    def __init__(self, compressed: bytes) -> None:
        self._source = memoryview(compressed)
        self._inflate = zlib.decompressobj()
        self._pending = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer).cast("B")
        data = b""
        while not data and (self._pending or self._source):
            if not self._pending:
                self._pending = self._source[:_CHUNK].tobytes()
                self._source = self._source[_CHUNK:]
            data = self._inflate.decompress(self._pending, len(view))
            self._pending = self._inflate.unconsumed_tail
        view[: len(data)] = data
        return len(data)
