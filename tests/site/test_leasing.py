"""Who is lent what, and that it comes back: one job, several, and all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lending_model import Entry, Scripted, Site, a_job, opened, wants
from site_lab import eventually

from qrmi.errors import (
    AccessDeniedError,
    AnswerLostError,
    ConfigError,
    InvalidInputError,
    QrmiError,
    ResourceUnavailableError,
)
from qrmi.site.lending.lease_states import LeaseState, SessionHabit
from qrmi.site.terms import Answer, Job, Outcome

Opened = Callable[..., Site]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Opened]:
    """Make sites: ``site(emu=Entry(slots=2))``; each must end without an open session."""
    stack = []

    def make(**entries: Entry) -> Site:
        context = opened(tmp_path / str(len(stack)), Scripted(entries or {"emu": Entry()}))
        stack.append(context)
        return context.__enter__()

    yield make
    for context in stack:
        context.__exit__(None, None, None)


def names(answer: Answer) -> list[str]:
    return [grant.resource for grant in answer.grants]


def in_threads(count: int, work: Callable[[int], object]) -> list[object]:
    """What ``work`` gives in as many threads at once."""
    gate, results = threading.Barrier(count), [None] * count

    def run(number: int) -> None:
        gate.wait()
        results[number] = work(number)  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


# --- lending and taking back -------------------------------------------------------------------


def test_a_job_holds_what_it_was_lent_until_its_end(site: Opened) -> None:
    """One session for one lease, from `acquire` to `end`; the record has the token, no text has."""
    here = site(emu=Entry(slots=2))
    answer = here.leasing.acquire(a_job(), wants("emu", limit_seconds=60.0))
    assert (answer.outcome, names(answer)) == (Outcome.GRANTED, ["emu"])
    record = here.leasing.lease(a_job().key)
    assert record is not None
    assert (record.state, record.limit_seconds) == (LeaseState.HELD, 60.0)
    assert list(record.tokens.values()) == list(here.vendors.open)
    assert record.tokens["emu"] not in repr(record) + str(record.as_json()) + repr(answer)
    assert here.leasing.used() == {"emu": 1}
    assert here.leasing.end(a_job()).released == ("emu",)
    assert not here.vendors.open
    assert here.leasing.used() == {}
    assert list(here.leasing.leases()) == []
    assert here.freed


def test_asking_again_is_the_same_answer(site: Opened) -> None:
    """`acquire` is idempotent by the job's key: the vendor is asked once."""
    here = site()
    first = here.leasing.acquire(a_job(), wants("emu"))
    assert here.leasing.acquire(a_job(), wants("emu")) == first
    assert here.vendors.asked["acquire", "emu"] == 1


def test_many_threads_ask_for_one_job(site: Opened) -> None:
    """Requests of one key that come together are one request."""
    here = site(emu=Entry(slots=8))
    here.vendors.before_acquire = lambda *_: time.sleep(0.1)
    answers = in_threads(16, lambda _: here.leasing.acquire(a_job(), wants("emu")))
    assert {answer.outcome for answer in answers} == {Outcome.GRANTED}  # type: ignore[attr-defined]
    assert here.vendors.asked["acquire", "emu"] == 1
    ended = in_threads(16, lambda _: here.leasing.end(a_job()))
    assert not any(each.pending for each in ended)  # type: ignore[attr-defined]
    assert here.vendors.asked["release", "emu"] == 1
    assert here.leasing.used() == {}


def test_the_end_comes_once_more(site: Opened) -> None:
    """`end` is idempotent, and so is that of a job that nobody has heard of."""
    here = site()
    here.leasing.acquire(a_job(), wants("emu"))
    assert here.leasing.end(a_job()).released == ("emu",)
    assert here.leasing.end(a_job()).released == ()
    assert here.leasing.end(a_job("99")).released == ()
    assert here.vendors.asked["release", "emu"] == 1


# --- the fence ---------------------------------------------------------------------------------


