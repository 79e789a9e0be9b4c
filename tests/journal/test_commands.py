"""``qrmi journal`` and what ``qrmi tasks`` lists."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qrmi import journal
from qrmi.cli.main import main
from qrmi.journal import upkeep

_DONE = """
import sys
from qrmi import journal
for key in sys.argv[1:]:
    place = {"resource": "local", "task": "task-" + key}
    journal.default().append("intent", key=key, resource="local", type="local", format="f",
                             digest="d", context={"sdk": "test"})
    journal.default().append("started", key=key, **place)
    journal.default().append("ended", **place, status="COMPLETED")
journal.default().append("acquired", resource="local", type="local", token="token-of-a-session")
"""

Run = Callable[..., Any]


@pytest.fixture
def run(private_state: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command in a state folder where another process ran 25 tasks; its exit code and output."""
    subprocess.run([sys.executable, "-c", _DONE, *map(str, range(25))], check=True)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(arguments)
        return code, *capsys.readouterr()

    return call


def test_check_says_what_there_is(run: Run) -> None:
    """Words for people, values for machines; damage is exit code 1, a torn line is none."""
    code, out, _ = run("journal", "check")
    assert code == 0
    assert "25 in 76 events" in out
    values = json.loads(run("journal", "check", "--json")[1])
    assert (values["tasks"], values["files"], values["format"]) == (25, 1, 1)
    (file,) = Path(values["folder"]).glob("*.jsonl")
    with file.open("a") as stream:
        stream.write('{"v":1,')
    code, out, _ = run("journal", "check")
    assert (code, "half a line" in out) == (0, True)
    with file.open("a") as stream:
        stream.write("\0\0\0\n")
    code, out, _ = run("journal", "check")
    assert (code, f"damaged        {file.name}" in out.replace("  damaged", "damaged")) == (1, True)


def test_compact_and_what_it_leaves(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what it did and what comes later; nothing changes for who reads."""
    before = run("tasks", "--all", "--no-refresh", "--json")[1]
    code, out, err = run("journal", "compact")
    assert (code, "76 events" in out, "ten minutes" in err) == (0, True, True)
    assert run("tasks", "--all", "--no-refresh", "--json")[1] == before
    monkeypatch.setattr(upkeep, "_GRACE_SECONDS", -1.0)
    assert json.loads(run("journal", "compact", "--json")[1])["removed"] == 1
    assert run("tasks", "--all", "--no-refresh", "--json")[1] == before


def test_prune_says_what_it_forgets(run: Run) -> None:
    """A dry run forgets nothing; an open session stays."""
    assert "0 tasks" in run("journal", "prune", "--older-than", "90d")[1]
    code, out, err = run("journal", "prune", "--older-than", "0s", "--dry-run")
    assert (code, "25 tasks and 0 sessions would be forgotten" in out) == (0, True)
    assert "5 more" in err
    assert journal.default().count() == 25
    values = json.loads(run("journal", "prune", "--older-than", "0s", "--json")[1])
    assert len(values["tasks"]) == 25
    assert {"task_id", "resource", "ended_at", "key"} == set(values["tasks"][0])
    assert journal.default().count() == 0
    assert len(journal.default().leases()) == 1


@pytest.mark.parametrize("age", ["90", "d", "-1d", "nan d", "1y", ""])
def test_an_age_needs_a_unit(run: Run, age: str) -> None:
    """Nothing is forgotten by a slip of the pen."""
    code, _, err = run("journal", "prune", f"--older-than={age}")
    assert (code, "--older-than" in err) == (2, True)


def test_export_is_json_lines_without_tokens(run: Run, tmp_path: Path) -> None:
    """To stdout or to a file; in order of time."""
    out = run("journal", "export")[1]
    events = [json.loads(line) for line in out.splitlines()]
    assert len(events) == 76
    assert [e["at"] for e in events] == sorted(e["at"] for e in events)
    assert {"v", "at", "event", "writer", "line"} <= set(events[0])
    assert "token-of-a-session" not in out
    file = tmp_path / "events.jsonl"
    assert run("journal", "export", "--out", str(file))[:2] == (0, "")
    assert file.read_text() == out
    assert run("journal", "export", "--out", str(tmp_path / "no" / "x"))[0] == 2


def test_tasks_lists_the_newest_all_or_those_since(run: Run) -> None:
    """Twenty by default, with a word on the others."""
    code, out, err = run("tasks", "--no-refresh")
    assert (code, len(out.splitlines()), "5 older ones" in err) == (0, 21, True)
    assert "task-24" in out.splitlines()[1]
    assert len(run("tasks", "--no-refresh", "--all")[1].splitlines()) == 26
    assert len(run("tasks", "--no-refresh", "--since", "1h")[1].splitlines()) == 26
    time.sleep(0.01)
    assert json.loads(run("tasks", "--since", "0.005s", "--json")[1]) == []


def test_an_id_may_be_shortened(run: Run) -> None:
    """As long as it is unique, also once it is compacted."""
    for _ in range(2):
        assert journal.default().ids("task-2") == {f"task-{n}" for n in (2, *range(20, 25))}
        assert journal.default().ids("task-24") == {"task-24"}
        assert journal.default().ids("nothing") == set()
        journal.default().compact()
