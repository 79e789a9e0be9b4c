"""Finding the leases that nobody ended: a scheduler or its hook may have been killed."""

from __future__ import annotations

import logging
from collections.abc import Callable

import attrs

from qrmi.site.lending.lease_states import LeaseRecord, LeaseState
from qrmi.site.lending.pace import Pace
from qrmi.site.lending.store import Store
from qrmi.site.terms import Job

__all__ = ["Reaped", "Reaper"]

_log = logging.getLogger(__name__)
_PRUNE_SECONDS = 3600.0
_OVER_LIMIT = 1.1


@attrs.frozen(kw_only=True)
class Reaped:
    """What one look at all leases found.

    Attributes:
        ended: keys of those that are given back now: their jobs are over.
        overdue: keys of those that are held long after their job's time limit, although their
            scheduler does not say that the job is over.
    """

    ended: tuple[str, ...] = ()
    overdue: tuple[str, ...] = ()


class Reaper:
    """Looks at all leases, now and then.

    Args:
        store: has them.
        pace: how long a lease is too young to be looked at, and when it is overdue.
        now: the time, epoch seconds.
    """

    def __init__(self, store: Store, pace: Pace, now: Callable[[], float]) -> None:
        self._store = store
        self._pace = pace
        self._now = now
        self._reported: frozenset[str] = frozenset()
        self._pruned = now()

    def reap(self, is_over: Callable[[Job], bool | None], end: Callable[[Job], object]) -> Reaped:
        """End the leases whose jobs are over.

        Args:
            is_over: asks the scheduler; ``None`` when it does not tell, which changes nothing.
            end: ends a job without waiting for vendors.
        """
        now = self._now()
        ended, overdue = [], []
        for record in self._store.leases(LeaseState.ASKING, LeaseState.HELD):
            if record.since > now - self._pace.young:
                continue
            if _verdict(record, is_over):
                end(record.job)
                ended.append(record.key)
            elif self._is_overdue(record, now):
                overdue.append(record.key)
        self._report(overdue)
        if now - self._pruned > _PRUNE_SECONDS:
            self._pruned = now
            self._store.prune(now - self._pace.fences)
        return Reaped(ended=tuple(ended), overdue=tuple(overdue))

    def _is_overdue(self, record: LeaseRecord, now: float) -> bool:
        if record.limit_seconds is None or record.granted is None:
            return False
        limit = record.limit_seconds * _OVER_LIMIT + self._pace.overdue
        return now - record.granted > limit

    def _report(self, overdue: list[str]) -> None:
        for key in overdue:
            if key not in self._reported:
                _log.warning(
                    "%s is held long after its job's time limit, and its scheduler does not say "
                    "that the job is over",
                    key,
                )
        self._reported = frozenset(overdue)


def _verdict(record: LeaseRecord, is_over: Callable[[Job], bool | None]) -> bool:
    try:
        return is_over(record.job) is True
    except Exception as error:
        _log.warning("%s: its scheduler cannot be asked: %s", record.key, type(error).__name__)
        return False