def test_what_has_ended_is_lent_nothing(site: Opened) -> None:
    """After `end` the key is refused, also when it held nothing before, also after a restart."""
    here = site()
    here.leasing.end(a_job())
    for _ in range(2):
        answer = here.leasing.acquire(a_job(), wants("emu"))
        assert answer.outcome is Outcome.ENDED
        here.restart()
    assert here.vendors.asked["acquire", "emu"] == 0


def test_an_end_does_not_wait_for_a_request_under_way(site: Opened) -> None:
    """`end` returns while the vendor is still being asked; what comes is given back at once."""
    here = site()
    asked, go_on = threading.Event(), threading.Event()
    here.vendors.before_acquire = lambda *_: (asked.set(), go_on.wait(20))
    answers: list[Answer] = []
    thread = threading.Thread(
        target=lambda: answers.append(here.leasing.acquire(a_job(), wants("emu")))
    )
    thread.start()
    assert asked.wait(10)
    begun = time.monotonic()
    ended = here.leasing.end(a_job())
    assert time.monotonic() - begun < 2
    assert (ended.released, ended.pending) == ((), ("emu",))
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.ENDED
    go_on.set()
    thread.join(10)
    assert [answer.outcome for answer in answers] == [Outcome.ENDED]
    eventually(lambda: not here.vendors.open and here.leasing.used() == {})
    assert here.vendors.asked["release", "emu"] == 1


def test_an_end_stops_a_request_between_two_vendors(site: Opened) -> None:
    """A request that was ended asks no further vendor."""
    here = site(a=Entry(), b=Entry())
    here.vendors.after_acquire = lambda device, job: here.leasing.end(job)
    assert here.leasing.acquire(a_job(), wants("a", "b")).outcome is Outcome.ENDED
    eventually(lambda: not here.vendors.open and here.leasing.used() == {})
    assert here.vendors.asked["acquire", "b"] == 0


def test_an_end_without_a_time_is_for_all_submissions_so_far(site: Opened) -> None:
    """`submitted=None` ends each submission of the run up to now; a later one is not refused."""
    here = site(emu=Entry(slots=3))
    now = int(here.clock())
    job = a_job("5", submitted=now - 100)
    assert here.leasing.acquire(job, wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job("5", submitted=None))
    assert here.leasing.lease(a_job("5", submitted=now - 100).key) is None
    for submitted, outcome in ((now - 100, "ended"), (now, "ended"), (now + 1, "granted")):
        job = a_job("5", submitted=submitted)
        assert here.leasing.acquire(job, wants("emu")).outcome == outcome
    here.leasing.end(a_job("5", submitted=now + 1))


def test_an_end_without_a_time_finds_jobs_of_a_clock_ahead(site: Opened) -> None:
    """What is held is older than its end, whatever the scheduler's clock says."""
    here = site()
    ahead = a_job("5", submitted=int(here.clock()) + 30)
    here.leasing.acquire(ahead, wants("emu"))
    assert here.leasing.end(a_job("5", submitted=None)).released == ("emu",)
    assert here.leasing.acquire(ahead, wants("emu")).outcome is Outcome.ENDED


