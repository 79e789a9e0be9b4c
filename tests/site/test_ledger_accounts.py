"""From a lease to the ledger: each job that held something is booked once, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from lending_model import Entry, Scripted, Site, a_job, opened, wants

from qrmi.errors import QrmiError, ResourceUnavailableError
from qrmi.site.books.bookkeeping import Bookkeeper
from qrmi.site.books.ledger import Ledger
from qrmi.site.books.open_accounts import Account, OpenAccounts
from qrmi.site.books.usage import JobUsage, TaskUse
from qrmi.site.terms import Job
from qrmi.tasks import SessionUse
from qrmi.testing.clock import FakeClock

HERE = str(Path(__file__).parent)


class Gateway:
    """What a gateway tells the books."""

    def __init__(self) -> None:
        self.told: dict[str, list[TaskUse]] = {}
        self.looked: list[str] = []

    def look(self, job: str) -> None:
        self.looked.append(job)

    def uses(self, job: str) -> list[TaskUse]:
        return self.told.get(job, [])


class Scheduler:
    """A scheduler's own accounting."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.error: Exception | None = None
        self.asked = 0

    def report(self, usage: JobUsage) -> None:
        self.asked += 1
        if self.error is not None:
            raise self.error
        self.told.append(usage.job.key)


class Books:
    """A site's leases and its bookkeeper, which works when a test says so."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.gateway, self.scheduler, self.clock = Gateway(), Scheduler(), FakeClock()
        self.figures: list[str] = []
        self.open()

    def open(self) -> None:
        """As a daemon that starts does."""
        self.accounts = OpenAccounts(self.site.store)
        self.accounts.prepare()
        self.ledger = Ledger(self.folder)
        self.keeper = Bookkeeper(
            self.accounts,
            self.ledger,
            tasks=self.gateway,
            is_served=lambda entry: entry == "served",
            reporters=[self.scheduler],
            booked=lambda usage: self.figures.append(usage.job.key),
            clock=self.clock,
        )

    def restart(self) -> None:
        """Stop and start the daemon."""
        self.site.restart()
        self.open()

    def run(self, job: Job, *names: str) -> None:
        """A job's whole life."""
        self.site.leasing.acquire(job, wants(*names, slots={names[0]: 2}))
        self.site.clock.at += 60
        self.site.leasing.end(job)

    def booked(self) -> list[str]:
        """Keys in the ledger."""
        return [entry.job.key for entry in self.ledger.entries()]


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    entries = {"emu": Entry(slots=4), "served": Entry(slots=4), "acct": Entry(devices=("d1",))}
    with opened(tmp_path, Scripted(entries)) as site:
        yield Books(site, tmp_path)


def test_a_job_is_booked_at_its_end(books: Books) -> None:
    """With what it held, how long it waited and since when; not before its end."""
    job = a_job(submitted=int(books.site.clock.at) - 30)
    books.site.leasing.acquire(job, wants("emu", "acct", slots={"emu": 2}))
    assert books.keeper.step() == 0
    books.site.leasing.end(job)
    assert books.keeper.step() == 1
    (entry,) = books.ledger.entries()
    assert entry.job == job
    assert entry.wait_seconds == 30
    assert [(u.resource, u.type, u.slots, u.tasks) for u in entry.resources] == [
        ("emu", "scripted", 2, None), ("d1", "scripted", 1, None),
    ]  # fmt: skip
    assert books.scheduler.told == books.figures == [job.key]


def test_it_is_booked_once(books: Books) -> None:
    """However often it ends, and however often the bookkeeper looks, or is restarted."""
    books.run(a_job(), "emu")
    for _ in range(2):
        books.site.leasing.end(a_job())
        books.keeper.step()
        books.restart()
    assert books.booked() == [a_job().key]
    assert books.figures == [a_job().key]


def test_who_held_nothing_is_not_booked(books: Books) -> None:
    """Neither one that was refused, nor one that had to wait, nor one that failed to get all."""
    books.site.leasing.acquire(a_job("1"), wants("nobody-has-this"))
    books.site.vendors.entries["emu"].away = "paused"
    books.site.leasing.acquire(a_job("2"), wants("emu"))
    books.site.vendors.entries["emu"].away = ""

    def refuse(device: str, job: Job) -> None:
        if device == "served":
            raise ResourceUnavailableError("busy")

    books.site.vendors.before_acquire = refuse
    books.site.leasing.acquire(a_job("3"), wants("emu", "served"))
    for number in "123":
        books.site.leasing.end(a_job(number))
    assert books.keeper.step() == 0
    assert books.booked() == []


