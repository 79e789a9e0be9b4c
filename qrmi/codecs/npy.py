"""Arrays as text: base64 of zlib of an ``.npy`` file, as in the JSON of the IBM services."""

from __future__ import annotations

import binascii
import io
import math
import struct
import zlib
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["deflate", "read", "write"]

_CHUNK = 1 << 14
_SMALL = 1 << 12
_PREFACE = struct.Struct("<8sH")  # magic and version; the length of the header that follows
_VERSION_1 = b"\x93NUMPY\x01\x00"


def deflate(data: Any, compression: int = zlib.Z_DEFAULT_COMPRESSION) -> str:
    """Base64 of zlib of some bytes."""
    return binascii.b2a_base64(zlib.compress(data, compression), newline=False).decode("ascii")


def write(array: NDArray[Any], *, compression: int = zlib.Z_DEFAULT_COMPRESSION) -> str:
    """Write an array that holds no Python objects."""
    if array.nbytes <= _SMALL and array.dtype.names is None and not array.dtype.hasobject:
        order: Literal["C", "F"] = "F" if array.flags.fnc else "C"
        data = _header(array.dtype.str, array.shape, order) + array.tobytes(order)
        return deflate(data, compression)
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return deflate(buffer.getbuffer(), compression)


def read(compressed: bytes) -> NDArray[Any]:
    """Read an array, piece by piece, from the zlib bytes of an ``.npy`` file.

    Needs no memory beyond the array's own. Pickled objects are refused.

    Raises:
        ValueError: it is cut off or no such array; `zlib.error`, `TypeError` and others occur too.
    """
    if len(compressed) <= _SMALL:
        return _read_small(zlib.decompress(compressed))
    array: NDArray[Any] = np.lib.format.read_array(_Inflated(compressed), allow_pickle=False)
    return array


def _read_small(data: bytes) -> NDArray[Any]:
    """Read an ``.npy`` file, whose header is most of the work: many arrays have the same one."""
    magic, length = _PREFACE.unpack_from(data)
    start = _PREFACE.size + length
    if magic != _VERSION_1 or start > len(data):
        return np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    shape, is_fortran, dtype = _parsed(data[len(magic) : start])
    if dtype.hasobject:
        raise ValueError("an array of Python objects is refused")
    count = math.prod(shape)
    flat = np.frombuffer(data, dtype, count, start).copy()
    return flat.reshape(shape, order="F" if is_fortran else "C")


@lru_cache(maxsize=64)
def _parsed(header: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    shape, is_fortran, dtype = np.lib.format.read_array_header_1_0(io.BytesIO(header))
    return shape, is_fortran, dtype


@lru_cache(maxsize=64)
def _header(dtype: str, shape: tuple[int, ...], order: Literal["C", "F"]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.zeros(shape, dtype, order), allow_pickle=False)
    data = buffer.getvalue()
    return data[: len(data) - np.dtype(dtype).itemsize * math.prod(shape)]


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
