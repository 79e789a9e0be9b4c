"""A caller's own key among several processes: one of them sends, the others get its task.

A key that is made up belongs to one call of one process. A key that the caller chose may be used
by many processes at once, or again days later. Each attempt to send under it is *claimed* by
creating a file that must not exist, so that one process alone makes it.
"""

from __future__ import annotations

import time

import attrs

from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import TaskStartUncertainError
from qrmi.journal import TaskRecord
from qrmi.payloads import Payload
from qrmi.starts import reconciling
from qrmi.starts.keys import Claim
from qrmi.tasks import TaskId
from qrmi.waiting import Deadline, SystemClock, found_before, next_interval

__all__ = ["Settled", "settled"]

_SHORTEST_LOOK_SECONDS = 0.02
_clock = SystemClock()


@attrs.frozen(kw_only=True)
class Settled:
    """What there is of a key.

    Attributes:
        task_id: its task; ``None`` when this process is to make an attempt.
        attempt: the number of that attempt, which is claimed for this process.
        created: the task of a start in two steps that lacks its program.
        claimed: when it was claimed at the earliest, by the driver's clock.
    """

    task_id: TaskId | None = None
    attempt: int = 1
    created: TaskId | None = None
    claimed: float = 0.0


def settled(driver: Driver, book: TaskBook, key: str, payload: Payload) -> Settled:
    """The task of a key, or an attempt that this process alone may make.

    Waits as long as another process may be about to send, or its request may still arrive.

    Raises:
        InvalidInputError: the key is empty, or was used for another payload or resource.
        JournalError: the attempt cannot be claimed; nothing was sent.
        TaskStartUncertainError: an earlier attempt has no known end, and nobody can tell it.
    """
    clock = driver.clock or _clock
    begun = clock.monotonic()
    while True:
        record = book.keys.known(key, payload)
        if (task_id := _task_of(record)) is not None:
            return Settled(task_id=task_id)
        claim = book.keys.last_claim(key, payload)
        attempt = max(claim.attempt if claim else 0, record.attempt if record else 0)
        if attempt and not _is_refused(record, attempt):
            found = _awaited(driver, book, key, payload, claim or _unclaimed(record))
            if found is not None:
                book.started(key, found, payload)
                return Settled(task_id=found)
            if _has_moved_on(book, key, payload, attempt):
                continue
        claimed = clock.monotonic()
        if book.keys.claim(key, attempt + 1, payload):
            return Settled(attempt=attempt + 1, created=_created(record), claimed=claimed)
        waited = claimed - begun  # what another machine wrote may take a while to show
        clock.sleep(next_interval(waited, _SHORTEST_LOOK_SECONDS))


def _unclaimed(record: TaskRecord | None) -> Claim:
    """In the place of the claim to an attempt that needed none: its key was made up."""
    assert record is not None  # there is neither claim nor record of an attempt that is none
    return Claim(attempt=record.attempt, at=record.sent_at)


def _task_of(record: TaskRecord | None) -> TaskId | None:
    return record.id if record is not None and record.status is not None else None


def _created(record: TaskRecord | None) -> TaskId | None:
    """The task of a start in two steps that lacks its program; one of a refused start is ended."""
    return record.id if record is not None and not record.reason else None


def _is_refused(record: TaskRecord | None, attempt: int) -> bool:
    return record is not None and bool(record.reason) and record.attempt >= attempt


def _has_moved_on(book: TaskBook, key: str, payload: Payload, attempt: int) -> bool:
    """Whether the attempt has been settled since, or another one was claimed."""
    record = book.keys.known(key, payload)
    claim = book.keys.last_claim(key, payload)
    is_settled = _task_of(record) is not None or _is_refused(record, attempt)
    return is_settled or (claim is not None and claim.attempt > attempt)


def _awaited(
    driver: Driver, book: TaskBook, key: str, payload: Payload, claim: Claim
) -> TaskId | None:
    """The task of an attempt that is not settled; ``None`` when it has none, or is settled now."""
    _wait_for_the_sender(driver, book, key, payload, claim)
    if _has_moved_on(book, key, payload, claim.attempt):
        return None
    is_abandoned = claim.is_abandoned
    record = book.keys.known(key, payload)
    if is_abandoned and (record is None or record.attempt < claim.attempt):
        return None  # its process has ended without an intent, before it could send anything
    lost_at = record.lost_at if record else None
    first_sent = record.started_at if record else claim.at
    last_sent = lost_at or min(time.time(), claim.at + driver.sending_seconds)
    try:
        return reconciling.outcome(
            driver,
            book,
            key,
            payload,
            created=_created(record),
            seconds_since=max(time.time() - last_sent - claim.clock_error_seconds, 0.0),
            longest_since=time.time() - first_sent + claim.clock_error_seconds,
            reason="an earlier start with this key has no known end",
        )
    except TaskStartUncertainError as error:
        book.unsettled(key, error)
        raise


def _wait_for_the_sender(
    driver: Driver, book: TaskBook, key: str, payload: Payload, claim: Claim
) -> None:
    """Wait as long as whoever claimed the attempt may still send, unless it does not matter."""
    longest = driver.sending_seconds + claim.clock_error_seconds
    left = min(claim.at + longest - time.time(), longest)
    if left <= 0 or claim.is_abandoned or driver.CAPABILITIES.repeatable_start:
        return

    def look() -> bool | None:
        record = book.keys.known(key, payload)
        is_over = record is not None and (record.lost_at is not None or record.uncertain)
        return is_over or _has_moved_on(book, key, payload, claim.attempt) or None

    found_before(Deadline.after(left, driver.clock or _clock), look, _SHORTEST_LOOK_SECONDS)
