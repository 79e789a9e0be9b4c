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
