"""Starting a task exactly once: intent, sending, and what is done about a lost answer.

An attempt is journalled before it is sent. When its answer is lost, the handle finds out what
came of it (`qrmi.starts.reconciling`), and sends again only what cannot have been carried out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qrmi.bookkeeping import TaskBook
from qrmi.driver import Driver
from qrmi.errors import (
    AnswerLostError,
    QrmiError,
    ResourceUnavailableError,
    TaskStartUncertainError,
    UnexpectedAnswerError,
)
from qrmi.journal import Journal
from qrmi.payloads import Payload
from qrmi.references import created_id
from qrmi.starts import claiming, reconciling
from qrmi.starts.keys import derived_key
from qrmi.tasks import TaskId
from qrmi.waiting import SystemClock

__all__ = ["start"]

_MOST_ATTEMPTS = 3
_log = logging.getLogger(__name__)
_clock = SystemClock()


def start(
    driver: Driver,
    book: TaskBook,
    payload: Payload,
    key: str | None,
    context: Mapping[str, Any] | None,
    *,
    begin: Callable[[Any, str], TaskId] | None = None,
) -> TaskId:
    """Start a task and return its id; the intent is journalled before anything is sent.

    Args:
        driver: what sends it.
        book: where it is journalled.
        payload: what to run.
        key: the caller's own name for this start, or ``None``.
        context: the adapter's notes.
        begin: what sends it in one step, where that is not the driver's ``task_start``.

    Raises:
        TaskStartUncertainError: a task may exist whose id is not known; nothing is sent again.
        QrmiError: the start failed, and no task exists.
    """
    made_up = derived_key() if key is None else key
    errand = _Errand(driver, book, payload, made_up, context or {}, key is not None, begin)
    if key is not None:
        found = claiming.settled(driver, book, key, payload)
        if found.task_id is not None:
            return found.task_id
        errand.attempt, errand.begun = found.attempt, found.claimed
        errand.created = found.created
    return errand.carried_out()


@attrs.define
class _Errand:
    """One start under way."""

    driver: Driver
    book: TaskBook
    payload: Payload
    key: str
    context: Mapping[str, Any]
    is_shared: bool
    begin: Callable[[Any, str], TaskId] | None
    attempt: int = 1
    failure: QrmiError | None = None
    created: TaskId | None = None  # in two steps: the task, once it is made
    now: Callable[[], float] = attrs.field(init=False)  # by the driver's clock
    begun: float = attrs.field(init=False)
    place: Journal = attrs.field(init=False)  # where the intent is

    def __attrs_post_init__(self) -> None:
        self.now = (self.driver.clock or _clock).monotonic
        self.begun = self.now()

    def carried_out(self) -> TaskId:
        for number in range(_MOST_ATTEMPTS):
            if number > 0:
                _log.warning("%s: sent again; what was sent before was lost", self.key)
                if (elsewhere := self._next_attempt()) is not None:
                    return elsewhere
            outcome = self._attempted()
            if isinstance(outcome, QrmiError):
                self.failure = outcome
                found = self._reconciled(outcome)
            else:
                found = outcome
            if found is not None:
                self.book.started(self.key, found, self.payload, self.place)
                return found
        assert self.failure is not None  # each attempt has lost its answer
        if self.driver.CAPABILITIES.repeatable_start:  # then nobody has looked what there is
            raise self._given_up(self.failure)
        raise self._without_effect(self.failure)

    def _attempted(self) -> TaskId | QrmiError:
        """The task's id, or the error with which the answer was lost."""
        self.place = self.book.intend(self.key, self.payload, self.context, **self._particulars())
        try:
            self._must_be_timely()
            return self._sent()
        except (AnswerLostError, UnexpectedAnswerError) as error:
            self.book.lost(self.key, error)
            return error
        except QrmiError as error:
            error.key = self.key
            self.book.refused(self.key, error, self.attempt)
            raise
        except BaseException as error:  # Ctrl-C, say, when the request may have left
            self.book.lost(self.key, error)
            error.add_note(f"a task may have been started as {self.key}: `qrmi tasks` tells")
            raise

    def _sent(self) -> TaskId:
        """The id of the task, which the service has been handed whole.

        Called again, it goes on with what is not known to be done. Of a start in two steps, which
        makes a task and hands it its program, the id is journalled in between.
        """
        driver = self.driver
        if self.begin is not None or not driver.CAPABILITIES.two_step:
            return created_id((self.begin or driver.task_start)(self.payload, self.key))
        if self.created is None:
            self.created = created_id(driver.task_create(self.payload, self.key))
            self.book.created(self.key, self.created)
            self._must_be_timely()
        driver.task_submit(self.created, self.payload, self.key)
        return self.created

    def _particulars(self) -> dict[str, Any]:
        """What is not so of most starts."""
        found: dict[str, Any] = {} if self.attempt == 1 else {"attempt": self.attempt}
        if self.driver.CAPABILITIES.idempotency_key and not self.driver.can_find(self.payload):
            found["findable"] = False
        return found

    def _must_be_timely(self) -> None:
        """Others with this key count on the sending being over after a time."""
        if self.now() - self.begun > self.driver.sending_seconds:
            raise ResourceUnavailableError(
                "this program stood still just before it would have sent the task",
                hint="start it again; nothing was sent",
            )

    def _reconciled(self, error: QrmiError) -> TaskId | None:
        """The task of the attempt; ``None`` when there is none, for sure."""
        try:
            return reconciling.outcome(
                self.driver,
                self.book,
                self.key,
                self.payload,
                created=self.created,
                longest_since=self.now() - self.begun,
                seconds_since=0.0,  # it may have left just before the answer was given up
                reason=error.message,
            )
        except TaskStartUncertainError as uncertain:
            raise self._given_up(uncertain) from error

    def _next_attempt(self) -> TaskId | None:
        """Make ready for another attempt; the task, if another process was quicker with it."""
        self.attempt += 1
        self.begun = self.now()
        if not self.is_shared or self.book.keys.claim(self.key, self.attempt, self.payload):
            return None
        found = claiming.settled(self.driver, self.book, self.key, self.payload)
        self.attempt, self.begun = found.attempt, found.claimed
        return found.task_id

    def _given_up(self, error: QrmiError) -> QrmiError:
        """What is raised when every answer was lost."""
        if self.driver.CAPABILITIES.two_step and self.created is None:
            return self._without_effect(error)
        if not isinstance(error, TaskStartUncertainError):
            error = reconciling.uncertain(self.driver, self.key, self.created, error.message)
        self.book.unsettled(self.key, error)
        return error

    def _without_effect(self, error: QrmiError) -> QrmiError:
        """What is raised when nothing runs: no program left, or none arrived."""
        if isinstance(error, AnswerLostError):
            error = ResourceUnavailableError(
                error.message,
                owner=error.owner,
                hint="start it again; what was sent has not arrived",
                resource_id=self.driver.resource_id,
                task_id=self.created,
            )
        error.key = self.key
        self.book.refused(self.key, error, self.attempt)
        return error
