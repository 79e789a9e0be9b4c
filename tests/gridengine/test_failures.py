"""What goes wrong hits the job, not the queue; and whatever it is, nothing stays held."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from ge_lab import until
from ge_site import OTHER, GESite

from qrmi_sandbox.faults import Fault

_CLASSICAL = "echo classical"


def _reason(site: GESite, job: str) -> str:
    lines = site.lab.run("qstat", "-j", job, check=False).stdout.splitlines()
    return " ".join(line for line in lines if line.startswith(("context:", "error reason")))


def _classical_runs(site: GESite) -> None:
    """Somebody else's job without a QPU starts and ends meanwhile, and the queue is healthy."""
    job = site.submit(_CLASSICAL, user=OTHER)
    site.lab.wait_gone(job, seconds=10)
    assert site.lab.output(job) == "classical\n"
    assert not site.lab.queue_letters()


def _held_by_others(site: GESite, name: str) -> dict[str, object]:
    """A job of another scheduler holds the QPU, which Grid Engine does not know of."""
    job = {
        "scheduler": "lsf",
        "cluster": "other",
        "id": str(time.time_ns()),
        "submitted": 1,
        "uid": 0,
    }
    asked = {"job": job, "want": {"names": [name]}, "wait_seconds": 0}
    assert site.daemon.ask("POST", "/v1/leases", asked)["outcome"] == "granted"
    return job


def test_a_busy_qpu_puts_the_job_back(site: GESite) -> None:
    """The job waits, its reason stands in ``qstat -j``, and it runs once there is room."""
    other = _held_by_others(site, "emu")
    job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=emu")
    until(lambda: "qrmi_reason=waiting" in _reason(site, job), "the reason is shown")
    _classical_runs(site)
    site.daemon.ask("POST", "/v1/leases/end", {"job": other, "why": ""})
    site.lab.wait_gone(job)
    assert site.lab.output(job).strip().endswith("emu")


def test_a_refusal_fails_the_job_alone(site: GESite) -> None:
    """The user's own output says why; the job is in error, the queue is not; mended, it runs."""
    site.warden.users = {4_000_000}
    try:
        job = site.submit("echo never", "-l", "qpu=fresnel")
        site.lab.wait_state(job, "Eqw")
        _classical_runs(site)
    finally:
        site.warden.users = set()
    assert "this job cannot have its QPU: " in site.lab.output(job)
    assert "never" not in site.lab.output(job)
    assert "qrmi_reason=refused" in _reason(site, job)
    site.lab.run("qmod", "-cj", job, check=False)
    site.lab.wait_gone(job)
    assert "never" in site.lab.output(job)


def test_filters_that_make_no_sense_are_refused(site: GESite) -> None:
    """A wrong request never becomes right by waiting."""
    job = site.submit("echo never", "-l", "qpu=auto", "-ac", "qrmi_filters=colour=blue")
    site.lab.wait_state(job, "Eqw")
    assert "colour" in site.lab.output(job)


def test_the_vendor_is_down_at_the_beginning(site: GESite) -> None:
    """The job waits and runs when the vendor is back; jobs for other QPUs run."""
    site.warden.stop()
    try:
        job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
        until(lambda: site.lab.states().get(job) == "Rq", "it was put back")
        other = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=emu")
        site.lab.wait_gone(other)
        assert site.lab.output(other).strip() == "emu"
        assert not site.warden.held_sessions()
        _classical_runs(site)
    finally:
        site.warden.start()
    site.lab.wait_gone(job)
    assert site.lab.output(job).strip().endswith("fresnel")


def test_the_vendor_is_down_at_the_end(site: GESite) -> None:
    """The job ends as usual; the daemon goes on until the vendor was told."""
    job = site.submit("sleep 2", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "it runs")
    site.warden.stop()
    try:
        site.lab.wait_gone(job)
        _classical_runs(site)
    finally:
        site.warden.start()
    until(lambda: not site.warden.held_sessions(), "the session is ended", 40)


def test_delete_while_it_waits(site: GESite) -> None:
    """A job that never ran never held anything."""
    first = site.submit("sleep 2", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "the first runs")
    made = len(site.warden.sessions)
    job = site.submit("echo never", "-l", "qpu=fresnel")
    site.lab.run("qdel", job, user="games")
    site.lab.wait_gone(first, job)
    assert len(site.warden.sessions) == made


def test_delete_while_it_acquires(site: GESite) -> None:
    """The vendor is slow; what it grants to a job that is deleted meanwhile is given back."""
    site.warden.faults.add(Fault(kind="delay", match="POST /sessions", seconds=2))
    made = len(site.warden.sessions)
    job = site.submit("echo never", "-l", "qpu=fresnel")
    until(lambda: site.leases(), "it asks")
    site.lab.run("qdel", job)
    site.lab.wait_gone(job)
    site.until_free()
    assert len(site.warden.sessions) == made + 1
    assert "never" not in site.lab.output(job)


