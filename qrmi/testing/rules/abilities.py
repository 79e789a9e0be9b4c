"""Capabilities are true: what is declared works, what is not says so."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest

from qrmi.errors import (
    InvalidInputError,
    TaskNotFoundError,
    UnsupportedFunctionError,
    UnsupportedPayloadError,
)
from qrmi.payloads import AnalogJob, Payload, PulserBatch
from qrmi.tasks import TaskId, TaskStatus
from qrmi.testing.rules.kit import Kit, unlike
from qrmi.waiting import SystemClock

__all__ = ["AbilityRules"]

_HOLD_SECONDS = 0.3
_LATE_SECONDS = 5.0
_clock = SystemClock()


class AbilityRules:
    """One rule a capability."""

    def test_logs(self, kit: Kit) -> None:
        """``logs``: the log of an ended task is a text; otherwise it is refused."""
        task = kit.completed()
        if kit.resource.capabilities.logs:
            log = kit.resource.task_logs(task)
            assert isinstance(log, str), f"the log is a {type(log).__name__}"
        else:
            kit.refused(lambda: kit.resource.task_logs(task), UnsupportedFunctionError)

    def test_idempotency_key(self, kit: Kit) -> None:
        """``idempotency_key``: the service finds a task by its key, and no other."""
        key = f"conformance-{uuid.uuid4().hex}"
        if not kit.resource.capabilities.idempotency_key:
            kit.refused(lambda: kit.resource.find_task(key), UnsupportedFunctionError)
            return
        kit.start()
        assert kit.resource.find_task(key) is None, "a key that nobody used finds a task"
        task = kit.start(key=key)
        kit.start()
        assert kit.resource.find_task(key) == task, "the key does not find its task"

    def test_list_tasks(self, kit: Kit) -> None:
        """Where the service lists tasks, the newest is there; otherwise it is refused."""
        task = kit.start()
        try:
            listed = kit.resource.list_tasks()
        except UnsupportedFunctionError as error:
            kit.check_error(error)
        else:
            assert task in listed, "a task that was just started is not listed"
            assert len(set(listed)) == len(listed), "an id is listed twice"

    def test_push(self, kit: Kit, slow_program: Payload | None) -> None:
        """``push``: the driver's wait returns at the end or in time; otherwise it is refused."""
        if not kit.resource.capabilities.push:
            task = kit.start()
            kit.refused(lambda: kit.driver.task_wait(task, 0.0), UnsupportedFunctionError)
            return
        begun = _clock.monotonic()
        task = kit.start(slow_program or kit.program)
        status = kit.driver.task_wait(task, _HOLD_SECONDS)
        assert isinstance(status, TaskStatus), f"it gave {type(status).__name__}"
        assert _clock.monotonic() - begun < _HOLD_SECONDS + _LATE_SECONDS, "it came back late"
        ended = kit.completed()
        assert kit.driver.task_wait(ended, kit.patience_seconds) is TaskStatus.COMPLETED

    def test_batches(self, kit: Kit) -> None:
        """``batches``: an open batch takes jobs until it is closed; otherwise it is refused."""
        if kit.resource.capabilities.batches:
            self._check_batch(kit)
            return
        unknown = TaskId("conformance-unknown")
        payload = PulserBatch(sequence="{}", jobs=[])
        verbs: tuple[Callable[[], object], ...] = (
            lambda: kit.resource.batch_start(payload),
            lambda: kit.resource.batch_add(unknown, [AnalogJob(runs=1)]),
            lambda: kit.resource.batch_close(unknown),
            lambda: kit.resource.batch_jobs(unknown),
        )
        for verb in verbs:
            kit.refused(verb, UnsupportedFunctionError, UnsupportedPayloadError)

    def _check_batch(self, kit: Kit) -> None:
        batch = _batch_of(kit.program)
        if batch is None:
            pytest.skip("`program` is no pulse sequence")
        task = kit.resource.batch_start(batch)
        try:
            added = kit.resource.batch_add(task, [AnalogJob(runs=5), AnalogJob(runs=6)])
            assert len(set(added)) == 2, f"two jobs were added, {len(set(added))} ids came back"
            assert not kit.resource.task_status(task).is_final, "an open batch has ended"
            kit.resource.batch_close(task)
            kit.resource.batch_close(task)
            status = kit.resource.task_wait(task, kit.patience_seconds)
        finally:
            kit.resource.task_stop(task)
        assert status is TaskStatus.COMPLETED, f"the batch ended as {status.name}"
        jobs = kit.resource.batch_jobs(task)
        assert [job.id for job in jobs][-2:] == list(added), "the jobs are others"
        assert all(job.status is TaskStatus.COMPLETED and job.result for job in jobs)
        kit.refused(
            lambda: kit.resource.batch_jobs(unlike(task)), TaskNotFoundError, InvalidInputError
        )

    def test_two_step(self, kit: Kit) -> None:
        """``two_step``: a task that is only created has an id, and can be stopped."""
        key = f"conformance-{uuid.uuid4().hex}"
        if not kit.resource.capabilities.two_step:
            kit.refused(lambda: kit.driver.task_create(kit.program, key), UnsupportedFunctionError)
            return
        task = kit.driver.task_create(kit.program, key)
        try:
            assert isinstance(task, str), f"the id is a {type(task).__name__}"
            kit.driver.task_submit(task, kit.program, key)
            assert kit.driver.task_submitted(task), "its program is not there"
            status = kit.resource.task_wait(task, kit.patience_seconds)
            assert status is TaskStatus.COMPLETED, f"it ended as {status.name}"
        finally:
            kit.resource.task_stop(task)

    def test_cleanup(self, kit: Kit) -> None:
        """``cleanup``: freeing is idempotent, of unknown ids too, and keeps results reachable."""
        task = kit.completed()
        before = kit.resource.task_result(task)
        for each in (task, task, TaskId(unlike(task))):
            kit.driver.task_free(each)
        assert kit.resource.task_status(task) is TaskStatus.COMPLETED, "freed, and forgotten"
        assert kit.resource.task_result(task) == before

    def test_task_reason(self, kit: Kit) -> None:
        """The reason of a task that did not fail is empty."""
        assert kit.driver.task_reason(kit.completed()) == ""


def _batch_of(program: Payload) -> PulserBatch | None:
    sequence = getattr(program, "sequence", None)
    return None if sequence is None else PulserBatch(sequence=sequence, jobs=[])
