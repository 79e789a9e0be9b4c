"""What the site keeps of a lease: the job, its resources one by one, and how far it has come."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Iterable
from typing import Any

import attrs

from qrmi.site.terms import Grant, Job

__all__ = ["Device", "LeaseRecord", "LeaseState", "Part", "SessionHabit"]


@attrs.frozen(kw_only=True)
class Device:
    """One device that the site can lend.

    Attributes:
        name: what jobs call it.
        entry: the entry of the configuration that it comes from: its own, or its account's.
        type: its type, as files spell it.
        away: why it cannot be lent now; empty when it can.
    """

    name: str
    entry: str
    type: str
    away: str = ""


@attrs.frozen(kw_only=True)
class SessionHabit:
    """What a vendor does when it is asked for a session.

    Attributes:
        kept: it keeps something that has to be given back.
        repeatable: asked again for the same job it gives the same session.
        longest_seconds: after that time no session is left, whatever became of it.
    """

    kept: bool = True
    repeatable: bool = False
    longest_seconds: float = 86400.0


class LeaseState(enum.StrEnum):
    """How far a lease has come."""

    ASKING = "asking"
    """The intent is on disk; the vendors are being asked."""

    HELD = "held"
    """The job has all of it."""

    ENDING = "ending"
    """It is being given back; what is not yet, stays taken."""

    REFUSED = "refused"
    """Nothing is held; the reason is kept for the job's user."""


@attrs.frozen(kw_only=True)
class Part:
    """One resource of a lease.

    Attributes:
        resource: the device's name.
        entry: the entry of the configuration that it comes from.
        type: its type.
        slots: how many of its slots.
        token: the vendor's name of the session; ``None`` while it is not known.
        asked: when the vendor was first asked for it, epoch seconds; ``None`` before.
        kept: its vendor keeps something that has to be given back.
        back: it has been given back.
    """

    resource: str
    entry: str
    type: str
    slots: int = 1
    token: str | None = attrs.field(default=None, repr=False)
    asked: float | None = None
    kept: bool = True
    back: bool = False

    @property
    def device(self) -> Device:
        """Where it comes from."""
        return Device(name=self.resource, entry=self.entry, type=self.type)

    @property
    def grant(self) -> Grant:
        """What the job is told of it."""
        return Grant(resource=self.resource, type=self.type, slots=self.slots)


def _parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(parts)


@attrs.frozen(kw_only=True)
class LeaseRecord:
    """A lease as it is kept.

    Attributes:
        job: whose it is.
        state: how far it has come.
        id: tells it from other leases of the same key: an earlier request may have failed.
        parts: its resources in the order in which they were wanted.
        since: when it was asked for, epoch seconds.
        granted: when the job was told that it has it, epoch seconds; ``None`` if it never was.
        limit_seconds: the job's time limit; ``None`` for no limit.
        reason: why it was refused, or what holds up its end; for people.
        hint: what they can do.
    """

    job: Job
    state: LeaseState = attrs.field(converter=LeaseState)
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)
    parts: tuple[Part, ...] = attrs.field(default=(), converter=_parts)
    since: float = 0.0
    granted: float | None = None
    limit_seconds: float | None = None
    reason: str = ""
    hint: str = ""

    @property
    def key(self) -> str:
        """What names the run of the job."""
        return self.job.key

    @property
    def grants(self) -> tuple[Grant, ...]:
        """What is held, without the vendors' tokens."""
        return tuple(part.grant for part in self.parts)

    @property
    def tokens(self) -> dict[str, str]:
        """The vendors' tokens by resource. Secret: they stay in the daemon, or go to the job."""
        return {part.resource: part.token for part in self.parts if part.token is not None}

    def part(self, resource: str) -> Part | None:
        """The part of that name, or ``None``."""
        return next((part for part in self.parts if part.resource == resource), None)

    def with_part(self, changed: Part) -> LeaseRecord:
        """The same with one part replaced."""
        parts = (changed if part.resource == changed.resource else part for part in self.parts)
        return attrs.evolve(self, parts=parts)

    @property
    def left(self) -> tuple[Part, ...]:
        """What is not given back yet."""
        return tuple(part for part in self.parts if not part.back)

    @property
    def is_kept(self) -> bool:
        """Whether vendors keep anything of it."""
        return any(part.kept for part in self.parts)

    def as_json(self) -> dict[str, Any]:
        """What administrators and owners may see: no tokens."""
        return {
            "key": self.key,
            "job": self.job.as_json(),
            "state": str(self.state),
            "grants": [grant.as_json() for grant in self.grants],
            "since": self.since,
            "granted": self.granted,
            "limit_seconds": self.limit_seconds,
            "reason": self.reason,
            "hint": self.hint,
        }
