"""Jobs wait outside: from the vendor's service through the daemon to what `squeue` shows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from lab import is_installed, until
from setup_lab import Daemon, SetUpLab, called

from qrmi.site.client import SiteClient
from qrmi_sandbox import make_server

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(not is_installed(), reason="Slurm and MUNGE are not installed"),
]


class Cluster(SetUpLab):
    """A set-up Slurm, its daemon, an embedded simulator and a QPU behind Warden."""

    def __init__(self, warden: Any) -> None:
        fresnel = {
            "name": "fresnel",
            "type": "pasqal-local",
            "environment": {"QRMI_WARDEN_URL": warden.url, **warden.munge.settings()},
        }
        emu = {"name": "emu", "type": "local", "environment": {}}
        super().__init__({"emu": 1, "fresnel": 1}, hooked=True, entries=[emu, fresnel])
        self.warden = warden

    def pause(self, message: str) -> None:
        """As the vendor's administrators do."""
        self.warden.is_accessible, self.warden.message = False, message

    def resume(self) -> None:
        """The QPU is back."""
        self.warden.is_accessible, self.warden.message = True, "ok"

    def reserved(self, name: str) -> str:
        """How many licenses of a QPU are kept from jobs."""
        shown = self.run("scontrol", "-o", "show", "licenses").stdout.splitlines()
        (line,) = [each for each in shown if f"LicenseName=qpu_{name} " in each]
        return line.split("Reserved=")[1].split()[0]


@pytest.fixture(scope="module")
def site() -> Iterator[Cluster]:
    warden: Any = make_server("pasqal-local")
    warden.start()
    try:
        with Cluster(warden) as lab, Daemon(lab):
            yield lab
    finally:
        warden.stop()


@pytest.fixture
def cluster(site: Cluster) -> Iterator[Cluster]:
    """The cluster; after the test all is back, nothing is held, and the nodes are idle."""
    yield site
    site.resume()
    called("site", "resume", "fresnel", "--socket", str(site.socket))
    site.cancel_all()
    until(lambda: not site.queue(), told=lambda: str(site.queue()))
    client = SiteClient(socket_path=site.socket)
    until(lambda: not client.get("/v1/leases") and not site.warden.held_sessions())
    until(lambda: site.reserved("fresnel") == "0")
    site.until_idle()


def test_paused_at_the_vendor(cluster: Cluster) -> None:
    """Jobs of the QPU hold no node and say why, running ones go on, and all recovers by itself."""
    user = cluster.users[0]
    running = cluster.submit("sleep 60; echo end", "-L", "qpu_fresnel", user=user)
    cluster.until_state(running, "RUNNING")
    until(cluster.warden.held_sessions)
    cluster.pause("laser is being aligned")
    until(lambda: cluster.reserved("fresnel") == "1", told=lambda: cluster.log("qrmid"))
    waiting = cluster.submit("echo $QRMI_JOB_QPU_RESOURCES", "--gres=qpu:fresnel:1", user=user)
    other = cluster.submit("echo $QRMI_JOB_QPU_RESOURCES", "--comment=qpu=emu", user=user)
    assert cluster.until_over(other) == "COMPLETED"
    assert cluster.output(other).strip() == "emu"
    assert cluster.state(running) == "RUNNING"
    assert len(cluster.warden.held_sessions()) == 1
    cluster.run("scancel", running)
    cluster.until_over(running)
    cluster.run("sleep", "2")
    assert cluster.state(waiting) == "PENDING"
    assert cluster.fields(waiting)["NodeList"] == ""
    assert cluster.fields(waiting)["Restarts"] == "0"
    cluster.resume()
    assert cluster.until_over(waiting) == "COMPLETED", cluster.output(waiting)
    assert cluster.output(waiting).strip() == "fresnel"


def test_the_reason_is_where_the_user_looks(cluster: Cluster) -> None:
    """On the waiting job, at submission, in `qrmi site status`; and it is gone afterwards."""
    user = cluster.users[0]
    before = cluster.submit("true", "--hold", "--comment=qpu=fresnel", user=user)
    first = cluster.submit("true", "--hold", "-L", "qpu_fresnel", user=user)
    cluster.pause("laser is being aligned")
    until(lambda: "laser is being aligned" in remark(cluster, first))
    assert "fresnel is paused" in remark(cluster, before) or "offline" in remark(cluster, before)
    words = until(lambda: said_at_submission(cluster))
    assert "the job waits until it is back" in words
    rows = {row["name"]: row for row in SiteClient(socket_path=cluster.socket).get("/v1/resources")}
    assert "laser is being aligned" in rows["fresnel"]["reason"]
    cluster.resume()
    until(lambda: "laser" not in remark(cluster, first))


def test_drain_and_resume(cluster: Cluster) -> None:
    """Planned maintenance: what waits says so and starts when it is over."""
    line = ["--config", str(cluster.settings)]
    code, text = called("site", "drain", "fresnel", "--reason", "new cryostat", *line)
    assert code == 0, text
    until(lambda: cluster.reserved("fresnel") == "1")
    job = cluster.submit("true", "-L", "qpu_fresnel", user=cluster.users[0])
    cluster.run("sleep", "2")
    assert cluster.state(job) == "PENDING"
    code, text = called("site", "resume", "fresnel", *line)
    assert code == 0, text
    assert cluster.until_over(job) == "COMPLETED"


def test_a_restart_of_slurmctld_and_of_the_daemon(cluster: Cluster) -> None:
    """What is away stays away, whoever was restarted; and comes back all the same."""
    cluster.pause("away")
    until(lambda: cluster.reserved("fresnel") == "1")
    cluster.restart_daemon("slurmctld")
    until(lambda: cluster.run("squeue", check=False).returncode == 0)
    assert cluster.reserved("fresnel") == "1"
    cluster.resume()
    until(lambda: cluster.reserved("fresnel") == "0")


def remark(cluster: Cluster, job: str) -> str:
    return cluster.run("scontrol", "show", "job", job).stdout


def said_at_submission(cluster: Cluster) -> str:
    """What sbatch tells a user whose QPU is away; empty while it tells nothing."""
    done = cluster.run("sbatch", "--hold", "-L", "qpu_fresnel", "--wrap", "true", "--parsable")
    cluster.run("scancel", done.stdout.strip())
    return done.stderr


def test_json_of_resources(cluster: Cluster) -> None:
    """`squeue --json` has the remark for programs."""
    job = cluster.submit("true", "--hold", "-L", "qpu_fresnel")
    cluster.pause("for programs")
    until(lambda: "for programs" in remark(cluster, job))
    shown = json.loads(cluster.run("squeue", "--json").stdout)
    (found,) = [each for each in shown["jobs"] if str(each["job_id"]) == job]
    assert "for programs" in found["admin_comment"]
