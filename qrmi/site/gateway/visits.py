"""Who may ask what of which driver: the token, the user and the tasks that are theirs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

import attrs

from qrmi import plugins
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    InvalidInputError,
    Owner,
    QrmiError,
    TaskNotFoundError,
)
from qrmi.site.gateway.drivers import Place
from qrmi.site.gateway.tasks import TaskRow, TaskTable
from qrmi.site.gateway.tokens import Claim, Tokens
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState, Part

__all__ = ["GRACE_SECONDS", "Leases", "Visit", "Visits"]

_log = logging.getLogger(__name__)

GRACE_SECONDS = 600.0
"""How long a lease is good beyond its job's time limit: schedulers let jobs end in peace."""

_INSIDE = "start tasks from within the job, with the environment that the scheduler gave it"
_LOOK = "its tasks can still be looked at, fetched and stopped; a new job starts new ones"


class Leases(Protocol):
    """Where leases are looked up: `qrmi.site.lending.leasing.Leasing`."""

    def lease(self, key: str) -> LeaseRecord | None:
        """What there is of a run of a job."""


@attrs.frozen(kw_only=True)
class Visit:
    """A caller who was let in.

    Attributes:
        uid: who.
        job: the run of the job whose lease it is (`Job.key`); empty without a lease.
        resource: the resource by the name under which it is lent.
        place: which driver is asked.
    """

    uid: int
    job: str
    resource: str
    place: Place

    @property
    def has_lease(self) -> bool:
        """Whether it comes with a lease that is held."""
        return bool(self.job)


class Visits:
    """Lets callers in. Thread-safe.

    Args:
        leases: the site's leases.
        tokens: what reads tokens.
        tasks: whose tasks are whose.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        leases: Leases,
        tokens: Tokens,
        tasks: TaskTable,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._leases = leases
        self._tokens = tokens
        self._tasks = tasks
        self._now = now

    def with_lease(self, *, caller: int, resource: str, name: str, token: str) -> Visit:
        """A visit by a job that holds the resource.

        Args:
            caller: the uid that asks, as the system or MUNGE says it.
            resource: under which name it is lent.
            name: what the driver is to be called; the same, with the user's additions.
            token: the job's.

        Raises:
            AuthenticationFailedError: no token, or none of this daemon's.
            AccessDeniedError: it is another user's, for another resource, or its lease is over.
        """
        claim = self._claim(token, resource)
        if claim.uid != caller:
            _log.warning("user %s used a token of job %s, of user %s", caller, claim.key, claim.uid)
            raise AccessDeniedError(
                f"this token is not for user {caller}", owner=Owner.USER, hint=_INSIDE
            )
        if claim.resource != resource:
            raise AccessDeniedError(
                f"this token is for {claim.resource}, not for {resource}",
                owner=Owner.USER,
                hint=_INSIDE,
            )
        record, part = self._held(claim)
        place = _place_of_lease(record, part, caller, _checked(name, resource, part.type))
        return Visit(uid=caller, job=claim.key, resource=resource, place=place)

    def _claim(self, token: str, resource: str) -> Claim:
        if not token:
            raise AuthenticationFailedError(
                f"{resource} was asked for without the job's token", hint=_INSIDE
            )
        claim = self._tokens.read(token)
        if claim is None:
            raise AuthenticationFailedError(
                f"the token for {resource} is none of this site's", hint=_INSIDE
            )
        return claim

    def must_still_hold(self, visit: Visit) -> None:
        """Make sure that a visit's lease is held now. Raises `AccessDeniedError`: it is over."""
        self._held(Claim(key=visit.job, uid=visit.uid, resource=visit.resource))

    def _held(self, claim: Claim) -> tuple[LeaseRecord, Part]:
        """The lease that a claim is good for, and what of it. Raises `AccessDeniedError`."""
        record = self._leases.lease(claim.key)
        part = record.part(claim.resource) if record and self._is_good(record, claim) else None
        if record is None or part is None:
            raise AccessDeniedError(
                f"the job's lease of {claim.resource} has ended", owner=Owner.USER, hint=_LOOK
            )
        return record, part

    def _is_good(self, record: LeaseRecord, claim: Claim) -> bool:
        limit = record.limit_seconds
        if limit is not None and self._now() > record.since + limit + GRACE_SECONDS:
            return False
        return record.state is LeaseState.HELD and record.job.uid == claim.uid

    def without_lease(self, *, caller: int, resource: str, name: str, row: TaskRow) -> Visit:
        """A visit on account of a task that is the caller's own."""
        checked = _checked(name, resource, row.type)
        place = Place(name=checked, entry=row.entry, type=row.type)
        return Visit(uid=caller, job="", resource=resource, place=place)

    def of_someone(self, *, caller: int, resource: str, name: str, token: str) -> Visit:
        """A visit with a lease, or else on account of any task of the caller there.

        Raises:
            AuthenticationFailedError: as `with_lease`, where the caller has no task there either.
        """
        try:
            return self.with_lease(caller=caller, resource=resource, name=name, token=token)
        except QrmiError:
            row = self._tasks.last_of(resource, caller)
            if row is None:
                raise
        return self.without_lease(caller=caller, resource=resource, name=name, row=row)

    def own_task(self, *, caller: int, resource: str, task_id: str) -> TaskRow:
        """The caller's task of that id.

        Raises:
            TaskNotFoundError: there is none, or it is another user's: that is the same here.
        """
        row = self._tasks.of_task(resource, task_id)
        if row is None or row.uid != caller:
            raise TaskNotFoundError(
                f"no task {task_id} of user {caller} was started on {resource} through this site",
                resource_id=resource,
                task_id=task_id,
            )
        return row


def _place_of_lease(record: LeaseRecord, part: Part, uid: int, name: str) -> Place:
    return Place(
        name=name,
        entry=part.entry,
        type=part.type,
        uid=uid,
        job_id=record.job.id,
        token=part.token or "",
        slots=part.slots,
        limit_seconds=record.limit_seconds,
    )


def _checked(name: str, resource: str, type_name: str) -> str:
    """A name that is the resource's own, but for what its type allows users to add."""
    if name == resource or plugins.driver_class(type_name).SETTINGS.prefix(name) == resource:
        return name
    raise InvalidInputError(f"{name[:60]!r} is not the resource {resource}")
