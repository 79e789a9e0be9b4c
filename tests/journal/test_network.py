"""Many processes on several machines share one journal on a modelled network file system.

A hypothesis state machine: what was written and acknowledged is never lost, nothing is invented,
compaction changes no answer, a claim is given once. QRMI_TEST_JOURNAL_RUNS sets how many runs are
made (25), QRMI_TEST_JOURNAL_STEPS how long each is (40).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from qrmi.errors import JournalError
from qrmi.journal import Journal, upkeep
from qrmi.testing.network_files import STALE_SECONDS, Killed, Machine, NetworkFiles, Server

FOLDER = Path("/home/user/journal")
KEYS = [f"key-{number}" for number in range(4)]
FACES = ["intent", "created", "started", "refused", "uncertain", "seen", "ended", "failed"]


class Process:
    """One process of the user: its journal, and what it may know by now."""

    def __init__(self, server: Server, machine: Machine) -> None:
        self.files = NetworkFiles(server, machine)
        self.machine = machine
        self.journal = Journal(FOLDER, self.files)


class SharedJournal(RuleBasedStateMachine):
    """Rules are what processes, machines and time may do."""

    @initialize(seed=st.integers(0, 2**32), badness=st.sampled_from([0.0, 0.1, 0.5]))
    def begin(self, seed: int, badness: float) -> None:
        self.random = random.Random(seed)
        self.badness = badness
        self.lost_in_a_row = 0
        self.server = Server(self.goes_wrong)
        self.machines = [Machine("login", 0.0), Machine("node1", 7.0), Machine("node2", -300.0)]
        self.processes: list[Process] = []
        self.attempted: set[int] = set()
        self.acknowledged: dict[int, tuple[str, float]] = {}
        self.of_key: dict[str, set[int]] = {}
        self.begun: dict[str, float] = {}
        self.given: dict[tuple[str, int], int] = {}
        self.pruned: set[str] = set()
        self.number = 0
        for machine in self.machines:
            self.processes.append(Process(self.server, machine))
        self.many, upkeep._MANY = upkeep._MANY, 4

    def teardown(self) -> None:
        if not hasattr(self, "many"):
            return
        try:
            self.badness, self.server.room, self.server.meanwhile = 0.0, None, None
            self.server.time += 2 * STALE_SECONDS
            for machine in self.machines:
                self.processes.append(Process(self.server, machine))
                self.look_at_all(self.processes[-1])
        finally:
            upkeep._MANY = self.many

    def goes_wrong(self, what: str) -> bool:
        """Whether the bad case happens; no more than two answers are lost one after the other."""
        wrong = self.random.random() < self.badness
        if what == "lost answer":
            wrong = wrong and self.lost_in_a_row < 2
            self.lost_in_a_row = self.lost_in_a_row + 1 if wrong else 0
        return wrong

    # --- processes and machines -----------------------------------------------------------------

    def pick(self, number: int) -> Process:
        return self.processes[number % len(self.processes)]

    def gone(self) -> None:
        """Those that have ended are replaced by new ones on the same machines."""
        for number, process in enumerate(self.processes):
            if not process.files.is_running:
                self.processes[number] = Process(self.server, process.machine)

    @rule(machine=st.integers(0, 2))
    @precondition(lambda self: len(self.processes) < 8)
    def start(self, machine: int) -> None:
        self.processes.append(Process(self.server, self.machines[machine]))

    @rule(who=st.integers(0, 7))
    def end(self, who: int) -> None:
        self.pick(who).files.end()
        self.gone()

    @rule(machine=st.integers(0, 2))
    def crash(self, machine: int) -> None:
        self.machines[machine].reboot()
        self.gone()

    @rule(seconds=st.sampled_from([1.0, 30.0, 61.0, 700.0, 4000.0]))
    def wait(self, seconds: float) -> None:
        self.server.time += seconds

    # --- writing ----------------------------------------------------------------------------------

    @rule(who=st.integers(0, 7), key=st.sampled_from(KEYS), face=st.sampled_from(FACES))
    def write(self, who: int, key: str, face: str) -> None:
        self.wrote(self.pick(who), key, face)

    @rule(
        who=st.integers(0, 7),
        key=st.sampled_from(KEYS),
        face=st.sampled_from(FACES),
        operations=st.integers(0, 12),
        part=st.integers(0, 200),
    )
    def write_and_be_killed(
        self, who: int, key: str, face: str, operations: int, part: int
    ) -> None:
        """`kill -9`, maybe in the middle of the write; later lines are in another file."""
        process = self.pick(who)
        process.files.operations, process.files.written = operations, part
        with contextlib.suppress(Killed):
            self.wrote(process, key, face)
        process.files.end()
        self.gone()

    @rule(who=st.integers(0, 7), key=st.sampled_from(KEYS), room=st.integers(0, 300))
    def write_to_a_full_disk(self, who: int, key: str, room: int) -> None:
        """A line that does not fit is an error; what follows, once there is room, is whole."""
        process = self.pick(who)
        self.server.room = room
        with contextlib.suppress(JournalError):
            self.wrote(process, key, "seen")
        self.server.room = None
        self.wrote(process, key, "seen")

    @rule(who=st.integers(0, 7), other=st.integers(0, 7), key=st.sampled_from(KEYS))
    def write_while_somebody_reads(self, who: int, other: int, key: str) -> None:
        """Half a line is passed over, and is there once it is whole, for the same reader."""
        reader = self.pick(other)
        self.server.meanwhile = lambda _place: self.look_at_all(reader)
        self.wrote(self.pick(who), key, "ended")
        self.server.meanwhile = None
        self.look_at_all(reader)

    def wrote(self, process: Process, key: str, face: str) -> None:
        self.number += 1
        self.server.time += 0.001
        number = self.number
        self.attempted.add(number)
        try:
            process.journal.append(face, **_fields(face, key), u=number)
        except JournalError:
            self.of_key.setdefault(key, set()).add(number)
            raise
        name = process.journal._appender.own_name
        assert name is not None
        self.acknowledged[number] = (name, self.begun.setdefault(name, self.server.time))
        self.of_key.setdefault(key, set()).add(number)

    # --- upkeep -----------------------------------------------------------------------------------

    @rule(who=st.integers(0, 7))
    def compact(self, who: int) -> None:
        with _may_fail(self.badness):
            self.pick(who).journal.compact()

    @rule(who=st.integers(0, 7), operations=st.integers(0, 60), part=st.integers(0, 3000))
    def compact_and_be_killed(self, who: int, operations: int, part: int) -> None:
        process = self.pick(who)
        process.files.operations, process.files.written = operations, part
        with contextlib.suppress(Killed), _may_fail(self.badness):
            process.journal.compact()
        process.files.end()
        self.gone()

    @rule(who=st.integers(0, 7), reader=st.integers(0, 7), step=st.integers(0, 6))
    def compact_while_somebody_reads(self, who: int, reader: int, step: int) -> None:
        """A reader that sleeps between two of its steps still finds everything."""

        def compact_twice(_place: str) -> None:
            with _may_fail(self.badness):
                self.pick(who).journal.compact()
            self.server.time += 700.0
            with _may_fail(self.badness):
                self.pick(who).journal.compact()

        self.server.meanwhile = _after(step, self.server, compact_twice)
        self.look_at_all(self.pick(reader))
        self.server.meanwhile = None

    @rule(
        who=st.integers(0, 7),
        key=st.sampled_from(KEYS),
        seconds=st.sampled_from([0.0, 30.0, 599.0, 601.0]),
    )
    def compact_twice_and_read(self, who: int, key: str, seconds: float) -> None:
        """A reader whose listing is from before finds everything, however soon it looks."""
        process = self.pick(who)
        self.wrote(process, key, "intent")
        self.server.time += STALE_SECONDS
        process.files.end()
        self.gone()
        badness, self.badness = self.badness, 0.0
        for pause in (seconds, 0.0):
            self.pick(who).journal.compact()  # a new process on the same machine
            self.server.time += pause
        self.badness = badness
        for reader in self.processes:
            self.look_at_all(reader)

    @rule(who=st.integers(0, 7), age=st.sampled_from([0.0, 100.0, 1000.0]))
    def prune(self, who: int, age: float) -> None:
        """Forgotten are tasks that have ended, and nothing else."""
        process = self.pick(who)
        with _may_fail(self.badness):
            forgotten = process.journal.forget(process.files.now() - age)
            for record in forgotten.tasks:
                assert record.ended_at is not None
                key = record.key or str(record.id).replace("task", "key")
                for number in self.of_key.pop(key, ()):
                    self.acknowledged.pop(number, None)
                self.pruned.add(key)
                self.given = {place: n for place, n in self.given.items() if place[0] != key}

    # --- claims -----------------------------------------------------------------------------------

    @rule(who=st.integers(0, 7), key=st.sampled_from(KEYS), attempt=st.integers(1, 2))
    def claim(self, who: int, key: str, attempt: int) -> None:
        """One process gets it, whatever answers are lost."""
        process = self.pick(who)
        self.server.time += 0.001
        place = (key, attempt)
        if not process.journal.claim(key, attempt, u=self.server.time):
            assert place in self.given or key in self.pruned
        else:
            self.given[place] = self.given.get(place, 0) + 1
            assert self.given[place] == 1
            assert self.server.time in [claim.get("u") for claim in process.journal.claimed(key)]

    # --- reading ----------------------------------------------------------------------------------

    @rule(who=st.integers(0, 7))
    def read(self, who: int) -> None:
        self.look_at_all(self.pick(who))

    def look_at_all(self, process: Process) -> None:
        """All that was flushed is there, unless its file is too new to be in another's listing."""
        own = process.machine.name + "@"
        wanted = {
            number
            for number, (name, begun) in self.acknowledged.items()
            if name.startswith(own) or self.server.time - begun >= STALE_SECONDS
        }
        found = {json.loads(line)["u"] for line in process.journal.export()}
        assert wanted <= found
        assert found <= self.attempted

    @rule(who=st.integers(0, 7), key=st.sampled_from(KEYS))
    def look_up(self, who: int, key: str) -> None:
        """Look-ups by index give what reading everything gives."""
        process, before = self.pick(who), self.badness
        self.badness = 0.0
        records = process.journal.tasks()
        assert process.journal.count() == len(records)
        assert process.journal.tasks(2) == records[:2]
        assert process.journal.find(key) == next((r for r in records if r.key == key), None)
        task = key.replace("key", "task")
        with_id = [record for record in records if record.id == task]
        assert (task in process.journal.ids("task")) == bool(with_id)
        if with_id:
            assert process.journal.task(task) == with_id[0]
        story = [event.fields["u"] for event in process.journal.story(key)]
        lines = [json.loads(line) for line in process.journal.export()]
        about = [line for line in lines if key.endswith(line["about"])]
        is_tied = any("key" in line and "task" in line for line in about)
        assert story == [line["u"] for line in about if "key" in line or is_tied]
        failed = [line["u"] for line in lines if line["event"] == "failed"]
        last = process.journal.last_failure()
        assert (last and last.fields["u"]) == (failed[-1] if failed else None)
        self.badness = before


