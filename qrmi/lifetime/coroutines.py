"""Blocking calls under coroutines: worker threads whose outcome no cancellation loses."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from qrmi.lifetime import signals, underway
from qrmi.waiting import Deadline, SystemClock

__all__ = ["StoppableClock", "Unheard", "to_its_end", "watched"]

_V = TypeVar("_V")


@contextlib.contextmanager
def watched() -> Iterator[None]:
    """Have the event loop's thread install and take back signal handlers: workers cannot."""
    watch = _Watch()
    signals.guard(watch)
    try:
        yield
    finally:
        signals.release(watch)


class _Watch:
    """A duty with nothing to do, while others may be taken on in worker threads."""

    rank = 2

    def at_end(self, deadline: Deadline) -> None:
        """Nothing."""

    def at_signal(self, deadline: Deadline) -> None:
        """Nothing."""


async def to_its_end(call: Callable[[], None]) -> None:
    """Do something in a worker thread, and wait for its end even when cancelled meanwhile."""
    work = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


class _WaitingStoppedError(Exception):
    """Nobody awaits the answer any more."""


class StoppableClock(SystemClock):
    """A clock that ends the waiting of a worker thread whose coroutine was cancelled."""

    def __init__(self) -> None:
        self.stopped = threading.Event()

    def monotonic(self) -> float:
        """The time; raises when the waiting is over."""
        if self.stopped.is_set():
            raise _WaitingStoppedError
        return super().monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time pass, or less of it when the waiting is over."""
        self.stopped.wait(seconds)


class Unheard:
    """A call in a worker thread, whose outcome is not lost when its coroutine is cancelled.

    Args:
        call: what to do there.
        unheard: called with what it gave, in the worker thread or in the one that cancelled, when
            nobody waits for it any more.
    """

    def __init__(self, call: Callable[[], _V], unheard: Callable[[_V], None]) -> None:
        self._call: Callable[[], Any] = call
        self._unheard: Callable[[Any], None] = unheard
        self._lock = threading.Lock()
        self._given: list[Any] = []
        self._is_cancelled = False

    async def outcome(self) -> Any:
        """What the call gives."""
        context = contextvars.copy_context()
        context.run(underway.exact.set, True)
        work = functools.partial(context.run, self._run)
        try:
            return await asyncio.get_running_loop().run_in_executor(None, work)
        except asyncio.CancelledError:
            with self._lock:
                self._is_cancelled = True
            if self._given:
                self._unheard(self._given[0])
            raise

    def _run(self) -> Any:
        given = self._call()
        with self._lock:
            is_cancelled = self._is_cancelled
            if not is_cancelled:
                self._given.append(given)
        if is_cancelled:
            self._unheard(given)
        return given
