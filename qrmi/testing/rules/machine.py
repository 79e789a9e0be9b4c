"""Calls in any order, against a model of what a task may do."""

from __future__ import annotations

import contextlib
import pickle
from typing import Any

import attrs
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import FlakyFailure
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from qrmi.errors import (
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    WaitTimeoutError,
)
from qrmi.resource import QuantumResource
from qrmi.tasks import TaskStatus
from qrmi.testing.rules.kit import Kit, rank, unlike

__all__ = ["MachineRules"]

_pick = st.integers(min_value=0, max_value=999)


class MachineRules:
    """Whatever is called in whatever order, the rules hold."""

    #: How many orders of calls are tried, and how many calls each has.
    orders: int = 12
    calls: int = 15

    def test_calls_in_any_order(self, kit: Kit) -> None:
        """Hypothesis makes up orders of calls; a model knows what each may answer."""
        chosen = settings(
            max_examples=self.orders,
            stateful_step_count=self.calls,
            deadline=None,
            database=None,
            print_blob=False,
            derandomize=True,
            phases=[Phase.generate],  # a real service is not asked again to find a shorter order
            suppress_health_check=list(HealthCheck),
        )
        try:
            # The annotation says a class; a function that makes the machine serves as well.
            run_state_machine_as_test(lambda: _Calls(kit), settings=chosen)  # type: ignore[arg-type]
        except FlakyFailure as error:  # it failed, then held: the failure is what counts
            raise error.exceptions[0] from None


@attrs.define
class _Seen:
    """What is known of a task."""

    task: str
    status: TaskStatus = TaskStatus.QUEUED
    result: str | None = None
    stopped: bool = False


class _Calls(RuleBasedStateMachine):
    def __init__(self, kit: Kit) -> None:
        super().__init__()
        self._kit = kit
        self._resource: QuantumResource = kit.resource
        self._seen: list[_Seen] = []
        self._tokens: list[tuple[QuantumResource, str]] = []  # a lease belongs to its handle

    def teardown(self) -> None:
        """End what this order of calls began."""
        for holder, token in self._tokens:
            holder.release(token)
        self._kit.clean_up()

    def _one(self, number: int) -> _Seen:
        return self._seen[number % len(self._seen)]

    def _told(self, seen: _Seen, status: TaskStatus) -> None:
        assert rank(status) >= rank(seen.status), f"{seen.status.name} -> {status.name}"
        if seen.status.is_final:
            assert status is seen.status, f"{seen.status.name} -> {status.name}"
        if status is TaskStatus.CANCELLED:
            assert seen.stopped, "cancelled, but nobody stopped it"
        assert status is not TaskStatus.FAILED, "`program` failed"
        seen.status = status

    @precondition(lambda self: len(self._seen) < 4)
    @rule()
    def start(self) -> None:
        task = self._kit.start(by=self._resource)
        assert task not in [seen.task for seen in self._seen], "an id was given twice"
        self._seen.append(_Seen(task))

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def look(self, number: int) -> None:
        seen = self._one(number)
        self._told(seen, self._resource.task_status(seen.task))

    @precondition(lambda self: self._seen)
    @rule(number=_pick, seconds=st.sampled_from([0.0, 0.01, 0.1]))
    def wait(self, number: int, seconds: float) -> None:
        seen = self._one(number)
        try:
            status = self._resource.task_wait(seen.task, seconds)
        except WaitTimeoutError:
            assert not seen.status.is_final, "timed out on a task that has ended"
        else:
            assert status.is_final, f"returned {status.name}"
            self._told(seen, status)

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def see_the_end(self, number: int) -> None:
        seen = self._one(number)
        self._told(seen, self._resource.task_wait(seen.task, self._kit.patience_seconds))
        assert seen.status.is_final, f"returned {seen.status.name}"

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def fetch(self, number: int) -> None:
        seen = self._one(number)
        try:
            value = self._resource.task_result(seen.task).value
        except TaskFailedError as error:
            raise AssertionError(f"`program` failed: {error}") from error
        except TaskCancelledError:
            self._told(seen, TaskStatus.CANCELLED)
        except TaskNotReadyError:
            assert not seen.status.is_final, f"not ready, but {seen.status.name}"
        else:
            self._told(seen, TaskStatus.COMPLETED)
            assert seen.result in (None, value), "the result changed"
            seen.result = value

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def stop(self, number: int) -> None:
        seen = self._one(number)
        self._resource.task_stop(seen.task)
        seen.stopped = seen.stopped or not seen.status.is_final
        self._told(seen, self._resource.task_status(seen.task))

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def stop_after_the_end(self, number: int) -> None:
        self.see_the_end(number)
        self.stop(number)

    @precondition(lambda self: self._seen)
    @rule(number=_pick)
    def look_for_another(self, number: int) -> None:
        unknown = unlike(self._one(number).task)
        with contextlib.suppress(TaskNotFoundError):
            self._resource.task_status(unknown)
            raise AssertionError("a task that nobody started has a status")

    @rule()
    def hand_over(self) -> None:
        self._resource = pickle.loads(pickle.dumps(self._resource))

    @precondition(lambda self: not self._tokens)
    @rule()
    def acquire(self) -> None:
        self._tokens.append((self._resource, self._resource.acquire()))

    @precondition(lambda self: self._tokens)
    @rule(again=st.booleans())
    def release(self, again: bool) -> None:
        for seen in self._seen:  # a service may end the tasks of a session with it
            seen.stopped = True
        holder, token = self._tokens.pop()
        holder.release(token)
        if again:
            holder.release(token)

    @rule(verb=st.sampled_from(["is_accessible", "status", "target", "metadata"]))
    def ask(self, verb: str) -> None:
        answer: Any = getattr(self._resource, verb)()
        assert answer is not None
