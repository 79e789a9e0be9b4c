"""The tasks of one program, seen as one task.

A program may need several tasks: a service that takes one circuit at a time gets one for each. The
program's id is then their ids joined by ``|``, and any process of the user finds all of them
from it. With a single task, everything here is what the handle does for it.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from qrmi import journal, registry
from qrmi.codecs.interface import Encoded, GateCodec
from qrmi.errors import InvalidInputError, QrmiError
from qrmi.journal import TaskRecord
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.waiting import Deadline, SystemClock

__all__ = ["TaskGroup", "programs", "summary"]

_log = logging.getLogger(__name__)

_SEPARATOR = "|"
_NOTES = "notes"
_PART = "part"  # of a context: the program's own name, which of its tasks this is, how many


class TaskGroup:
    """One program's tasks on a resource. Threads may share it, and it can be pickled.

    Args:
        resource: the handle.
        program_id: the id of a task, or several joined by ``|``.
    """

    def __init__(self, resource: QuantumResource, program_id: str) -> None:
        self._resource = resource
        self._ids = program_id.split(_SEPARATOR)
        self._completed: set[str] = set()  # those need not be asked again
        self.id = program_id

    @property
    def task_ids(self) -> list[str]:
        """The ids of the tasks, in the order of the payloads."""
        return list(self._ids)

    @staticmethod
    def start(resource: QuantumResource, encoded: Encoded, context: Mapping[str, Any]) -> TaskGroup:
        """Start one task for each payload, in order.

        Args:
            resource: the handle.
            encoded: the program.
            context: small JSON values, journalled with the first task, with the notes.

        Raises:
            InvalidInputError: the program has no payload.
            QrmiError: as `QuantumResource.task_start`. Where tasks had been started before, they
                have been stopped, and the message says so.
        """
        total = len(encoded.payloads)
        if not total:
            raise InvalidInputError("the program runs nothing: it has no circuit to execute")
        first = {**context, _NOTES: dict(encoded.notes)} if encoded.notes else dict(context)
        if total == 1:
            return TaskGroup(resource, resource.task_start(encoded.payloads[0], context=first))
        name = uuid.uuid4().hex[:12]
        rest = {key: context[key] for key in ("sdk", "kind") if key in context}
        started: list[str] = []
        try:
            for number, payload in enumerate(encoded.payloads):
                held = {**(rest if number else first), _PART: [name, number, total]}
                started.append(resource.task_start(payload, context=held))
        except BaseException as error:
            left = _stop_each(resource, started)
            if isinstance(error, QrmiError) and started:
                raise _undone(error, resource, len(started), total, left) from error
            raise
        return TaskGroup(resource, _SEPARATOR.join(started))

    @staticmethod
    def find(program_id: str, resource: QuantumResource | None = None) -> TaskGroup:
        """The program of that id, or that one of its tasks belongs to.

        Args:
            program_id: the id of a program, or of one of its tasks where the journal has them all.
            resource: where it runs; ``None`` for what the journal tells.

        Raises:
            TaskNotFoundError: no resource is given, and the journal knows no such task.
        """
        first, *others = program_id.split(_SEPARATOR)
        handle = registry.resource_of_task(first) if resource is None else resource
        part = None if others else handle.task_context(first).get(_PART)
        if part is not None:
            joined = _joined_by_name(journal.default().containing(part[0]))
            program_id = joined.get(part[0], program_id)
        return TaskGroup(handle, program_id)

    @property
    def resource(self) -> QuantumResource:
        """The handle."""
        return self._resource

    def context(self) -> dict[str, Any]:
        """What the journal has of the program, notes included; empty when it has nothing."""
        return self._resource.task_context(self._ids[0])

    def status(self) -> TaskStatus:
        """Where the program is; see `summary`. Tasks behind one that failed are not asked."""
        seen = []
        for task_id in self._ids:
            seen.append(self._status(task_id))
            if seen[-1] in (TaskStatus.FAILED, TaskStatus.CANCELLED):
                break
        return summary(seen)

    def _status(self, task_id: str) -> TaskStatus:
        if task_id in self._completed:
            return TaskStatus.COMPLETED
        status = self._resource.task_status(task_id)
        if status is TaskStatus.COMPLETED:
            self._completed.add(task_id)
        return status

    def wait(
        self,
        timeout_seconds: float | None = None,
        on_status: Callable[[TaskStatus], None] | None = None,
    ) -> TaskStatus:
        """Wait until the program ends and return its final status.

        Tasks are waited for one after the other; the first that fails, or is stopped, ends the
        wait.

        Args:
            timeout_seconds: the longest wait; ``None`` for no limit.
            on_status: called with each new status of the program.

        Raises:
            WaitTimeoutError: the time is over; the tasks go on.
        """
        if len(self._ids) == 1:
            return self._resource.task_wait(self._ids[0], timeout_seconds, on_status)
        observer = _Observer(on_status)
        deadline = Deadline.after(timeout_seconds, SystemClock())
        status = TaskStatus.COMPLETED
        for number, task_id in enumerate(self._ids):
            if task_id in self._completed:
                continue
            left = None if timeout_seconds is None else deadline.shorten(timeout_seconds)
            observer.begun = number > 0
            status = self._resource.task_wait(task_id, left, observer if on_status else None)
            if status is not TaskStatus.COMPLETED:
                break
            self._completed.add(task_id)
        observer.report(status)
        return status

    def texts(self) -> list[str]:
        """The texts of the results, in the order of the payloads; errors as for every task."""
        return [self._resource.task_result(task_id).value for task_id in self._ids]

    def result(self, codec: GateCodec, notes: Mapping[str, Any] | None = None) -> Any:
        """The program's ``PrimitiveResult``.

        Args:
            codec: the resource's.
            notes: those of the program; ``None`` takes the journal's.
        """
        texts = self.texts()
        return codec.decode_result(texts, self.notes() if notes is None else notes)

    def notes(self) -> Mapping[str, Any]:
        """The codec's notes, as the journal has them."""
        found: Mapping[str, Any] = self.context().get(_NOTES) or {}
        return found

    def stop(self) -> None:
        """Stop all tasks, or clean up after them.

        Raises:
            QrmiError: one could not be stopped; the others have been asked all the same.
        """
        failures = [error for _, error in _failures(self._resource, self._ids)]
        if failures:
            raise failures[0]

    def logs(self) -> str:
        """The logs of all tasks, each under its id when there are several."""
        if len(self._ids) == 1:
            return self._resource.task_logs(self._ids[0])
        return "\n".join(f"== {i} ==\n{self._resource.task_logs(i)}" for i in self._ids)


