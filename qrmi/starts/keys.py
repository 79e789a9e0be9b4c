"""Idempotency keys: those that are made up for one call, and those that a caller chose."""

from __future__ import annotations

import functools
import itertools
import os
import time
import uuid
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi import config, journal, processes
from qrmi.errors import InvalidInputError
from qrmi.payloads import Payload, digest
from qrmi.processes import Process

__all__ = ["CLOCKS_DIFFER_SECONDS", "Claim", "Keys", "derived_key"]

CLOCKS_DIFFER_SECONDS = 60.0
"""How much the clocks of two machines of a site may differ."""

_counter = itertools.count()


def derived_key() -> str:
    """An idempotency key that no other rank, restart, process or call makes.

    It names the scheduler's job, restart, step and rank, or the host; then this process and call.
    """
    return f"{_process_identity()}-{next(_counter)}"


@functools.cache
def _process_identity() -> str:
    place = config.job_identity() or config.host_name()
    return f"{place}-{os.getpid()}-{uuid.uuid4().hex}"


if hasattr(os, "register_at_fork"):  # a child with a reused pid must not make its sibling's keys
    os.register_at_fork(after_in_child=_process_identity.cache_clear)


@attrs.frozen(kw_only=True)
class Claim:
    """Who may make an attempt to start a task under a caller's key.

    Attributes:
        attempt: its number, from 1.
        at: when it was claimed, in seconds since the epoch; 0 when that cannot be read.
        process: by which process; ``None`` when that cannot be read.
        resource: for which resource.
        digest: for which resource and payload.
    """

    attempt: int
    at: float = 0.0
    process: Process | None = None
    resource: str = ""
    digest: str = ""

    @classmethod
    def read(cls, fields: Mapping[str, Any], number: int) -> Claim:
        """A claim as the journal has it; of one torn by a crash only its number is known."""
        try:
            return cls(
                attempt=int(fields["number"]),
                at=float(fields["at"]),
                process=Process(**fields["process"]),
                resource=str(fields["resource"]),
                digest=str(fields["digest"]),
            )
        except (KeyError, TypeError, ValueError):
            return cls(attempt=number, at=time.time())

    @property
    def clock_error_seconds(self) -> float:
        """By how much its times may differ from this machine's."""
        is_here = self.process and self.process.host == processes.this_process().host
        return 0.0 if is_here else CLOCKS_DIFFER_SECONDS

    @property
    def is_abandoned(self) -> bool:
        """Whether the process that claimed it is known to be gone."""
        return self.process is not None and bool(processes.has_ended(self.process))


def _used_otherwise(key: str, resource_id: str, task_id: str | None) -> InvalidInputError:
    return InvalidInputError(
        f"the key {key!r} was used for another task on {resource_id}",
        hint="give each task a key of its own",
        task_id=task_id,
    )


class Keys:
    """The keys that callers chose for tasks of one resource, as the journal has them."""

    def __init__(self, resource_id: str) -> None:
        self._resource_id = resource_id

    def known(self, key: str, payload: Payload) -> journal.TaskRecord | None:
        """The record of the latest start with this key, or ``None``.

        Raises:
            InvalidInputError: the key is empty, or was used for another payload or on another
                resource.
        """
        if not isinstance(key, str):
            raise TypeError(f"a key is a text, not {type(key).__name__}")
        if not key:
            raise InvalidInputError("the key is empty", hint="leave it out to have one made up")
        record = journal.default().find(key)
        if record is not None:
            same = (record.resource_id, record.payload_digest)
            is_free = bool(record.reason) and record.status is None  # it was refused
            if not is_free and same != (self._resource_id, digest(payload)):
                raise _used_otherwise(key, record.resource_id, record.id)
        return record

    def last_claim(self, key: str, payload: Payload) -> Claim | None:
        """The latest claim to a caller's key, or ``None``.

        Raises:
            InvalidInputError: it was made for another payload or resource, and was not refused.
        """
        found = journal.default().claimed(key)
        if not found:
            return None
        claim = Claim.read(found[-1], len(found))
        if claim.digest not in ("", self._claim_digest(payload)):
            record = journal.default().find(key)
            refused = record is not None and record.reason and record.attempt >= claim.attempt
            if not refused:
                raise _used_otherwise(key, claim.resource, None)
        return claim

    def claim(self, key: str, attempt: int, payload: Payload) -> bool:
        """Claim an attempt for this process; false when another one has it.

        Raises:
            JournalError: it cannot be written; nothing may be sent.
        """
        return journal.default().claim(
            key,
            attempt,
            at=time.time(),
            number=attempt,
            process=attrs.asdict(processes.this_process()),
            resource=self._resource_id,
            digest=self._claim_digest(payload),
        )

    def _claim_digest(self, payload: Payload) -> str:
        return f"{self._resource_id}:{digest(payload)}"