def test_a_later_start_of_the_job_is_another(site: Opened) -> None:
    """A requeued job (its restart count differs) is not stopped by the end of the first run."""
    here = site()
    here.leasing.acquire(a_job(), wants("emu"))
    here.leasing.end(a_job())
    again = a_job(restart=1)
    assert here.leasing.acquire(again, wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(again)


def test_fences_are_forgotten_after_their_time(site: Opened) -> None:
    """Fences and refusals are kept for `Pace.fences` seconds, then pruned, by the reaper."""
    here = site()
    here.leasing.end(a_job("1"))
    here.leasing.acquire(a_job("2"), wants("nothing"))
    here.clock.at += here.pace.fences - 10
    here.leasing.reap(lambda job: None)
    assert here.leasing.acquire(a_job("1"), wants("emu")).outcome is Outcome.ENDED
    here.clock.at += 4000
    here.leasing.reap(lambda job: None)
    assert not here.store.known(a_job("1"))[0]
    assert here.leasing.of_job("slurm", "lab", "2") is None


# --- several at once ---------------------------------------------------------------------------


def test_all_or_nothing_in_a_fixed_order(site: Opened) -> None:
    """Several resources are asked for in one order for all jobs; one that fails undoes the rest."""
    here = site(a=Entry(), b=Entry(), c=Entry())

    def fails(device: str, job: Job) -> None:
        if device == "c":
            raise ResourceUnavailableError("no beam")

    here.vendors.before_acquire = fails
    answer = here.leasing.acquire(a_job(), wants("c", "b", "a"))
    assert answer.outcome is Outcome.LATER
    assert "no beam" in answer.reason
    assert here.vendors.order == ["a", "b"]
    assert not here.vendors.open
    assert here.leasing.used() == {}
    assert here.leasing.lease(a_job().key) is None
    here.vendors.before_acquire = lambda *_: None
    assert names(here.leasing.acquire(a_job(), wants("c", "b", "a"))) == ["c", "b", "a"]
    assert sorted(here.leasing.end(a_job()).released) == ["a", "b", "c"]


def test_slots_are_never_exceeded(site: Opened) -> None:
    """However many ask at once, no more slots are open at the vendor than there are."""
    here = site(emu=Entry(slots=5))
    here.vendors.before_acquire = lambda *_: time.sleep(0.005)

    def work(number: int) -> str:
        job = a_job(str(number))
        answer = here.leasing.acquire(job, wants("emu", slots={"emu": 1 + number % 3}))
        return str(answer.outcome)

    outcomes = in_threads(12, work)
    assert set(outcomes) == {"granted", "later"}
    assert here.vendors.most["emu"] <= 5
    for number in range(12):
        here.leasing.end(a_job(str(number)))
    assert not here.vendors.open
    assert here.leasing.used() == {}


def test_a_restart_waits_for_the_run_before_it(site: Opened) -> None:
    """Vendors know a job by its id: two runs of it never hold sessions of one device at once."""
    here = site(emu=Entry(slots=4))
    here.leasing.acquire(a_job(), wants("emu"))
    answer = here.leasing.acquire(a_job(restart=1), wants("emu"))
    assert answer.outcome is Outcome.LATER
    assert "earlier run" in answer.reason
    here.leasing.end(a_job())
    assert here.leasing.acquire(a_job(restart=1), wants("emu")).outcome is Outcome.GRANTED
    assert here.vendors.owners("emu") == [a_job(restart=1).key]
    here.leasing.end(a_job(restart=1))


# --- not now, and never ------------------------------------------------------------------------


def test_busy_is_later_and_names_nobody(site: Opened) -> None:
    """The reason names what is busy, not whose it is."""
    here = site(emu=Entry(slots=2))
    other = Job(
        scheduler="slurm", cluster="lab", id="4711", submitted=5, uid=1234, user="carol", name="x9"
    )
    here.leasing.acquire(other, wants("emu", slots={"emu": 2}))
    answer = here.leasing.acquire(a_job(), wants("emu"))
    assert (answer.outcome, answer.grants) == (Outcome.LATER, ())
    assert answer.reason == "emu is busy: 2 of its 2 slots are held"
    assert answer.retry_seconds
    assert not any(word in str(answer) for word in ("carol", "1234", "4711", "x9"))
    here.leasing.end(other)
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job())


def test_away_is_later(site: Opened) -> None:
    """What is drained or offline is worth waiting for; its reason is told."""
    here = site(emu=Entry(away="drained: cooling down"))
    answer = here.leasing.acquire(a_job(), wants("emu"))
    assert (answer.outcome, answer.reason) == (
        Outcome.LATER,
        "emu is away: drained: cooling down",
    )
    here.vendors.entries["emu"].away = ""
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job())


