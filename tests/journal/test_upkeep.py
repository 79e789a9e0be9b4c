"""Compacting and forgetting: nothing else changes; what a crash leaves is put right later."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi import processes
from qrmi.errors import JournalError
from qrmi.journal import Journal, segments, upkeep
from qrmi.journal.events import members, parsed
from qrmi.journal.files import Files, Source
from qrmi.journal.grouping import grouped
from qrmi.journal.writers import Writer
from qrmi.processes import Process

_STARTS = """
import sys
from pathlib import Path
from qrmi.journal import Journal
for key in sys.argv[2:]:
    journal = Journal(Path(sys.argv[1]))  # a writer each, as from a process each
    journal.append("intent", key=key, resource="r", type="t", format="f", digest="d")
    journal.append("started", key=key, resource="r", task="task-" + key)
    if not key.startswith("open"):
        journal.append("ended", resource="r", task="task-" + key, status="COMPLETED")
"""


def start_and_exit(folder: Path, *keys: str) -> None:
    subprocess.run([sys.executable, "-c", _STARTS, str(folder), *keys], check=True)


def test_what_is_compacted_goes_by_and_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files stay for a while, for readers whose listing is old; then they are removed."""
    start_and_exit(tmp_path, "a", "b", "c")
    journal = Journal(tmp_path)
    before = journal.tasks()
    report = journal.compact()
    assert (report.files, report.events, report.waiting, report.removed) == (3, 9, 3, 0)
    assert journal.compact().segment == ""
    monkeypatch.setattr(upkeep, "_GRACE_SECONDS", -1.0)
    assert journal.compact().removed == 3
    assert [path.suffix for path in tmp_path.iterdir()] == [segments.SUFFIX]
    assert Journal(tmp_path).tasks() == before
    start_and_exit(tmp_path, "d")
    assert journal.compact().files == 2  # the segment is taken along
    assert journal.compact().removed == 2
    assert {record.key for record in Journal(tmp_path).tasks()} == set("abcd")


def test_it_happens_by_itself_when_there_are_many_files(tmp_path: Path) -> None:
    """A process that begins to write compacts what others have left, and is not held up."""
    start_and_exit(tmp_path, *map(str, range(70)))
    journal = Journal(tmp_path)
    begun = time.perf_counter()
    journal.append("seen", resource="r", task="t", status="RUNNING")
    assert time.perf_counter() - begun < 2.0
    assert len(list(tmp_path.glob("*" + segments.SUFFIX))) == 1
    assert journal.count() == 70
    assert journal.check().waiting == 70


def test_a_running_process_keeps_its_file(tmp_path: Path) -> None:
    """What is still written to is not compacted; nor what another container's process wrote."""
    own = Journal(tmp_path)
    own.append("seen", resource="r", task="t", status="RUNNING")
    (path,) = tmp_path.iterdir()
    writer = Writer.read(path.stem)
    assert writer is not None
    assert str(writer) == path.stem
    here = writer.process
    elsewhere = Process(host=here.host, boot=here.boot, space="7", pid=9, started="1")
    path.with_name(f"{Writer(process=elsewhere, mark='00')}.jsonl").write_bytes(path.read_bytes())
    report = own.compact()
    assert (report.files, report.left, report.segment) == (0, 2, "")


def test_a_number_that_another_process_has_now(tmp_path: Path) -> None:
    """A process is told from a later one with its number by when it started."""
    here = processes.this_process()
    assert processes.has_ended(here) is False
    assert processes.has_ended(Process(host="elsewhere", pid=here.pid)) is None
    same = {"host": here.host, "space": here.space, "pid": here.pid}
    assert processes.has_ended(Process(**same, boot=here.boot, started="1")) is True
    assert processes.has_ended(Process(**same, boot="0123abcd", started=here.started)) is True
    assert processes.has_ended(Process(host=here.host, pid=2**22 + 1)) is True


