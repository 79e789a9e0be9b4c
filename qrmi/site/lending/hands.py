"""Threads that do what may take long, a few a vendor: a slow one holds up nobody else's work."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections import deque
from collections.abc import Callable

__all__ = ["Hands"]

_log = logging.getLogger(__name__)
_Work = Callable[[], bool]
_MOST_A_LANE = 8
_IDLE_SECONDS = 10.0


class _Lane:
    """The work of one vendor that is due."""

    def __init__(self) -> None:
        self.ready: deque[_Work] = deque()
        self.threads = 0
        self.idle = 0
        self.wanted = threading.Semaphore(0)


class Hands:
    """Does work by lane, at once or later. Threads come when needed and go when idle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lanes: dict[str, _Lane] = {}
        self._later: list[tuple[float, int, str, _Work]] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition(self._lock)
        self._timer: threading.Thread | None = None
        self._is_closed = False

    def do(self, lane: str, work: _Work, after: float = 0.0) -> None:
        """Have ``work`` done, ``after`` seconds from now at the latest.

        Where work of a lane returns true, the vendor answers: the rest of the lane is done now.
        """
        with self._lock:
            if self._is_closed:
                return
            if after <= 0:
                self._ready(lane, work)
                return
            due = time.monotonic() + after
            heapq.heappush(self._later, (due, next(self._numbers), lane, work))
            if self._timer is None:
                self._timer = _thread(self._run_timer)
            self._changed.notify_all()

    def close(self) -> None:
        """Begin nothing more; what runs is not waited for."""
        with self._lock:
            self._is_closed = True
            self._later.clear()
            for lane in self._lanes.values():
                lane.ready.clear()
                for _ in range(lane.idle):
                    lane.wanted.release()
            self._changed.notify_all()

    def _ready(self, name: str, work: _Work) -> None:
        """Called with the lock held."""
        lane = self._lanes.setdefault(name, _Lane())
        lane.ready.append(work)
        if lane.idle >= len(lane.ready):
            lane.wanted.release()
        elif lane.threads < _MOST_A_LANE:
            lane.threads += 1
            _thread(lambda: self._run(name, lane))

    def _run(self, name: str, lane: _Lane) -> None:
        while (work := self._next(name, lane)) is not None:
            try:
                answers = work()
            except Exception as error:
                _log.error("%s: unexpected %s", name, type(error).__name__)
                _log.debug("unexpected", exc_info=error)
                answers = False
            del work
            if answers:
                self._promote(name)

    def _next(self, name: str, lane: _Lane) -> _Work | None:
        while True:
            with self._lock:
                if lane.ready:
                    return lane.ready.popleft()
                if self._is_closed:
                    lane.threads -= 1
                    return None
                lane.idle += 1
            came = lane.wanted.acquire(timeout=_IDLE_SECONDS)
            with self._lock:
                lane.idle -= 1
                if not came and not lane.ready:
                    lane.threads -= 1
                    return None

    def _promote(self, name: str) -> None:
        with self._lock:
            if not any(lane == name for _, _, lane, _ in self._later):
                return
            due = [entry for entry in self._later if entry[2] == name]
            self._later = [entry for entry in self._later if entry[2] != name]
            heapq.heapify(self._later)
            for _, _, _, work in sorted(due):
                self._ready(name, work)

    def _run_timer(self) -> None:
        with self._lock:
            while not self._is_closed:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    _, _, name, work = heapq.heappop(self._later)
                    self._ready(name, work)
                left = self._later[0][0] - now if self._later else None
                self._changed.wait(left)


def _thread(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name="qrmid-hands", daemon=True)
    thread.start()
    return thread
