"""Writes to SQLite from many threads, committed together."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from qrmi.errors import Owner, QrmiError, ResourceUnavailableError

__all__ = ["Committer"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], Any]
_MOST_TOGETHER = 256


class _Order:
    """One write, and the thread that waits for it."""

    __slots__ = ("answer", "error", "is_settled", "turn", "work")

    def __init__(self, work: _Work) -> None:
        self.work = work
        self.turn = threading.Lock()  # quicker than an event, and waited for once, too
        self.turn.acquire()
        self.is_settled = False
        self.answer: Any = None
        self.error: BaseException | None = None


class Committer:
    """Writes of many threads to one connection; those that come together are flushed together.

    No thread of its own: who finds nobody writing writes what everybody waits for, its own order
    first; of those who came meanwhile, the first writes for the others next.

    Args:
        connection: nobody else's from now on; it is closed by `close`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._rests = threading.Condition(self._lock)
        self._orders: list[_Order] = []
        self._is_writing = False
        self._is_closed = False

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Have ``work`` done in a transaction; return its answer once that is on disk.

        It may be done in another thread, and once more after it was undone with a transaction in
        which something else failed: it changes nothing but the file.

        Raises:
            ResourceUnavailableError: it could not be written, and nothing of it was.
        """
        order = _Order(work)
        with self._lock:
            if self._is_closed:
                raise _unwritable("it is closed")
            self._orders.append(order)
            is_first, self._is_writing = not self._is_writing, True
        if not is_first:
            order.turn.acquire()  # it is written, or the first of those that wait
        if not order.is_settled:
            self._write_waiting()
        if isinstance(order.error, sqlite3.Error):
            raise _unwritable(str(order.error)) from order.error
        if order.error is not None:
            raise order.error
        answer: _T = order.answer
        return answer

    def close(self) -> None:
        """Finish what was ordered, and close the connection."""
        with self._lock:
            self._is_closed = True
            while self._is_writing:
                self._rests.wait()
        self._connection.close()

    def _write_waiting(self) -> None:
        """Write what waits, and let the next one write what came meanwhile."""
        with self._lock:
            orders = self._orders[:_MOST_TOGETHER]
            del self._orders[:_MOST_TOGETHER]
        self._commit(orders)
        with self._lock:
            next_one = self._orders[0] if self._orders else None
            if next_one is None:
                self._is_writing = False
                self._rests.notify_all()
        if next_one is not None:
            next_one.turn.release()
        for order in orders:
            order.turn.release()

    def _commit(self, orders: list[_Order]) -> None:
        """All in one transaction; where one fails, each in its own: it leaves the others alone."""
        if not self._is_written(orders) and len(orders) > 1:
            for order in orders:
                self._is_written([order])
        for order in orders:
            order.is_settled = True

    def _is_written(self, orders: list[_Order]) -> bool:
        """Whether they were, or there is no use in writing each by itself."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for order in orders:
                    order.error = None
                    order.answer = order.work(self._connection)
            except Exception as error:
                self._connection.execute("ROLLBACK")
                orders[0].error = error
                return False
            self._connection.execute("COMMIT")
        except BaseException as error:
            _log.error("the state folder cannot be written to: %s", error)
            self._undo(orders, error)
        return True

    def _undo(self, orders: list[_Order], error: BaseException) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as second:
                _log.error("a write cannot be rolled back: %s", second)
        for order in orders:
            order.error = error


def _unwritable(why: str) -> QrmiError:
    return ResourceUnavailableError(
        f"qrmid cannot write to its state folder: {why}",
        owner=Owner.SITE,
        retryable=True,
        hint="the site has to look after the state folder of qrmid: space, permissions",
    )