def summary(statuses: Sequence[TaskStatus]) -> TaskStatus:
    """The status of a program of these tasks.

    The first task that failed or was stopped decides, whatever the others do: there will be no
    result. Otherwise the program is completed when all are, queued while all are, and running
    between.
    """
    for status in statuses:
        if status in (TaskStatus.FAILED, TaskStatus.CANCELLED):
            return status
    distinct = set(statuses)
    return distinct.pop() if len(distinct) == 1 else TaskStatus.RUNNING


def programs(records: Iterable[TaskRecord]) -> Iterator[tuple[str, TaskRecord]]:
    """Ids of programs with the record of their first task, in the order of the records.

    Tasks that never started, and programs that some task of never started, are left out.
    """
    listed = list(records)
    joined = _joined_by_name(listed)
    for record in listed:
        part = record.context.get(_PART)
        if part is None and record.id is not None:
            yield record.id, record
        elif part is not None and part[1] == 0 and part[0] in joined:
            yield joined[part[0]], record


def _joined_by_name(records: Iterable[TaskRecord]) -> dict[str, str]:
    """Programs of several tasks, by the name that they share in the journal, to their ids."""
    found: dict[str, dict[int, str]] = {}
    totals: dict[str, int] = {}
    for record in records:
        part = record.context.get(_PART)
        if part is not None and record.id is not None:
            name, number, totals[part[0]] = part
            found.setdefault(name, {})[number] = record.id
    return {
        name: _SEPARATOR.join(ids[number] for number in sorted(ids))
        for name, ids in found.items()
        if len(ids) == totals[name]
    }


class _Observer:
    """Passes on each new status of a program, seen through the task that is waited for now."""

    def __init__(self, on_status: Callable[[TaskStatus], None] | None) -> None:
        self._on_status = on_status
        self._last: TaskStatus | None = None
        self.begun = False

    def __call__(self, status: TaskStatus) -> None:
        if status is TaskStatus.COMPLETED or (self.begun and status is TaskStatus.QUEUED):
            status = TaskStatus.RUNNING  # other tasks are done, or still to come
        if not status.is_final:
            self.report(status)

    def report(self, status: TaskStatus) -> None:
        if self._on_status is not None and status is not self._last:
            self._last = status
            self._on_status(status)


def _failures(resource: QuantumResource, task_ids: Iterable[str]) -> list[tuple[str, QrmiError]]:
    """Stop tasks; those that could not be, with the reason."""
    failed = []
    for task_id in task_ids:
        try:
            resource.task_stop(task_id)
        except QrmiError as error:
            _log.warning("task %s could not be stopped: %s", task_id, error)
            failed.append((task_id, error))
    return failed


def _stop_each(resource: QuantumResource, task_ids: Iterable[str]) -> list[str]:
    return [task_id for task_id, _ in _failures(resource, task_ids)]


def _undone(
    error: QrmiError, resource: QuantumResource, number: int, total: int, left: Sequence[str]
) -> QrmiError:
    """The error of a start, saying what became of the tasks that had been started before."""
    message = f"task {number + 1} of {total} was not started: {error.message}; "
    if left:
        message += f"not stopped, still there: {', '.join(left)}"
    else:
        message += f"the {number} before it were stopped"
    return type(error)(
        message,
        owner=error.owner,
        retryable=error.retryable,
        hint=error.hint,
        resource_id=resource.resource_id(),
        task_id=error.task_id,
    )
