"""A transport that notes what another one carries: where to, how long, with what end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from qrmi.transport.messages import Headers, Request, Response, Timeout
from qrmi.transport.outcomes import SendError
from qrmi.transport.urls import origin_of

if TYPE_CHECKING:
    from qrmi.transport.client import Transport

__all__ = ["Exchange", "Watching"]


@attrs.frozen(kw_only=True)
class Exchange:
    """One request that was carried.

    Attributes:
        name: method and path.
        origin: scheme, host and port.
        seconds: from sending to the answer's end.
        status: of the answer; ``None`` when there was none.
    """

    name: str
    origin: str
    seconds: float
    status: int | None


class Watching:
    """Carries requests by another transport and keeps a list of what it carried.

    Attributes:
        exchanges: in order of their ends.
    """

    def __init__(self, carrier: Transport) -> None:
        self._carrier = carrier
        self.exchanges: list[Exchange] = []

    def send(self, request: Request, headers: Headers, timeout: Timeout) -> Response:
        """The answer, whatever its status. Raises `SendError` when there was none."""
        begun = time.monotonic()
        try:
            response = self._carrier.send(request, headers, timeout)
        except SendError:
            self._note(request, begun, None)
            raise
        self._note(request, begun, response.status)
        return response

    def _note(self, request: Request, begun: float, status: int | None) -> None:
        self.exchanges.append(
            Exchange(
                name=request.name,
                origin=origin_of(request.url),
                seconds=time.monotonic() - begun,
                status=status,
            )
        )
