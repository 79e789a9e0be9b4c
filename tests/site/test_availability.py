"""Availability: what is seen of resources, and what that means for jobs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi.config_file import ResourceDef
from qrmi.errors import (
    ConfigError,
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
)
from qrmi.site.watching.availability import Availability
from qrmi.site.watching.drains import Drains
from qrmi.site.watching.standing import History, Seen, State, of_account
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.testing.clock import FakeClock

ONLINE = ResourceStatus(ResourceStatusCode.ONLINE)
PAUSED = ResourceStatus(ResourceStatusCode.PAUSED, status_reason="calibration until 14:00")
OFFLINE = ResourceStatus(ResourceStatusCode.OFFLINE, status_reason="laser\nfailure")
GONE = ResourceUnavailableError("connection refused")
START = 1_800_000_000.0


class Site:
    """Resources whose answers a test sets, and a poller whose time it moves."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.clock = FakeClock()
        self.answers: dict[str, ResourceStatus | Exception] = dict.fromkeys(names, ONLINE)
        self.looks: list[tuple[str, float]] = []
        self.used: dict[str, int] = {}
        self.file = folder / "qpus"
        self.folder = folder
        self.delayed: list[Callable[[], None]] | None = None
        self.poller = self.made()

    def made(self) -> Availability:
        """A poller, as a daemon that starts makes it."""
        resources = {name: ResourceDef(name, "local") for name in self.answers}
        return Availability(
            resources,
            self.look,
            Drains(self.folder, now=self.now),
            used=lambda: self.used,
            free_file=self.file,
            clock=self.clock,
            now=self.now,
            spawn=self.spawn,
        )

    def now(self) -> float:
        """The time of day."""
        return START + self.clock.monotonic()

    def look(self, name: str) -> ResourceStatus:
        """What the test has set."""
        self.looks.append((name, self.clock.monotonic()))
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def spawn(self, work: Callable[[], None]) -> None:
        """Look at once, or when the test says so."""
        if self.delayed is None:
            work()
        else:
            self.delayed.append(work)

    def pass_seconds(self, seconds: int) -> None:
        """Let time pass, a second at a time."""
        for _ in range(seconds):
            self.poller.step()
            self.clock.sleep(1)
        self.poller.step()

    def state(self, name: str = "emu") -> str:
        """State and reason."""
        return self.poller.standing(name).text


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, "emu", "fresnel")


def test_before_the_first_look_a_resource_is_unknown_and_can_be_lent(site: Site) -> None:
    """A daemon that starts keeps nobody waiting: the vendor decides."""
    assert site.state() == "unknown"
    assert site.poller.away("emu") == ""


def test_what_the_vendor_says_counts_at_once(site: Site) -> None:
    """Its own "paused" is no hiccup; nor is its "offline"; nor that it is back."""
    site.pass_seconds(1)
    assert site.state() == "online"
    site.answers["emu"] = PAUSED
    site.pass_seconds(10)
    assert site.state() == site.poller.away("emu") == "paused: calibration until 14:00"
    assert site.state("fresnel") == "online"
    site.answers["emu"] = OFFLINE
    site.pass_seconds(10)
    assert site.state() == "offline: laser failure"
    site.answers["emu"] = ONLINE
    site.pass_seconds(10)
    assert (site.state(), site.poller.away("emu")) == ("online", "")


def test_one_failed_look_is_no_outage(site: Site) -> None:
    """Nor are two; three in a row are, and one that succeeds begins anew."""
    site.pass_seconds(1)
    site.answers["emu"] = GONE
    site.pass_seconds(20)
    assert [name for name, _ in site.looks].count("emu") == 3
    assert site.state() == "online"
    site.answers["emu"] = ONLINE
    site.pass_seconds(10)
    site.answers["emu"] = GONE
    site.pass_seconds(20)
    assert site.state() == "online"
    site.pass_seconds(10)
    assert site.state() == "offline: connection refused"


def test_a_missing_setting_is_no_hiccup(site: Site) -> None:
    """What only the site can mend counts at once."""
    site.answers["emu"] = ConfigError("the key QRMI_URL is missing")
    site.pass_seconds(1)
    assert site.state() == "offline: the key QRMI_URL is missing"