def test_a_file_that_grew_after_all_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that was taken for dead: what it writes is found, and its file is not removed."""
    start_and_exit(tmp_path, "a")
    (path,) = tmp_path.iterdir()
    journal = Journal(tmp_path)
    journal.compact()
    with path.open("ab") as file:
        file.write(
            b'{"v":1,"at":1.0,"event":"seen","resource":"r","task":"t","status":"RUNNING"}\n'
        )
    monkeypatch.setattr(upkeep, "_GRACE_SECONDS", -1.0)
    for _ in range(2):
        assert len(list(Journal(tmp_path).export())) == 4
        journal.compact()
    assert len(list(Journal(tmp_path).export())) == 4


@pytest.mark.parametrize("cut", [1, 30, 400, 9000])
def test_a_damaged_segment_is_read_line_by_line(
    tmp_path: Path, cut: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its end is lost: what is left of it is found, said to be damaged, and compacted anew."""
    start_and_exit(tmp_path, *map(str, range(20)))
    journal = Journal(tmp_path)
    journal.compact()
    monkeypatch.setattr(upkeep, "_GRACE_SECONDS", -1.0)
    journal.compact()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-cut])
    found = Journal(tmp_path).tasks()
    assert len(found) == 20 if cut < 9000 else 0 < len(found) < 20
    assert "damaged" in caplog.text
    assert Journal(tmp_path).check().damaged == (path.name,)
    Journal(tmp_path).compact()
    assert Journal(tmp_path).tasks() == found


def test_a_compaction_that_was_killed_is_no_hindrance(tmp_path: Path) -> None:
    """Its marker names a process that has ended; its draft is swept away."""
    start_and_exit(tmp_path, "a", "b")
    host = Files().this_process().host
    code = (
        "import os, sys; from pathlib import Path; from qrmi.journal import exclusive\n"
        "from qrmi.journal.files import Files, Source\n"
        "exclusive.create(Files(), Path(sys.argv[1]), {}, False); os._exit(0)"
    )
    marker = tmp_path / f"{host}.compacting"
    subprocess.run([sys.executable, "-c", code, str(marker)], check=True)
    gone = json.loads(marker.read_text())["writer"]
    (tmp_path / f"{gone}.draft").write_text("half")
    assert Journal(tmp_path).compact().files == 2
    assert not marker.exists()
    assert not list(tmp_path.glob("*.draft"))


def test_one_compaction_at_a_time(tmp_path: Path) -> None:
    """A second one says that another process is at it."""
    from qrmi.journal import marker

    start_and_exit(tmp_path, "a", "b")
    with marker.held(Files(), tmp_path), pytest.raises(JournalError, match="another process"):
        Journal(tmp_path).compact()
    assert Journal(tmp_path).compact().files == 2


# --- forgetting -----------------------------------------------------------------------------------


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    """Only that; with its claims; and what a running process has something of is kept."""
    start_and_exit(tmp_path, "a", "b", "open-c")
    journal = Journal(tmp_path)
    assert journal.claim("a", 1)
    journal.append("seen", resource="r", task="task-b", status="RUNNING")
    later = time.time() + 1
    assert journal.prune(time.time() - 3600) == 0
    assert journal.prune(later, dry_run=True) == 1
    assert journal.count() == 3
    forgotten = journal.forget(later)
    assert [record.key for record in forgotten.tasks] == ["a"]
    assert {r.key for r in Journal(tmp_path).tasks()} == {"b", "open-c"}
    assert journal.claimed("a") == []
    assert journal.claim("a", 1)
    journal.compact()
    assert Journal(tmp_path).count() == 2


