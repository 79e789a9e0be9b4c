"""Vendors that are down or slow when something is given back, and leases that nobody ends."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
from lending_model import QUICK, Entry, Scripted, Site, a_job, opened, wants
from site_lab import eventually

from qrmi.errors import AnswerLostError, ResourceUnavailableError
from qrmi.site.lending.lease_states import LeaseState, SessionHabit
from qrmi.site.lending.pace import Pace
from qrmi.site.terms import Job, Outcome

Opened = Callable[..., Site]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Opened]:
    """Make sites: ``site(emu=Entry(slots=2), pace=…)``."""
    stack = []

    def make(pace: Pace = QUICK, **entries: Entry) -> Site:
        context = opened(tmp_path / str(len(stack)), Scripted(entries or {"emu": Entry()}), pace)
        stack.append(context)
        return context.__enter__()

    yield make
    for context in stack:
        context.__exit__(None, None, None)


def down(device: str, job: Job) -> None:
    raise ResourceUnavailableError("nobody answers")


def up(device: str, job: Job) -> None:
    """All is well."""


def lost(device: str, job: Job) -> None:
    raise AnswerLostError("the line went dead")


# --- giving back ------------------------------------------------------------------------------


def test_a_vendor_that_is_down_at_the_end(site: Opened) -> None:
    """The end counts at once, its vendor is told later; until then the slot stays taken."""
    here = site()
    here.leasing.acquire(a_job(), wants("emu"))
    here.vendors.before_release = down
    ended = here.leasing.end(a_job())
    assert (ended.released, ended.pending) == ((), ("emu",))
    record = here.leasing.lease(a_job().key)
    assert record is not None
    assert record.state is LeaseState.ENDING
    assert "nobody answers" in record.reason
    assert here.leasing.acquire(a_job("2"), wants("emu")).outcome is Outcome.LATER
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.ENDED
    here.vendors.before_release = up
    eventually(lambda: here.leasing.used() == {})
    assert not here.vendors.open
    assert here.freed
    assert here.leasing.acquire(a_job("2"), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job("2"))


def test_what_is_pending_outlives_the_daemon(site: Opened) -> None:
    """A daemon that starts takes up what its forerunner could not give back."""
    here = site(a=Entry(), b=Entry())
    here.leasing.acquire(a_job(), wants("a", "b"))
    here.vendors.before_release = lambda device, job: device == "b" and down(device, job)
    ended = here.leasing.end(a_job())
    assert (ended.released, ended.pending) == (("a",), ("b",))
    here.restart()
    assert here.leasing.used() == {"b": 1}
    assert here.leasing.end(a_job()).pending == ("b",)
    here.vendors.before_release = up
    eventually(lambda: here.leasing.used() == {})
    assert not here.vendors.open
    assert here.vendors.asked["release", "a"] == 1
    assert here.leasing.end(a_job()) == attrs.evolve(ended, released=(), pending=())


def test_retries_become_rarer(site: Opened) -> None:
    """A vendor that stays down is asked less and less often."""
    here = site(Pace(first_retry=0.02, longest_retry=10.0, patience=5.0))
    times: list[float] = []
    here.vendors.before_release = lambda device, job: (
        times.append(time.monotonic()),
        down(device, job),
    )
    here.leasing.acquire(a_job(), wants("emu"))
    here.leasing.end(a_job())
    eventually(lambda: len(times) >= 5)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert all(gap >= 0.02 * 2**number for number, gap in enumerate(gaps))
    here.vendors.before_release = up
    here.restart()
    eventually(lambda: not here.vendors.open)


def test_all_are_given_back_once_the_vendor_answers(site: Opened) -> None:
    """The first release that works brings on the others of that vendor, however rare they were."""
    here = site(Pace(first_retry=0.05, longest_retry=1000.0, patience=5.0), emu=Entry(slots=40))
    for number in range(40):
        here.leasing.acquire(a_job(str(number)), wants("emu"))
    here.vendors.before_release = down
    for number in range(40):
        here.leasing.end(a_job(str(number)))
    time.sleep(0.5)
    here.vendors.before_release = up
    begun = time.monotonic()
    eventually(lambda: here.leasing.used() == {})
    assert time.monotonic() - begun < 5
    assert not here.vendors.open


def test_a_slow_vendor_does_not_hold_up_an_end(site: Opened) -> None:
    """`end` waits `Pace.patience` for vendors; one that hangs is pending, others are released."""
    go_on = threading.Event()
    here = site(attrs.evolve(QUICK, patience=0.3), a=Entry(), b=Entry(slots=20))
    here.leasing.acquire(a_job(), wants("a", "b"))
    here.leasing.acquire(a_job("2"), wants("b"))
    here.vendors.before_release = lambda device, job: device == "a" and go_on.wait(30)
    begun = time.monotonic()
    ended = here.leasing.end(a_job())
    assert 0.2 < time.monotonic() - begun < 3
    assert (ended.released, ended.pending) == (("b",), ("a",))
    assert here.leasing.end(a_job("2")).released == ("b",)
    go_on.set()
    eventually(lambda: not here.vendors.open)


def test_a_resource_that_the_site_took_away(site: Opened) -> None:
    """A lease of an entry that is gone stays pending, and is given back when the entry is."""
    here = site()
    here.leasing.acquire(a_job(), wants("emu"))
    entry = here.vendors.entries.pop("emu")

    def gone(device: str, job: Job) -> None:
        here.vendors.definition(device)

    here.vendors.before_release = gone
    assert here.leasing.end(a_job()).pending == ("emu",)
    here.vendors.entries["emu"] = entry
    eventually(lambda: not here.vendors.open and here.leasing.used() == {})


# --- answers that nobody heard ------------------------------------------------------------------


def test_a_lost_answer_is_asked_for_again(site: Opened) -> None:
    """Where the vendor gives the same session again, one whose name was lost is given back."""
    here = site()
    here.vendors.after_acquire = lost
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.LATER
    here.vendors.after_acquire = up
    eventually(lambda: here.leasing.used() == {})
    assert not here.vendors.open
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job())


def test_a_lost_answer_of_a_vendor_that_forgets(
    site: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """Elsewhere the slot stays taken until no session can be left, which record and log say."""
    habit = SessionHabit(repeatable=False, longest_seconds=600.0)
    here = site(emu=Entry(habit=habit), other=Entry())
    here.vendors.after_acquire = lost
    assert here.leasing.acquire(a_job(), wants("emu", "other")).outcome is Outcome.LATER
    here.vendors.after_acquire = up
    eventually(lambda: here.leasing.used() == {"emu": 1})
    assert here.leasing.acquire(a_job("2"), wants("emu")).outcome is Outcome.LATER
    again = here.leasing.acquire(a_job(), wants("emu"))
    assert (again.outcome, "still being undone" in again.reason) == (Outcome.LATER, True)
    record = here.leasing.lease(a_job().key)
    assert record is not None
    assert "stay taken until none can be left, for 600 s" in record.reason
    assert "stay taken until none can be left" in caplog.text
    here.clock.at += 300
    here.restart()
    assert here.leasing.used() == {"emu": 1}
    here.clock.at += 301
    eventually(lambda: here.leasing.used() == {})
    assert here.vendors.asked["acquire", "emu"] == 1


def test_a_vendor_that_turns_out_to_forget(site: Opened) -> None:
    """One of which only an answer shows that it does not repeat itself counts as such then."""
    here = site()

    def shows(device: str, job: Job) -> None:
        if here.vendors.asked["acquire", "emu"] > 1:
            forgets = SessionHabit(repeatable=False, longest_seconds=60.0)
            here.vendors.entries["emu"].habit = forgets
        else:
            lost(device, job)

    here.vendors.after_acquire = shows
    here.leasing.acquire(a_job(), wants("emu"))
    eventually(lambda: here.vendors.asked["release", "emu"] == 1)
    assert here.leasing.used() == {"emu": 1}
    here.clock.at += 61
    eventually(lambda: here.leasing.used() == {})


# --- the reaper ----------------------------------------------------------------------------------


def test_the_reaper_ends_what_is_over(site: Opened) -> None:
    """A lease whose job is over is ended; one that is young, or that is not known, is not."""
    here = site(emu=Entry(slots=5))
    for number in range(4):
        here.leasing.acquire(a_job(str(number)), wants("emu"))
    verdicts = {"0": True, "1": False, "2": None}

    def is_over(job: Job) -> bool | None:
        if job.id == "3":
            raise OSError("squeue is gone")
        return verdicts[job.id]

    assert here.leasing.reap(is_over).ended == ()
    here.clock.at += 11
    here.leasing.acquire(a_job("young"), wants("emu"))
    verdicts["young"] = True
    assert here.leasing.reap(is_over).ended == (a_job("0").key,)
    eventually(lambda: here.leasing.used() == {"emu": 4})
    assert here.leasing.acquire(a_job("0"), wants("emu")).outcome is Outcome.ENDED
    assert here.vendors.owners("emu").count(a_job("0").key) == 0
    for number in ("1", "2", "3", "young"):
        here.leasing.end(a_job(number))


def test_the_reaper_fences_requests_under_way(site: Opened) -> None:
    """A job that is over while its vendor still ponders gets nothing when the vendor answers."""
    here = site()
    asked, go_on = threading.Event(), threading.Event()
    here.vendors.before_acquire = lambda *_: (asked.set(), go_on.wait(20))
    thread = threading.Thread(target=lambda: here.leasing.acquire(a_job(), wants("emu")))
    thread.start()
    assert asked.wait(10)
    here.clock.at += 11
    begun = time.monotonic()
    assert here.leasing.reap(lambda job: True).ended == (a_job().key,)
    assert time.monotonic() - begun < 2
    go_on.set()
    thread.join(10)
    eventually(lambda: here.leasing.used() == {})
    assert not here.vendors.open


def test_leases_past_their_limit_are_reported(
    site: Opened, caplog: pytest.LogCaptureFixture
) -> None:
    """Long after its job's limit a lease is reported, once, and ended only when its job is over."""
    here = site(emu=Entry(slots=2))
    here.leasing.acquire(a_job("1"), wants("emu", limit_seconds=1000.0))
    here.leasing.acquire(a_job("2"), wants("emu"))
    here.clock.at += 1690
    assert here.leasing.reap(lambda job: None).overdue == ()
    here.clock.at += 20
    for _ in range(2):
        reaped = here.leasing.reap(lambda job: False)
        assert (reaped.overdue, reaped.ended) == ((a_job("1").key,), ())
    assert caplog.text.count("long after its job's time limit") == 1
    assert here.leasing.reap(lambda job: True).ended == (a_job("1").key, a_job("2").key)
    eventually(lambda: not here.vendors.open)


def test_no_token_in_the_log(site: Opened, caplog: pytest.LogCaptureFixture) -> None:
    """The log names jobs and resources, never sessions."""
    with caplog.at_level(logging.DEBUG, logger="qrmi"):
        here = site(emu=Entry(slots=2))
        here.leasing.acquire(a_job(), wants("emu"))
        here.vendors.before_release = down
        here.leasing.end(a_job())
        here.vendors.before_release = up
        eventually(lambda: not here.vendors.open)
    assert a_job().key in caplog.text
    assert "session-" not in caplog.text