def test_each_run_of_a_requeued_job_is_booked(books: Books) -> None:
    for restart in (0, 1):
        books.run(a_job(restart=restart), "emu")
    books.keeper.step()
    assert books.booked() == [a_job(restart=0).key, a_job(restart=1).key]


def test_a_daemon_that_stops_before_it_booked(books: Books) -> None:
    """The next one does."""
    books.run(a_job(), "emu")
    books.restart()
    assert books.booked() == []
    books.keeper.step()
    assert books.booked() == [a_job().key]


def test_a_lease_that_outlives_the_daemon_keeps_its_time(books: Books) -> None:
    books.site.leasing.acquire(a_job(), wants("emu"))
    held = books.site.clock.at
    books.restart()
    books.site.leasing.end(a_job())
    books.keeper.step()
    (entry,) = books.ledger.entries()
    assert entry.ended - entry.resources[0].held_seconds == pytest.approx(held, abs=0.01)


def test_tasks_are_counted_where_the_gateway_serves(books: Books) -> None:
    """None is known to have run on the other; there the ledger says that nobody counted."""
    task = TaskUse(resource="served", task="t1", shots=100, qpu_seconds=1.0)
    books.gateway.told[a_job().key] = [task]
    books.run(a_job(), "emu", "served")
    books.run(a_job("2"), "served")
    books.run(a_job("3"), "emu")
    books.keeper.step()
    told = {(e.job.id, u.resource): u.tasks for e in books.ledger.entries() for u in e.resources}
    assert told == {("1", "emu"): None, ("1", "served"): 1, ("2", "served"): 0, ("3", "emu"): None}
    assert books.gateway.looked == [a_job().key, a_job("2").key]


def test_a_job_whose_vendor_takes_nothing_back(books: Books) -> None:
    """Its tasks may still end: it is booked when all is given back, or after a minute."""

    def deaf(device: str, job: Job) -> None:
        raise ResourceUnavailableError("no answer")

    books.site.vendors.before_release = deaf
    books.site.leasing.acquire(a_job(), wants("emu"))
    books.site.leasing.end(a_job())
    assert books.keeper.step() == 0
    assert [a.job for a in books.accounts.closed(patience_seconds=0)] == [a_job()]
    books.site.vendors.before_release = lambda device, job: None
    for _ in range(200):
        if not list(books.site.leasing.leases()):
            break
        books.site.leasing.end(a_job())
    assert books.keeper.step() == 1


def test_a_scheduler_that_is_away_is_told_later(books: Books) -> None:
    """The ledger has it at once, and once; after an hour the scheduler is left in peace."""
    books.scheduler.error = ResourceUnavailableError("slurmdbd is away")
    books.run(a_job(), "emu")
    assert books.keeper.step() == 0
    assert books.booked() == [a_job().key]
    books.keeper.step()
    assert books.scheduler.asked == 1, "not at every look"
    books.restart()
    books.scheduler.error = None
    assert books.keeper.step() == 1
    assert books.scheduler.told == [a_job().key]
    books.scheduler.error = ResourceUnavailableError("slurmdbd is away")
    books.run(a_job("2"), "emu")
    for _ in range(100):
        books.keeper.step()
        books.clock.sleep(60)
    assert books.keeper.step() == 0
    assert books.accounts.closed() == []
    assert 10 < books.scheduler.asked < 40
    assert books.booked() == [a_job().key, a_job("2").key]


@pytest.mark.parametrize("error", [QrmiError("no such job"), ZeroDivisionError()])
def test_what_a_scheduler_will_never_take_is_not_tried_again(
    books: Books, error: Exception
) -> None:
    books.scheduler.error = error
    books.run(a_job(), "emu")
    assert books.keeper.step() == 1
    assert books.booked() == [a_job().key]


def test_a_ledger_that_cannot_be_written_loses_nothing(books: Books) -> None:
    obstacle = books.folder / "ledger"
    obstacle.write_text("")
    books.run(a_job(), "emu")
    with pytest.raises(ResourceUnavailableError):
        books.keeper.step()
    assert books.figures == books.scheduler.told == []
    obstacle.unlink()
    assert books.keeper.step() == 1
    assert books.booked() == [a_job().key]


