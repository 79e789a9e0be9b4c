"""The engine, with each request counted once for Prometheus."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from qrmi.site.books.metrics import Metrics
from qrmi.site.lending.lease_states import LeaseRecord
from qrmi.site.lending.leasing import Leasing
from qrmi.site.terms import Answer, Ended, Job, Outcome, Want

__all__ = ["CountedLeases"]

_MOST_KEPT = 100_000


class CountedLeases:
    """The leases as the doors see them.

    A job that hears the same answer again and again ("later", or what it holds) is counted once.

    Args:
        leasing: answers.
        metrics: counts.
        now: the time, epoch seconds.
    """

    def __init__(
        self, leasing: Leasing, metrics: Metrics, now: Callable[[], float] = time.time
    ) -> None:
        self._leasing = leasing
        self._metrics = metrics
        self._now = now
        self._lock = threading.Lock()
        self._last: dict[str, Outcome] = {}

    def acquire(self, job: Job, want: Want) -> Answer:
        """See `Leasing.acquire`."""
        begun = time.monotonic()
        answer = self._leasing.acquire(job, want)
        if self._is_new(job.key, answer.outcome):
            seconds = time.monotonic() - begun
            self._metrics.acquired(job, answer, seconds=seconds, now=self._now())
        return answer

    def end(self, job: Job, why: str = "", *, patience_seconds: float | None = None) -> Ended:
        """See `Leasing.end`."""
        with self._lock:
            self._last.pop(job.key, None)
        return self._leasing.end(job, why, patience_seconds=patience_seconds)

    def leases(self, place: str | None = None) -> Iterator[LeaseRecord]:
        """See `Leasing.leases`."""
        return self._leasing.leases(place)

    def _is_new(self, key: str, outcome: Outcome) -> bool:
        with self._lock:
            if len(self._last) >= _MOST_KEPT:  # of jobs whose end nobody told
                self._last.clear()
            is_new = self._last.get(key) is not outcome
            self._last[key] = outcome
        return is_new