@pytest.mark.parametrize("how", ["qdel", "qdel -f", "kill -9 of the job"])
def test_the_end_of_a_running_job(site: GESite, how: str) -> None:
    """However it ends, its QPU is free within seconds."""
    job = site.submit("echo $$ >$0.pid; sleep 60", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "it runs")
    until(lambda: site.lab.states().get(job) == "r", "it is in state r")
    if how.startswith("qdel"):
        site.lab.run(*how.split(), job)
    else:
        scripts = (Path(site.lab.spool) / "execd").rglob(f"active_jobs/{job}.1/job_pid")
        os.killpg(int(next(scripts).read_text()), signal.SIGKILL)
    started = time.monotonic()
    until(lambda: not site.warden.held_sessions(), "the session is ended", 20)
    assert time.monotonic() - started < 10


def test_a_job_that_is_run_again(site: GESite) -> None:
    """``qmod -rj`` ends the first run's lease; the second run has one of its own."""
    made = len(site.warden.sessions)
    script = "echo $fresnel_QRMI_JOB_ACQUISITION_TOKEN; [ $RESTARTED = 0 ] && sleep 60; true"
    job = site.submit(script, "-l", "qpu=fresnel", "-r", "y")
    until(site.warden.held_sessions, "it runs")
    until(lambda: site.lab.states().get(job) == "r", "it is in state r")
    site.lab.run("qmod", "-rj", job)
    site.lab.wait_gone(job)
    assert len(site.warden.sessions) == made + 2
    first, second = (session.id for session in site.warden.sessions[made:])
    assert site.lab.output(job).split()[-1] == second != first


def test_a_time_limit(site: GESite) -> None:
    """Grid Engine ends the job; its QPU is given back, and it knew its limit."""
    script = "echo $fresnel_QRMI_JOB_TIMEOUT_SECONDS; sleep 60"
    job = site.submit(script, "-l", "qpu=fresnel,h_rt=2")
    until(site.warden.held_sessions, "it runs")
    site.lab.wait_gone(job)
    site.until_free(5)
    assert site.lab.output(job).split()[0] == "2"


@pytest.mark.slow
def test_two_epilogs(site: GESite) -> None:
    """Ending twice is ending once, also while somebody else holds the QPU already."""
    made = len(site.warden.sessions)
    with site.hooked("epilog", before=f'{site.hooks}/epilog "$@"; sleep 2'):
        jobs = [site.submit("true", "-l", "qpu=fresnel") for _ in range(2)]
        site.lab.wait_gone(*jobs)
    assert len(site.warden.sessions) == made + 2


def test_no_room_in_the_spool_folder(site: GESite) -> None:
    """The lease is given back and the job waits; with room it runs. The queue stays healthy."""
    pad = ("-v", f"PAD={'x' * 900}")
    with site.hooked("prolog", before="ulimit -f 1"):
        job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel", *pad)
        until(lambda: "environment: " in site.lab.output(job), "the job says why it waits")
        _classical_runs(site)
    site.lab.wait_gone(job)
    assert site.lab.output(job).split()[-1] == "fresnel"


def test_a_hostile_environment(site: GESite) -> None:
    """The job's environment runs nothing as root and directs nothing; the site's values count."""
    evil = site.lab.folder / "jobs" / "evil"
    evil.mkdir(exist_ok=True)
    evil.chmod(0o777)
    trap = f"import os; os.system('id -u >>{evil}/ran')\n"
    for name in ("json.py", "socket.py", "sitecustomize.py", "qrmi.py"):
        (evil / name).write_text(trap)
    (evil / "qstat").write_text(f"#!/bin/sh\nid -u >>{evil}/ran\n")
    (evil / "qstat").chmod(0o755)
    forged = {
        "PYTHONPATH": evil,
        "PYTHONSTARTUP": evil / "json.py",
        "PYTHONHOME": evil,
        "PATH": evil,
        "LD_LIBRARY_PATH": evil,
        "SGE_ROOT": evil,
        "SGE_JOB_SPOOL_DIR": evil,
        "SGE_HGR_qpu": "test_heron",
        "SGE_HGR_qpu_test_heron": "1.000",
        "JOB_ID": "1",
        "QRMI_CONFIG": evil,
        "QRMI_SITE_SOCKET": evil / "sock",
        "QRMI_SITE_URL": "http://127.0.0.1:9",
        "QRMI_JOB_UID": "0",
        "QRMI_JOB_QPU_RESOURCES": "test_heron",
        "fresnel_QRMI_WARDEN_URL": "http://127.0.0.1:9",
        "ENV": evil / "qstat",
        "BASH_ENV": evil / "qstat",
    }
    listed = ",".join(f"{name}={value}" for name, value in forged.items())
    job = site.submit("/usr/bin/env", "-l", "qpu=fresnel", "-v", listed, "-wd", str(evil))
    site.lab.wait_gone(job)
    told = dict(line.split("=", 1) for line in site.lab.output(job).splitlines() if "=" in line)
    assert not (evil / "ran").exists()
    assert told["QRMI_JOB_QPU_RESOURCES"] == "fresnel"
    assert told["QRMI_JOB_UID"] == "5"
    assert told["fresnel_QRMI_WARDEN_URL"] == site.warden.url
    assert told["QRMI_SITE_SOCKET"] == str(site.socket)
    assert site.warden.sessions[-1].user == "5"


