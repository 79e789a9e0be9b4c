"""The memory of the site: on disk before anybody acts on it, one daemon a folder."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lending_model import a_job

from qrmi.errors import ConfigError, Owner, ResourceUnavailableError
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState, Part
from qrmi.site.lending.store import FILE_NAME, Store
from qrmi.site.lending.store_rows import record_of, row_of
from qrmi.site.terms import Job


def lease(number: str = "1", **more: object) -> LeaseRecord:
    parts = (Part(resource="emu", entry="emu", type="local", token="t", asked=1.0),)
    given = {"job": a_job(number), "state": LeaseState.HELD, "parts": parts, "since": 5.0, **more}
    return LeaseRecord(**given)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "state")
    made.open()
    return made


_TEXTS = st.text(max_size=20)
_WORDS = st.text("abcXYZ019._-[]", min_size=1, max_size=9)
_TIMES = st.floats(0, 2e9)
_JOBS = st.builds(
    Job,
    scheduler=_WORDS,
    cluster=_WORDS,
    id=_WORDS,
    restart=st.integers(0, 9),
    submitted=st.none() | st.integers(0, 2**40),
    uid=st.integers(-1, 2**32),
    user=_TEXTS,
    name=_TEXTS,
)
_PARTS = st.builds(
    Part,
    resource=_TEXTS,
    entry=_TEXTS,
    type=_TEXTS,
    slots=st.integers(1, 9),
    token=st.none() | _TEXTS,
    asked=st.none() | _TIMES,
    back=st.booleans(),
)
_LEASES = st.builds(
    LeaseRecord,
    job=_JOBS,
    state=st.sampled_from(LeaseState),
    parts=st.lists(_PARTS, max_size=3),
    since=_TIMES,
    granted=st.none() | _TIMES,
    limit_seconds=st.none() | _TIMES,
    reason=_TEXTS,
    hint=_TEXTS,
)


@given(record=_LEASES)
@settings(max_examples=60, deadline=None)
def test_a_row_is_the_whole_lease(record: LeaseRecord) -> None:
    """What is read is what was written."""
    _, _, _, state, job, lease, parts, since, granted, limit, reason, hint, _ = row_of(record)
    row = (job, state, lease, parts, since, granted, limit, reason, hint)
    assert record_of(row) == record


def test_what_was_written_is_there_for_the_next_daemon(store: Store, tmp_path: Path) -> None:
    """A store that is closed, or not, and opened again has all of it."""
    record = lease()
    store.put(record)
    store.fence(a_job("2"), 100.0)
    store.close()
    again = Store(tmp_path / "state")
    again.open()
    assert again.lease(record.key) == record
    assert again.known(a_job("2"))[0]
    assert not again.known(a_job("3"))[0]
    again.close()
    again.close()


def test_it_is_flushed(store: Store, tmp_path: Path) -> None:
    """The file is a WAL that is flushed at each commit."""
    store.put(lease())
    journal, level = store.write(
        lambda c: (
            c.execute("PRAGMA journal_mode").fetchone()[0],
            c.execute("PRAGMA synchronous").fetchone()[0],
        )
    )
    assert (journal, level) == ("wal", 2)
    store.close()


def test_nobody_else_may_read_it(store: Store, tmp_path: Path) -> None:
    """The folder and every file in it are its user's alone: there are tokens in it."""
    store.put(lease())
    folder = tmp_path / "state"
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert FILE_NAME in modes
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    store.close()


