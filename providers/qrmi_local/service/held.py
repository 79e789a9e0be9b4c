"""An answer that waits for the end of a task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Held"]


class Held:
    """An answer that is held back until it is due, the time is over, or nobody waits any more.

    Args:
        seconds: how long to hold it at the most.
        answer: gives the answer.
        on_close: called once, before the answer is given or when it is dropped.
    """

    def __init__(
        self, seconds: float, answer: Callable[[], None], on_close: Callable[[], None]
    ) -> None:
        self.is_open = True
        self._answer = answer
        self._on_close = on_close
        self._timer = asyncio.get_running_loop().call_later(seconds, self.finish)

    def finish(self) -> None:
        """Give the answer now, unless it has been given or dropped."""
        if self.is_open:
            self.drop()
            self._answer()

    def drop(self) -> None:
        """Give no answer any more."""
        if self.is_open:
            self.is_open = False
            self._timer.cancel()
            self._on_close()