def test_one_job_that_cannot_be_counted_holds_up_no_other(books: Books) -> None:
    """A defect in what counts costs the numbers of that job, and neither its entry nor the rest."""

    def broken(job: str) -> None:
        if job == a_job("1").key:
            raise ZeroDivisionError

    books.gateway.look = broken  # type: ignore[method-assign]
    for number in "12":
        books.run(a_job(number), "served")
    assert books.keeper.step() == 2
    told = {entry.job.id: entry.resources[0].tasks for entry in books.ledger.entries()}
    assert told == {"1": None, "2": 0}


def test_a_vendor_is_asked_once_what_a_session_used(books: Books) -> None:
    """Where the gateway does not serve; also when telling the scheduler takes several attempts."""
    asked: list[tuple[str, str]] = []

    def ask(account: Account, name: str) -> SessionUse | None:
        asked.append((name, account.tokens[name]))
        if name == "d1":
            raise ResourceUnavailableError("no answer")
        return SessionUse(tasks=4, shots=40)

    books.keeper = Bookkeeper(
        books.accounts,
        books.ledger,
        tasks=books.gateway,
        is_served=lambda entry: entry == "served",
        ask_vendor=ask,
        reporters=[books.scheduler],
        clock=books.clock,
    )
    books.scheduler.error = ResourceUnavailableError("slurmdbd is away")
    books.run(a_job(), "emu", "served", "acct")
    assert books.keeper.step() == 0
    books.scheduler.error = None
    books.clock.sleep(10)
    assert books.keeper.step() == 1
    assert [name for name, _ in asked] == ["d1", "emu"]
    (entry,) = books.ledger.entries()
    told = {use.resource: use.tasks for use in entry.resources}
    assert told == {"emu": 4, "served": 0, "d1": None}
    assert not any(token in str(entry.as_json()) for _, token in asked)


def test_in_the_background(books: Books) -> None:
    """A last look when it closes: what has ended by then is booked."""
    books.keeper.start()
    books.run(a_job(), "emu")
    books.keeper.close()
    assert books.booked() == [a_job().key]


_DAEMON = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from lending_model import Entry, Scripted, Site, Clock, a_job, wants
    from qrmi.site.books.bookkeeping import Bookkeeper
    from qrmi.site.books.ledger import Ledger
    from qrmi.site.books.open_accounts import OpenAccounts
    folder = Path(sys.argv[1])
    site = Site(folder=folder, vendors=Scripted({"emu": Entry(slots=9)}), clock=Clock()).start()
    accounts = OpenAccounts(site.store)
    accounts.prepare()
    keeper = Bookkeeper(accounts, Ledger(folder), pause_seconds=0.001)
    keeper.start()
    for number in range(int(sys.argv[3]), 100000):
        job = a_job(str(number))
        site.leasing.acquire(job, wants("emu"))
        print(number, flush=True)
        site.leasing.end(job)
"""


@pytest.mark.parametrize("seed", range(4))
def test_kill_9_of_the_daemon_at_any_point(tmp_path: Path, seed: int) -> None:
    """Every job that was told that it holds something is in the ledger in the end, once."""
    last = -1
    for turn in range(3):
        command = [sys.executable, "-c", textwrap.dedent(_DAEMON), str(tmp_path), HERE]
        daemon = subprocess.Popen([*command, str(last + 1)], stdout=subprocess.PIPE, text=True)
        assert daemon.stdout is not None
        with daemon.stdout:
            for count, line in enumerate(daemon.stdout):
                last = int(line)
                if count == 3 + 7 * seed + turn:
                    break
            os.kill(daemon.pid, signal.SIGKILL)
            daemon.wait()
            last = max([last, *(int(line) for line in daemon.stdout if line.endswith("\n"))])
    with opened(tmp_path, Scripted({"emu": Entry(slots=9)})) as site:
        books = Books(site, tmp_path)
        for number in range(last + 2):
            site.leasing.end(a_job(str(number)))
        books.keeper.step()
        ids = [int(entry.job.id) for entry in books.ledger.entries()]
    lines = [line for file in books.ledger.files() for line in file.read_text().splitlines()]
    assert sorted(ids) == sorted(set(ids))
    assert set(range(last + 1)) <= set(ids) <= set(range(last + 2))
    assert len([line for line in lines if line.endswith("}")]) == len(ids)
