"""Requests that wait for a resource: asked again when something was given back, no thread each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from qrmi.site.terms import Answer, Outcome

__all__ = ["Waiters"]

_SHORTEST, _LONGEST = 0.05, 2.0


class Waiters:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self._closed = False
        self._waiting = 0

    @property
    def anybody(self) -> bool:
        """Whether there is a request that may have to wait; any thread may ask."""
        return self._waiting > 0

    def changed(self) -> None:
        """Something was given back, or is there again: everybody asks once more, at once."""
        self._changed.set()
        self._changed = asyncio.Event()

    def close(self) -> None:
        """Nobody waits any longer: each gets the answer that it has."""
        self._closed = True
        self.changed()

    async def until_settled(
        self, ask: Callable[[], Awaitable[Answer]], seconds: float, is_gone: Callable[[], bool]
    ) -> Answer:
        """Ask until the answer is not "later", the time is over, or the one who waits is gone."""
        if seconds <= 0:
            return await ask()
        self._waiting += 1  # before it asks: what changes then may concern it
        try:
            return await self._asked_again(ask, seconds, is_gone)
        finally:
            self._waiting -= 1

    async def _asked_again(
        self, ask: Callable[[], Awaitable[Answer]], seconds: float, is_gone: Callable[[], bool]
    ) -> Answer:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause = _SHORTEST
        while True:
            changed = self._changed
            answer = await ask()
            left = end - loop.time()
            if answer.outcome is not Outcome.LATER or left <= 0 or self._closed or is_gone():
                return answer
            pause = await _pause(changed, min(pause, left))


async def _pause(changed: asyncio.Event, seconds: float) -> float:
    """Wait for a change, or that long; what comes next time."""
    try:
        await asyncio.wait_for(changed.wait(), seconds)
    except TimeoutError:
        return min(seconds * 1.6, _LONGEST)
    return _SHORTEST