@pytest.mark.parametrize(
    ("want", "reason", "hint"),
    [
        (wants("emo"), "no resource 'emo'", "emu, fresnel"),
        (wants("emu", slots={"emu": 3}), "emu has 2 slots, and 3 were asked for", "2 at most"),
        (wants("emu", "emu"), "named twice", "several slots"),
        (wants(any=3), "3 were asked for, and 2 resources are there", "emu"),
        (wants("emu", any=2), "2 were asked for, and 1 other resources", "emu"),
        (wants(any=1, filters="num_qubits=99"), "pass 'num_qubits=99'", ""),
        (wants(any=1, filters="qubits=1"), 'unknown filter key "qubits"', "num_qubits"),
        (wants(any=1, filters="num_qubits=many"), "whole number", ""),
        (wants("emu", filters="num_qubits=1"), "filters say what any resource", ""),
    ],
)
def test_what_never_works_is_refused(site: Opened, want: object, reason: str, hint: str) -> None:
    """A wrong request is refused with a hint, nothing is asked, and its reason is kept."""
    here = site(emu=Entry(slots=2), fresnel=Entry())
    answer = here.leasing.acquire(a_job(), want)  # type: ignore[arg-type]
    assert answer.outcome is Outcome.REFUSED
    assert reason in answer.reason
    assert hint in answer.hint
    assert not here.vendors.asked
    kept = here.leasing.of_job("slurm", "lab", "1")
    assert kept is not None
    assert (kept.state, kept.reason) == (LeaseState.REFUSED, answer.reason)
    assert list(here.leasing.leases()) == []


def test_a_refused_job_may_ask_again(site: Opened) -> None:
    """A site that mends its configuration need not have the job submitted anew."""
    here = site(emu=Entry())
    here.leasing.acquire(a_job(), wants("emu", slots={"emu": 2}))
    here.vendors.entries["emu"].slots = 2
    answer = here.leasing.acquire(a_job(), wants("emu", slots={"emu": 2}))
    assert answer.outcome is Outcome.GRANTED
    kept = here.leasing.of_job("slurm", "lab", "1")
    assert kept is not None
    assert kept.state is LeaseState.HELD
    here.leasing.end(a_job())
    assert here.leasing.of_job("slurm", "lab", "1") is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ResourceUnavailableError("the QPU warms up", hint="wait"), Outcome.LATER),
        (AccessDeniedError("this user may not", hint="ask"), Outcome.REFUSED),
        (InvalidInputError("no such mode", hint="ask"), Outcome.REFUSED),
        (ConfigError("no endpoint"), Outcome.REFUSED),
        (AnswerLostError("the line went dead"), Outcome.LATER),
        (ZeroDivisionError("s3cret"), Outcome.LATER),
    ],
)
def test_a_vendor_that_refuses(site: Opened, error: Exception, outcome: Outcome) -> None:
    """What a vendor raises becomes a typed answer, with its words where they are ours."""
    here = site()

    def fails(device: str, job: Job) -> None:
        raise error

    here.vendors.before_acquire = fails
    answer = here.leasing.acquire(a_job(), wants("emu"))
    assert answer.outcome is outcome
    assert "emu" in answer.reason
    assert "s3cret" not in str(answer)
    if isinstance(error, QrmiError):
        assert error.message in answer.reason
        assert answer.hint == error.hint
    here.vendors.before_acquire = lambda *_: None
    eventually(lambda: here.leasing.used() == {})
    assert here.leasing.acquire(a_job(), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job())
    assert not here.vendors.open


# --- any, and accounts -------------------------------------------------------------------------


def test_any_gives_different_free_ones_in_turn(site: Opened) -> None:
    """`any: N` picks N different resources that are free and online, in turn."""
    here = site(a=Entry(slots=2), b=Entry(slots=2), c=Entry(slots=2), d=Entry(away="broken"))
    turns = [names(here.leasing.acquire(a_job(str(n)), wants(any=2))) for n in range(3)]
    assert turns == [["a", "b"], ["c", "a"], ["b", "c"]]
    assert here.leasing.acquire(a_job("9"), wants(any=1)).outcome is Outcome.LATER
    here.leasing.end(a_job("0"))
    assert names(here.leasing.acquire(a_job("9"), wants("b", any=1))) == ["b", "a"]
    for number in (1, 2, 9):
        here.leasing.end(a_job(str(number)))


