"""Several processes with one journal on one network file system, and one service, in any order.

Hypothesis chooses who goes on and how far, what happens to requests, who is killed where, what
machines see late, how wrong their clocks are, who compacts. More examples, by hand::

    QRMI_TEST_EXAMPLES=3000 python -m pytest tests/killed/test_machine.py
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections import defaultdict
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from model import KINDS, Fate, Process, World, put_apart

from qrmi import journal
from qrmi.errors import InvalidInputError, JournalError, QrmiError, TaskStartUncertainError
from qrmi.journal import TaskRecord
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi.starts import recovery

_EXAMPLES = int(os.environ.get("QRMI_TEST_EXAMPLES", "10"))
_HOSTS = 3
_KEYS = ("one", "two")
_PAYLOADS = (PasqalCloud("{}", 1), PasqalCloud("{}", 2))
_PLACES = ("claim", "line", "line", "look", "answer", "answer", "the end", "the end", "killed")
_MOVES = st.tuples(st.integers(0, 4), st.sampled_from(_PLACES))
_FATES = st.builds(
    Fate,
    st.sampled_from(("well", "cut", "lost", "late", "refused", "down")),
    st.sampled_from((1.0, 29.0, 45.0, 59.0)),
)


@attrs.frozen
class _Start:
    """A start that a process was asked to make."""

    process: Process
    key: str | None
    payload: int


class Processes(RuleBasedStateMachine):
    """Any order of events."""

    kind = "key"

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        put_apart(self.patch)
        self.world = World(self.kind, [0.0] * _HOSTS)
        self.starts: list[_Start] = []

    @initialize(errors=st.lists(st.sampled_from((-30.0, 0.0, 30.0)), min_size=3, max_size=3))
    def clocks(self, errors: list[float]) -> None:
        """Two clocks differ by a minute at most."""
        for machine, error in zip(self.world.machines, errors, strict=True):
            machine.clock_error_seconds = error

    # --- what may happen ----------------------------------------------------------------------

    @rule(
        host=st.integers(0, 2),
        key=st.sampled_from(("one", "one", "one", "two", None)),
        payload=st.sampled_from((0, 0, 0, 1)),
        fates=st.lists(_FATES, max_size=3),
        to=st.sampled_from(("file", "line", "answer")),
        luck=st.lists(st.booleans(), max_size=3),
    )
    def start(
        self,
        host: int,
        key: str | None,
        payload: int,
        fates: list[Fate],
        to: str,
        luck: list[bool],
    ) -> None:
        """A new process starts a task."""
        if len(self._running()) > 4:
            return

        def work(resource: QuantumResource) -> str:
            context = {"payload": payload}
            return str(resource.task_start(_PAYLOADS[payload], key=key, context=context))

        self.starts.append(_Start(self.world.begin(host, work, fates, luck), key, payload))
        self.starts[-1].process.go_on(to)

    @precondition(lambda self: self._running())
    @rule(moves=st.lists(_MOVES, min_size=1, max_size=10), written=st.sampled_from((0, 20, 400)))
    def go_on(self, moves: list[tuple[int, str]], written: int) -> None:
        """Processes go on, each to some place, or are killed where they stand."""
        for number, place in moves:
            if running := self._running():
                process = running[number % len(running)]
                if place == "killed":
                    process.kill(written)
                else:
                    process.go_on(place)

    @rule(seconds=st.sampled_from((1.0, 30.0, 61.0, 400.0)))
    def pass_time(self, seconds: float) -> None:
        """Time passes; who does not go on meanwhile has stood still."""
        self.world.pass_time(seconds)

    @rule(host=st.integers(0, 2), compacts=st.booleans(), to=st.sampled_from(("the end", "line")))
    def look_after(self, host: int, compacts: bool, to: str) -> None:
        """A process looks for what others have left, or brings its machine's files together."""
        self.world.begin(host, _compact if compacts else _recover).go_on(to)

    def _running(self) -> list[Process]:
        return [process for process in self.world.processes if not process.is_over]

    # --- what must be so ----------------------------------------------------------------------

    @invariant()
    def nothing_runs_twice(self) -> None:
        """One key, one run, whoever starts it and however often."""
        twice = [key for key, runs in self.world.service.runs.items() if runs > 1]
        assert not twice, "\n".join(self.world.told(twice[0]))

    @invariant()
    def what_was_returned_runs(self) -> None:
        """With the program that it was returned for; for one key, to all the same."""
        ids: dict[str, set[str]] = defaultdict(set)
        for start in self.starts:
            task_id = start.process.returned
            if task_id is None:
                continue
            task = self.world.service.tasks[task_id]
            assert task.has_program, f"{task_id} was returned and does not run"
            assert task.payload == _PAYLOADS[start.payload], "it is another's task"
            assert start.key in (None, task.key)
            ids[task.key].add(task_id)
        assert all(len(found) == 1 for found in ids.values()), ids

    @invariant()
    def errors_tell_the_truth(self) -> None:
        """Only ours, and uncertain only where nobody can tell."""
        for start in self.starts:
            error = start.process.error
            if error is None:
                continue
            assert isinstance(error, QrmiError), repr(error)
            if isinstance(error, TaskStartUncertainError):
                assert self.kind in ("list", "nothing"), str(error)

    def teardown(self) -> None:
        """In calm weather: all end; the journal knows what was returned; keys can be used."""
        try:
            self._finish()
        finally:
            for process in self.world.processes:
                process.kill(0)
            self.patch.undo()

    def _finish(self) -> None:
        self.world.to_the_end()
        self.world.pass_time(4000.0)
        for host in (0, 1):
            self._done(host, _recover)
            self._done(host, _compact)
        self._check_records()
        self._check_keys()
        self.nothing_runs_twice()
        self.what_was_returned_runs()

    def _done(self, host: int, work: Any) -> Process:
        process = self.world.begin(host, work)
        self.world.to_the_end()
        return process

    def _check_records(self) -> None:
        """What was returned is in the journal, with its context; what runs is, or is open."""
        looking = self._done(2, lambda _resource: journal.default().tasks())
        records: list[TaskRecord] = looking.returned
        by_id = {record.id: record for record in records if record.status is not None}
        for start in self.starts:
            if start.process.returned is not None:
                record = by_id.get(start.process.returned)
                assert record is not None, f"{start.process.returned} is lost"
                assert record.context == {"payload": start.payload}
        by_key = {record.key: record for record in records}
        for task_id, task in self.world.service.tasks.items():
            if not task.has_program:
                continue
            record = by_key[task.key]
            if self.kind in ("list", "nothing"):
                assert not record.reason, f"{task_id} runs, and is said to be refused"
            else:
                assert record.id == task_id, f"{task_id} runs, and is known as {record}"

    def _check_keys(self) -> None:
        """Whoever starts it again gets what there is, or a task; refused keys are free."""
        ran = dict(self.world.service.runs)
        for key in _KEYS:
            payloads = {s.payload for s in self.starts if s.key == key and s.process.returned}
            again = self._done(1, functools.partial(_again, key=key, payloads=payloads))
            if again.error is not None:
                allowed: tuple[type[QrmiError], ...] = (InvalidInputError,)
                if self.kind in ("list", "nothing"):
                    allowed += (TaskStartUncertainError,)
                assert isinstance(again.error, allowed), repr(again.error)
                assert not payloads, f"{key} was returned before, and now: {again.error}"
                if isinstance(again.error, InvalidInputError):
                    is_free = not ran.get(key) and not self._is_claimed(key)
                    assert not is_free, f"{key} has no task, and is not free: {again.error}"
            else:
                assert self.world.service.runs[key] == 1
            if payloads:
                other = next(iter({0, 1} - payloads))
                refused = self._done(0, functools.partial(_start, key=key, payload=other))
                assert isinstance(refused.error, InvalidInputError), refused.returned

    def _is_claimed(self, key: str) -> bool:
        """Whether a killed process may have left the key to another payload than the first."""
        killed = [s for s in self.starts if s.key == key and s.process.was_killed]
        return any(start.payload != 0 for start in killed)


def _again(resource: QuantumResource, key: str, payloads: set[int]) -> str:
    return _start(resource, key, next(iter(payloads), 0))


def _start(resource: QuantumResource, key: str, payload: int) -> str:
    context = {"payload": payload}
    return str(resource.task_start(_PAYLOADS[payload], key=key, context=context))


def _recover(resource: QuantumResource) -> None:
    for record in recovery.unsettled("model"):
        resource.recover(record.key)


def _compact(_resource: QuantumResource) -> None:
    with contextlib.suppress(JournalError):  # another process is at it
        journal.default().compact()


@pytest.mark.timeout(120 + 2 * _EXAMPLES)
@pytest.mark.parametrize("kind", KINDS)
def test_any_order_of_events(kind: str) -> None:
    """Whatever happens to whom and when: at most one run for a key, and nothing is lost."""
    machine = type(f"Processes of {kind}", (Processes,), {"kind": kind})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=_EXAMPLES,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            phases=[Phase.generate],  # to make a failure small takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
