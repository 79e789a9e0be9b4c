"""Leases that nobody gave back: who held them, and releasing them now."""

from __future__ import annotations

import enum
import logging

import attrs

from qrmi import journal, registry
from qrmi.errors import QrmiError
from qrmi.journal import LeaseRecord
from qrmi.lifetime.owners import LeaseOwner, OwnerState

__all__ = ["Fate", "Held", "Reaped", "held", "reap"]

_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Held:
    """A lease that the journal has as acquired and not released.

    Attributes:
        record: what the journal knows of it.
        owner: who holds it.
        state: whether the owner is still there.
    """

    record: LeaseRecord
    owner: LeaseOwner
    state: OwnerState


class Fate(enum.StrEnum):
    """What became of a lease."""

    RELEASED = "released"
    LEFT = "left"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Reaped:
    """What was done about a lease.

    Attributes:
        held: the lease.
        fate: what became of it.
        error: why it could not be released; ``None`` when it was, or was left.
    """

    held: Held
    fate: Fate
    error: QrmiError | None = None


def held() -> list[Held]:
    """The leases of all processes of this user, oldest first; borrowed ones are others' to end.

    Raises:
        JournalError: the journal cannot be read.
    """
    found = []
    for record in journal.default().leases():
        if not record.borrowed:
            owner = LeaseOwner.read(record.owner)
            found.append(Held(record=record, owner=owner, state=owner.state()))
    return found


def reap(lease: Held, *, named: bool = False) -> Reaped:
    """Release a lease whose owner is gone; with ``named``, whoever has it.

    Releasing a session that has ended is no error, so this may be done by several at once.
    """
    if not named and lease.state is not OwnerState.GONE:
        return Reaped(held=lease, fate=Fate.LEFT)
    record = lease.record
    try:
        resource = registry.resource_of_record(record)
        try:
            resource.release(record.token)
        finally:
            resource.close()
    except QrmiError as error:
        return Reaped(held=lease, fate=Fate.FAILED, error=error)
    _log.info("%s: released what %s had left", record.resource_id, lease.owner)
    return Reaped(held=lease, fate=Fate.RELEASED)
