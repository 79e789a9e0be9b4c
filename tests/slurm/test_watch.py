"""Which runs of jobs are over: the reaper's question to Slurm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from lab import is_installed, until
from setup_lab import SetUpLab

from qrmi.site.slurm.commands import SlurmCommands
from qrmi.site.slurm.watch import SlurmWatch
from qrmi.site.terms import Job
from qrmi.testing.clock import FakeClock

needs_slurm = [
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]


@pytest.fixture(scope="module")
def slurm() -> Iterator[SetUpLab]:
    with SetUpLab({"emu": 1}, options={"SlurmdTimeout": "10"}) as lab:
        yield lab


def run_of(slurm: SetUpLab, job: str) -> Job:
    """The run of a job as a hook tells it: from what scontrol says."""
    shown = slurm.run("scontrol", "-o", "show", "job", job, env={"SLURM_TIME_FORMAT": "%s"}).stdout
    line = next(line for line in shown.splitlines() if f"JobId={job} " in line)
    fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
    return Job(
        scheduler="slurm",
        cluster=slurm.cluster,
        id=job,
        restart=int(fields["Restarts"]),
        submitted=int(fields["SubmitTime"]),
    )


def watch_of(slurm: SetUpLab) -> SlurmWatch:
    return SlurmWatch(slurm.commands, cluster=slurm.cluster, fresh_seconds=0.0)


class TestInSlurm:
    pytestmark = needs_slurm

    def test_a_job_from_its_begin_to_its_end(self, slurm: SetUpLab) -> None:
        """While it runs it is not over; once it was cancelled, it is."""
        job = slurm.submit("sleep 60", "-L", "qpu_emu")
        slurm.until_state(job, "RUNNING")
        run, watch = run_of(slurm, job), watch_of(slurm)
        assert watch.is_over(run) is False
        slurm.run("scancel", job)
        until(lambda: watch.is_over(run))

    def test_each_task_of_an_array_has_its_own_end(self, slurm: SetUpLab) -> None:
        """Tasks are told apart by the job id that each has."""
        array = slurm.submit("[ $SLURM_ARRAY_TASK_ID = 1 ] || sleep 60", "--array=1-2")

        def running() -> list[str]:
            shown = slurm.run("squeue", "-h", "-t", "R", "-O", "JobID:20,ArrayTaskID:20").stdout
            rows = [line.split() for line in shown.splitlines()]
            return [number for number, task in rows if task == "2"]

        (second,) = until(running)
        watch = watch_of(slurm)
        assert watch.is_over(run_of(slurm, second)) is False
        slurm.run("scancel", array)
        until(lambda: not slurm.queue())
        assert watch.is_over(run_of(slurm, second)) is True

    def test_a_requeued_job_is_another_run(self, slurm: SetUpLab) -> None:
        """The lease of the first run is over, whatever becomes of the second."""
        job = slurm.submit("sleep 60")
        slurm.until_state(job, "RUNNING")
        first, watch = run_of(slurm, job), watch_of(slurm)
        slurm.run("scontrol", "requeue", job)
        until(lambda: watch.is_over(first))
        until(lambda: slurm.fields(job).get("Restarts") == "1")
        slurm.until_state(job, "RUNNING")
        assert watch.is_over(run_of(slurm, job)) is False
        assert watch.is_over(first) is True
        slurm.run("scancel", job)
        slurm.until_over(job)

    def test_an_id_that_came_back_is_another_job(self, slurm: SetUpLab) -> None:
        """Submission times differ: the old lease is over, though a job of that id runs."""
        job = slurm.submit("sleep 60")
        slurm.until_state(job, "RUNNING")
        run, watch = run_of(slurm, job), watch_of(slurm)
        assert run.submitted is not None
        assert watch.is_over(attrs.evolve(run, submitted=run.submitted - 100)) is True
        assert watch.is_over(attrs.evolve(run, submitted=None)) is False
        slurm.run("scancel", job)
        slurm.until_over(job)

    def test_a_silent_controller_ends_nobodys_lease(self, slurm: SetUpLab) -> None:
        """While slurmctld is down nothing is known; after its restart all is.

        It is told to end, so that it saves what it knows: one that was killed may come back with
        the job still pending, and start it beside its own processes.
        """
        job = slurm.submit("sleep 60")
        slurm.until_state(job, "RUNNING")
        run, watch = run_of(slurm, job), watch_of(slurm)
        slurm.end("slurmctld")
        quick = attrs.evolve(slurm.commands, timeout_seconds=1)
        assert SlurmWatch(quick, fresh_seconds=0.0).is_over(run) is None
        slurm.start_daemon("slurmctld")
        until(lambda: watch.is_over(run) is not None)
        assert watch.is_over(run) is False
        assert watch.is_over(attrs.evolve(run, id="99999")) is True
        slurm.run("scancel", job)
        slurm.until_over(job)
        assert watch.is_over(run) is True

    @pytest.mark.slow
    def test_a_lost_node(self, slurm: SetUpLab) -> None:
        """Once Slurm gives a node up, its jobs are over."""
        job = slurm.submit("sleep 300", "-w", "n2", "--no-requeue")
        slurm.until_state(job, "RUNNING")
        run, watch = run_of(slurm, job), watch_of(slurm)
        slurm.kill("n2")
        for pid in slurm.job_processes():
            slurm.run("kill", "-9", str(pid), check=False)
        assert watch.is_over(run) is False
        until(lambda: watch.is_over(run), seconds=110, every=1)
        slurm.start_daemon("n2")
        slurm.until_idle()


# --- how it asks ----------------------------------------------------------------------------------


class Recorder:
    """A squeue that counts its calls and says what it was told to say."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = folder / "squeue"
        program.write_text(
            f"#!/bin/sh\necho x >> {folder}/calls\n[ -e {folder}/away ] && exit 1\n"
            f"cat {folder}/says\n"
        )
        program.chmod(0o755)
        self.say()
        (folder / "calls").write_text("")
        self.clock = FakeClock()
        self.watch = SlurmWatch(SlurmCommands(squeue=str(program)), clock=self.clock)

    def say(self, *lines: str) -> None:
        (self.folder / "says").write_text("".join(f"{line}\n" for line in lines))

    @property
    def calls(self) -> int:
        return (self.folder / "calls").read_text().count("x")


