"""The ledger: each run of a job once, whatever happens to the writer, and sums that add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qrmi.errors import InvalidInputError, ResourceUnavailableError
from qrmi.site.books.ledger import Ledger, read_line, written_line
from qrmi.site.books.summing import UsageRow, usage, usage_table
from qrmi.site.books.usage import JobUsage, ResourceUse, TaskUse, counted
from qrmi.site.terms import Job

NOVEMBER = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
DAY = 86400.0


def entry(number: int = 1, *, ended: float = NOVEMBER, user: str = "alice") -> JobUsage:
    """What a job used."""
    job = Job(
        scheduler="slurm", cluster="c", id=str(number), submitted=5, uid=1000, user=user,
        account="physics", name="vqe",
    )  # fmt: skip
    use = ResourceUse(
        resource="emu", type="local", slots=2, held_seconds=60.0, tasks=3, shots=300,
        qpu_seconds=1.5, task_wait_seconds=0.5, errors={"user": 1},
    )  # fmt: skip
    return JobUsage(job=job, ended=ended, wait_seconds=2.5, resources=(use,))


class Month:
    """A time that a test sets."""

    def __init__(self) -> None:
        self.now = NOVEMBER

    def __call__(self) -> float:
        return self.now


def test_a_line_tells_all_there_is(tmp_path: Path) -> None:
    """One object a line, readable without this library; times are UTC, and none is a secret."""
    assert Ledger(tmp_path, now=Month()).note(entry())
    (file,) = (tmp_path / "ledger").iterdir()
    assert file.name == "2026-11.0001.jsonl"
    (line,) = file.read_text().splitlines()
    assert json.loads(line) == {
        "key": "slurm/c/1/0/5",
        "job": {
            "scheduler": "slurm", "cluster": "c", "id": "1", "restart": 0, "submitted": 5,
            "uid": 1000, "user": "alice", "account": "physics", "host": "", "name": "vqe",
        },
        "ended": NOVEMBER,
        "wait_seconds": 2.5,
        "resources": [{
            "resource": "emu", "type": "local", "slots": 2, "held_seconds": 60.0, "tasks": 3,
            "shots": 300, "qpu_seconds": 1.5, "task_wait_seconds": 0.5, "errors": {"user": 1},
        }],
    }  # fmt: skip
    assert not file.stat().st_mode & 0o027, "names of users and jobs are not everybody's"


def test_what_nobody_counted_is_null_and_not_zero() -> None:
    use = ResourceUse(resource="emu", type="local")
    told = json.loads(written_line(JobUsage(job=entry().job, ended=1.0, resources=(use,))))
    (resource,) = told["resources"]
    assert resource["tasks"] is resource["shots"] is resource["qpu_seconds"] is None
    assert told["wait_seconds"] is None


def test_an_end_that_is_told_twice_is_one_entry(tmp_path: Path) -> None:
    """Also to the next daemon, and with another time."""
    ledger = Ledger(tmp_path, now=Month())
    assert ledger.note(entry())
    assert not ledger.note(entry(ended=NOVEMBER + 9))
    assert not Ledger(tmp_path, now=Month()).note(entry())
    assert [e.ended for e in ledger.entries()] == [NOVEMBER]


def test_an_end_that_is_told_again_in_the_next_month(tmp_path: Path) -> None:
    month = Month()
    Ledger(tmp_path, now=month).note(entry())
    month.now += DAY
    ledger = Ledger(tmp_path, now=month)
    assert not ledger.note(entry())
    assert ledger.note(entry(2))
    assert [file.name for file in ledger.files()] == ["2026-11.0001.jsonl", "2026-12.0001.jsonl"]


def test_a_file_that_is_full_is_followed_by_another(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, most_bytes=1000, now=Month())
    for number in range(12):
        assert ledger.note(entry(number))
    names = [file.name for file in ledger.files()]
    assert names == [f"2026-11.{n:04}.jsonl" for n in range(1, len(names) + 1)]
    assert len(names) > 3
    assert [e.job.id for e in ledger.entries()] == [str(n) for n in range(12)]
    assert not Ledger(tmp_path, now=Month()).note(entry(0)), "the first file counts too"


def test_since(tmp_path: Path) -> None:
    month = Month()
    ledger = Ledger(tmp_path, now=month)
    ledger.note(entry(1, ended=month.now))
    month.now += 40 * DAY
    ledger.note(entry(2, ended=month.now))
    assert [e.job.id for e in ledger.entries(month.now - DAY)] == ["2"]
    assert [e.job.id for e in ledger.entries(NOVEMBER)] == ["1", "2"]
    assert [e.job.id for e in ledger.entries(NOVEMBER + 1)] == ["2"]


def test_one_users_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path, now=Month())
    ledger.note(entry(1))
    ledger.note(entry(2, user="bob"))
    assert [row["name"] for row in ledger.usage(by="user", uid=1000)] == ["alice", "bob"]
    assert ledger.usage(by="user", uid=1) == []
    assert json.loads(json.dumps(ledger.usage(by="job")))[0]["tasks"] == 3


def test_what_cannot_be_written_can_be_noted_later(tmp_path: Path) -> None:
    """A full disk, say: the caller keeps the entry, and no half of it stays."""
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger" / "2026-11.0001.jsonl").mkdir()
    ledger = Ledger(tmp_path, now=Month())
    with pytest.raises(ResourceUnavailableError, match="ledger"):
        ledger.note(entry())
    (tmp_path / "ledger" / "2026-11.0001.jsonl").rmdir()
    assert ledger.note(entry())


def test_a_disk_that_is_full_leaves_no_torn_line(tmp_path: Path) -> None:
    """A real limit on the size of a file: what fits of a line that does not fit is taken back."""
    program = """
        import resource, signal, sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[2])
        from test_ledger import Month, entry
        from qrmi.errors import ResourceUnavailableError
        from qrmi.site.books.ledger import Ledger
        ledger = Ledger(Path(sys.argv[1]), now=Month())
        ledger.note(entry(1))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
        (file,) = ledger.files()
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, unlimited[1]))
        try:
            ledger.note(entry(2))
        except ResourceUnavailableError:
            print("refused", file.read_text().count("\\n"), file.read_text()[-1] == "\\n")
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        print(ledger.note(entry(2)), ledger.note(entry(2)))
    """
    done = _run(program, str(tmp_path), str(Path(__file__).parent))
    assert done.split() == ["refused", "1", "True", "True", "False"]


def _run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", textwrap.dedent(program), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_threads_note_each_once(tmp_path: Path) -> None:
    ledger, new = Ledger(tmp_path, now=Month()), []
    work = [threading.Thread(target=lambda: new.extend(map(ledger.note, _some()))) for _ in "1234"]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    assert sum(new) == len(list(ledger.entries())) == 20


def _some() -> list[JobUsage]:
    return [entry(number) for number in range(20)]


_WRITER = """
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[2])
    from test_ledger import Month, entry
    from qrmi.site.books.ledger import Ledger
    ledger = Ledger(Path(sys.argv[1]), now=Month())
    for number in range(int(sys.argv[3]), 100000):
        ledger.note(entry(number))
        ledger.note(entry(number))
        print(number, flush=True)
