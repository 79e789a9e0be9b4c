"""The journal: what an entry costs, and look-ups among many tasks."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import Row, seconds
from qrmi.journal import FORMAT_VERSION, Journal, members

__all__ = ["run"]

_SIZES = (10_000, 100_000)
_PER_FILE = 25  # tasks that one process starts
_OPENING_MS, _LOOK_MS, _RECORD_BYTES = 50.0, 5.0, 2000
_PUB = {"shots": 1000, "outcome": [0, 1, 2], "registers": {"c": [0, 1]}}
_CONTEXT = {"sdk": "cudaq", "kind": "sampler", "shots": 1000, "layouts": {"pubs": [_PUB]}}
_SETTINGS = {"QRMI_EXAMPLE_ENDPOINT": "https://qpu.example.org/api/v1", "QRMI_EXAMPLE_DEVICE": "a"}
_LOOKING = """
import json, sys, time
from pathlib import Path
from qrmi.journal import Journal  # loaded with the handle, before anything is looked up
ids, folder = json.loads(sys.argv[2]), Path(sys.argv[1])
times = []
for number, task_id in enumerate(ids):
    begun = time.perf_counter()
    if number == 0:
        journal = Journal(folder)
    assert journal.task(task_id).id == task_id
    times.append(time.perf_counter() - begun)
begun = time.perf_counter()
assert len(Journal(folder).tasks(20)) == 20
print(json.dumps([times[0], sorted(times[1:])[len(times) // 2], time.perf_counter() - begun]))
"""


def run() -> list[Row]:
    """An append; opening and look-ups with many tasks."""
    rows = [*_appends(), _beginning()]
    for tasks in _SIZES:
        with tempfile.TemporaryDirectory() as folder:
            rows += _looks(Path(folder) / "journal", tasks)
    return rows


def _appends() -> list[Row]:
    also = members(resource="example", type="local", settings=_SETTINGS)
    key = "host-1234-0123456789abcdef0123456789abcdef-17"
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder))

        def intent() -> None:
            journal.append(
                "intent",
                also=also,
                key=key,
                format="qiskit-primitive",
                digest="0" * 64,
                context=_CONTEXT,
            )

        def started() -> None:
            journal.append("started", resource="example", key=key, task="0123-4567")

        figures = []
        for call in (intent, started):
            best = min(seconds(lambda call=call: [call() for _ in range(200)]) for _ in range(25))
            figures.append(best / 200 * 1e6)
    return [
        Row(
            what=f"journal: append {name}",
            value=f"{figure:.1f} µs",
            baseline="best of 25",
            limit="10 µs",
            holds=figure <= 10,
        )
        for name, figure in zip(("an intent", "a start's id"), figures, strict=True)
    ]


def _beginning() -> Row:
    def first() -> float:
        with tempfile.TemporaryDirectory() as folder:
            journal = Journal(Path(folder) / "journal")
            return seconds(lambda: journal.append("seen", resource="r", task="t", status="QUEUED"))

    return Row(
        what="journal: the first append of a process",
        value=f"{statistics.median(first() for _ in range(21)) * 1e3:.2f} ms",
        limit="2 ms",
    )


def _looks(folder: Path, tasks: int) -> list[Row]:
    _fill(folder, tasks)
    wanted = f"task-{tasks // 2}"
    baseline = statistics.median(seconds(lambda: _read_all(folder, wanted)) for _ in range(3)) * 1e3
    size = sum(path.stat().st_size for path in folder.iterdir()) / tasks
    compacting = seconds(lambda: Journal(folder).compact())
    for path in folder.glob("*.jsonl"):
        path.unlink()  # as a later compaction would
    ids = json.dumps([f"task-{number * (tasks // 101)}" for number in range(101)])
    command = [sys.executable, "-c", _LOOKING, str(folder), ids]
    found = [
        json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        for _ in range(7)
    ]
    opening, look, newest = (statistics.median(column) * 1e3 for column in zip(*found, strict=True))
    everything = seconds(Journal(folder).tasks)
    compacted = sum(path.stat().st_size for path in folder.iterdir()) / tasks
    name = f"journal, {tasks:,} tasks:"
    return [
        Row(
            what=f"{name} first look-up of a process",
            value=f"{opening:.1f} ms",
            baseline=f"reading every file {baseline:.0f} ms, {baseline / opening:.0f} times",
            limit=f"{_OPENING_MS:.0f} ms",
            holds=opening <= _OPENING_MS,
        ),
        Row(
            what=f"{name} each other look-up",
            value=f"{look:.2f} ms",
            baseline=f"{baseline / look:.0f} times",
            limit=f"{_LOOK_MS:.0f} ms",
            holds=look <= _LOOK_MS,
        ),
        Row(what=f"{name} the newest 20", value=f"{newest:.1f} ms"),
        Row(what=f"{name} all", value=f"{everything * 1e3:.0f} ms"),
        Row(what=f"{name} compacting all", value=f"{compacting:.2f} s"),
        Row(
            what=f"{name} one record",
            value=f"{compacted:.0f} bytes",
            baseline=f"before compacting {size:.0f} bytes",
            limit=f"{_RECORD_BYTES} bytes",
            holds=compacted <= _RECORD_BYTES,
        ),
    ]


def _fill(folder: Path, tasks: int) -> None:
    """A journal as processes leave it that have ended."""
    folder.mkdir()
    own = Journal(folder)
    own.append("seen", resource="r", task="t", status="QUEUED")
    (named,) = folder.iterdir()
    head, _, rest = named.stem.partition("@")
    boot, space, *_ = rest.split("-")
    begun = time.time() - 86400
    for number in range(0, tasks, _PER_FILE):
        name = f"{head}@{boot}-{space}-{4_200_000 + number}-1-{number:08x}-1.jsonl"
        lines = [line for n in range(number, number + _PER_FILE) for line in _lines(n, begun + n)]
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    named.unlink()


def _lines(number: int, at: float) -> list[dict[str, object]]:
    key = f"login-node-17.example.org-4711-0123456789abcdef0123456789abcdef-{number}"
    task = {"resource": "example", "task": f"task-{number}"}
    head = {"v": FORMAT_VERSION, "at": at}
    return [
        {
            **head,
            "event": "intent",
            "key": key,
            "resource": "example",
            "type": "local",
            "format": "qiskit-primitive",
            "digest": f"{number:064x}",
            "context": _CONTEXT,
            "settings": _SETTINGS,
        },
        {**head, "event": "started", "key": key, **task},
        {**head, "event": "ended", **task, "status": "COMPLETED"},
    ]


def _read_all(folder: Path, task_id: str) -> dict[str, object]:
    """A look-up without an index: each line of each file is read."""
    events = [
        json.loads(line)
        for path in sorted(folder.iterdir())
        for line in path.read_bytes().split(b"\n")[:-1]
    ]
    events.sort(key=lambda event: event["at"])
    starts = {event["key"]: event for event in events if event["event"] == "intent"}
    keys = {event["task"]: event["key"] for event in events if event["event"] == "started"}
    return starts[keys[task_id]]
