"""Whatever happens to a job or to the daemons, its QPUs come back and the next job runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from lab import until
from slurm_site import SlurmSite

from qrmi_sandbox.faults import Fault

HOLD = "echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN; sleep 60"


def held(site: SlurmSite, job: str) -> str:
    """Wait until a job runs with its QPU, and has said so; the session at the vendor's."""
    until(lambda: site.lab.output(job), told=site.log)
    sessions = until(site.sessions, told=site.log)
    assert len(sessions) == 1
    return str(sessions[0])


# --- the site's daemon --------------------------------------------------------------------------


def test_jobs_without_a_qpu_do_not_need_the_daemon(site: SlurmSite) -> None:
    """A site whose daemon is down runs them as ever: at once, where one with a QPU is put back."""
    site.kill_daemon()
    begun = time.monotonic()
    job = site.submit("echo ran; srun -n 2 echo step", "-n", "2")
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    until(lambda: not site.lab.queue())
    assert time.monotonic() - begun < 8
    assert site.lab.fields(job)["Restarts"] == "0"
    assert site.lab.output(job).split() == ["ran", "step", "step"]


def test_the_daemon_is_away_when_a_job_begins(site: SlurmSite) -> None:
    """The job goes back into the queue and runs once the daemon is there again."""
    site.kill_daemon()
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_emu")
    until(lambda: site.lab.fields(job).get("Restarts") == "1", seconds=30)
    site.start_daemon()
    assert site.lab.until_over(job) == "COMPLETED"
    assert site.lab.output(job).strip() == "emu"


def test_the_daemon_is_away_when_a_job_ends(site: SlurmSite) -> None:
    """The job ends as it would; the next daemon finds that it is over, and gives its QPU back."""
    job = site.submit("echo on; sleep 2", "-L", "qpu_fresnel")
    held(site, job)
    site.kill_daemon()
    assert site.lab.until_over(job) == "COMPLETED"
    assert len(site.sessions()) == 1
    site.start_daemon()
    site.until_free()


def test_the_daemon_is_killed_while_a_job_runs(site: SlurmSite) -> None:
    """The job is undisturbed: the next daemon knows its lease, and its steps have the same one."""
    script = "echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN; while [ ! -e go.$SLURM_JOB_ID ]; do sleep .1; done; srun sh -c 'echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN'"  # noqa: E501
    job = site.submit(script, "-L", "qpu_fresnel")
    session = held(site, job)
    site.kill_daemon()
    site.start_daemon()
    assert site.held(job) == ["fresnel"]
    (site.lab.folder / "jobs" / f"go.{job}").touch()
    assert site.lab.until_over(job) == "COMPLETED"
    tokens = site.lab.output(job).split()
    assert len(set(tokens)) == 1
    assert len(tokens) == 2
    assert [s.id for s in site.warden.sessions][-1] == session


def test_the_daemon_is_killed_while_it_asks_the_vendor(site: SlurmSite) -> None:
    """What the vendor granted to a daemon that is dead is given back; the job runs later."""
    delay = site.warden.faults.add(Fault(kind="delay", match="POST /sessions", seconds=2))
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_fresnel")
    until(lambda: delay.hits, told=site.log)
    site.kill_daemon()
    time.sleep(2.2)
    site.start_daemon()
    assert site.lab.until_over(job, seconds=60) == "COMPLETED"
    assert site.lab.output(job).strip() == "fresnel"


def test_the_daemon_is_killed_at_the_end_of_a_job(site: SlurmSite) -> None:
    """A release that was under way is finished by the next daemon."""
    job = site.submit("true", "-L", "qpu_fresnel")
    delay = site.warden.faults.add(Fault(kind="silence", match="DELETE /sessions", seconds=3))
    until(lambda: delay.hits, told=site.log)
    site.kill_daemon()
    assert site.lab.until_over(job) == "COMPLETED"
    site.start_daemon()
    site.until_free()


# --- the vendor ---------------------------------------------------------------------------------


def test_the_vendor_is_down_when_a_job_begins(site: SlurmSite) -> None:
    """The job waits, no node is drained, and it runs when the vendor is back."""
    site.warden.stop()
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_fresnel")
    time.sleep(3)
    assert site.lab.state(job) in ("PENDING", "CONFIGURING")
    other = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-L", "qpu_emu")
    assert site.lab.until_over(other) == "COMPLETED"
    site.warden.start()
    assert site.lab.until_over(job, seconds=60) == "COMPLETED"
    assert site.lab.output(job).strip() == "fresnel"


