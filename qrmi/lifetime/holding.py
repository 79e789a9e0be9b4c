"""The verbs of a handle by which sessions are held and let go of, and tasks stopped in time."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self

from qrmi.bookkeeping import TaskBook, reported
from qrmi.driver import Driver
from qrmi.lifetime.leases import Leases, LeaseToken, not_masking
from qrmi.lifetime.stopping import Stopping

__all__ = ["Holder"]


class Holder:
    """The part of `qrmi.QuantumResource` that ends things: on every way out, its own alone."""

    __slots__ = ()

    _driver: Driver
    _book: TaskBook
    _leases: Leases

    @reported
    def acquire(self, *, keep: bool = False) -> LeaseToken:
        """Begin a session, or be given the prolog's; its token, random where there are none.

        A session that was begun here is released by `release`, at the end of the ``with`` block
        of the handle, and when the process ends. A prolog's is left to the epilog.

        Args:
            keep: it outlives the process, and only `release` with its token ends it: for programs
                that acquire for others.
        """
        return self._leases.acquire(keep=keep)

    @reported
    def release(self, id: str) -> None:  # noqa: A002 (upstream's name)
        """End the session whose token ``id`` is; ending one that has ended is no error."""
        self._leases.release(id)

    def acquired(self) -> contextlib.AbstractContextManager[LeaseToken]:
        """Hold a session for the length of a ``with`` block; ended, if ours, on every way out."""
        return self._leases.acquired()

    def stopping(self) -> Stopping:
        """Stop what is started in a ``with`` block when it is left by an error or a signal.

        The tasks which were started through this handle while the block ran, and which have not
        ended, are stopped when it is left by an exception, Ctrl-C, SIGTERM or SIGHUP. Left in the
        usual way, they go on. What could not be stopped is logged and noted with the exception.
        """
        return Stopping(self._driver, self._book)

    def close(self) -> None:
        """Release what was acquired through this handle and let go of connections."""
        try:
            self._leases.release_own()
        finally:
            self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with not_masking(error):
            self.close()
