"""Races between processes with one key, step by step, in the model that `test_machine` explores."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from model import Fate, Process, World, put_apart

from qrmi.errors import InvalidInputError, ResourceUnavailableError, TaskStartUncertainError
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource
from qrmi.starts import recovery

PAYLOAD = PasqalCloud("{}", 1)


@pytest.fixture(autouse=True)
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes have journals, clocks and names of their own."""
    put_apart(monkeypatch)


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    """Two machines, of which the second is ahead by as much as the test says."""
    kind, ahead = getattr(request, "param", ("key", 0.0))
    made = World(kind, [0.0, ahead])
    yield made
    for process in made.processes:
        process.kill(0)


def start(resource: QuantumResource) -> str:
    return str(resource.task_start(PAYLOAD, key="one"))


def recover(resource: QuantumResource) -> list[Any]:
    return [resource.recover(record.key) for record in recovery.unsettled()]


def runs(world: World) -> int:
    return world.service.runs["one"]


def finish(world: World, *processes: Process) -> None:
    world.to_the_end()
    world.pass_time(100.0)
    assert runs(world) == 1
    assert len({process.returned for process in processes}) == 1
    assert None not in {process.returned for process in processes}


@pytest.mark.parametrize("world", [("key", 60.0), ("two steps", 60.0)], indirect=True)
@pytest.mark.parametrize("late", [1.0, 59.0])
def test_a_clock_that_is_a_minute_ahead_sends_nothing_too_early(world: World, late: float) -> None:
    """The first request arrives as late as it can; to the other machine it seems a minute later."""
    first = world.begin(0, start, [Fate("late", late)] * 2)
    first.go_on("claim")
    first.go_on("line")
    second = world.begin(1, start)
    second.go_on("the end")
    world.pass_time(50.0)
    first.go_on("answer")
    finish(world, first, second)


@pytest.mark.parametrize("place", ["claim", "file", "line"])
def test_a_process_that_stood_still_sends_nothing_later(world: World, place: str) -> None:
    """Others have decided by then that it sent nothing."""
    first = world.begin(0, start)
    first.go_on("claim")
    first.go_on(place)
    second = world.begin(1, start)
    for _ in range(20):
        second.go_on("the end")
        world.pass_time(30.0)
    assert runs(world) == 1
    world.to_the_end()
    world.pass_time(100.0)
    assert runs(world) == 1
    is_told = isinstance(first.error, ResourceUnavailableError)
    assert is_told or first.returned == second.returned


@pytest.mark.parametrize("world", [("key", -60.0), ("key", 0.0), ("key", 60.0)], indirect=True)
def test_what_recovers_an_old_attempt_does_not_free_the_next(world: World) -> None:
    """A start of yesterday that never arrived is given up while it is being made again."""
    dead = world.begin(0, start, [Fate("lost")])
    dead.go_on("answer")
    dead.kill(0)
    world.pass_time(86400.0)
    tidy = world.begin(1, recover)
    tidy.go_on("look")  # and there is no task
    second = world.begin(0, start, [Fate("late", 59.0)])
    while second.place != "answer" and not second.is_over:
        second.go_on("answer")
        if second.wakes_at > world.files.time:
            world.pass_time(second.wakes_at - world.files.time)
    tidy.go_on("the end")
    third = world.begin(1, start)
    world.pass_time(1.0)
    finish(world, second, third)


@pytest.mark.parametrize("world", [("nothing", 0.0)], indirect=True)
def test_a_process_killed_before_its_intent_leaves_the_key_to_others(world: World) -> None:
    """Of its machine: they know that it has ended, and that it had sent nothing."""
    dead = world.begin(0, start)
    dead.go_on("claim")
    dead.go_on("line")
    dead.kill(0)
    second = world.begin(0, start)
    finish(world, second)


def test_a_refused_key_is_free_for_another_payload(world: World) -> None:
    """On another machine, at the latest when it sees the refusal."""
    first = world.begin(0, start, [Fate("refused")])
    world.to_the_end()
    assert isinstance(first.error, InvalidInputError)
    world.pass_time(61.0)
    other = PasqalCloud("{}", 2)
    second = world.begin(1, lambda resource: str(resource.task_start(other, key="one")))
    finish(world, second)
    third = world.begin(0, start)
    world.to_the_end()
    assert isinstance(third.error, InvalidInputError)
    assert runs(world) == 1


LIST = pytest.mark.parametrize("world", [("list", 0.0), ("list", 60.0)], indirect=True)


@LIST
def test_a_process_that_stood_still_after_sending_hides_no_task(world: World) -> None:
    """The answer is given up late; the task was made long before, and is a candidate anyway."""
    first = world.begin(0, start, [Fate("late", 30.0)])
    first.go_on("answer")
    world.pass_time(900.0)
    first.go_on("the end")
    world.pass_time(30.0)
    while first.journal.find("one").lost_at is None:
        first.go_on("line")
    first.kill(0)
    second = world.begin(1, start)
    world.to_the_end()
    assert isinstance(second.error, TaskStartUncertainError)
    assert "task-0" in str(second.error)
    assert runs(world) == 1


@LIST
def test_tasks_of_another_day_are_no_sign_of_a_list_that_lacks_some(world: World) -> None:
    """A service lists what is new; that it leaves out what is old does not make it doubtful."""
    world.begin(0, lambda resource: str(resource.task_start(PAYLOAD)))
    world.to_the_end()
    world.pass_time(1.5 * 86400.0)
    first = world.begin(0, start, [Fate("lost")])
    finish(world, first)