def test_the_vendor_is_down_when_a_job_ends(site: SlurmSite) -> None:
    """The job ends at once; the session is closed when the vendor is back, before the next job."""
    job = site.submit("echo on; sleep 2", "-L", "qpu_fresnel")
    held(site, job)
    site.warden.stop()
    try:
        assert site.lab.until_over(job) == "COMPLETED"
        assert len(site.sessions()) == 1
    finally:
        site.warden.start()
    site.until_free()


def test_the_vendor_refuses(site: SlurmSite) -> None:
    """A user whom the vendor does not let in is told so; the node stays up."""
    site.warden.users = {4_000_000}
    try:
        job = site.submit("echo never", "-L", "qpu_fresnel")
        assert site.lab.until_over(job) == "FAILED", site.log()
        assert "qrmi: " in site.lab.output(job)
        assert "never" not in site.lab.output(job).splitlines()
    finally:
        site.warden.users = set()
    site.lab.until_idle(seconds=5)


# --- the end of a job ---------------------------------------------------------------------------


def test_cancelled_while_queued(site: SlurmSite) -> None:
    """A job that never began has asked for nothing."""
    holder = site.submit(HOLD, "-L", "qpu_fresnel")
    held(site, holder)
    job = site.submit("true", "-L", "qpu_fresnel")
    site.lab.run("scancel", job)
    assert site.lab.until_over(job) == "CANCELLED"
    assert list(site.leases()) == [holder]


def test_cancelled_while_acquiring(site: SlurmSite) -> None:
    """Slurm kills the hook; what the vendor grants afterwards is given back at once."""
    delay = site.warden.faults.add(Fault(kind="delay", match="POST /sessions", seconds=2))
    job = site.submit("true", "-L", "qpu_fresnel")
    until(lambda: delay.hits, told=site.log)
    site.lab.run("scancel", job)
    assert site.lab.until_over(job) == "CANCELLED"
    time.sleep(2.2)
    site.until_free()


def test_cancelled_while_running(site: SlurmSite) -> None:
    """The QPU is back within a second or two, also from a job that ignores signals."""
    job = site.submit("trap '' TERM; " + HOLD, "-L", "qpu_fresnel")
    held(site, job)
    site.lab.run("scancel", job)
    site.until_free(seconds=3)


def test_the_end_is_told_twice(site: SlurmSite) -> None:
    """A second end of an earlier run changes nothing for the next one with the same QPU."""
    first = site.submit("true", "-L", "qpu_fresnel")
    assert site.lab.until_over(first) == "COMPLETED"
    second = site.submit(HOLD, "-L", "qpu_fresnel")
    session = held(site, second)
    around = {"SLURM_JOB_ID": first, "SLURM_CLUSTER_NAME": site.lab.cluster}
    around |= {"SLURM_SCRIPT_CONTEXT": "epilog_slurmctld"}
    for _ in range(2):
        subprocess.run([site.lab.hook], env=around, check=True)
    assert site.sessions() == [session]
    for _ in range(2):
        around["SLURM_JOB_ID"] = second
        subprocess.run([site.lab.hook], env=around, check=True)
    assert site.sessions() == []


def test_a_jobs_processes_are_killed(site: SlurmSite) -> None:
    """The job fails, and its QPU comes back."""
    job = site.submit("echo $$; exec sleep 60", "-L", "qpu_fresnel")
    held(site, job)
    pid = int(until(lambda: site.lab.output(job).strip()))
    os.kill(pid, signal.SIGKILL)
    assert site.lab.until_over(job) == "FAILED"
    site.until_free()


# --- Slurm's daemons ----------------------------------------------------------------------------


def test_the_node_daemon_is_killed(site: SlurmSite) -> None:
    """The job goes on under its QPU; both end together, and the daemon comes back."""
    job = site.submit("echo on; sleep 3", "-L", "qpu_fresnel")
    session = held(site, job)
    site.lab.kill(site.lab.fields(job)["BatchHost"])
    assert site.sessions() == [session]
    until(lambda: not site.lab.step_daemons(), seconds=10)
    for node in ("n1", "n2"):
        if not site.lab.is_up(node):
            site.lab.start_daemon(node)
    assert site.lab.until_over(job) == "COMPLETED"
    site.until_free()


