"""Whether the owner of a lease is still there."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qrmi.lifetime import jobs
from qrmi.lifetime.owners import LeaseOwner, OwnerState

_TEXT = st.text(max_size=20)


@given(
    st.builds(LeaseOwner, host=_TEXT, pid=st.none() | st.integers(1, 2**22), job=_TEXT, since=_TEXT)
)
def test_what_is_written_is_read(owner: LeaseOwner) -> None:
    assert LeaseOwner.read(owner.fields()) == owner


@given(st.dictionaries(st.sampled_from(["host", "pid", "job", "since", "x"]), st.none() | _TEXT))
def test_junk_is_an_owner_of_whom_nothing_is_known(fields: dict[str, object]) -> None:
    """A later release, or another program, may have written it: never taken for gone."""
    assert LeaseOwner.read(fields).state() is not OwnerState.GONE


def test_this_process_and_one_that_has_ended() -> None:
    code = "from qrmi.lifetime.owners import LeaseOwner; print(repr(LeaseOwner.here().fields()))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    other = LeaseOwner.read(ast.literal_eval(done.stdout))
    assert other.state() is OwnerState.GONE
    me = LeaseOwner.here()
    assert me.state() is OwnerState.ALIVE
    again = attrs.evolve(other, pid=me.pid)  # its number was given to this process since
    assert again.state() is OwnerState.GONE


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"host": "elsewhere"}, OwnerState.UNKNOWN),
        ({"pid": None}, OwnerState.UNKNOWN),
        ({"since": "another-boot/pid:[1]/5"}, OwnerState.GONE),
        ({"since": ""}, OwnerState.ALIVE),
        ({"since": "", "pid": 2**22 + 1}, OwnerState.GONE),
    ],
)
def test_what_can_be_told(change: dict[str, object], state: OwnerState) -> None:
    """A process of another host, or one without a number, cannot be looked for."""
    assert attrs.evolve(LeaseOwner.here(), **change).state() is state


def test_a_process_of_another_container_cannot_be_told() -> None:
    me = LeaseOwner.here()
    boot, _, begun = me.since.split("/")
    other = attrs.evolve(me, since=f"{boot}/pid:[17]/{begun}")
    assert other.state() is OwnerState.UNKNOWN


_JOBS = [
    ("slurm:7", "squeue", "echo RUNNING", False),
    ("slurm:7", "squeue", "", True),
    ("slurm:7", "squeue", "echo 'error: Invalid job id specified' >&2; exit 1", True),
    ("slurm:7", "squeue", "echo 'Unable to contact slurm controller' >&2; exit 1", None),
    ("pbs:7.host", "qstat", "echo 7.host R", False),
    ("pbs:7.host", "qstat", "echo 'qstat: Unknown Job Id 7.host' >&2; exit 153", True),
    ("pbs:7.host", "qstat", "echo 'cannot connect to server' >&2; exit 111", None),
    ("lsf:7", "bjobs", "echo RUN", False),
    ("lsf:7", "bjobs", "echo DONE", True),
    ("lsf:7", "bjobs", "echo 'Job <7> is not found' >&2; exit 255", True),
    ("flux:f7", "flux", "echo RUN", False),
    ("flux:f7", "flux", "echo INACTIVE", True),
    ("gridengine:7", "qstat", "echo job_number: 7", False),
    ("gridengine:7", "qstat", "echo 'Following jobs do not exist: 7' >&2; exit 1", True),
    ("gridengine:7", "qstat", "echo 'unable to contact qmaster' >&2; exit 1", None),
    ("job:7", "squeue", "", None),
]


@pytest.mark.parametrize(("job", "command", "script", "over"), _JOBS)
def test_whether_a_job_is_over(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    job: str,
    command: str,
    script: str,
    over: bool | None,
) -> None:
    """The scheduler's command says so; what it does not know for sure is not known."""
    path = tmp_path / command
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert jobs.is_over(job) is over
    owner = LeaseOwner(host="elsewhere", pid=5, job=job)
    told = {True: OwnerState.GONE, False: OwnerState.ALIVE, None: OwnerState.UNKNOWN}
    assert owner.state() is told[over]


@pytest.mark.parametrize("job", ["", "slurm:", "slurm:--help", "slurm:7", "no such:7"])
def test_without_its_scheduler_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert jobs.is_over(job) is None


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        ({"SLURM_JOB_ID": "7", "QRMI_JOB_ID": "7"}, "slurm:7"),
        ({"PBS_JOBID": "7.host"}, "pbs:7.host"),
        ({"JOB_ID": "7", "SGE_TASK_ID": "undefined"}, "gridengine:7"),
        ({"JOB_ID": "7"}, ""),
        ({"QRMI_JOB_ID": "7"}, "job:7"),
        ({}, ""),
    ],
)
def test_which_job_this_is(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], job: str
) -> None:
    monkeypatch.delenv("JOB_ID", raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert jobs.present_job() == job
