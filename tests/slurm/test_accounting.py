"""What a job used reaches Slurm's own records, and never holds a job's end up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from lab import is_installed
from setup_lab import SetUpLab

from qrmi.errors import ResourceUnavailableError
from qrmi.site.books.usage import JobUsage, ResourceUse
from qrmi.site.running import CommandRefusedError
from qrmi.site.slurm.accounting import SlurmAccounting, remark_of
from qrmi.site.slurm.commands import SlurmCommands
from qrmi.site.terms import Job
from qrmi.testing.clock import FakeClock

FIGURES = {"tasks": 3, "shots": 300, "qpu_seconds": 1.25, "vendor": "a text = b"}
REMARK = "AdminComment=qrmi: tasks=3 shots=300 qpu_seconds=1.25"
JOB = Job(scheduler="slurm", cluster="c", id="17", submitted=5)


def usage(**changes: str) -> JobUsage:
    held = ResourceUse(resource="emu", type="local", held_seconds=2.0, tasks=3, shots=300)
    return JobUsage(job=attrs.evolve(JOB, **changes), ended=9.0, resources=(held,))


class Slurm:
    """Commands that write down what they are asked, and answer as told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked = folder / "asked"
        self.asked.write_text("")
        self.clock = FakeClock()
        self.programs = {}
        for name in ("scontrol", "sacctmgr"):
            program = folder / name
            program.write_text(
                f'#!/bin/sh\necho "{name} $*" >> {self.asked}\n'
                f'[ "$1 $2" = "show config" ] && {{ cat {folder}/config; exit 0; }}\n'
                f"cat {folder}/{name}.out | tee /dev/stderr; exit $(cat {folder}/{name}.code)\n"
            )
            program.chmod(0o755)
            self.programs[name] = str(program)
            self.answer(name, "", 0)
        (folder / "config").write_text("AccountingStorageType   = accounting_storage/slurmdbd\n")

    def answer(self, name: str, text: str, code: int) -> None:
        (self.folder / f"{name}.out").write_text(text)
        (self.folder / f"{name}.code").write_text(str(code))

    @property
    def lines(self) -> list[str]:
        return self.asked.read_text().splitlines()

    def accounting(self) -> SlurmAccounting:
        return SlurmAccounting(SlurmCommands(**self.programs), clock=self.clock)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


def test_the_remark_has_figures_only() -> None:
    """Numbers, in order; a text, which may be a vendor's, is left out."""
    assert remark_of(FIGURES) == REMARK.removeprefix("AdminComment=")


def test_a_job_that_slurm_lets_change(slurm: Slurm) -> None:
    """One command, once."""
    slurm.accounting().report(usage())
    figures = "held_seconds=2 tasks=3 shots=300 errors=0"
    assert slurm.lines == [f"scontrol update JobId=17 AdminComment=qrmi: {figures}"]


def test_an_ended_job_is_changed_in_the_database(slurm: Slurm) -> None:
    """No job that has ended is changed in slurmctld, but in slurmdbd it is."""
    slurm.answer("scontrol", "Job has already finished for job 17", 1)
    assert slurm.accounting().write(JOB, remark_of(FIGURES)) is True
    assert slurm.lines[-1] == f"sacctmgr -i modify job where jobid=17 cluster=c set {REMARK}"


def test_without_a_database_nothing_is_tried(slurm: Slurm) -> None:
    """Nothing would outlive the job: it is not an error, and costs nothing more."""
    slurm.answer("scontrol", "Job has already finished for job 17", 1)
    (slurm.folder / "config").write_text("AccountingStorageType = accounting_storage/none\n")
    assert slurm.accounting().write(JOB, "qrmi: tasks=1") is False
    assert [line.split()[0] for line in slurm.lines] == ["scontrol", "scontrol"]


def test_what_is_silent_is_told_later_and_not_waited_for(slurm: Slurm) -> None:
    """A silence is an error to be retried; for a while the next jobs do not wait for it again."""
    slurm.answer("scontrol", "Unable to contact slurm controller (connect failure)", 1)
    accounting = slurm.accounting()
    for _ in range(100):
        with pytest.raises(ResourceUnavailableError) as caught:
            accounting.report(usage())
        assert caught.value.retryable
    assert len(slurm.lines) == 1
    slurm.answer("scontrol", "", 0)
    slurm.clock.sleep(11)
    accounting.report(usage())
    assert len(slurm.lines) == 2


def test_a_job_that_the_database_does_not_know_yet(slurm: Slurm) -> None:
    """It is told a little later than we: the books try again."""
    slurm.answer("scontrol", "Job has already finished for job 17", 1)
    slurm.answer("sacctmgr", " Nothing modified", 0)
    with pytest.raises(CommandRefusedError) as caught:
        slurm.accounting().report(usage())
    assert caught.value.retryable


def test_other_jobs_are_not_slurms(slurm: Slurm) -> None:
    """Another scheduler's job is left alone."""
    slurm.accounting().report(usage(scheduler="gridengine"))
    assert slurm.lines == []


@pytest.fixture(scope="module")
def cluster() -> Iterator[SetUpLab]:
    with SetUpLab({"emu": 1}) as lab:
        yield lab


@pytest.mark.slurm
@pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed")
def test_in_slurm(cluster: SetUpLab) -> None:
    """A job that goes on shows its figures; one that has ended keeps its end, and no error."""
    accounting = SlurmAccounting(cluster.commands, clock=FakeClock())
    job = cluster.submit("sleep 60")
    cluster.until_state(job, "RUNNING")
    run = Job(scheduler="slurm", cluster=cluster.cluster, id=job)
    assert accounting.write(run, remark_of(FIGURES)) is True
    assert REMARK in cluster.run("scontrol", "show", "job", job).stdout
    cluster.run("scancel", job)
    cluster.until_over(job)
    assert accounting.write(run, "qrmi: tasks=4") is False
