"""What came of a start whose answer was lost: asked of the service, never guessed.

Each vendor leaves its own way, which its driver declares:

* two steps: the id was journalled in between, and the service tells whether it has the program;
* a start that may be repeated (the id is made on this side): it is, so nothing is asked;
* a key that the service keeps: the task is looked for, and "not found" counts once the request
  can no longer arrive (`Driver.settle_seconds` after it was sent);
* a list of tasks without keys: when it has no task that the journal does not know, there is none;
* none of these: nobody can tell.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable

from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import QrmiError, TaskStartUncertainError
from qrmi.payloads import Payload
from qrmi.starts.keys import CLOCKS_DIFFER_SECONDS
from qrmi.tasks import TaskId
from qrmi.waiting import Deadline, SystemClock, found_before

__all__ = ["outcome", "uncertain"]

_MOST_NAMED = 5
_IDS_LAST_SECONDS = 2 * 86400.0  # a service that counts its tasks may begin anew, not every day
_log = logging.getLogger(__name__)
_LONGEST_GRACE_SECONDS = 30.0  # looks that fail are repeated: what is paid for hangs on them
_GRACE_OF_SETTLING = 5.0  # but not for longer than this many settle times
_clock = SystemClock()


def outcome(
    driver: Driver,
    book: TaskBook,
    key: str,
    payload: Payload,
    *,
    created: TaskId | None,
    seconds_since: float,
    longest_since: float,
    reason: str,
) -> TaskId | None:
    """The task that came of a start; ``None`` when none did, so that it may be sent again.

    Args:
        driver: the resource.
        book: its journal.
        key: the start's key.
        payload: what was sent.
        created: the id of a start in two steps that got as far as that.
        seconds_since: how long ago it was sent at the latest.
        longest_since: how long ago at the earliest.
        reason: what went wrong, for the error.

    Raises:
        TaskStartUncertainError: nobody can tell.
    """
    able = driver.CAPABILITIES
    if able.two_step and created is None:
        return None  # a task without its program does nothing
    if able.repeatable_start:
        return _looked_up_once(driver, key, payload)
    look = _look_of(driver, key, payload, created)
    settle = driver.settle_seconds
    if look is not None and (found := _seen_at_once(key, look)) is not None:
        return found
    if settle is None or not (look or able.lists_recent):
        mark = driver.mark_of(payload, key)
        raise uncertain(driver, key, created, reason, mark=mark)
    deadline = Deadline.after(max(settle - seconds_since, 0.0), driver.clock or _clock)
    _log.warning(
        "the answer to a start on %s was lost; making sure for %.3g s that it did not arrive",
        driver.resource_id,
        deadline.shorten(settle),
    )
    grace = min(_GRACE_OF_SETTLING * settle, _LONGEST_GRACE_SECONDS)
    if look is None:
        _must_list_none(driver, book, key, (deadline, grace), time.time() - longest_since, reason)
        return None
    try:
        return found_before(deadline, look, able.min_poll_seconds, grace_seconds=grace)
    except QrmiError as error:
        cause = f"it cannot be looked up: {error.message}"
        raise uncertain(driver, key, created, cause) from error


def _look_of(
    driver: Driver, key: str, payload: Payload, created: TaskId | None
) -> Callable[[], TaskId | None] | None:
    """What looks for the task; ``None`` where tasks cannot be looked for."""
    if created is not None:
        return lambda: created if driver.task_submitted(created) else None
    return (lambda: driver.find_task(key)) if driver.can_find(payload) else None


def _seen_at_once(key: str, look: Callable[[], TaskId | None]) -> TaskId | None:
    try:
        return look()  # mostly it is there already
    except QrmiError as error:
        _log.debug("%s: the first look-up failed: %s", key, error)
        return None


def _looked_up_once(driver: Driver, key: str, payload: Payload) -> TaskId | None:
    if not driver.can_find(payload):
        return None
    try:
        return driver.find_task(key)
    except QrmiError:
        return None  # the start is repeated, which tells as well


def _must_list_none(
    driver: Driver,
    book: TaskBook,
    key: str,
    patience: tuple[Deadline, float],
    since: float,
    reason: str,
) -> None:
    """Raise when the service lists a task, since a time, that the journal does not know."""
    deadline, grace = patience
    shortest = driver.CAPABILITIES.min_poll_seconds

    def look() -> list[TaskId] | None:
        return driver.recent_tasks(since) if deadline.passed else None

    try:
        listed = found_before(deadline, look, shortest, grace_seconds=grace) or []
    except QrmiError as error:
        raise uncertain(driver, key, None, f"its tasks cannot be listed: {error}") from error
    known = book.recent_ids(since - _IDS_LAST_SECONDS)
    newer = book.recent_ids(since - CLOCKS_DIFFER_SECONDS)  # all that are listed at the least
    if newer and not newer & set(listed):
        lacking = f"its list of tasks lacks {min(newer)}, which it has"
        raise uncertain(driver, key, None, lacking)
    strange = (t for t in listed if t not in known and not _is_known(book, t, since))
    if named := ", ".join(itertools.islice(strange, _MOST_NAMED)):
        raise uncertain(driver, key, None, f"{reason}; it may be one of these: {named}")


def _is_known(book: TaskBook, task_id: TaskId, since: float) -> bool:
    """Whether it is another start's. One that was made long ago had an id that is used again."""
    record = book.remembered(task_id)
    return record is not None and record.started_at > since - _IDS_LAST_SECONDS


def uncertain(
    driver: Driver, key: str, task_id: str | None, reason: str, *, mark: str = ""
) -> TaskStartUncertainError:
    """The error for a start of which nobody can tell what came of it.

    ``mark`` is what the task bears on the service, for people to look for.
    """
    subject = f"task {task_id}" if task_id else "a task"
    how = f"it bears the tag {mark}" if mark else "`list_tasks()` where it can list"
    return TaskStartUncertainError(
        f"{subject} may have been started on {driver.resource_id}: {reason}",
        hint=f"look for it on the service ({how}) before you start it again; nothing was sent "
        "twice. `qrmi explain` tells what happened",
        resource_id=driver.resource_id,
        task_id=task_id,
        key=key,
    )
