"""Programs in the upstream library's style run unchanged, and say what they say under the wheel."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

SCRIPTS = Path(__file__).with_name("scripts")
TYPES = (
    "alice-bob-felis",
    "ibm-quantum-compute-service",
    "ibm-quantum-system",
    "iqm-server",
    "oqtopus",
    "pasqal-cloud",
    "pasqal-local",
    "qiskit-runtime-service",
)
WITHOUT_WHEEL = {"oqtopus"}  # the wheel's needs a native library that it does not bring


def said(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def comparable(result: str) -> Any:
    """A result but for its formatting, and for what differs from run to run."""
    try:
        value = json.loads(result)
    except ValueError:
        return result.strip()
    return value.get("counter", value)  # of Pasqal's, the wheel keeps that alone


@pytest.mark.parametrize("kind", TYPES)
def test_a_whole_cycle(job: Callable[[str], Any], pythons: dict[str, Path], kind: str) -> None:
    """The same script gives the same statuses, target, ids and result; ours may report more."""
    made = job(kind)
    arguments = (SCRIPTS / "cycle.py", kind, made.name, "input.json")
    ours = said(made.run(pythons["here"], *arguments))
    assert ours["ended"] == ours["after"] == ours["stopped"] == "TaskStatus.Completed"
    assert ours["accessible"] is True
    assert ours["word"] == "online"
    assert ours["locks"] == [True, True]
    assert ours["ids"] == ["str", 2]
    if kind in WITHOUT_WHEEL:
        assert '{"01": 7}' in ours["result"]
        return
    theirs = said(made.run(pythons["rust"], *arguments))
    for key in ("selected", "accessible", "word", "locks", "metadata", "ended", "after", "ids"):
        assert ours[key] == theirs[key], key
    assert ours["target"] == theirs["target"]
    assert comparable(ours["result"]) == comparable(theirs["result"])
    assert set(ours["statuses"]) <= {f"TaskStatus.{s}" for s in ("Queued", "Running", "Completed")}
    for key, value in theirs["condition"].items():
        assert value is None or ours["condition"][key] == value, key
    assert bool(ours["logs"]) == bool(theirs["logs"])


@pytest.mark.parametrize("kind", TYPES)
def test_the_jobs_resources(job: Callable[[str], Any], pythons: dict[str, Path], kind: str) -> None:
    """Service, configuration file and provider give the same under both."""
    made = job(kind)
    provider = ("--provider",) if "ibm-quantum" in kind else ()
    arguments = (SCRIPTS / "service.py", *provider)
    ours = said(made.run(pythons["here"], *arguments))
    assert ours["other"] is None
    if kind in WITHOUT_WHEEL:
        return
    theirs = said(made.run(pythons["rust"], *arguments))
    assert ours == theirs


@pytest.mark.parametrize("kind", ["ibm-quantum-system", "ibm-quantum-compute-service"])
def test_primitives(job: Callable[[str], Any], pythons: dict[str, Path], kind: str) -> None:
    """Backend, sampler, estimator and their jobs."""
    told = said(job(kind).run(pythons["here"], SCRIPTS / "primitives.py"))
    assert told["counts"] == {"01": 50}
    assert told["status"] == "JobStatus.DONE"
    assert told["ends"] == [True, False, False, False, True]
    assert told["value"] == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", ["pasqal-cloud", "pasqal-local"])
def test_analog_programs(job: Callable[[str], Any], pythons: dict[str, Path], kind: str) -> None:
    """A connection without arguments; a batch of one job goes by the batch's id."""
    told = said(job(kind).run(pythons["here"], SCRIPTS / "analog.py"))
    assert told["tagged"] == {"bitstrings": [{"000": 20}]}
    assert told["logs"] == 1
    assert told["counts"] == {"00": 20}


def test_iqm_backend(job: Callable[[str], Any], pythons: dict[str, Path]) -> None:
    told = said(job("iqm-server").run(pythons["here"], SCRIPTS / "iqm.py"))
    assert told == {"outcomes": ["000", "111"], "shots": 100}
