"""A transport that goes wrong on cue, in front of one that works."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import attrs

from qrmi.transport import Headers, Request, Response, SendError, Timeout, Transport

__all__ = ["FaultyTransport", "Flaw", "Sent"]


@attrs.frozen(kw_only=True)
class Flaw:
    """What happens to a request.

    Attributes:
        name: of one or two words.
        handled: whether the service carries the request out.
        status: the status that is answered in the service's place; ``None`` for no such answer.
        retry_after: seconds of a ``Retry-After`` header that goes with it.
        body: the body that goes with it.
        lost: why no answer comes; empty when one does.
        sent: whether the service may have read the request; of ``lost`` only.
        spoil: makes the answer's JSON another one; ``None`` leaves it.
    """

    name: str
    handled: bool = False
    status: int | None = None
    retry_after: int | None = None
    body: bytes = b'{"message": "planted"}'
    lost: str = ""
    sent: bool = True
    spoil: Callable[[Any], Any] | None = attrs.field(default=None, repr=False)


@attrs.frozen
class Sent:
    """A request that went by, and the flaw that hit it, if any."""

    request: Request
    flaw: Flaw | None

    @property
    def fingerprint(self) -> tuple[str, str, bytes | None]:
        """Equal for requests that ask for the same."""
        return self.request.method, self.request.url, self.request.body


class FaultyTransport:
    """A `qrmi.transport.Transport` for tests: it records requests and plants flaws in answers.

    Args:
        inner: what carries the requests that no flaw hits.

    Attributes:
        sent: every request since the last `clear`, in order.
    """

    def __init__(self, inner: Transport) -> None:
        self.sent: list[Sent] = []
        self._inner = inner
        self._lock = threading.Lock()
        self._flaw: Flaw | None = None
        self._from = 0
        self._times: int | None = 0

    def clear(self) -> None:
        """Forget what was sent, and send faithfully from now on."""
        with self._lock:
            self.sent.clear()
            self._flaw = None

    def plant(self, flaw: Flaw, *, nth: int = 0, times: int | None = 1) -> None:
        """Forget what was sent, and let a flaw hit requests from the ``nth`` (0 is the next) on.

        ``times`` is how many it hits, ``None`` for all that follow.
        """
        with self._lock:
            self.sent.clear()
            self._flaw, self._from, self._times = flaw, nth, times

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """What the flaw makes of it, else what the inner transport answers."""
        flaw = self._next(request)
        if flaw is None:
            return self._inner.send(request, headers, timeout)
        answer = self._inner.send(request, headers, timeout) if flaw.handled else None
        if flaw.lost:
            raise SendError(flaw.lost, sent=flaw.sent)
        if flaw.spoil is not None and answer is not None:
            return Response(answer.status, {}, _spoilt(answer, flaw.spoil))
        extra = {} if flaw.retry_after is None else {"retry-after": str(flaw.retry_after)}
        status = flaw.status or (answer.status if answer is not None else 200)
        return Response(status, {"content-type": "application/json", **extra}, flaw.body)

    def _next(self, request: Request) -> Flaw | None:
        with self._lock:
            number = len(self.sent)
            is_hit = self._flaw is not None and number >= self._from
            if is_hit and self._times is not None:
                is_hit = number < self._from + self._times
            flaw = self._flaw if is_hit else None
            self.sent.append(Sent(request, flaw))
            return flaw


def _spoilt(answer: Response, spoil: Callable[[Any], Any]) -> bytes:
    try:
        value = json.loads(bytes(answer.body))
    except ValueError:
        return b""
    return json.dumps(spoil(value)).encode()
