"""Switches: schedulers learn what changes, once it can be told, also after a restart."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi.config_file import ResourceDef
from qrmi.errors import ResourceUnavailableError
from qrmi.site.watching.availability import Availability
from qrmi.site.watching.drains import Drains
from qrmi.site.watching.switching import Absence, Publisher
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.testing.clock import FakeClock

AWAY = Absence(reason="paused: calibration", until=None)
LATER = Absence(reason="paused: until 15:00", until=5.0)


class Scheduler:
    """A scheduler that remembers what it was told, and can be deaf."""

    name = "slurm"

    def __init__(self) -> None:
        self.away: dict[str, tuple[str, float | None]] = {}
        self.calls: list[str] = []
        self.is_deaf = False

    def off(self, name: str, reason: str, until: float | None) -> None:
        self._hear(f"off {name}")
        self.away[name] = (reason, until)

    def on(self, name: str) -> None:
        self._hear(f"on {name}")
        self.away.pop(name, None)

    def _hear(self, call: str) -> None:
        self.calls.append(call)
        if self.is_deaf:
            raise ResourceUnavailableError("slurmctld does not answer")


class Told:
    """A publisher, its scheduler and its time."""

    def __init__(self) -> None:
        self.scheduler, self.clock = Scheduler(), FakeClock()
        self.publisher = Publisher(self.scheduler, clock=self.clock)

    def pass_seconds(self, seconds: int) -> None:
        for _ in range(seconds):
            self.publisher.publish()
            self.clock.sleep(1)
        self.publisher.publish()


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_change_is_told_once(told: Told) -> None:
    """Nothing is repeated while all is well and online."""
    told.publisher.put({"emu": None, "fresnel": AWAY})
    for _ in range(3):
        told.publisher.put({"emu": None, "fresnel": AWAY})
        told.publisher.publish()
    assert told.scheduler.calls == ["on emu", "off fresnel"]
    told.publisher.put({"fresnel": LATER})
    told.publisher.publish()
    assert told.scheduler.away == {"fresnel": ("paused: until 15:00", 5.0)}
    told.publisher.put({"fresnel": None})
    told.publisher.publish()
    assert told.scheduler.away == {}
    assert told.publisher.pending() == 0


def test_what_was_not_heard_is_told_again(told: Told) -> None:
    """With growing pauses; what changes meanwhile replaces what was to be said."""
    told.scheduler.is_deaf = True
    told.publisher.put({"emu": AWAY})
    told.pass_seconds(60)
    assert 4 <= len(told.scheduler.calls) <= 8
    assert told.publisher.pending() == 1
    told.publisher.put({"emu": LATER})
    told.scheduler.is_deaf = False
    told.pass_seconds(1)
    assert told.scheduler.away == {"emu": ("paused: until 15:00", 5.0)}
    assert told.publisher.pending() == 0


def test_a_scheduler_that_lost_it_is_reminded(told: Told) -> None:
    """One that was restarted may have forgotten that a QPU is off."""
    told.publisher.put({"emu": AWAY})
    told.pass_seconds(1)
    told.scheduler.away.clear()
    told.pass_seconds(15)
    assert told.scheduler.away == {"emu": ("paused: calibration", None)}


def test_an_error_that_nobody_expected_stops_nothing(told: Told) -> None:
    """A defect of one switch is one more reason to try again."""

    def broken(name: str, reason: str, until: float | None) -> None:
        raise ZeroDivisionError

    told.scheduler.off, good = broken, told.scheduler.off  # type: ignore[method-assign]
    told.publisher.put({"emu": AWAY, "fresnel": None})
    told.publisher.publish()
    assert told.scheduler.calls == ["on fresnel"]
    told.scheduler.off = good  # type: ignore[method-assign]
    told.pass_seconds(2)
    assert told.scheduler.away == {"emu": ("paused: calibration", None)}


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", "b"]),
            st.sampled_from([None, AWAY, LATER]),
            st.booleans(),
            st.integers(0, 3),
        ),
        max_size=20,
    )
)
def test_in_the_end_the_scheduler_has_what_holds(
    changes: list[tuple[str, Absence | None, bool, int]],
) -> None:
    """Whatever was said and not heard on the way."""
    told, wanted = Told(), {}
    for name, absence, is_deaf, seconds in changes:
        wanted[name] = absence
        told.scheduler.is_deaf = is_deaf
        told.publisher.put({name: absence})
        told.pass_seconds(seconds)
    told.scheduler.is_deaf = False
    told.pass_seconds(31)
    expected = {name: (a.reason, a.until) for name, a in wanted.items() if a is not None}
    assert told.scheduler.away == expected
    assert told.publisher.pending() == 0


def test_a_poller_that_starts_says_nothing_it_does_not_know(tmp_path: Path) -> None:
    """Until the first look the scheduler keeps what an earlier daemon told it; then it is told."""
    scheduler, clock = Scheduler(), FakeClock()
    scheduler.away = {"emu": ("paused: calibration", None), "fresnel": ("offline", None)}
    statuses = {
        "emu": ResourceStatus(ResourceStatusCode.PAUSED, status_reason="calibration"),
        "fresnel": ResourceStatus(ResourceStatusCode.ONLINE),
    }
    publisher = Publisher(scheduler, clock=clock)
    looks: list[object] = []
    poller = Availability(
        {name: ResourceDef(name, "local") for name in statuses},
        statuses.__getitem__,
        Drains(tmp_path),
        publishers=[publisher],
        clock=clock,
        spawn=looks.append,
    )
    poller.step()
    publisher.publish()
    assert scheduler.calls == []
    for look in looks:
        look()  # type: ignore[operator]
    publisher.publish()
    assert scheduler.away == {"emu": ("paused: calibration", None)}
    poller.drain("fresnel", "new fridge")
    publisher.publish()
    assert scheduler.away["fresnel"] == ("drained: new fridge", None)
    poller.serve({"emu": ResourceDef("emu", "local")})
    publisher.publish()
    assert list(scheduler.away) == ["emu"], "what the site has no more is switched on"


def test_a_slow_scheduler_holds_up_no_look(tmp_path: Path) -> None:
    """Each scheduler has a thread of its own, and closing does not wait for ever."""
    release, seen = threading.Event(), threading.Event()

    class Slow(Scheduler):
        def off(self, name: str, reason: str, until: float | None) -> None:
            release.wait(20)

    def look(_name: str) -> ResourceStatus:
        if poller.away("emu"):
            seen.set()
        return ResourceStatus(ResourceStatusCode.PAUSED)

    poller = Availability(
        {"emu": ResourceDef("emu", "local")},
        look,
        Drains(tmp_path),
        publishers=[Publisher(Slow())],
        poll_seconds=0.02,
    )
    poller.start()
    try:
        assert seen.wait(5)
    finally:
        poller.close(0.1)
        release.set()
