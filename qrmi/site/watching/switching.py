"""Telling the schedulers which resources are away, so that jobs wait outside."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

import attrs

from qrmi.errors import QrmiError
from qrmi.waiting import Clock, SystemClock

__all__ = ["Absence", "Publisher", "Switch"]

_log = logging.getLogger(__name__)

_FIRST_RETRY_SECONDS = 1.0
_LAST_RETRY_SECONDS = 30.0


class Switch(Protocol):
    """One scheduler's way to keep jobs from a resource without touching those that run.

    Both calls are idempotent, and may be made for a resource that the scheduler does not know,
    which is no error. They are made from one thread.
    """

    @property
    def name(self) -> str:
        """The scheduler, for people."""

    def off(self, name: str, reason: str, until: float | None) -> None:
        """Let jobs that need the resource wait; also when it is off already, for a new reason.

        Raises:
            QrmiError: the scheduler did not do it; it is asked again.
        """

    def on(self, name: str) -> None:
        """Let jobs have the resource again; also when it is on already.

        Raises:
            QrmiError: the scheduler did not do it; it is asked again.
        """


@attrs.frozen(kw_only=True)
class Absence:
    """Why a resource is away.

    Attributes:
        reason: for users, in one line.
        until: when it is expected back, epoch seconds; ``None`` when nobody said.
    """

    reason: str
    until: float | None = None


@attrs.define
class _Told:
    """What a switch is to know of one resource, and what it does know."""

    wanted: Absence | None
    version: int = 0
    told: int = -1
    failures: int = 0
    due: float = 0.0
    at: float = 0.0


class Publisher:
    """Keeps one switch at what `put` said last, however often the scheduler does not answer.

    It begins knowing nothing of what the scheduler was told before, so that everything is told
    again after a restart. What is off is told again every ``repeat_seconds``: a scheduler that was
    restarted may have lost it, and jobs that came meanwhile are to be told why they wait.

    Args:
        switch: the scheduler's.
        repeat_seconds: how often it is reminded.
        clock: what retries go by.
    """

    def __init__(
        self, switch: Switch, *, repeat_seconds: float = 15.0, clock: Clock | None = None
    ) -> None:
        self._switch = switch
        self._repeat = repeat_seconds
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._resources: dict[str, _Told] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def name(self) -> str:
        """The scheduler's name."""
        return self._switch.name

    def pending(self) -> int:
        """How many resources the scheduler does not have as they stand."""
        with self._lock:
            return sum(known.told != known.version for known in self._resources.values())

    def put(self, states: Mapping[str, Absence | None]) -> None:
        """What holds from now on: an absence, or ``None`` for a resource that jobs may have."""
        with self._lock:
            for name, absence in states.items():
                known = self._resources.setdefault(name, _Told(absence))
                if known.wanted != absence:
                    known.wanted, known.version = absence, known.version + 1
                    known.failures, known.due = 0, 0.0
                    self._news.set()
                elif known.told < 0:
                    self._news.set()

    def publish(self) -> None:
        """Tell the scheduler what it does not know yet.

        One that failed is left alone for a second, then for twice as long, up to half a minute.
        """
        for name in self._due():
            self._tell(name)

    def _due(self) -> list[str]:
        now = self._clock.monotonic()
        with self._lock:
            return [
                name
                for name, known in self._resources.items()
                if (known.told != known.version and known.due <= now)
                or (known.wanted is not None and now - known.at >= self._repeat)
            ]

    def _tell(self, name: str) -> None:
        with self._lock:
            known = self._resources[name]
            wanted, version = known.wanted, known.version
        try:
            if wanted is None:
                self._switch.on(name)
            else:
                self._switch.off(name, wanted.reason, wanted.until)
        except QrmiError as error:
            self._failed(known, name, error.message)
        except Exception as error:
            self._failed(known, name, f"{type(error).__name__}: {error}")
        else:
            with self._lock:
                known.told, known.at, known.failures = version, self._clock.monotonic(), 0

    def _failed(self, known: _Told, name: str, message: str) -> None:
        with self._lock:
            known.failures += 1
            pause = min(_FIRST_RETRY_SECONDS * 2 ** (known.failures - 1), _LAST_RETRY_SECONDS)
            known.told, known.at = -1, self._clock.monotonic()
            known.due = known.at + pause
        if known.failures == 1:
            _log.warning("%s was not told of %s: %s", self._switch.name, name, message)

    # --- a thread of its own --------------------------------------------------------------------

    def start(self) -> None:
        """Publish in the background until `close`."""
        self._thread = threading.Thread(target=self._run, name=f"tell-{self.name}", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop; a call that is under way is waited for a little."""
        self._stop.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.clear()
            self.publish()
            self._news.wait(_FIRST_RETRY_SECONDS)