@pytest.fixture
def squeue(tmp_path: Path) -> Recorder:
    return Recorder(tmp_path)


def job(number: int, **more: object) -> Job:
    return Job(**{"scheduler": "slurm", "cluster": "c", "id": str(number), "submitted": 5, **more})


def test_one_call_for_all_leases(squeue: Recorder) -> None:
    """A thousand leases cost one command."""
    squeue.say(*(f"{number} RUNNING 5 0" for number in range(1000)))
    assert all(squeue.watch.is_over(job(number)) is False for number in range(1000))
    assert squeue.calls == 1


def test_an_answer_that_is_older_than_the_question_ends_nothing(squeue: Recorder) -> None:
    """A lease that is younger than Slurm's answer is not judged by it, but by the next one."""
    squeue.say("1 RUNNING 5 0")
    assert squeue.watch.is_over(job(1)) is False
    squeue.clock.sleep(1.0)
    assert squeue.watch.is_over(job(2)) is None
    squeue.clock.sleep(10.0)
    assert squeue.watch.is_over(job(2)) is True
    assert squeue.calls == 2


def test_after_a_failure_it_is_not_asked_at_once(squeue: Recorder) -> None:
    """A controller that is down is not asked a thousand times."""
    (squeue.folder / "away").touch()
    assert [squeue.watch.is_over(job(number)) for number in range(100)] == [None] * 100
    assert squeue.calls == 1


def test_jobs_of_others(squeue: Recorder) -> None:
    """Another scheduler's job, or another cluster's, is not Slurm's to judge."""
    assert squeue.watch.is_over(job(1, scheduler="gridengine")) is None
    watch = SlurmWatch(SlurmCommands(squeue="/none"), cluster="mine")
    assert watch.is_over(job(1)) is None
    assert squeue.calls == 0


@pytest.mark.parametrize("state", ["COMPLETING", "PENDING", "REQUEUED", "NODE_FAIL"])
def test_states_of_a_run_that_is_over(squeue: Recorder, state: str) -> None:
    """What Slurm has ended, or not begun, holds no QPU."""
    squeue.say(f"1 {state} 5 0")
    assert squeue.watch.is_over(job(1)) is True


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", "SUSPENDED"])
def test_states_of_a_run_that_goes_on(squeue: Recorder, state: str) -> None:
    """A job that has its nodes has its QPU."""
    squeue.say(f"1 {state} 5 0")
    assert squeue.watch.is_over(job(1)) is False
    squeue.clock.sleep(10.0)
    assert squeue.watch.is_over(job(1, restart=1)) is True
