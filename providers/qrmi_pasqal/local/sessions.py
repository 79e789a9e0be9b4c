"""The sessions that one driver knows: those that it acquired, and the one of the job's prolog."""

from __future__ import annotations

import threading

from qrmi.settings import Secret

__all__ = ["Sessions"]


class Sessions:
    """What `acquire` gave. Safe to use from several threads.

    Args:
        prolog: the session that the scheduler's prolog opened for this job, or ``None``.
    """

    def __init__(self, prolog: Secret | None) -> None:
        self._prolog = prolog
        self._lock = threading.Lock()
        self._held: list[str] = []
        self._lent = False

    @property
    def prolog(self) -> str | None:
        """The prolog's session; asked for where it is kept when it is first needed."""
        return None if self._prolog is None else self._prolog.reveal()

    def current(self) -> str | None:
        """The session to start tasks in: the one acquired last, else the prolog's."""
        with self._lock:
            return self._held[-1] if self._held else self.prolog

    def add(self, session: str) -> None:
        """Remember what the server gave; the prolog's session stays the prolog's."""
        with self._lock:
            if session == self.prolog:
                self._lent = True
            elif session not in self._held:
                self._held.append(session)

    def remove(self, session: str) -> None:
        """Forget a session that has ended."""
        with self._lock:
            if session in self._held:
                self._held.remove(session)

    def give_up(self, session: str) -> bool:
        """Forget a session that was acquired here if there is another; whether there is.

        Another handle, or the site, may have ended it.
        """
        with self._lock:
            others = [held for held in self._held if held != session]
            if session not in self._held or not (others or self.prolog):
                return False
            self._held = others
            return True

    @property
    def prolog_was_given(self) -> bool:
        """Whether `add` was ever told the prolog's session."""
        with self._lock:
            return self._lent
