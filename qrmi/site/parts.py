"""What the doors call: the parts of the daemon, as they look from there.

Every method here blocks and is called from worker threads, several at once. What is wrong is
raised as one of `qrmi.errors`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import attrs

from qrmi.site.terms import Answer, Ended, Job, Message, Want

__all__ = [
    "Books",
    "Environments",
    "Gateway",
    "Held",
    "Leases",
    "Metrics",
    "Packed",
    "Parts",
    "Resources",
]


class Held(Protocol):
    """One lease, as the engine keeps it."""

    def as_json(self) -> dict[str, Any]:
        """What administrators and the job's user may see: no token."""


class Leases(Protocol):
    """The engine: `qrmi.site.lending.leasing.Leasing`."""

    def acquire(self, job: Job, want: Want) -> Answer:
        """Lend what is wanted to a job; the same answer again while it holds it."""

    def end(self, job: Job, why: str = "", *, patience_seconds: float | None = None) -> Ended:
        """Take back what a job holds, now and for ever; vendors are waited for so long."""

    def leases(self, place: str | None = None) -> Iterable[Held]:
        """Every lease that is not over; with ``scheduler/cluster/id``, those of that job."""


class Environments(Protocol):
    """What a job finds in its environment: `qrmi.site.lending.environment`."""

    def for_job(self, *, scheduler: str, cluster: str, id: str, caller: int) -> dict[str, Any]:  # noqa: A002
        """``outcome``, ``reason``, ``hint`` and ``environment`` for the newest run of a job.

        Args:
            scheduler: as in `Job`, and so are the next two.
            cluster: its name.
            id: the job's.
            caller: the uid that asks; an admin's comes as -1.

        Raises:
            AccessDeniedError: it is another user's job.
        """


class Packed(Protocol):
    """An answer in pieces (`qrmi.site.gateway.packing`): large results are not joined."""

    @property
    def length(self) -> int:
        """How many bytes the pieces have together, for ``Content-Length``."""

    def __iter__(self) -> Iterator[bytes]:
        """The pieces, in order; made while they are taken."""


class Gateway(Protocol):
    """Calls a lease's driver for the job that holds it: `qrmi.site.gateway.dispatch`."""

    def call(self, *, caller: int, resource: str, method: str, body: bytes) -> Packed:
        """What the driver's method gave, as `qrmi.site.gateway.packing` writes it.

        Args:
            caller: the uid that asks.
            resource: from the address.
            method: from the address, too.
            body: the request as it came; the job's token is in it.
        """


class Resources(Protocol):
    """What is lent and what is away: `qrmi.site.watching.availability.Availability`."""

    def standings(self) -> Sequence[Message]:
        """One a resource, as ``GET /v1/resources`` gives them."""

    def drain(self, name: str, reason: str, until: float | None = None, by: str = "") -> Any:
        """Lend it to nobody, from now on, until then or until `resume`."""

    def resume(self, name: str) -> Any:
        """Lend it again."""


class Books(Protocol):
    """What jobs used: `qrmi.site.books.ledger`."""

    def usage(self, *, by: str, since: float | None, uid: int | None) -> list[dict[str, Any]]:
        """Sums by ``user``, ``account`` or ``resource``; of one user only, where ``uid`` is set."""


class Metrics(Protocol):
    """Figures for Prometheus: `qrmi.site.books.metrics`."""

    def exposition(self) -> tuple[bytes, str]:
        """The text, and its content type."""


@attrs.frozen(kw_only=True)
class Parts:
    """All of them; a daemon may lack some, and its routes then answer 501.

    Attributes:
        about: what ``GET /health`` tells beside ``ok``.
    """

    leases: Leases
    resources: Resources | None = None
    environments: Environments | None = None
    gateway: Gateway | None = None
    books: Books | None = None
    metrics: Metrics | None = None
    about: Mapping[str, Any] = attrs.field(factory=dict)
