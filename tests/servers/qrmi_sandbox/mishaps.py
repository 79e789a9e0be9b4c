"""What may happen to a request on its way, and a lottery that says what happens to which."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Mapping
from typing import Literal, get_args

import attrs

__all__ = ["KINDS", "Heard", "Lottery", "Mishap", "MishapKind", "Plan"]

MishapKind = Literal[
    "cut_before",  # its head is read, then the connection is reset; the server hears nothing
    "cut_request",  # half of it is forwarded, then both connections are reset
    "cut_unanswered",  # it is forwarded whole, and the connection is reset at once
    "cut_head",  # handled; the reset comes in the middle of the answer's head
    "cut_body",  # handled; the reset comes in the middle of the answer's body
    "close_after",  # handled and answered; then the connection is closed without a word of it
    "late_request",  # it is forwarded after `seconds`, whether or not the client still waits
    "late_answer",  # handled at once; the answer comes after `seconds`
    "twice",  # it reaches the server twice; the client gets the second answer
    "twice_first",  # the same, and the client gets the first answer
    "truncated",  # handled; the answer names its length and ends, in good order, before it
    "garbled",  # handled; the answer's body is not JSON
    "status_before",  # answered with `status`; the server hears nothing
    "status_after",  # handled; answered with `status`
    "silent_before",  # the connection stays open and silent; the server hears nothing
    "silent_after",  # the same, and it was handled
    "trickle",  # handled; the answer comes in small pieces that take `seconds` in all
]
KINDS: tuple[MishapKind, ...] = get_args(MishapKind)
"""All of them."""

_TWICE = ("twice", "twice_first")
_BEFORE = (500, 502, 503, 504)  # what gateways say of a request that went nowhere
_AFTER = (500, 502, 504)  # and of one that may have gone through: 503 says that it did not
_LONGEST_BURST = 4


@attrs.frozen(kw_only=True)
class Mishap:
    """One thing that happens to one request.

    Attributes:
        kind: what.
        seconds: of the kinds that take time; of silence, how long it lasts at most.
        status: of the kinds that answer with one.
        retry_after: seconds in a ``Retry-After`` header, or ``None`` for no such header.
    """

    kind: MishapKind
    seconds: float = 0.0
    status: int = 502
    retry_after: float | None = None


@attrs.frozen
class Heard:
    """What is known of a request when its head was read; the path has no query."""

    method: str
    path: str


Plan = Callable[[Heard], Mishap | None]
"""Says what happens to a request; called once for each, by several threads at once."""


class Lottery:
    """Draws from a seed what happens to each request; a `Plan`.

    The draws are those of the seed; which request gets which depends on the order in which they
    come, and so on threads.

    Args:
        seed: of the draws.
        rate: how likely something happens to a request, from 0 to 1.
        patience_seconds: how long clients wait for an answer: delays are about as long, or longer.
        latest_seconds: the longest delay of a request.
        silence_seconds: how long silence lasts, unless the client leaves; four times the patience
            when it is not said.
        twice: the requests that may reach the server twice: those that it refuses the second time.
    """

    def __init__(
        self,
        seed: int,
        *,
        rate: Callable[[Heard], float],
        patience_seconds: float,
        latest_seconds: float,
        silence_seconds: float | None = None,
        twice: Callable[[Heard], bool] = lambda heard: False,
    ) -> None:
        self._random = random.Random(seed)
        self._rate = rate
        self._patience = patience_seconds
        self._latest = latest_seconds
        self._silence = 4 * patience_seconds if silence_seconds is None else silence_seconds
        self._twice = twice
        self._once = [kind for kind in KINDS if kind not in _TWICE]
        self._burst: list[Mishap] = []
        self._lock = threading.Lock()

    def __call__(self, heard: Heard) -> Mishap | None:
        """What happens to this request."""
        with self._lock:
            rate = self._rate(heard)
            if rate and self._burst:
                return self._burst.pop()
            if self._random.random() >= rate:
                return None
            kinds = [*self._once, *(_TWICE if self._twice(heard) else ())]
            return self._drawn(self._random.choice(kinds))

    def _drawn(self, kind: MishapKind) -> Mishap:
        dice = self._random
        seconds: Mapping[str, Callable[[], float]] = {
            "late_request": lambda: dice.uniform(0.1, 1.0) * self._latest,
            "late_answer": lambda: dice.uniform(0.5, 1.5) * self._patience,
            "trickle": lambda: dice.uniform(0.1, 1.0) * self._patience,
        }
        made = Mishap(
            kind=kind,
            seconds=seconds.get(kind, lambda: self._silence)(),
            status=dice.choice(_BEFORE if kind == "status_before" else _AFTER),
            retry_after=dice.choice((None, 0.0, 0.1)),
        )
        if kind == "status_before" and dice.random() < 0.3:
            self._burst = [made] * dice.randint(1, _LONGEST_BURST)
        return made
