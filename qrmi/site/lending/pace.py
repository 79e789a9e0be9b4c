"""How patient the daemon is with vendors and schedulers."""

from __future__ import annotations

import attrs

__all__ = ["Pace"]


@attrs.frozen(kw_only=True)
class Pace:
    """Times in seconds.

    Attributes:
        first_retry: after a release that failed; doubled with each further one.
        longest_retry: at most that long.
        patience: how long `Leasing.end` waits for vendors that are slow to take something back.
        fences: how long ended jobs are remembered.
        young: leases younger than that are not reaped.
        overdue: how long past its limit a lease is reported, besides a tenth of the limit.
    """

    first_retry: float = 1.0
    longest_retry: float = 300.0
    patience: float = 10.0
    fences: float = 7 * 86400.0
    young: float = 10.0
    overdue: float = 600.0
