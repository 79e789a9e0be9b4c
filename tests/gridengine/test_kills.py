"""Grid Engine's own processes are killed: what a job held is given back all the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from ge_lab import until
from ge_site import GESite

from qrmi_sandbox.faults import Fault


def _running(site: GESite, seconds: int = 60) -> str:
    job = site.submit(f"sleep {seconds}", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "it runs")
    until(lambda: site.lab.states().get(job) == "r", "it is in state r")
    return job


def _free_within(site: GESite, seconds: float) -> None:
    until(lambda: not site.warden.held_sessions() and not site.leases(), "it is free", seconds)


def _kill_shepherd(site: GESite, job: str) -> None:
    found = (Path(site.lab.spool) / "execd").rglob(f"active_jobs/{job}.1/pid")
    os.kill(int(next(found).read_text()), signal.SIGKILL)


def test_the_shepherd_is_killed(site: GESite) -> None:
    """No epilog runs, ever: the daemon finds out and ends the lease; the next job runs."""
    job = _running(site)
    _kill_shepherd(site, job)
    _free_within(site, 30)
    following = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
    site.lab.wait_gone(following)
    assert site.lab.output(following).split()[-1] == "fresnel"


def test_the_shepherd_is_killed_while_it_acquires(site: GESite) -> None:
    """The prolog is an orphan then; what it still gets is ended."""
    site.kill_daemon()
    job = site.submit("echo never", "-l", "qpu=fresnel")
    until(lambda: list(site.lab.spool.rglob(f"active_jobs/{job}.1/qrmi_lease")), "it asks")
    _kill_shepherd(site, job)
    site.start_daemon()
    site.lab.delete_all()
    _free_within(site, 40)
    assert "never" not in site.lab.output(job)


@pytest.mark.parametrize("which", ["prolog", "epilog"])
def test_a_hooks_shell_is_killed(site: GESite, which: str) -> None:
    """Grid Engine stops the queue; the daemon lets it go on, and the job runs after all."""
    with site.paused_daemon() as go_on:
        job = site.submit("echo on; sleep 3; echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
        if which == "epilog":
            go_on()
            until(lambda: site.lab.output(job), "it runs")  # so its prolog has had its answer
            site.pause_daemon()
        hook = site.hooks / which
        os.kill(until(lambda: site.lab.shells_of(hook), f"the {which} runs")[0], signal.SIGKILL)
        until(lambda: site.lab.queue_letters() == "E", "the queue is in error")
    until(lambda: not site.lab.queue_letters(), "the queue goes on", 30)
    site.lab.wait_gone(job, seconds=60)
    assert site.lab.output(job).split()[-1] == "fresnel"
    _free_within(site, 30)


@pytest.mark.slow
def test_the_execution_daemon_is_killed(site: GESite) -> None:
    """The shepherd runs the epilog all the same; nothing waits for the daemon's return."""
    _running(site, seconds=4)
    site.lab.kill("sge_execd")
    _free_within(site, 15)


@pytest.mark.slow
def test_the_master_is_killed(site: GESite) -> None:
    """A job that ends meanwhile gives back at once; one that goes on keeps its lease."""
    ending = _running(site, seconds=4)
    going = site.submit("sleep 12; echo whole", "-l", "qpu=emu")
    until(lambda: site.lab.states().get(going) == "r", "it is in state r")
    site.lab.kill("sge_qmaster")
    until(lambda: not site.warden.held_sessions(), "the first is free", 20)
    assert list(site.leases().values()) == [["emu"]]
    site.lab.start_master()
    time.sleep(8)
    until(lambda: not site.leases(), "the second is free", 60)
    assert "whole" in site.lab.output(going)
    site.lab.wait_gone(ending, going, seconds=90)


@pytest.mark.slow
def test_the_master_is_killed_while_a_job_begins(site: GESite) -> None:
    """Whatever qmaster remembers of the job, in the end nothing is held."""
    site.submit("sleep 2", "-l", "qpu=fresnel")
    site.lab.kill("sge_qmaster")
    time.sleep(2)
    site.lab.start_master()
    time.sleep(5)
    site.lab.delete_all()
    _free_within(site, 60)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_host_is_lost(site: GESite) -> None:
    """Nobody says that its jobs are over: once it is unheard for long enough, they are."""
    job = _running(site)
    site.lab.kill("sge_execd")
    _kill_shepherd(site, job)
    for pid in site.lab.job_processes(job):
        os.kill(pid, signal.SIGKILL)
    assert site.warden.held_sessions()
    _free_within(site, 150)
    assert site.lab.states().get(job, "").startswith(("r", "u"))


def test_the_prologs_python_is_killed(site: GESite) -> None:
    """What it was asking for is ended, the queue stays healthy, and the job runs in the end."""
    site.warden.faults.add(Fault(kind="delay", match="POST /sessions", seconds=2))
    made = len(site.warden.sessions)
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
    until(lambda: site.leases(), "it asks")
    for pid in site.lab.pythons_of(site.hooks / "prolog"):
        os.kill(pid, signal.SIGKILL)
    site.lab.wait_gone(job, seconds=60)
    assert site.lab.output(job).split()[-1] == "fresnel"
    site.until_free()
    assert len(site.warden.sessions) == made + 2
    assert not site.lab.queue_letters()
