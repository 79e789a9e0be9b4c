"""Removing tasks that ended long ago."""

from __future__ import annotations

import logging
import time

from qrmi_local.service.store import Store

__all__ = ["TIDY_SECONDS", "remove_old"]

TIDY_SECONDS = 3600.0
"""The least time between two removals from one store."""

_DAY_SECONDS = 86400.0

_log = logging.getLogger("qrmi.local.retention")


def remove_old(store: Store, keep_days: float) -> int:
    """Remove tasks that ended longer ago than that; does nothing if it was done within the hour.

    A batch goes with all its jobs, when it and they have ended; never a job alone.

    Returns:
        How many tasks were removed, without the jobs of batches.
    """
    if not _is_due(store):
        return 0
    limit = time.time() - keep_days * _DAY_SECONDS
    removed = 0
    for task in store.tasks():
        family = [task, *store.jobs(task)]
        ends = [store.ended_at(member) for member in family]
        if all(end is not None and end < limit for end in ends):
            for member in reversed(family):
                store.remove(member)
            removed += 1
    _log.info("removed %d tasks that ended more than %g days ago", removed, keep_days)
    return removed


def _is_due(store: Store) -> bool:
    mark = store.root / "tidied"
    try:
        if mark.exists() and 0 <= time.time() - mark.stat().st_mtime < TIDY_SECONDS:
            return False
        mark.touch(mode=0o600)
    except OSError:
        _log.exception("the time of the last removal cannot be noted")
        return False
    return True