def test_an_open_session_is_never_forgotten(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from qrmi.journal import Journal\n"
        "j = Journal(Path(sys.argv[1]))\n"
        "for token in 'xy': j.append('acquired', resource='r', type='t', token=token)\n"
        "j.append('released', resource='r', token='x')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    journal = Journal(tmp_path)
    assert journal.forget(time.time() + 1).sessions == 1
    assert [lease.token for lease in Journal(tmp_path).leases()] == ["y"]
    assert len(list(journal.export())) == 1
    assert "y" not in json.loads(next(journal.export()))["token"]


# --- segments -------------------------------------------------------------------------------------

_event = st.fixed_dictionaries(
    {"event": st.sampled_from(["intent", "started", "ended", "failed", "acquired", "new"])},
    optional={
        "key": st.sampled_from(["k", "l", "ü\ud800"]),
        "task": st.sampled_from(["t", "u"]),
        "token": st.sampled_from(["x", "y"]),
    },
)


@given(found=st.lists(_event, max_size=30))
def test_every_event_is_found_by_each_of_its_names(
    found: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What goes into a segment comes out, once, by line and by index."""
    more = {"resource": "r", "type": "t", "format": "f", "digest": "d", "status": "FAILED"}
    items = []
    for number, fields in enumerate(found):
        line = json.dumps({"w": "a@1", "n": number, "v": 1, "at": 1.0, **more, **fields}).encode()
        if (event := parsed(line)) is not None:  # others never come so far
            items.append((line.replace(b'{"w": ', b'{"w":'), event))
    path = tmp_path_factory.mktemp("segment") / "s.segment"
    path.write_bytes(segments.image(grouped([*items, *items]), {5: 7}))
    segment = segments.Segment.load(path, Files())
    assert segment.replaced == {5: 7}
    assert segment.is_sound()
    assert segment.events == len(items)
    for _, event in items:
        for letter, name in (("k", "key"), ("t", "task"), ("l", "token")):
            if name in event:
                found_events = segment.find([f"{letter}\0{event[name]}"])
                assert event["n"] in [other["n"] for other in found_events]
    read = [event["n"] for _, event in segments.read(segment.data())]
    assert sorted(read) == [event["n"] for _, event in items]
    assert list(segment.find(["k\0absent"])) == []


def test_members_and_fields_make_one_line(tmp_path: Path) -> None:
    """What does not change is encoded once."""
    journal = Journal(tmp_path)
    journal.append("note", also=members(a=1, b="ü"), c=[None])
    journal.append("note")
    (event, bare) = map(json.loads, journal.export())
    assert (event["a"], event["b"], event["c"]) == (1, "ü", [None])
    assert bare["event"] == "note"


class CountingFiles(Files):
    """Counts what is read, in bytes."""

    def __init__(self) -> None:
        self.read = 0

    @contextlib.contextmanager
    def open(self, path: Path) -> Iterator[Source]:
        with super().open(path) as source:
            yield _Counted(self, source)


class _Counted:
    def __init__(self, files: CountingFiles, source: Source) -> None:
        self._files, self._source = files, source
        self.about = source.about

    def read(self, size: int, offset: int) -> bytes:
        data = self._source.read(size, offset)
        self._files.read += len(data)
        return data


def test_a_look_up_reads_what_it_needs(tmp_path: Path) -> None:
    """Not the whole journal: an index, and the lines of one task; or those of the newest few."""
    once = _STARTS.replace("for key", "journal = Journal(Path(sys.argv[1]))\nfor key")
    code = once.replace("    journal = Journal(Path(sys.argv[1]))  #", "    #")
    subprocess.run([sys.executable, "-c", code, str(tmp_path), *map(str, range(1500))], check=True)
    assert Journal(tmp_path).compact().events == 4500
    (path,) = tmp_path.glob("*" + segments.SUFFIX)
    files = CountingFiles()
    journal = Journal(tmp_path, files)
    assert journal.task("task-77").key == "77"
    opening, files.read = files.read, 0
    assert journal.task("task-1400").key == "1400"
    look, files.read = files.read, 0
    assert [record.key for record in journal.tasks(5)] == ["1499", "1498", "1497", "1496", "1495"]
    assert path.stat().st_size > 800_000
    assert (opening < 60_000, look < 2_000, files.read < 30_000) == (True, True, True)