def test_any_passes_the_filters(site: Opened) -> None:
    """Filters leave out what cannot do; what is named needs not pass them."""
    here = site(small=Entry(qubits=3), large=Entry(qubits=30), middle=Entry(qubits=9))
    answer = here.leasing.acquire(a_job(), wants("small", any=1, filters="num_qubits=20"))
    assert names(answer) == ["small", "large"]
    answer = here.leasing.acquire(a_job("2"), wants(any=1, filters="num_qubits=20"))
    assert answer.outcome is Outcome.LATER
    here.leasing.end(a_job())


def test_an_account_stands_for_its_best_free_device(site: Opened) -> None:
    """Of an account the online device with the shortest queue is lent; free ones come first."""
    here = site(cloud=Entry(slots=3, devices=("quick", "slow", "off")), emu=Entry())
    here.vendors.offline = {"off"}
    wanted = [("cloud", "emu"), ("cloud",), ("cloud",)]
    got = [names(here.leasing.acquire(a_job(str(n)), wants(*w))) for n, w in enumerate(wanted)]
    assert got == [["quick", "emu"], ["slow"], ["quick"]]
    record = here.leasing.lease(a_job("1").key)
    assert record is not None
    assert [(p.resource, p.entry) for p in record.parts] == [("slow", "cloud")]
    assert here.leasing.used()["cloud"] == 3
    busy = here.leasing.acquire(a_job("9"), wants("cloud"))
    assert (busy.outcome, busy.reason) == (
        Outcome.LATER,
        "cloud is busy: 3 of its 3 slots are held",
    )
    for number in range(3):
        here.leasing.end(a_job(str(number)))


def test_a_device_of_its_own_entry_counts_once(site: Opened) -> None:
    """A device that an account leads to as well has the slots of its own entry, and no more."""
    here = site(cloud=Entry(slots=5, devices=("ibm_a",)), ibm_a=Entry(slots=1))
    here.leasing.acquire(a_job("1"), wants("ibm_a"))
    assert here.leasing.acquire(a_job("2"), wants("cloud")).outcome is Outcome.LATER
    here.leasing.end(a_job("1"))
    assert names(here.leasing.acquire(a_job("2"), wants("cloud"))) == ["ibm_a"]
    assert here.leasing.acquire(a_job("3"), wants("ibm_a")).outcome is Outcome.LATER
    here.leasing.end(a_job("2"))


def test_an_account_that_cannot_be_asked(site: Opened) -> None:
    """It is later for those who want it, and in nobody else's way."""
    here = site(cloud=Entry(devices=("x",)), emu=Entry())
    usual = here.vendors.devices

    def devices(name: str, filters: str = "") -> object:
        if name == "cloud":
            raise ResourceUnavailableError("the cloud is out", hint="wait")
        return usual(name, filters)

    here.vendors.devices = devices  # type: ignore[method-assign, assignment]
    answer = here.leasing.acquire(a_job("1"), wants("cloud"))
    assert (answer.outcome, "the cloud is out" in answer.reason) == (Outcome.LATER, True)
    assert names(here.leasing.acquire(a_job("2"), wants(any=1))) == ["emu"]
    assert here.leasing.acquire(a_job("3"), wants(any=2)).outcome is Outcome.LATER
    assert here.leasing.acquire(a_job("4"), wants(any=3)).outcome is Outcome.REFUSED
    here.leasing.end(a_job("2"))


def test_no_sessions_at_the_vendor(site: Opened) -> None:
    """Where the vendor keeps nothing the site still counts."""
    here = site(emu=Entry(habit=SessionHabit(kept=False)))
    assert here.leasing.acquire(a_job("1"), wants("emu")).outcome is Outcome.GRANTED
    assert here.leasing.acquire(a_job("2"), wants("emu")).outcome is Outcome.LATER
    here.leasing.end(a_job("1"))
    assert here.leasing.acquire(a_job("2"), wants("emu")).outcome is Outcome.GRANTED
    here.leasing.end(a_job("2"))