def test_a_driver_that_breaks_is_a_failed_look(site: Site) -> None:
    """An unexpected error names its type, not its text, and stops no other look."""
    site.answers["emu"] = ZeroDivisionError("token=secret")
    site.pass_seconds(30)
    assert site.state() == "offline: its driver failed: ZeroDivisionError"
    assert site.state("fresnel") == "online"


def test_each_is_asked_at_most_every_ten_seconds(site: Site) -> None:
    site.pass_seconds(35)
    assert [at for name, at in site.looks if name == "emu"] == [0, 10, 20, 30]


def test_a_slow_one_delays_no_other_and_is_not_asked_twice(site: Site) -> None:
    """While its look is under way there is no second; without an answer in time it failed."""
    site.pass_seconds(1)
    site.delayed = []
    site.pass_seconds(10)
    slow = site.delayed.pop(0)
    site.delayed[0]()
    site.delayed = None
    site.pass_seconds(60)
    asked = [name for name, _ in site.looks]
    assert asked.count("emu") == 1
    assert asked.count("fresnel") > 6
    assert site.state() == "offline: no answer within 10 s"
    slow()
    assert site.state() == "online", "a late answer is an answer"
    site.pass_seconds(1)
    assert [name for name, _ in site.looks].count("emu") > 2


def test_a_look_that_is_late_and_fails_is_one_failure(site: Site) -> None:
    """It counted when its time was up."""
    site.pass_seconds(1)
    site.delayed = []
    site.pass_seconds(22)
    slow, site.delayed = site.delayed[0], None
    site.answers["emu"] = GONE
    slow()
    site.pass_seconds(1)
    assert site.state() == "online", "two failed: one was late, the next one was refused"
    site.pass_seconds(10)
    assert site.state() == "offline: connection refused"


def test_threads_do_not_pile_up(tmp_path: Path) -> None:
    """At most 64 looks are under way, however many resources do not answer."""
    site = Site(tmp_path, *(f"q{number}" for number in range(100)))
    site.delayed = []
    site.pass_seconds(30)
    assert len(site.delayed) == 64
    waiting, site.delayed = site.delayed, None
    for look in waiting:
        look()
    site.pass_seconds(10)
    assert {standing.state for standing in site.poller.standings()} == {State.ONLINE}


def test_a_drain_covers_what_the_vendor_says(site: Site) -> None:
    """Drained is drained, online or not, at once; until its end, or until it is resumed."""
    site.pass_seconds(1)
    site.poller.drain("emu", "new fridge", START + 31, by="uid 0")
    standing = site.poller.standing("emu")
    assert (standing.text, standing.until, standing.since) == (
        "drained: new fridge", START + 31, START + 1,
    )  # fmt: skip
    assert site.poller.away("emu") == "drained: new fridge"
    site.answers["emu"] = PAUSED
    site.pass_seconds(29)
    assert site.state() == "drained: new fridge"
    site.pass_seconds(1)
    assert site.state() == "paused: calibration until 14:00"
    site.poller.drain("fresnel", "new fridge")
    site.poller.resume("fresnel")
    site.poller.resume("fresnel")
    assert site.state("fresnel") == "online"


def test_a_restart_forgets_no_drain(site: Site) -> None:
    site.poller.drain("emu", "new fridge")
    site.poller = site.made()
    site.pass_seconds(1)
    assert site.state() == "drained: new fridge"


def test_only_what_the_site_has_is_drained(site: Site) -> None:
    with pytest.raises(ResourceNotFoundError, match="'emo'") as caught:
        site.poller.drain("emo", "new fridge")
    assert "emu, fresnel" in caught.value.hint
    with pytest.raises(ResourceNotFoundError):
        site.poller.resume("emo")
    with pytest.raises(InvalidInputError):
        site.poller.drain("emu", "")


def test_the_file_for_submission_filters(site: Site) -> None:
    """``name state slots used`` a line, after the time at which it was written; always whole."""
    site.used = {"emu": 1}
    site.answers["fresnel"] = PAUSED
    site.pass_seconds(1)
    lines = site.file.read_text().splitlines()
    assert lines == [f"# written {START:.0f}", "emu online 1 1", "fresnel paused 1 0"]
    assert site.file.stat().st_mode & 0o777 == 0o644
    site.used = {}
    site.pass_seconds(1)
    assert "emu online 1 0" in site.file.read_text().splitlines()
    site.pass_seconds(20)
    written = float(site.file.read_text().split()[2])
    assert site.now() - written <= 10, "its reader can tell that somebody still writes it"


