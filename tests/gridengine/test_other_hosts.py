"""Hosts without the daemon's socket: the same jobs, over TCP and MUNGE."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ge_lab import is_possible, until
from ge_site import GESite

from qrmi_sandbox.munge import PrivateMunge

_POSSIBLE = is_possible() and PrivateMunge.is_installed()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.gridengine,
    pytest.mark.skipif(not _POSSIBLE, reason="needs root, Grid Engine's packages and MUNGE"),
]


@pytest.fixture(scope="module")
def remote_site() -> Iterator[GESite]:
    site = GESite(remote=True)
    try:
        yield site.start()
    finally:
        site.stop()


def test_a_job_on_another_host(remote_site: GESite) -> None:
    """It gets its QPU, is told the daemon's address, and gives back."""
    job = remote_site.submit("env", "-l", "qpu=fresnel")
    remote_site.lab.wait_gone(job)
    told = remote_site.lab.output(job)
    assert "QRMI_JOB_QPU_RESOURCES=fresnel" in told
    assert "QRMI_SITE_URL=http://127.0.0.1:" in told
    remote_site.settle()


def test_the_check_reaches_the_daemon_the_same_way(remote_site: GESite) -> None:
    """Over TCP; and without munged it says what is wrong."""
    folder = ["--folder", str(remote_site.hooks)]
    assert remote_site.qrmi("gridengine", "check", *folder).returncode == 0


def test_without_munge_jobs_wait(remote_site: GESite) -> None:
    """A host that cannot prove itself puts its job back, and says so in the job's output."""
    remote_site.warden.munge.stop()
    try:
        job = remote_site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=emu")
        until(lambda: "munged" in remote_site.lab.output(job), "it says why", 40)
        assert not remote_site.lab.queue_letters()
    finally:
        remote_site.warden.munge.start()
    remote_site.lab.wait_gone(job)
    assert remote_site.lab.output(job).split()[-1] == "emu"
    remote_site.settle()