def test_one_daemon_a_folder(store: Store, tmp_path: Path) -> None:
    """A second daemon is refused, in words that name the first; a dead one is in nobody's way."""
    with pytest.raises(ConfigError, match=rf"another qrmid \(process {os.getpid()}\)") as caught:
        Store(tmp_path / "state").open()
    assert caught.value.owner is Owner.SITE
    assert "stop it first" in caught.value.hint
    store.close()
    script = (
        "import os, sys; from pathlib import Path; from qrmi.site.lending.store import Store\n"
        "store = Store(Path(sys.argv[1])); store.open(); print('open', flush=True)\n"
        "sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, tmp_path / "state"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdin is not None
    assert child.stdout.readline() == b"open\n"
    with pytest.raises(ConfigError, match=f"process {child.pid}"):
        Store(tmp_path / "state").open()
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()
    after = Store(tmp_path / "state")
    after.open()
    after.close()


def test_a_version_that_is_not_known(store: Store, tmp_path: Path) -> None:
    """The file of a newer daemon is left alone, and the error says so."""
    store.close()
    file = tmp_path / "state" / FILE_NAME
    with sqlite3.connect(file) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    again = Store(tmp_path / "state")
    with pytest.raises(ConfigError, match="is of version 99, this qrmid knows 1") as caught:
        again.open()
    assert caught.value.owner is Owner.SITE
    with pytest.raises(ConfigError, match="version 99"):
        again.open()  # the failure let go of the folder


@pytest.mark.parametrize("content", [b"not a database" * 100, b"\0" * 8192])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    """A damaged file is an error of the site, not a crash."""
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be used"):
        Store(folder).open()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """So is a folder that is none."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        Store(tmp_path / "file" / "state").open()


def test_a_disk_that_is_full(store: Store) -> None:
    """What cannot be written raises, changes nothing, and is no trouble once there is space."""
    store.write(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())
    big = lease("2", reason="x" * 100_000)
    with pytest.raises(
        ResourceUnavailableError, match="cannot write to its state folder"
    ) as caught:
        store.put(big)
    assert (caught.value.owner, caught.value.retryable) == (Owner.SITE, True)
    assert store.lease(big.key) is None
    store.write(lambda c: c.execute("PRAGMA max_page_count = 100000").fetchone())
    store.put(big)
    assert store.lease(big.key) == big
    store.close()


def test_a_write_that_fails_leaves_the_others(store: Store) -> None:
    """Writes that are flushed together are judged one by one."""
    started, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        started.set()
        go_on.wait(10)

    def wrong(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO fence (name, at) VALUES ('half', 1)")
        connection.execute("INSERT INTO nowhere VALUES (1)")

    results: dict[str, object] = {}

    def run(name: str, work: object) -> None:
        try:
            results[name] = store.write(work)  # type: ignore[arg-type]
        except ResourceUnavailableError as error:
            results[name] = error

    threads = [threading.Thread(target=run, args=("slow", slow))]
    threads[0].start()
    started.wait(10)
    for name, work in (("wrong", wrong), ("right", lambda c: store_one(c))):
        threads.append(threading.Thread(target=run, args=(name, work)))
        threads[-1].start()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert isinstance(results["wrong"], ResourceUnavailableError)
    names = store.write(lambda c: c.execute("SELECT name FROM fence").fetchall())
    assert names == [("one",)]
    store.close()


def store_one(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO fence (name, at) VALUES ('one', 1)")


def test_writes_of_many_threads_share_a_flush(tmp_path: Path) -> None:
    """What comes while a flush is under way is flushed together."""
    store = Store(tmp_path / "state")
    store.open()
    begun = threading.Event()
    commits = []

    def watched(statement: str) -> None:
        if statement == "COMMIT":
            commits.append(statement)

    store.write(lambda c: c.set_trace_callback(watched))

    def one(number: int) -> None:
        begun.wait()
        for each in range(10):
            store.fence(a_job(f"{number}.{each}"), 1.0)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(20)]
    for thread in threads:
        thread.start()
    begun.set()
    for thread in threads:
        thread.join(20)
    assert len(commits) < 150
    (count,) = store.write(lambda c: c.execute("SELECT count(*) FROM fence").fetchone())
    assert count == 200
    store.close()


def test_what_is_looked_up_is_indexed(store: Store) -> None:
    """No look-up, and no write, goes through all leases: ten thousand may be held."""
    seen: list[str] = []
    store.write(lambda c: c.set_trace_callback(seen.append))
    assert store._file.reader is not None
    store._file.reader.set_trace_callback(seen.append)
    record = lease()
    store.put(record)
    store.change(record)
    store.lease(record.key)
    store.newest("slurm/lab/1")
    store.known(record.job)
    store.fence(record.job, 9.0)
    store.fence(a_job(submitted=None), 9.0)
    store.remove(record)
    store.prune(5.0)
    store._file.reader.set_trace_callback(None)
    store.write(lambda c: c.set_trace_callback(None))
    looks = [s for s in seen if s.split()[0] in ("SELECT", "UPDATE", "DELETE", "INSERT")]
    assert len(looks) >= 12
    for statement in looks:
        plan = store.read(f"EXPLAIN QUERY PLAN {statement}", ())
        assert not any(row[3].startswith("SCAN lease") for row in plan), statement
        assert not any(row[3].startswith("SCAN fence") for row in plan), statement
    store.close()


def test_reading_by_and_by(store: Store) -> None:
    """All leases are read in pages, in order; what changes meanwhile disturbs nothing."""

    def fill(connection: sqlite3.Connection) -> None:
        from qrmi.site.lending.store_rows import INSERT

        connection.executemany(INSERT, [row_of(lease(str(n))) for n in range(1001)])

    store.write(fill)
    seen = []
    for number, record in enumerate(store.leases()):
        seen.append(record.job.id)
        if number == 100:
            store.remove(record)
    assert seen == [str(n) for n in range(1001)]
    assert store.counts() == {"held": 1000}
    assert [r.job.id for r in store.leases(LeaseState.ENDING)] == []
    store.close()


def test_a_lease_that_was_asked_for_anew_is_another(store: Store) -> None:
    """What is left of an earlier request of a key neither changes nor removes the present one."""
    old, new = lease(), lease()
    store.put(old)
    store.remove(old)
    store.put(new)
    store.remove(old)
    store.change(old)
    assert store.lease(new.key) == new
    store.close()


def test_what_is_ending_stays_so(store: Store) -> None:
    """A fence counts even when the request that it stopped still writes."""
    record = lease(state=LeaseState.ASKING)
    store.put(record)
    gone, left = store.fence(record.job, 9.0)
    assert ([r.key for r in gone], [r.key for r in left]) == ([], [record.key])
    store.change(lease(state=LeaseState.HELD, id=record.id))
    kept = store.lease(record.key)
    assert kept is not None
    assert kept.state is LeaseState.ENDING
    store.close()


@pytest.mark.parametrize("submitted", [None, 1000])
def test_what_comes_behind_a_fence_is_ending(store: Store, submitted: int | None) -> None:
    """A request that had not written anything yet when its job was ended is never held."""
    store.fence(a_job(submitted=submitted), 2000.0)
    store.put(lease())
    kept = store.lease(a_job().key)
    assert kept is not None
    assert kept.state is LeaseState.ENDING
    later = lease(job=a_job(submitted=2001))
    store.put(later)
    assert store.lease(later.key) == later
    store.close()


def test_an_end_of_what_no_vendor_keeps(store: Store) -> None:
    """A lease of which no vendor keeps anything is forgotten with its end, in one transaction."""
    parts = (Part(resource="emu", entry="emu", type="local", token="t", asked=1.0, kept=False),)
    record = lease(parts=parts)
    store.put(record)
    assert store.fence(record.job, 9.0) == ([record], [])
    assert store.lease(record.key) is None
    assert store.fence(record.job, 9.0) == ([], [])
    store.close()


def test_intents_of_a_dead_daemon(store: Store) -> None:
    """Of an intent only the first vendor without a token can have been asked."""
    names = {"c": None, "a": "t", "d": None, "b": None}
    parts = (Part(resource=n, entry=n, type="x", token=t, asked=1.0) for n, t in names.items())
    record = lease(state=LeaseState.ASKING, parts=parts)
    store.put(record)
    store.put(lease("2"))
    store.undo_intents()
    undone = store.lease(record.key)
    assert undone is not None
    assert undone.state is LeaseState.ENDING
    assert [part.resource for part in undone.left] == ["a", "b"]
    assert store.counts() == {"ending": 1, "held": 1}
    store.close()