@pytest.mark.slow
def test_the_controller_is_killed_while_a_job_runs(site: SlurmSite) -> None:
    """The job ends while nobody listens; the controller that comes back gives the QPU back."""
    job = site.submit("echo on; sleep 8; echo over", "-L", "qpu_fresnel")
    held(site, job)
    time.sleep(6)  # what Slurm has not saved by then is lost, and its id is given away again
    site.lab.kill("slurmctld")
    until(lambda: "over" in site.lab.output(job))
    assert len(site.sessions()) == 1
    site.lab.start_daemon("slurmctld")
    site.until_free(seconds=40)


# --- users who want more ------------------------------------------------------------------------


def test_a_users_environment_redirects_nothing(site: SlurmSite) -> None:
    """Neither the site's daemon nor the job's own QPU is another one because a variable says so."""
    evil = site.lab.folder / "jobs" / "evil"
    evil.mkdir(exist_ok=True)
    evil.chmod(0o777)
    for name in ("sitecustomize", "usercustomize", "json", "socket", "os", "re"):
        (evil / f"{name}.py").write_text(
            f"open('{evil}/ran-' + str(__import__('os').getuid()), 'w')"
        )
        (evil / f"{name}.py").chmod(0o644)
    around = {
        "PYTHONPATH": str(evil),
        "PYTHONSTARTUP": str(evil / "os.py"),
        "PYTHONHOME": str(evil),
        "LD_PRELOAD": str(evil / "no.so"),
        "QRMI_CONFIG": str(evil / "config.json"),
        "QRMI_SITE_SOCKET": str(evil / "sock"),
        "QRMI_SITE_URL": "http://127.0.0.1:1",
        "QRMI_JOB_ID": "1",
        "QRMI_JOB_UID": "0",
        "QRMI_JOB_QPU_RESOURCES": "mine",
        "fresnel_QRMI_WARDEN_URL": "http://127.0.0.1:1",
        "fresnel_QRMI_JOB_ACQUISITION_TOKEN": "forged",
        "SLURM_SCRIPT_CONTEXT": "epilog_slurmctld",
        "SLURM_JOB_UID": "0",
        "SLURM_CLUSTER_NAME": "other",
    }  # fmt: skip
    job = site.submit("/usr/bin/env", "-L", "qpu_fresnel", "--export=ALL", env=around)
    assert site.lab.until_over(job) == "COMPLETED", site.lab.output(job)
    told = dict(line.split("=", 1) for line in site.lab.output(job).splitlines() if "=" in line)
    assert told["QRMI_JOB_QPU_RESOURCES"] == "fresnel"
    assert told["QRMI_JOB_ID"] == job
    assert told["QRMI_JOB_UID"] == str(site.user.uid)
    assert told["fresnel_QRMI_WARDEN_URL"] == site.warden.url
    assert told["fresnel_QRMI_JOB_ACQUISITION_TOKEN"] == site.warden.sessions[-1].id
    assert told.get("QRMI_SITE_SOCKET", str(site.socket)) == str(site.socket)
    assert not (evil / "ran-0").exists(), "the user's code ran as root"
    assert site.warden.sessions[-1].user == str(site.user.uid)


def test_a_user_cannot_lend_or_end(site: SlurmSite) -> None:
    """Only the site's own users may; a job's user may read what is theirs alone."""
    if site.user.uid == os.getuid():
        pytest.skip("only root has other users")
    holder = site.submit(HOLD, "-L", "qpu_fresnel", user=site.other)
    session = held(site, holder)
    code = (
        "import sys; sys.path.append(%r)\n"
        "from qrmi.schedulers.speaking import Daemon, Refusal\n"
        "ask = Daemon(socket=%r).ask\n"
        "job = dict(scheduler='slurm', cluster=%r, id=%r)\n"
        "for path, body in [('/v1/leases/end', dict(job=job)), ('/v1/environment', job),\n"
        "                   ('/v1/leases', dict(job=dict(job, submitted=1), want={'any': 1}))]:\n"
        "    try: print(path, ask('POST', path, body))\n"
        "    except Refusal as error: print(path, error.status)\n"
    )
    text = code % (str(site.repository), str(site.socket), site.lab.cluster, holder)
    done = site.lab.run("/usr/bin/python3", "-c", text, user=site.user)
    lines = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert lines["/v1/leases/end"] == lines["/v1/leases"] == "403"
    assert session not in done.stdout
    assert site.sessions() == [session]
