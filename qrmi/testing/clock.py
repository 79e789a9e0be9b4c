"""A clock that moves only when it is slept on."""

from __future__ import annotations

__all__ = ["FakeClock"]


class FakeClock:
    """A `qrmi.waiting.Clock` for tests: sleeping advances it at once and is recorded.

    Attributes:
        slept: the length of every sleep so far, in seconds.
    """

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._now = 0.0

    def monotonic(self) -> float:
        """Seconds slept since it was made."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Advance by ``seconds``."""
        self.slept.append(seconds)
        self._now += seconds
