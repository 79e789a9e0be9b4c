"""When a wait asks: how late it notices an end, and how many requests that costs."""

from __future__ import annotations

import random
import statistics

import pytest

from qrmi.driver import Capabilities
from qrmi.history import Expectation, History, history, likeness
from qrmi.payloads import PasqalCloud, QiskitPrimitive
from qrmi.tasks import TaskId, TaskStatus
from qrmi.testing import FakeClock, ScriptedDriver
from qrmi.waiting import Deadline, next_interval, wait_for_end


class TimedDriver(ScriptedDriver):
    """Tasks that take a given time; each look costs a millisecond."""

    CAPABILITIES = Capabilities(min_poll_seconds=0.005)

    def __init__(self, name: str, clock: FakeClock) -> None:
        super().__init__(name)
        self.clock = clock
        self.ends: dict[str, float] = {}
        self.looks: dict[str, int] = {}

    def begin(self, number: int, seconds: float) -> TaskId:
        task = TaskId(f"t{number}")
        self.ends[task] = self.clock.monotonic() + seconds
        self.looks[task] = 0
        history.begun(self.resource_id, task, "kind", self.clock.monotonic())
        return task

    def task_status(self, task_id: TaskId) -> TaskStatus:
        self.clock.sleep(0.001)
        self.looks[task_id] += 1
        done = self.clock.monotonic() >= self.ends[task_id]
        return TaskStatus.COMPLETED if done else TaskStatus.RUNNING


def waits(name: str, seconds: float, jitter: float) -> list[tuple[float, float, int]]:
    """For 60 like tasks: how long each took, what was wasted, and the requests it cost."""
    clock, chance = FakeClock(), random.Random(7)
    driver = TimedDriver(f"{name}-{seconds}", clock)
    told = []
    for number in range(60):
        took = seconds * max(chance.gauss(1.0, jitter), 0.2)
        task = driver.begin(number, took)
        wait_for_end(driver, task, Deadline.after(None, clock))
        told.append((took, clock.monotonic() - driver.ends[task], driver.looks[task]))
    return told


@pytest.mark.parametrize("seconds", [0.05, 0.3, 2.0, 10.0, 60.0, 600.0])
def test_little_is_wasted_and_little_is_asked(seconds: float) -> None:
    """At most 5 % or 25 ms (95th percentile), and once like tasks are known 12 requests a task."""
    told = waits("steady", seconds, 0.1)[5:]
    wasted = sorted(waste / max(0.05 * took, 0.025) for took, waste, _ in told)
    assert wasted[int(0.95 * len(wasted))] <= 1.0
    if seconds <= 60.0:
        assert max(looks for _, _, looks in told) <= 12
        assert statistics.mean(looks for _, _, looks in told) <= 9


def test_unknown_tasks_are_asked_in_proportion() -> None:
    told = waits("first", 10.0, 0.1)[:3]
    assert all(waste <= 0.05 * took + 0.01 for took, waste, _ in told)


def test_a_task_that_fails_early_is_noticed_before_its_usual_end() -> None:
    """There is a look well before like tasks end."""
    assert next_interval(0.0, 0.005, 100.0) == pytest.approx(30.0)
    assert next_interval(30.0, 0.005, 100.0) == pytest.approx(65.0)
    assert next_interval(95.0, 0.005, 100.0) == pytest.approx(0.045 * 95.0)


def test_what_is_kept_is_bounded() -> None:
    kept = History()
    for number in range(10_000):
        kept.begun("r", f"t{number}", number, 0.0)
        if number % 2:
            kept.ended("r", f"t{number}", 1.0)
    assert len(kept._tasks) <= 4096
    assert len(kept._kinds) <= 256


def test_too_few_like_tasks_are_no_expectation() -> None:
    kept = History()
    for number, took in enumerate((3.0, 1.0, 2.0)):
        kept.begun("r", f"t{number}", "kind", 10.0)
        assert kept.expectation("r", f"t{number}") is None
        kept.ended("r", f"t{number}", 10.0 + took)
    kept.begun("r", "next", "kind", 20.0)
    assert kept.expectation("r", "next") == Expectation(20.0, 1.0)
    kept.begun("other", "next", "kind", 20.0)
    assert kept.expectation("other", "next") is None


def test_likeness_is_format_numbers_and_order_of_size() -> None:
    text = "x" * 1000
    assert likeness(PasqalCloud(text, 10)) == likeness(PasqalCloud(text + "y", 10))
    assert likeness(PasqalCloud(text, 10)) != likeness(PasqalCloud(text, 20))
    assert likeness(PasqalCloud(text, 10)) != likeness(PasqalCloud(text * 9, 10))
    assert likeness(QiskitPrimitive(text, "sampler")) != likeness(PasqalCloud(text, 10))
