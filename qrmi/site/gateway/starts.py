"""Starts through the gateway, each once: what the daemon itself lost, it finds again.

For the client the daemon is a vendor like any other, and it keeps a promise that few vendors do:
the same key of the same user is the same task, also over a ``kill -9``. Keys of different users
never meet, because the vendor is given each with a name of its user.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qrmi.driver import Driver
from qrmi.errors import (
    AnswerLostError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
    UnsupportedPayloadError,
)
from qrmi.payloads import Payload, digest
from qrmi.references import created_id
from qrmi.site.gateway.methods import Method
from qrmi.site.gateway.shots import shots_of, shots_of_jobs
from qrmi.site.gateway.tasks import TaskRow, TaskTable
from qrmi.site.gateway.tokens import Tokens
from qrmi.site.gateway.visits import Visit
from qrmi.tasks import TaskId

__all__ = ["Starts"]

_LOST = (AnswerLostError, UnexpectedAnswerError)
_CLOCKS_SECONDS = 1.0


class Starts:
    """Starts tasks and finds them by their keys. Thread-safe.

    Args:
        tasks: where starts are written down.
        tokens: what names users to vendors.
        now: the time, epoch seconds.
    """

    def __init__(
        self, tasks: TaskTable, tokens: Tokens, now: Callable[[], float] = time.time
    ) -> None:
        self._tasks = tasks
        self._tokens = tokens
        self._now = now
        self._turns = _Turns()

    def key_at_vendor(self, uid: int, key: str) -> str:
        """What the vendor is given as the key of a user's start."""
        return f"{key}-{self._tokens.name_of(uid)}"

    def start(
        self, visit: Visit, driver: Driver, method: Method, arguments: Mapping[str, Any]
    ) -> TaskId:
        """Start a task, or give the one that this user started with this key.

        Raises:
            InvalidInputError: the key was used for another payload.
            AnswerLostError: it is not known what came of it.
            QrmiError: what the driver raised; nothing came of it.
        """
        payload, key = arguments["payload"], arguments["key"]
        if payload.FORMAT not in driver.PAYLOADS:
            raise UnsupportedPayloadError(f"{visit.resource} does not take {payload.FORMAT}")
        content = digest(payload)
        with self._turns.of((visit.uid, visit.resource, key)):
            row = self._tasks.of_key(visit.uid, visit.resource, key)
            if row is not None and row.digest != content:
                raise InvalidInputError(
                    f"the key {key!r} was used for another task on {visit.resource}",
                    hint="give each task a key of its own",
                    task_id=row.task,
                )
            if row is not None and row.task is None:
                row = self._made_sure(row, driver, payload)
            if row is not None and row.task is not None:
                return TaskId(row.task)
            row = row or self._tasks.intend(_row(visit, payload, key, content))
            own = {**arguments, "key": self.key_at_vendor(visit.uid, key)}
            return self._sent(row, driver, method, own)

    def _sent(
        self, row: TaskRow, driver: Driver, method: Method, arguments: Mapping[str, Any]
    ) -> TaskId:
        try:
            task_id = created_id(method.call(driver, arguments))
        except _LOST:
            raise  # it stays unsettled: whoever asks next looks for it
        except QrmiError as error:
            self._tasks.refused(row, str(error.owner))
            raise
        self._tasks.started(row, task_id)
        return task_id

    def _made_sure(self, row: TaskRow, driver: Driver, payload: Payload) -> TaskRow:
        """A start that this daemon, or the one before it, lost sight of; found if it is there.

        Raises:
            AnswerLostError: it may still arrive, or nobody can tell.
        """
        able = driver.CAPABILITIES
        can_find = able.idempotency_key and driver.can_find(payload)
        found = driver.find_task(self._key_of(row)) if can_find else None
        if found is not None:
            return self._tasks.started(row, found)
        if able.two_step or able.repeatable_start:
            return row
        settle = driver.settle_seconds if can_find or able.lists_recent else None
        if settle is not None and self._now() - row.asked > settle - _CLOCKS_SECONDS:
            return row  # it is not there, and can no longer arrive
        raise AnswerLostError(
            f"an earlier start with the key {row.key!r} has no known end",
            owner=Owner.VENDOR,
            resource_id=row.resource,
        )

    def find(self, visit: Visit, driver: Driver, key: str) -> TaskId | None:
        """The task that this user started with the key; ``None`` when there is none."""
        if not driver.CAPABILITIES.idempotency_key:
            return driver.find_task(key)  # which refuses it in the vendor's words
        with self._turns.of((visit.uid, visit.resource, key)):
            row = self._tasks.of_key(visit.uid, visit.resource, key)
            if row is None:
                return None
            if row.task is not None and not driver.CAPABILITIES.two_step:
                return TaskId(row.task)
            found = driver.find_task(self._key_of(row))
            if found is not None and row.task is None:
                self._tasks.started(row, found)
            return found

    def submit(
        self,
        visit: Visit,
        driver: Driver,
        method: Method,
        arguments: Mapping[str, Any],
        row: TaskRow,
    ) -> None:
        """The second step of a start; a refusal means that nothing came of it."""
        own = {**arguments, "key": self.key_at_vendor(visit.uid, arguments["key"])}
        try:
            method.call(driver, own)
        except _LOST:
            raise
        except QrmiError as error:
            self._tasks.refused(row, str(error.owner))
            raise

    def add(
        self, driver: Driver, method: Method, arguments: Mapping[str, Any], row: TaskRow
    ) -> list[str]:
        """Add jobs to a batch; they belong to whoever the batch belongs to."""
        ids: list[str] = method.call(driver, arguments)
        self._tasks.add_parts(row, ids)
        more = shots_of_jobs(arguments["jobs"])
        if more is not None:
            self._tasks.measured(row, shots=(row.shots or 0) + more)
        return ids

    def own_of(self, visit: Visit, listed: list[TaskId]) -> list[TaskId]:
        """Those of a list that are the caller's."""
        own = self._tasks.ids(visit.resource, visit.uid)
        return [task for task in listed if task in own]

    def recent(self, visit: Visit, listed: list[TaskId]) -> list[TaskId]:
        """The same where it has to tell whether a lost start is among them.

        Raises:
            ResourceUnavailableError: one of them is nobody's that is known here, and may be that.
        """
        if self._tasks.unsettled(visit.resource, visit.uid):
            strange = set(listed) - self._tasks.ids(visit.resource)
            if strange:
                raise ResourceUnavailableError(
                    f"{visit.resource} has {len(strange)} tasks of which this site does not know "
                    "who started them",
                    hint="ask the site to look whether one of them is yours",
                )
        return self.own_of(visit, listed)

    def _key_of(self, row: TaskRow) -> str:
        return self.key_at_vendor(row.uid, row.key or "")


def _row(visit: Visit, payload: Payload, key: str, content: str) -> TaskRow:
    return TaskRow(
        uid=visit.uid,
        job=visit.job,
        resource=visit.resource,
        entry=visit.place.entry,
        type=visit.place.type,
        key=key,
        digest=content,
        format=payload.FORMAT,
        shots=shots_of(payload),
    )


class _Turns:
    """One at a time for each key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[tuple[object, ...], tuple[threading.Lock, int]] = {}

    @contextlib.contextmanager
    def of(self, key: tuple[object, ...]) -> Iterator[None]:
        """Wait for the turn of a key, and hold it."""
        with self._lock:
            turn, waiting = self._held.get(key, (threading.Lock(), 0))
            self._held[key] = (turn, waiting + 1)
        try:
            with turn:
                yield
        finally:
            with self._lock:
                turn, waiting = self._held.pop(key)
                if waiting > 1:
                    self._held[key] = (turn, waiting - 1)
