r"""Many threads of many processes on one handle's configuration, against a server that is flaky.

8 s with 8 threads in each of 3 processes; the whole of it, 24 threads in 8 processes for 60 s::

    QRMI_TEST_SECONDS=60 QRMI_TEST_THREADS=24 QRMI_TEST_PROCESSES=8 \
        python -m pytest tests/exactly_once/test_stress.py -s
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from place import Place
from trial import IMPATIENT, PATIENCE_SECONDS

from qrmi import journal

_SECONDS = float(os.environ.get("QRMI_TEST_SECONDS", "8"))
_THREADS = int(os.environ.get("QRMI_TEST_THREADS", "8"))
_PROCESSES = int(os.environ.get("QRMI_TEST_PROCESSES", "3"))
_SEED = int(os.environ.get("QRMI_TEST_SEED", "4"))
_ROW = os.environ.get("QRMI_TEST_VENDOR", "ibm-quantum-compute-service")
_WARM_UP_SECONDS = 2.0
pytestmark = pytest.mark.timeout(120 + 3 * _SECONDS)  # the first test does the work
_RATE = 0.05
_MOST_MEMORY_GROWTH_MB = 30.0
_MOST_FILES = 8  # the three of every process, and the journal
_OF_THE_SERVER = {  # what a flaky server may make of a call
    "ResourceUnavailableError",
    "AnswerLostError",
    "UnexpectedAnswerError",
}


def workers(place: Place, state: Path) -> list[dict[str, Any]]:
    """What the processes say, one after another."""
    environment = {**os.environ, "QRMI_STATE_DIR": str(state)}
    script = str(Path(__file__).with_name("stress.py"))
    running = []
    for number in range(_PROCESSES):
        process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            text=True,
        )
        order = {
            "row": _ROW,
            "name": f"p{number}",
            "config": {
                **place.entry["environment"],
                **IMPATIENT,
                "QRMI_HTTP_READ_TIMEOUT_SECONDS": "3",
                "QRMI_HTTP_BUDGET_SECONDS": "8",
            },
            "pickled": bool(number % 2),
            "threads": _THREADS,
            "warm_up": _WARM_UP_SECONDS,
            "seconds": _SECONDS,
        }
        assert process.stdin is not None
        process.stdin.write(json.dumps(order))
        process.stdin.close()
        running.append(process)
    said = []
    for process in running:
        assert process.stdout is not None
        said.append(json.loads(process.stdout.read()))
        assert process.wait(60) == 0
    return said


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One run, looked at by all tests."""
    state = tmp_path_factory.mktemp("stress")
    with Place(_ROW) as place:
        place.faults(_SEED, patience=PATIENCE_SECONDS, rate=_RATE, others=_RATE)
        said = workers(place, state)
        place.calm()
        counted = place.counts()
    ends: Counter[str] = Counter()
    for path in sorted(state.rglob("*")):
        if path.is_file() and "journal" in str(path):
            for line in path.read_text(errors="replace").splitlines():
                if '"ended"' in line and line.startswith("{"):
                    ends[json.loads(line).get("task", "")] += 1
    return {"said": said, "counted": counted, "ends": ends, "state": state}


def test_print(figures: dict[str, Any]) -> None:
    """The figures, for docs/reliability.md (shown with ``-s``)."""
    said = figures["said"]
    errors: Counter[str] = sum((Counter(each["errors"]) for each in said), Counter())
    print(f"\n{_PROCESSES} processes of {_THREADS} threads for {_SECONDS:g} s on {_ROW}:")
    requests = figures["counted"]["requests"]
    print(
        f"requests {sum(requests.values())}, mishaps {sum(requests.values()) - requests['nothing']}"
    )
    print(f"tasks started {sum(len(each['started']) for each in said)}")
    print(f"tasks with results {sum(len(each['ended']) for each in said)}")
    for words, times in errors.most_common():
        print(f"  {times:5} {words}")
    for name in ("threads", "sockets", "files", "memory"):
        told = [f"{each['begin'][name]:.0f} -> {each['end'][name]:.0f}" for each in said]
        print(f"  {name}: {', '.join(told)}; closed: {[round(e['closed'][name]) for e in said]}")


def test_no_error_is_ours(figures: dict[str, Any]) -> None:
    """Every error is one of the server's or of the way there, and says so."""
    for each in figures["said"]:
        for words in each["errors"]:
            kind, _, owner = words.partition(": ")[2].partition(", ")
            assert kind in _OF_THE_SERVER, words
            assert owner in ("vendor", "network", "site"), words


def test_nothing_is_lost_or_run_twice(figures: dict[str, Any]) -> None:
    """Each task has its result, was run once by the server, and is ended once in the journal."""
    counted, ids = figures["counted"], []
    for each in figures["said"]:
        assert not each["wrong"]
        assert sorted(each["started"]) == sorted(each["ended"])
        ids += each["started"]
    assert len(ids) == len(set(ids)) > 10 * _PROCESSES
    assert {task_id: counted["ids"].get(task_id) for task_id in ids} == dict.fromkeys(ids, 1)
    assert max(counted["marks"].values()) == 1
    assert {figures["ends"][task_id] for task_id in ids} == {1}


def test_nothing_leaks(figures: dict[str, Any]) -> None:
    """What is open is what the threads' connections need, and is closed with the handle.

    Memory grows by less than the bound.
    """
    for each in figures["said"]:
        begin, end, closed = each["begin"], each["end"], each["closed"]
        assert end["threads"] <= begin["threads"]
        assert end["sockets"] <= _THREADS + 1  # one may be the process's own
        assert end["files"] <= 3 * _THREADS + closed["files"]
        assert (closed["sockets"], closed["threads"]) <= (1, begin["threads"]), closed
        assert closed["files"] <= _MOST_FILES, closed
        growth = end["memory"] - begin["memory"]
        assert growth < _MOST_MEMORY_GROWTH_MB, f"{growth:.0f} MB"


def test_the_journal_has_them_all(figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What several processes wrote is one journal."""
    monkeypatch.setenv("QRMI_STATE_DIR", str(figures["state"]))
    ids = {task_id for each in figures["said"] for task_id in each["started"]}
    assert ids <= {record.id for record in journal.default().tasks()}
