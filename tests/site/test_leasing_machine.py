"""Any order of requests, ends, outages and crashes: never too many owners, nothing left behind."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from lending_model import QUICK, Clock, Entry, Scripted, Site, a_job, wants
from site_lab import eventually

from qrmi.errors import AccessDeniedError, AnswerLostError, ResourceUnavailableError
from qrmi.site.lending.lease_states import SessionHabit
from qrmi.site.terms import Grant, Job, Outcome

_OLD_LIFE = 50.0
_SLOTS = {"a": 2, "b": 1, "cloud": 3, "old": 2, "none": 2}
_DEVICES = {"cloud": ("x", "y")}
_OF = {"a": 2, "b": 1, "x": 3, "y": 3, "old": 2}
_JOBS = st.builds(
    lambda number, restart, late: a_job(
        number, restart=restart, submitted=1000 + late * 2_000_000_000
    ),
    st.sampled_from("123"),
    st.integers(0, 1),
    st.booleans(),
)
_WANTS = st.one_of(
    st.builds(
        lambda names, slots: wants(*names, slots={"a": slots} if "a" in names else {}),
        st.lists(
            st.sampled_from(["a", "b", "cloud", "old", "none"]), min_size=1, max_size=3, unique=True
        ),
        st.integers(1, 2),
    ),
    st.integers(1, 3).map(lambda count: wants(any=count)),
)
_FAULTS = st.sampled_from(["down", "denied", "lost"])


class Leases(RuleBasedStateMachine):
    """What jobs were told, beside what the vendors have."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        habits = {
            "old": SessionHabit(repeatable=False, longest_seconds=_OLD_LIFE),
            "none": SessionHabit(kept=False),
        }
        self.vendors = Scripted(
            {
                name: Entry(
                    slots=slots,
                    devices=_DEVICES.get(name, ()),
                    habit=habits.get(name, SessionHabit(repeatable=True)),
                )
                for name, slots in _SLOTS.items()
            }
        )
        self.fault, self.is_down = "none", False
        self.vendors.before_acquire = self._before
        self.vendors.after_acquire = self._after
        self.vendors.before_release = self._release
        self.site = Site(folder=self.folder, vendors=self.vendors, clock=Clock(), pace=QUICK)
        self.site.start()
        self.held: dict[str, tuple[Grant, ...]] = {}
        self.jobs: dict[str, Job] = {}
        self.ended: set[str] = set()
        self.born: dict[str, float] = {}

    def _before(self, device: str, job: Job) -> None:
        if self.is_down or self.fault == "down":
            raise ResourceUnavailableError("down")
        if self.fault == "denied":
            raise AccessDeniedError("denied")

    def _after(self, device: str, job: Job) -> None:
        if self.fault == "lost":
            raise AnswerLostError("lost")

    def _release(self, device: str, job: Job) -> None:
        if self.is_down:
            raise ResourceUnavailableError("down")

    @rule(job=_JOBS, want=_WANTS)
    def acquire(self, job: Job, want: object) -> None:
        """A hook asks."""
        self._acquire(job, want, "none")

    @rule(job=_JOBS, name=st.sampled_from(["a", "old", "none"]))
    def acquire_one(self, job: Job, name: str) -> None:
        """It asks for what several jobs can have at once."""
        self._acquire(job, wants(name), "none")

    @rule(job=_JOBS, want=_WANTS, fault=_FAULTS)
    def acquire_in_vain(self, job: Job, want: object, fault: str) -> None:
        """It asks in a bad moment."""
        self._acquire(job, want, fault)

    def _acquire(self, job: Job, want: object, fault: str) -> None:
        self.fault = fault
        self.jobs[job.key] = job
        answer = self.site.leasing.acquire(job, want)  # type: ignore[arg-type]
        self.fault = "none"
        if job.key in self.ended:
            assert answer.outcome is Outcome.ENDED
        elif job.key in self.held:
            assert answer.outcome is Outcome.GRANTED
            assert answer.grants == self.held[job.key]
        elif answer.outcome is Outcome.GRANTED:
            assert (fault, self.is_down) == ("none", False)
            self.held[job.key] = answer.grants
        else:
            assert not answer.grants
            assert answer.outcome in (Outcome.LATER, Outcome.REFUSED)

    @rule(job=_JOBS)
    def end(self, job: Job) -> None:
        """A hook says that a job has ended."""
        ended = self.site.leasing.end(job)
        granted = {grant.resource for grant in self.held.pop(job.key, ())}
        assert granted <= {*ended.released, *ended.pending}
        self.ended.add(job.key)

    @rule(job=_JOBS)
    def end_all_submissions(self, job: Job) -> None:
        """The same from a scheduler that tells no time of submission."""
        known = {key for key, each in self.jobs.items() if each.run == job.run}
        seen = {key for key in known if self.site.leasing.lease(key) is not None}
        self.site.leasing.end(a_job(job.id, restart=job.restart, submitted=None))
        for key in seen & self.held.keys():
            del self.held[key]
        self.ended |= {a_job(job.id, restart=job.restart).key, *seen}  # one was long ago

    @rule()
    def crash(self) -> None:
        """The daemon is killed between two requests, and started again."""
        self.site.restart()

    @rule(is_down=st.sampled_from([False, False, False, True]))
    def outage(self, is_down: bool) -> None:
        """The vendors' network."""
        self.is_down = is_down

    @rule(seconds=st.integers(1, 60))
    def time_passes(self, seconds: int) -> None:
        """On the clock that sessions go by."""
        self.site.clock.at += seconds
        for token, (device, _, _) in list(self.vendors.open.items()):
            born = self.born.setdefault(token, self.site.clock.at - seconds)
            is_over = device == "old" and self.site.clock.at - born >= _OLD_LIFE
            if is_over and token not in self._tokens():  # a session in use is kept alive
                del self.vendors.open[token]

    def _tokens(self) -> set[str]:
        return {t for record in self.site.leasing.leases() for t in record.tokens.values()}

    @rule(ids=st.sets(st.sampled_from("123")))
    def reap(self, ids: set[str]) -> None:
        """The scheduler knows of some jobs that they are over."""
        self.site.clock.at += 11
        over = {r.key for r in self.site.leasing.leases() if r.job.id in ids}
        reaped = self.site.leasing.reap(lambda job: job.id in ids)
        assert set(reaped.ended) <= over
        for key in over & self.held.keys():
            assert key in reaped.ended
            del self.held[key]
        self.ended |= set(reaped.ended)

    @invariant()
    def never_too_many(self) -> None:
        """No vendor ever had more slots in sessions than the site lends."""
        for device, slots in _OF.items():
            assert self.vendors.most[device] <= slots, device
        assert all(count <= _SLOTS.get(n, 99) for n, count in self.site.leasing.used().items())

    @invariant()
    def holders_have_sessions(self) -> None:
        """What a job was told that it holds, it holds: its own session, and nobody else's."""
        for key, grants in self.held.items():
            record = self.site.leasing.lease(key)
            assert record is not None
            for grant in (each for each in grants if each.resource != "none"):
                session = self.vendors.open[record.tokens[grant.resource]]
                assert session == (grant.resource, key, grant.slots)

    def teardown(self) -> None:
        """Once all have ended and vendors answer, no session is left and every slot is free."""
        self.is_down = False
        for job in self.jobs.values():
            self.site.leasing.end(job)
        self.site.clock.at += 100
        try:
            eventually(lambda: self.site.leasing.used() == {})
            left = [s for s in self.vendors.open.values() if s[0] != "old"]
            assert not left
            assert not self._tokens()
            for job in self.jobs.values():
                answer = self.site.leasing.acquire(job, wants("a"))
                assert answer.outcome is Outcome.ENDED
        finally:
            self.site.stop()
            shutil.rmtree(self.folder)


Leases.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestLeases = Leases.TestCase
