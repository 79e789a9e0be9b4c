"""What the reaper learns about jobs of PBS, LSF and Flux."""

from __future__ import annotations

import pytest
from site_process import Commands

from qrmi.site.terms import Job
from qrmi.site.watching.other_watch import OtherWatch

CASES = [
    ("lsf", "bjobs", "RUN\n", 0, False),
    ("lsf", "bjobs", "PEND\n", 0, False),
    ("lsf", "bjobs", "DONE\n", 0, True),
    ("lsf", "bjobs", "Job <17> is not found\n", 255, True),
    ("lsf", "bjobs", "LSF is down. Please wait ...\n", 255, None),
    ("pbs", "qstat", "17.pbs bell root 0 R q\n", 0, False),
    ("pbs", "qstat", "qstat: Unknown Job Id 17\n", 153, True),
    ("pbs", "qstat", "qstat: cannot connect to server\n", 111, None),
    ("flux", "flux", "RUN\n", 0, False),
    ("flux", "flux", "INACTIVE\n", 0, True),
    ("flux", "flux", "flux: connection refused\n", 1, None),
]


@pytest.mark.parametrize(("scheduler", "command", "prints", "code", "expected"), CASES)
def test_only_a_clear_answer_counts(
    commands: Commands,
    monkeypatch: pytest.MonkeyPatch,
    scheduler: str,
    command: str,
    prints: str,
    code: int,
    expected: bool | None,
) -> None:
    """A job is over when its scheduler says so; one that is silent says nothing."""
    monkeypatch.setenv("PATH", commands.path)
    commands.add(command, prints, code)
    job = Job(scheduler=scheduler, cluster="lab", id="17")
    assert OtherWatch("lab").is_over(job) is expected
    assert commands.calls(command)[0][-1] == "17"


def test_others_are_not_asked_about(commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs of another cluster, or of a scheduler with a watch of its own, are left alone."""
    monkeypatch.setenv("PATH", commands.path)
    commands.add("bjobs", "DONE\n")
    assert OtherWatch("lab").is_over(Job(scheduler="lsf", cluster="far", id="17")) is None
    assert OtherWatch("lab").is_over(Job(scheduler="slurm", cluster="lab", id="17")) is None
    assert commands.calls("bjobs") == []