def test_a_forged_mark_asks_for_nothing(site: GESite) -> None:
    """A classical job that says that it asked for a QPU runs as it is."""
    job = site.submit("echo [$QRMI_JOB_QPU_RESOURCES]", "-v", "OPENQRMI_ASKED=1,SGE_HGR_qpu=emu")
    site.lab.wait_gone(job)
    assert site.lab.output(job) == "[]\n"


def test_a_drained_qpu_is_waited_for_outside(site: GESite) -> None:
    """Jobs wait in the queue with the reason, also new ones; the running one goes on."""
    running = site.submit("sleep 3; echo done", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "it runs")
    waiting = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
    body = {"reason": "laser service, back at noon", "until": None}
    site.daemon.ask("POST", "/v1/resources/fresnel/drain", body)
    try:
        until(lambda: "laser service" in _reason(site, waiting), "the reason is shown")
        site.lab.wait_gone(running)
        assert "done" in site.lab.output(running)
        time.sleep(2)
        assert site.lab.states() == {waiting: "qw"}
        assert not site.lab.output(waiting)
        other = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=auto")
        site.lab.wait_gone(other)
    finally:
        site.daemon.ask("POST", "/v1/resources/fresnel/resume", {})
    site.lab.wait_gone(waiting)
    assert site.lab.output(waiting).strip() == "fresnel"


@pytest.mark.slow
def test_a_paused_vendor_is_waited_for_outside(site: GESite) -> None:
    """What the vendor says is the reason; no job is started in vain."""
    site.warden.is_accessible, site.warden.message = False, "calibration"
    try:
        until(lambda: site.states()["fresnel"] != "online", "it is seen to be away")
        until(lambda: "qpu_fresnel=0" in site.lab.qconf("-se", "global"), "it is switched off")
        job = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=fresnel")
        time.sleep(3)
        assert site.lab.states() == {job: "qw"}
        scheduling = site.lab.run("qstat", "-j", job).stdout
        assert "qpu_fresnel=0" in scheduling
    finally:
        site.warden.is_accessible = True
    site.lab.wait_gone(job)
    assert site.lab.output(job).strip() == "fresnel"


def test_the_daemon_is_killed(site: GESite) -> None:
    """Jobs wait meanwhile, classical ones run; the next daemon has the lease, and ends it."""
    running = site.submit("sleep 3", "-l", "qpu=fresnel")
    until(site.warden.held_sessions, "it runs")
    site.kill_daemon()
    waiting = site.submit("echo $QRMI_JOB_QPU_RESOURCES", "-l", "qpu=test_heron")
    _classical_runs(site)
    site.lab.wait_gone(running)
    assert site.warden.held_sessions()
    site.start_daemon()
    until(lambda: not site.warden.held_sessions(), "the session is ended", 30)
    site.lab.wait_gone(waiting)
    assert site.lab.output(waiting).split()[-1] == "test_heron"


def test_a_broken_installation_stops_no_classical_job(site: GESite) -> None:
    """Without its Python, qsub still takes jobs, those without a QPU run, the queue is healthy."""
    files = {name: (site.hooks / name).read_text() for name in ("prolog", "epilog", "jsv")}
    try:
        for name, text in files.items():
            new = site.hooks / f".{name}"
            new.write_text(text.replace(" -I -S -c ", " -I -S -c 'import no_such_module' "))
            new.chmod(0o755)
            new.rename(site.hooks / name)
        site.apply()
        job = site.submit("echo never", "-l", "qpu_emu=1", "-v", "OPENQRMI_ASKED=1")
        until(lambda: "no_such_module" in site.lab.output(job), "the prolog fails")
        _classical_runs(site)
        site.lab.run("qdel", job)
    finally:
        for name, text in files.items():
            (site.hooks / name).write_text(text)
        site.apply()


def test_hooks_answer_nothing_else(site: GESite) -> None:
    """Called with anything, prolog and epilog answer 0, 99 or 100."""
    calls = [[], ["1"], ["x", "y"], ["1", "1", "1"], ["\n", ""]]
    for which, good in (("prolog", {99, 100}), ("epilog", {0})):
        for arguments in calls:
            for folder in ("/nowhere", "/tmp", ""):
                around = {"OPENQRMI_ASKED": "1", "SGE_JOB_SPOOL_DIR": folder}
                done = subprocess.run(
                    [str(site.hooks / which), *arguments],
                    env=around,
                    capture_output=True,
                    check=False,
                )
                assert done.returncode in good