def _fields(face: str, key: str) -> dict[str, Any]:
    place = {"resource": "r", "task": key.replace("key", "task")}
    of_face: dict[str, dict[str, Any]] = {
        "intent": {"key": key, "resource": "r", "type": "t", "format": "f", "digest": "d"},
        "created": {"key": key, **place},
        "started": {"key": key, **place},
        "refused": {"key": key, "resource": "r", "reason": "no"},
        "uncertain": {"key": key, "resource": "r", "reason": "?"},
        "seen": {**place, "status": "RUNNING"},
        "ended": {**place, "type": "t", "status": "COMPLETED"},
        "failed": {"key": key, **place, "error": "E", "message": "m"},
    }
    return {**of_face[face], "about": key[-1]}


@contextlib.contextmanager
def _may_fail(badness: float) -> Iterator[None]:
    """Upkeep may give up when the network is in trouble, or another process is at it."""
    try:
        yield
    except JournalError as error:
        if not badness and "another process" not in str(error):
            raise


def _after(steps: int, server: Server, call: Callable[[str], None]) -> Callable[[str], None]:
    left = [steps]

    def wait(place: str) -> None:
        left[0] -= 1
        if left[0] < 0:
            call(place)
        else:
            server.meanwhile = wait

    return wait


TestSharedJournal = pytest.mark.timeout(3600)(SharedJournal.TestCase)
TestSharedJournal.settings = settings(
    max_examples=int(os.environ.get("QRMI_TEST_JOURNAL_RUNS", "25")),
    stateful_step_count=int(os.environ.get("QRMI_TEST_JOURNAL_STEPS", "40")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)


# --- the same rules, where chance might not lead ------------------------------------------------


@pytest.fixture
def begun() -> Iterator[Callable[[int], SharedJournal]]:
    """Makes a journal with which things go wrong half of the time; it is looked at in the end."""
    made: list[SharedJournal] = []

    def begin(seed: int) -> SharedJournal:
        made.append(SharedJournal())
        made[-1].begin(seed=seed, badness=0.5)
        return made[-1]

    yield begin
    for machine in reversed(made):
        machine.teardown()


@pytest.mark.parametrize("seconds", [0.0, 30.0, 599.0, 601.0])
def test_an_old_listing_is_no_loss(seconds: float, begun: Callable[[int], SharedJournal]) -> None:
    """However soon after a compaction the next one comes."""
    for seed in range(20):
        begun(seed).compact_twice_and_read(who=0, key="key-0", seconds=seconds)


@pytest.mark.parametrize("step", range(6))
def test_a_reader_that_sleeps(step: int, begun: Callable[[int], SharedJournal]) -> None:
    """Between any two of its steps, while all that it has listed is compacted and removed."""
    for seed in range(10):
        shared = begun(seed)
        shared.write(who=0, key="key-0", face="intent")
        shared.end(who=0)
        shared.write(who=0, key="key-1", face="intent")
        shared.wait(seconds=61.0)
        for reader in (1, 2):
            shared.compact_while_somebody_reads(who=0, reader=reader, step=step)


@pytest.mark.parametrize("part", [0, 100, 2000])
def test_a_compaction_that_is_killed_at_any_step(
    part: int, begun: Callable[[int], SharedJournal]
) -> None:
    """What is left of it is no loss, and the next one puts it right."""
    for operations in range(45):
        shared = begun(operations)
        shared.badness = 0.0
        for key in KEYS:
            shared.write(who=0, key=key, face="intent")
            shared.end(who=0)
        shared.wait(seconds=61.0)
        shared.compact_and_be_killed(who=0, operations=operations, part=part)
        for who in range(3):
            shared.read(who=who)
        shared.wait(seconds=700.0)
        for _ in range(2):
            shared.compact(who=0)
            shared.look_up(who=1, key="key-0")


def test_a_write_that_is_killed_at_any_step(begun: Callable[[int], SharedJournal]) -> None:
    """Before and in the middle of it, with a new file and a known one."""
    for operations in range(8):
        for part in (0, 1, 60, 150):
            shared = begun(operations)
            shared.write(who=0, key="key-0", face="intent")
            shared.write_and_be_killed(
                who=0, key="key-0", face="started", operations=operations, part=part
            )
            shared.write(who=0, key="key-1", face="intent")
            shared.read(who=0)
