"""How far this machine's clock is from a service's; pure functions."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import attrs

from qrmi.diagnosis.findings import Finding, Verdict

__all__ = ["LARGEST_SKEW_SECONDS", "Skew", "finding", "skew"]

LARGEST_SKEW_SECONDS = 30.0
"""Beyond this, credentials that carry a time begin to be refused."""

_ADVICE = (
    "set this machine's clock (NTP): MUNGE credentials, tokens and storage signatures carry the "
    "time and are refused when clocks differ"
)


@attrs.frozen(kw_only=True)
class Skew:
    """By how much this machine's clock is ahead of the service's: it lies between the two.

    Attributes:
        least_seconds: at least so much; negative when it may be behind.
        most_seconds: at most so much.
    """

    least_seconds: float
    most_seconds: float


def skew(date: str | None, sent_at: float, received_at: float) -> Skew | None:
    """What an answer's ``Date`` says.

    The service wrote it, cut to whole seconds, after the request was sent and before the answer
    came, so that the bounds are a second and the round trip apart.

    Args:
        date: the header; ``None`` when there is none.
        sent_at: this machine's clock when the request left, in seconds since the epoch.
        received_at: and when the answer had come.

    Returns:
        ``None`` when the header is absent or no date.
    """
    try:
        told = parsedate_to_datetime(date or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return None
    return Skew(least_seconds=sent_at - told - 1.0, most_seconds=received_at - told)


def finding(subject: str, host: str, found: Skew) -> Finding:
    """Whether clocks agree well enough."""
    if found.least_seconds > LARGEST_SKEW_SECONDS:
        verdict, words = Verdict.WARNING, f"ahead of {host} by {found.least_seconds:.0f} s or more"
    elif found.most_seconds < -LARGEST_SKEW_SECONDS:
        verdict, words = Verdict.WARNING, f"behind {host} by {-found.most_seconds:.0f} s or more"
    else:
        apart = max(abs(found.least_seconds), abs(found.most_seconds))
        verdict, words = Verdict.OK, f"agrees with {host} within {apart:.1f} s"
    return Finding(
        subject=subject,
        check="clock",
        verdict=verdict,
        text=f"this machine's clock {'is ' if verdict is Verdict.WARNING else ''}{words}",
        advice=_ADVICE if verdict is Verdict.WARNING else "",
        values={"least_seconds": found.least_seconds, "most_seconds": found.most_seconds},
    )
