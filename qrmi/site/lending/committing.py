"""Writes to SQLite from many threads, committed together by one."""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from qrmi.errors import Owner, QrmiError, ResourceUnavailableError

__all__ = ["Committer"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Work = Callable[[sqlite3.Connection], Any]
_MOST_TOGETHER = 256


class _Order:
    """One write, and the thread that waits for it."""

    __slots__ = ("answer", "done", "error", "work")

    def __init__(self, work: _Work) -> None:
        self.work = work
        self.done = threading.Lock()  # quicker than an event, which is waited for once, too
        self.done.acquire()
        self.answer: Any = None
        self.error: BaseException | None = None


class Committer:
    """One thread that writes; what came while it was busy is flushed to the disk together.

    Args:
        connection: used by that thread alone from now on; it is closed with it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._orders: SimpleQueue[_Order | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="qrmid-store", daemon=True)
        self._thread.start()

    def write(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Have ``work`` done in a transaction; return its answer once that is on disk.

        Raises:
            ResourceUnavailableError: it could not be written, and nothing of it was.
        """
        order = _Order(work)
        with self._lock:
            if self._is_closed:
                raise _unwritable("it is closed")
            self._orders.put(order)
        order.done.acquire()
        if isinstance(order.error, sqlite3.Error):
            raise _unwritable(str(order.error)) from order.error
        if order.error is not None:
            raise order.error
        answer: _T = order.answer
        return answer

    def close(self) -> None:
        """Finish what was ordered, and close the connection."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self._orders.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (order := self._orders.get()) is not None:
            orders, is_last = self._waiting(order)
            self._commit(orders)
            if is_last:
                break
        self._connection.close()

    def _waiting(self, first: _Order) -> tuple[list[_Order], bool]:
        orders = [first]
        while len(orders) < _MOST_TOGETHER:
            try:
                order = self._orders.get_nowait()
            except Empty:
                break
            if order is None:
                return orders, True
            orders.append(order)
        return orders, False

    def _commit(self, orders: list[_Order]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for order in orders:
                self._do(order)
            self._connection.execute("COMMIT")
        except BaseException as error:
            _log.error("the leases cannot be written: %s", error)
            self._undo(orders, error)
        for order in orders:
            order.done.release()

    def _do(self, order: _Order) -> None:
        """A write that fails leaves the others of its transaction alone."""
        self._connection.execute("SAVEPOINT one")
        try:
            order.answer = order.work(self._connection)
        except Exception as error:
            order.error = error
            self._connection.execute("ROLLBACK TO one")
        self._connection.execute("RELEASE one")

    def _undo(self, orders: list[_Order], error: BaseException) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as second:
                _log.error("the leases cannot be rolled back: %s", second)
        for order in orders:
            order.error = order.error or error


def _unwritable(why: str) -> QrmiError:
    return ResourceUnavailableError(
        f"the site cannot write down its leases: {why}",
        owner=Owner.SITE,
        retryable=True,
        hint="the site has to look after the state folder of qrmid: space, permissions",
    )
