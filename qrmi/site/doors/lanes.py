"""Threads for calls that block, so many a resource and no more: a slow vendor holds up its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["Lanes"]

_T = TypeVar("_T")


class Lanes:
    """Runs blocking calls off the event loop; belongs to one loop.

    Args:
        name: of its threads.
        threads: how many calls run at once.
        of_one: how many of them may be for one resource: a vendor that does not answer holds so
            many threads and leaves the others free.
        begin: called in each thread first.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        of_one: int = 0,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name, initializer=begin)
        self._of_one = of_one or threads
        self._turns: dict[str, asyncio.Semaphore] = {}
        self.running = 0

    async def run(self, call: Callable[[], _T], names: Iterable[str] = ()) -> _T:
        """Run a call, once it is its turn at each of these resources."""
        held: list[asyncio.Semaphore] = []
        try:
            for name in sorted(set(names)):  # one order for all: nobody waits in a circle
                turn = self._turns.setdefault(name, asyncio.Semaphore(self._of_one))
                await turn.acquire()
                held.append(turn)
            self.running += 1
            try:
                return await asyncio.get_running_loop().run_in_executor(self._pool, call)
            finally:
                self.running -= 1
        finally:
            for turn in held:
                turn.release()

    def close(self) -> None:
        """Take no more calls; those that run go on in their threads."""
        self._pool.shutdown(wait=False, cancel_futures=True)
