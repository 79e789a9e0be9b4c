"""Reading what is sent, without letting anybody take all of the daemon's memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from aiohttp import StreamReader

from qrmi.errors import InvalidInputError, ResourceUnavailableError

__all__ = ["Bodies"]

_SECONDS = 120.0
_SMALL = 1024 * 1024  # not counted: such a request is read whatever others do
_OF_ONE_USER = 192 * 1024 * 1024
_OF_ALL = 768 * 1024 * 1024


class Bodies:
    """Counts what is held of long bodies, for each user. Belongs to one event loop."""

    def __init__(self) -> None:
        self._held: Counter[int] = Counter()

    @contextlib.asynccontextmanager
    async def read(self, stream: StreamReader, *, uid: int, largest: int) -> AsyncIterator[bytes]:
        """A whole body, which counts until the block ends.

        Args:
            stream: where it comes from.
            uid: who sends it.
            largest: in bytes.

        Raises:
            InvalidInputError: it is too long, or does not come.
            ResourceUnavailableError: so much is held already, of this user or of all.
        """
        if stream.is_eof() and stream.total_bytes <= min(largest, _SMALL):
            yield stream.read_nowait()  # as a rule it comes with the head
            return
        parts: list[bytes] = []
        counted = 0
        try:
            async with asyncio.timeout(_SECONDS):
                async for part in stream.iter_any():
                    counted += len(part)
                    self._take(uid, counted, len(part), largest)
                    parts.append(part)
        except TimeoutError as error:
            self._held[uid] -= counted
            raise InvalidInputError(f"no whole body within {_SECONDS:g} seconds") from error
        except BaseException:
            self._held[uid] -= counted
            raise
        try:
            yield b"".join(parts)
        finally:
            self._held[uid] -= counted
            if not self._held[uid]:
                del self._held[uid]

    def _take(self, uid: int, length: int, more: int, largest: int) -> None:
        """Count a part that has come."""
        self._held[uid] += more
        if length > largest:
            raise InvalidInputError(f"the request's body is longer than {largest} bytes")
        is_much = self._held[uid] > _OF_ONE_USER or self._held.total() > _OF_ALL
        if is_much and length > _SMALL:
            raise ResourceUnavailableError(
                "qrmid is reading as much as it can hold", hint="send it again in a while"
            )
