"""What takes Slurm its time to notice: run them with ``-m slow``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import pytest
from lab import until
from slurm_site import SlurmSite

from qrmi_sandbox.faults import Fault

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
HOLD = "echo on; sleep 200"


@pytest.fixture
def own() -> Iterator[SlurmSite]:
    """A cluster for one test, for what it does to Slurm's memory."""
    site = SlurmSite()
    try:
        yield site.start()
        site.settle()
    finally:
        site.stop()


@pytest.fixture
def hasty() -> Iterator[SlurmSite]:
    """A cluster that gives a silent node up after ten seconds."""
    site = SlurmSite(SlurmdTimeout="10")
    try:
        yield site.start()
        site.settle()
    finally:
        site.stop()


def began(site: SlurmSite, job: str) -> str:
    """Wait until a job runs with its QPU; the session at the vendor's."""
    until(lambda: site.lab.output(job), told=site.log)
    return str(until(site.sessions)[0])


def test_the_time_limit(site: SlurmSite) -> None:
    """A job that is over its limit is ended by Slurm, and its QPU comes back at once."""
    job = site.submit(HOLD, "-L", "qpu_fresnel", "-t", "1")
    began(site, job)
    assert site.lab.until_over(job, seconds=150) == "TIMEOUT"
    site.until_free(seconds=5)


def test_a_node_is_lost(hasty: SlurmSite) -> None:
    """Daemon, step daemon and job of the node are gone: Slurm notices, and the QPU comes back."""
    job = hasty.submit(HOLD, "-L", "qpu_fresnel", "--no-requeue")
    began(hasty, job)
    node = hasty.lab.fields(job)["BatchHost"]
    hasty.lab.kill(node)
    for pid in hasty.lab.job_processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert hasty.sessions(), "nobody told Slurm"
    hasty.until_free(seconds=120)


def test_the_step_daemon_is_killed(site: SlurmSite) -> None:
    """Slurm finds out when the node registers again; then the QPU comes back."""
    job = site.submit(HOLD, "-L", "qpu_fresnel", "--no-requeue")
    began(site, job)
    for pid, step in site.lab.step_daemons().items():
        if step.startswith(job):
            os.kill(pid, signal.SIGKILL)
    assert site.sessions(), "nobody told Slurm"
    until(
        lambda: site.lab.run("scontrol", "reconfigure") and not site.sessions(),
        seconds=320,
        every=5,
        told=lambda: site.log() + site.lab.log()[-2000:],
    )


def test_the_controller_is_killed_while_a_job_begins(own: SlurmSite) -> None:
    """A job that the controller forgets, or begins twice, leaves nothing behind."""
    delay = own.warden.faults.add(Fault(kind="delay", match="POST /sessions", seconds=3))
    job = own.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_fresnel")
    until(lambda: delay.hits, told=own.log)
    own.lab.kill("slurmctld")
    time.sleep(1)
    own.lab.start_daemon("slurmctld")
    until(lambda: not own.lab.queue() and not own.sessions(), seconds=90, told=own.log)
    assert own.lab.output(job).strip() in ("", "fresnel")


def test_the_controller_is_killed_just_after_a_job_began(own: SlurmSite) -> None:
    """A job that the saved state does not have holds nothing once it is over."""
    job = own.submit("echo on; sleep 4; echo over", "-L", "qpu_fresnel")
    began(own, job)
    own.lab.kill("slurmctld")
    own.lab.start_daemon("slurmctld")
    until(lambda: "over" in own.lab.output(job))
    own.until_free(seconds=60)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can mount a disk")
def test_the_daemons_disk_is_full() -> None:
    """Nothing is lent that cannot be written down; what is held comes back; space heals it."""
    site = SlurmSite()
    disk = site.folder / "state"
    site.folder.mkdir(parents=True)
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "qrmid", disk], check=True)
    try:
        site.start()
        holder = site.submit("echo on; sleep 6", "-L", "qpu_fresnel")
        began(site, holder)
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as stream:
            while True:
                stream.write(b"x" * 4096)
                stream.flush()
        job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_emu")
        assert site.lab.until_over(holder) == "COMPLETED"
        until(lambda: site.lab.fields(job).get("Restarts", "0") != "0", seconds=30, told=site.log)
        site.lab.until_idle(seconds=10)
        filler.unlink()
        assert site.lab.until_over(job, seconds=90) == "COMPLETED", site.log()
        site.settle()
    finally:
        site.stop_daemon()
        subprocess.run(["umount", "-l", disk], check=True)
        site.stop()


def test_the_nodes_spool_is_full() -> None:
    """A job whose script Slurm cannot write leaves its QPU free."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk")
    site = SlurmSite()
    spool = site.lab.folder / "spool"
    spool.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "spool", spool], check=True)
    try:
        site.start()
        filler = spool / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as stream:
            while True:
                stream.write(b"x" * 4096)
                stream.flush()
        job = site.submit("echo ran", "-L", "qpu_fresnel")
        until(lambda: any(s.revoked_at for s in site.warden.sessions), seconds=30, told=site.log)
        site.lab.cancel_all()
        site.until_free()
        filler.unlink()
        assert "ran" not in site.lab.output(job)
        for node in ("n1", "n2"):  # Slurm's own judgement, not the hook's
            site.lab.run("scontrol", "update", f"NodeName={node}", "State=RESUME", check=False)
        site.settle()
    finally:
        site.stop()
        subprocess.run(["umount", "-l", spool], check=True)
        site.lab.remove()
