"""Work that is done again and again in the background, whatever becomes of it each time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

__all__ = ["Repeated"]

_log = logging.getLogger(__name__)


class Repeated:
    """Does a piece of work every so many seconds, in a thread of its own.

    An error is told in the log when it is new, and ends nothing.

    Args:
        name: what it is called in the log.
        work: blocks as long as it takes.
        seconds: from the end of one round to the begin of the next.
    """

    def __init__(self, name: str, work: Callable[[], object], seconds: float) -> None:
        self._name = name
        self._work = work
        self._seconds = seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._told = ""

    def start(self) -> None:
        """Begin, after the first pause."""
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop; a round that is under way is waited for a little."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.wait(self._seconds):
            try:
                self._work()
                self._told = ""
            except Exception as error:
                text = f"{type(error).__name__}: {error}"
                if text != self._told:
                    _log.error("%s failed, and is tried again: %s", self._name, text)
                    _log.debug("unexpected", exc_info=error)
                self._told = text