"""


@pytest.mark.parametrize("until", [1, 7, 40])
def test_kill_9_loses_nothing_that_was_noted_and_doubles_nothing(
    tmp_path: Path, until: int
) -> None:
    """A writer is killed thrice; each time the next begins where it was told that it was."""
    last = -1
    for _ in range(3):
        here = str(Path(__file__).parent)
        command = [sys.executable, "-c", textwrap.dedent(_WRITER), str(tmp_path), here]
        writer = subprocess.Popen([*command, str(max(last, 0))], stdout=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        with writer.stdout:
            first = last
            for line in writer.stdout:
                last = int(line)
                if last - first >= until:
                    break
            os.kill(writer.pid, signal.SIGKILL)
            writer.wait()
            last = max([last, *(int(line) for line in writer.stdout if line.endswith("\n"))])
    ids = [int(e.job.id) for e in Ledger(tmp_path, now=Month()).entries()]
    assert ids == list(range(len(ids)))
    assert len(ids) >= last + 1


# --- torn files -------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 3), st.integers(0, 400))
def test_a_torn_last_line_harms_no_other(
    tmp_path_factory: pytest.TempPathFactory, whole: int, cut: int
) -> None:
    """Wherever a crash cut it, what came before is read, and the next entry is whole."""
    folder = tmp_path_factory.mktemp("torn")
    file = folder / "ledger" / "2026-11.0001.jsonl"
    file.parent.mkdir()
    lines = [written_line(entry(number)) + "\n" for number in range(whole + 1)]
    cut = min(cut, len(lines[-1]) - 2)
    file.write_text("".join(lines[:-1]) + lines[-1][:cut])
    ledger = Ledger(folder, now=Month())
    assert [e.job.id for e in ledger.entries()] == [str(n) for n in range(whole)]
    assert ledger.note(entry(whole))
    assert not ledger.note(entry(whole))
    assert [e.job.id for e in ledger.entries()] == [str(n) for n in range(whole + 1)]


def test_a_last_line_without_its_end_counts(tmp_path: Path) -> None:
    """All of it is there; only the end of the line is not. It is no entry twice."""
    file = tmp_path / "ledger" / "2026-11.0001.jsonl"
    file.parent.mkdir()
    file.write_text(written_line(entry(1)))
    ledger = Ledger(tmp_path, now=Month())
    assert not ledger.note(entry(1))
    assert ledger.note(entry(2))
    assert [e.job.id for e in ledger.entries()] == ["1", "2"]


@settings(deadline=None)
@given(st.text(max_size=200) | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(str))
def test_no_line_is_an_error(line: str) -> None:
    """Whatever stands in a file: an entry, or none."""
    assert read_line(line) is None


@pytest.mark.parametrize(
    "change",
    [
        {"ended": float("nan")}, {"ended": -1}, {"job": {}}, {"resources": [{}]},
        {"resources": [{"resource": "emu", "type": "t", "shots": -1}]},
        {"resources": [{"resource": "emu", "type": "t", "errors": {"nobody": 1}}]},
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_no_entry(change: dict[str, object]) -> None:
    assert read_line(json.dumps({**json.loads(written_line(entry())), **change})) is None


# --- sums -------------------------------------------------------------------------------------

_amounts = st.none() | st.integers(0, 10**6)
_seconds = st.integers(0, 10**6).map(lambda eighths: eighths / 8)  # sums of these are exact
_uses = st.builds(
    ResourceUse,
    resource=st.sampled_from(["emu", "fresnel", "heron"]),
    type=st.just("local"),
    slots=st.integers(1, 4),
    held_seconds=_seconds,
    tasks=_amounts,
    shots=_amounts,
    qpu_seconds=st.none() | _seconds,
    task_wait_seconds=st.none() | _seconds,
    errors=st.dictionaries(st.sampled_from(["user", "vendor"]), st.integers(0, 5)),
)
_jobs = st.builds(
    Job,
    scheduler=st.just("slurm"),
    cluster=st.just("c"),
    id=st.text("0123456789", min_size=1, max_size=6),
    submitted=st.integers(0, 9),
    uid=st.integers(0, 3),
    user=st.sampled_from(["", "alice", "bob"]),
    account=st.sampled_from(["", "physics", "chemistry"]),
)
_entries = st.builds(
    JobUsage,
    job=_jobs,
    ended=_seconds,
    wait_seconds=st.none() | _seconds,
    resources=st.lists(_uses, max_size=3),
)


@settings(deadline=None)
@given(_entries)
def test_what_is_written_is_read(one: JobUsage) -> None:
    assert read_line(written_line(one)) == one


@settings(deadline=None)
@given(st.lists(_entries, max_size=12))
def test_sums_are_the_same_by_whatever_they_are_summed(entries: list[JobUsage]) -> None:
    """Nothing is lost between the rows, and nothing counts twice."""
    uses = [use for one in entries for use in one.resources]
    for by in ("user", "account", "resource", "job"):
        rows = usage(entries, by=by)
        assert len({row.name for row in rows}) == len(rows)
        for name in ("tasks", "shots", "qpu_seconds", "task_wait_seconds", "held_seconds"):
            assert _total(rows, name) == pytest.approx(_total(uses, name), abs=0.01), name
        assert sum(row.uncounted for row in rows) == sum(use.tasks is None for use in uses)
        assert sum(sum(row.errors.values()) for row in rows) == sum(
            sum(use.errors.values()) for use in uses
        )
        if by != "resource":
            assert sum(row.jobs for row in rows) == len(entries)


def _total(rows: list[UsageRow] | list[ResourceUse], name: str) -> float:
    return sum(getattr(row, name) or 0 for row in rows)


@settings(deadline=None)
@given(st.lists(_entries, max_size=6))
def test_a_sum_is_unknown_only_when_nothing_of_it_is_known(entries: list[JobUsage]) -> None:
    for row in usage(entries, by="resource"):
        own = [u for one in entries for u in one.resources if u.resource == row.name]
        for name in ("tasks", "shots", "qpu_seconds"):
            assert (getattr(row, name) is None) == all(getattr(u, name) is None for u in own)
        assert UsageRow.from_json(row.as_json()) == row


def test_by_what_it_can_be_summed() -> None:
    with pytest.raises(InvalidInputError, match="cannot be summed by 'colour'") as caught:
        usage([], by="colour")
    assert caught.value.hint == "by: account, job, resource, user"


def test_people_without_a_name_or_an_account_are_named_somehow() -> None:
    job = Job(scheduler="slurm", cluster="c", id="1", submitted=1, uid=1234)
    (row,) = usage([JobUsage(job=job, ended=1.0)], by="user")
    assert row.name == "uid 1234"
    (row,) = usage([JobUsage(job=job, ended=1.0)], by="account")
    assert row.name == "(none)"


def test_the_table_for_people() -> None:
    """Durations in words; a dash for what nobody counted, a plus where some is not in the sum."""
    silent = ResourceUse(resource="fresnel", type="pasqal-local", held_seconds=3725.0)
    unknown = JobUsage(job=entry(9).job, ended=1.0, resources=(silent,))
    head, cells = usage_table(usage([entry(), unknown], by="resource"), by="resource")
    assert head[0] == "resource"
    assert cells == [
        ["emu", "1", "1:00", "2:00", "2.5 s", "3", "300", "1.5 s", "user 1"],
        ["fresnel", "1", "1:02:05", "1:02:05", "0 s", "-", "-", "-", ""],
    ]
    _, (both,) = usage_table(usage([entry(), unknown], by="user"), by="user")
    assert both[5] == "3+"


# --- counting tasks ---------------------------------------------------------------------------


def test_tasks_are_counted_for_their_resource() -> None:
    tasks = [
        TaskUse(resource="emu", task="a", shots=100, qpu_seconds=1.0, wait_seconds=0.5),
        TaskUse(resource="emu", task="b", shots=None, qpu_seconds=2.0, error="vendor"),
        TaskUse(resource="emu", error="user"),
        TaskUse(resource="other", task="c", shots=7),
    ]
    use = counted(ResourceUse(resource="emu", type="local"), tasks)
    assert (use.tasks, use.shots, use.qpu_seconds, use.task_wait_seconds) == (2, 100, 3.0, 0.5)
    assert use.errors == {"user": 1, "vendor": 1}


def test_a_served_resource_without_tasks_has_none() -> None:
    """The gateway knows that nothing ran: that is 0. Elsewhere it is not known."""
    use = counted(ResourceUse(resource="emu", type="local"), [])
    assert (use.tasks, use.shots, use.qpu_seconds) == (0, 0, 0)
    assert ResourceUse(resource="emu", type="local").tasks is None


def test_totals_for_a_schedulers_own_books() -> None:
    assert entry().totals() == {
        "held_seconds": 60.0, "tasks": 3, "shots": 300, "qpu_seconds": 1.5,
        "task_wait_seconds": 0.5, "wait_seconds": 2.5, "errors": 1,
    }  # fmt: skip
    silent = ResourceUse(resource="emu", type="local", held_seconds=1.0)
    assert JobUsage(job=entry().job, ended=1.0, resources=(silent,)).totals() == {
        "held_seconds": 1.0
    }
