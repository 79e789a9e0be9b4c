"""Asking a service for a session, so that one whose name nobody hears is not left behind."""

from __future__ import annotations

import contextlib
import contextvars
import logging
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue

from qrmi.driver import Driver
from qrmi.errors import AnswerLostError
from qrmi.lifetime import ending, signals
from qrmi.waiting import Deadline

__all__ = ["Request"]

_log = logging.getLogger(__name__)
_Call = tuple[contextvars.Context, Callable[[], None]]
_parked: list[SimpleQueue[_Call]] = []
_LOST = "a session may have been opened; it ends by itself when its longest life is over"


class Request:
    """Asks for a session; one that nobody waits for any more is given back when it comes.

    In the main thread, where signals interrupt, the request has a thread of its own. So Ctrl-C
    and SIGTERM leave no session behind whose name nobody knows.
    """

    rank = 1

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._done = threading.Event()  # the answer is there
        self._over = threading.Event()  # and was given back, if it had to be
        self._lock = threading.Lock()
        self._is_given_up = False
        self._text = ""
        self._error: BaseException | None = None

    def answer(self) -> str:
        """The session's name; the request stays a duty until the caller takes the session over."""
        signals.guard(self)
        if threading.current_thread() is not threading.main_thread():
            self._ask()
        else:
            _elsewhere(contextvars.copy_context(), self._ask)
            self._done.wait()
        if self._error is not None:
            raise self._error
        return self._text

    def _ask(self) -> None:
        try:
            self._text = _asked(self._driver)
        except BaseException as error:
            self._error = error
        with self._lock:
            is_given_up = self._is_given_up
            self._done.set()
        if is_given_up:
            self._give_back(self._driver)
        self._over.set()

    def give_up(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._is_given_up = True
            has_come = self._done.is_set()
        if has_come:
            self._give_back(self._driver)
        else:
            _log.warning(
                "%s: a session was asked for; it is given back when it comes",
                self._driver.resource_id,
            )

    def _give_back(self, driver: Driver) -> None:
        about = driver.resource_id
        try:
            if self._text and not driver.is_borrowed(self._text):
                driver.release(self._text)
        except Exception as error:
            _log.warning("%s: a session could not be given back: %s; %s", about, error, _LOST)
        signals.release(self)

    def at_end(self, deadline: Deadline) -> None:
        """The interpreter ends: let the answer come and be given back."""
        self._over.wait(deadline.shorten(ending.LIMIT_SECONDS))

    def at_signal(self, deadline: Deadline) -> None:
        """A signal ends the process."""
        if self._done.wait(deadline.shorten(ending.LIMIT_SECONDS)) and self._text:
            driver = ending.apart(self._driver)
            with contextlib.suppress(Exception):
                if not driver.is_borrowed(self._text):
                    driver.release(self._text)


def _elsewhere(context: contextvars.Context, work: Callable[[], None]) -> None:
    """Do it in another thread, which afterwards waits for the next work.

    It never ends: a fork in the moment in which a thread ends copies the locks of OpenSSL as that
    thread holds them, and the child would wait for them when it exits.
    """
    try:
        calls = _parked.pop()
    except IndexError:
        calls = SimpleQueue()
        threading.Thread(target=_serve, args=(calls,), name="qrmi-acquire", daemon=True).start()
    calls.put((context, work))


def _serve(calls: SimpleQueue[_Call]) -> None:
    while True:
        context, work = calls.get()
        context.run(work)
        del context, work
        _parked.append(calls)


if hasattr(os, "register_at_fork"):  # threads stay in the parent
    os.register_at_fork(after_in_child=_parked.clear)


def _asked(driver: Driver) -> str:
    try:
        return driver.acquire()
    except AnswerLostError as error:
        error.hint = f"{_LOST}; {error.hint}" if error.hint else _LOST
        raise