def test_a_name_with_blanks_is_not_in_the_file(tmp_path: Path) -> None:
    """It would be read as something else."""
    site = Site(tmp_path, "my qpu", "#x", "ok")
    site.pass_seconds(1)
    assert [line.split()[0] for line in site.file.read_text().splitlines()[1:]] == ["ok"]


def test_a_new_configuration_keeps_what_is_known(site: Site) -> None:
    site.answers["emu"] = PAUSED
    site.pass_seconds(1)
    site.answers["third"] = ONLINE
    site.poller.serve({name: ResourceDef(name, "local") for name in ("emu", "third")})
    assert [s.text for s in site.poller.standings()] == [
        "paused: calibration until 14:00", "unknown",
    ]  # fmt: skip
    site.pass_seconds(1)
    assert site.state("third") == "online"


def test_in_the_background(tmp_path: Path) -> None:
    """Real threads and time: a service that hangs delays neither the others nor the end."""
    release, looked = threading.Event(), threading.Event()

    def look(name: str) -> ResourceStatus:
        if name == "hangs":
            release.wait(20)
        else:
            looked.set()
        return PAUSED

    resources = {name: ResourceDef(name, "local") for name in ("hangs", "emu")}
    poller = Availability(resources, look, Drains(tmp_path), poll_seconds=0.05)
    poller.start()
    try:
        assert looked.wait(5)
        for _ in range(100):
            if poller.away("emu"):
                break
            threading.Event().wait(0.02)
        assert poller.away("emu").startswith("paused")
        assert poller.standing("hangs").state is State.UNKNOWN
    finally:
        poller.close()
        release.set()


# --- pure -------------------------------------------------------------------------------------

_looks = st.builds(
    Seen,
    state=st.none() | st.sampled_from([State.ONLINE, State.OFFLINE, State.PAUSED]),
    reason=st.sampled_from(["", "a", "b"]),
)


@settings(deadline=None)
@given(st.lists(_looks, max_size=30), st.integers(1, 5))
def test_the_state_is_the_last_word_unless_enough_looks_failed(
    looks: list[Seen], patience: int
) -> None:
    history = History()
    for at, look in enumerate(looks):
        history = history.after(look, float(at), patience)
    told = [at for at, look in enumerate(looks) if look.state is not None]
    failed = len(looks) - 1 - told[-1] if told else len(looks)
    last = looks[told[-1]].state if told else State.UNKNOWN
    assert history.state is (State.OFFLINE if failed >= patience else last)
    assert history.looked == (told[-1] if told else None)
    assert 0 <= history.since <= max(len(looks) - 1, 0)


def test_since_does_not_move_while_the_state_stays() -> None:
    """A new reason, or one more failure, is no new outage."""
    history = History()
    for at in range(6):
        history = history.after(Seen(reason=f"failure {at}"), 10.0 + at, 3)
    assert (history.state, history.since, history.reason) == (State.OFFLINE, 12.0, "failure 5")
    for at in (20.0, 30.0):
        history = history.after(Seen(state=State.PAUSED, reason=f"at {at}"), at, 3)
    assert (history.state, history.since, history.reason) == (State.PAUSED, 20.0, "at 30.0")


def test_an_account_is_online_when_one_of_its_devices_is() -> None:
    busy = ResourceStatus(ResourceStatusCode.ONLINE, pending_job_count=7)
    free = ResourceStatus(ResourceStatusCode.ONLINE, pending_job_count=2)
    error = ResourceUnavailableError("gone")
    status = of_account({"a": PAUSED, "b": busy, "c": free, "d": error})
    assert (status.status, status.pending_job_count) == (ResourceStatusCode.ONLINE, 2)


def test_an_account_without_one_says_which_are_what() -> None:
    status = of_account({"a": PAUSED, "b": OFFLINE, "c": ResourceUnavailableError("gone")})
    assert status.status is ResourceStatusCode.PAUSED
    assert status.status_reason is not None
    assert "a is paused (calibration until 14:00), b is offline" in status.status_reason
    assert of_account({}).status is ResourceStatusCode.OFFLINE


def test_an_account_of_which_nothing_is_known_is_a_failed_look() -> None:
    with pytest.raises(QrmiError, match="gone"):
        of_account({"a": ResourceUnavailableError("gone")})
