"""The PBS hook, as `qrmi pbs setup` writes it, on recorded events and a real daemon."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from site_process import Commands, Site, fresh

from qrmi.schedulers.others.setup import pbs as pbs_setup

Hook = Callable[..., dict[str, Any]]
DRIVER = Path(__file__).with_name("pbs_python.py")
CONSUMABLES = {"qpu_emu": "emu", "qpu_fresnel_2": "fresnel.2"}
KNOWN = ["quantum_resources", *CONSUMABLES]
HOSTILE = {
    "QRMI_SITE_SOCKET": "/tmp/mine",
    "QRMI_SITE_URL": "http://127.0.0.1:9",
    "emu_QRMI_WARDEN_URL": "http://127.0.0.1:9",
    "PYTHONPATH": "/tmp/mine",
    "PYTHONSTARTUP": "/tmp/mine/x.py",
    "PATH": "/tmp/mine",
}


@pytest.fixture(scope="module")
def hook_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("pbs") / "qrmi_hook.py"
    file.write_text(pbs_setup.hook_text())
    return file


@pytest.fixture
def hook(site: Site, hook_file: Path, tmp_path: Path, commands: Commands) -> Hook:
    """Run the hook: ``hook("RUNJOB", id="12.pbs", walltime=60, qpu_emu=1)``."""
    commands.add("qmgr")
    settings = tmp_path / "qrmi_hook.json"

    def run(
        kind: str, *, job: dict[str, Any] | None = None, python: str = sys.executable, **told: Any
    ) -> dict[str, Any]:
        values = {
            "cluster": "lab",
            "socket": str(site.socket),
            "consumables": CONSUMABLES,
            "qmgr": str(commands.folder / "qmgr"),
            **told.pop("settings", {}),
        }
        settings.write_text(json.dumps(values))
        event = {"type": kind, "job": job or {}, "config": str(settings), "known": KNOWN, **told}
        return run_hook(hook_file, event, python)

    return run


def run_hook(file: Path, event: dict[str, Any], python: str) -> dict[str, Any]:
    done = subprocess.run(
        [python, "-I", DRIVER, file],
        input=json.dumps(event),
        capture_output=True,
        text=True,
        env={**os.environ, **HOSTILE},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_number = ""


@pytest.fixture(autouse=True)
def own_number() -> None:
    """Each test has a job of its own: what has ended is never lent to again."""
    global _number
    _number = f"{fresh()}.pbs"


def a_job(number: str = "", **asked: Any) -> dict[str, Any]:
    return {
        "id": number or _number,
        "euser": "root",
        "ctime": 1_700_000_000,
        "Job_Name": "bell",
        "Resource_List": asked,
    }


# --- submission -------------------------------------------------------------------------------


def test_names_become_consumables(hook: Hook) -> None:
    """`-l quantum_resources=a+b` is counted by the scheduler, with the characters it allows."""
    told = hook("QUEUEJOB", job=a_job(quantum_resources="emu+fresnel.2"))
    assert told["accepted"]
    assert told["resources"] == {
        "quantum_resources": "emu+fresnel.2",
        "qpu_emu": 1,
        "qpu_fresnel_2": 1,
    }


def test_more_slots_are_kept(hook: Hook) -> None:
    """Who asks for two slots by the consumable's name does not get one."""
    told = hook("MODIFYJOB", job=a_job(quantum_resources="emu", qpu_emu=2))
    assert told["accepted"]
    assert told["resources"]["qpu_emu"] == 2


@pytest.mark.parametrize("text", ["emu+nosuch", "", "+"])
def test_unknown_name_is_refused_at_submission(hook: Hook, text: str) -> None:
    """The message lists what there is."""
    told = hook("QUEUEJOB", job=a_job(quantum_resources=text))
    assert told["accepted"] is False
    assert "emu, fresnel.2" in told["message"]


@pytest.mark.parametrize("kind", ["QUEUEJOB", "RUNJOB", "EXECJOB_LAUNCH", "EXECJOB_END", "ENDJOB"])
def test_other_jobs_do_not_need_the_daemon(hook: Hook, kind: str) -> None:
    """A job without QPUs goes its way, also when no daemon is there and nothing is configured."""
    told = hook(kind, job=a_job(ncpus=1), settings={"socket": "/nonexistent"})
    assert told["accepted"]
    assert told["env"] == {}
    assert hook(kind, job=a_job(ncpus=1), known=[], settings={"consumables": {}})["accepted"]


# --- run and end ------------------------------------------------------------------------------


def test_life_of_a_job(hook: Hook, site: Site) -> None:
    """Acquired before it runs, known to its program, given back at its end; twice is once."""
    job = a_job(qpu_emu=1, walltime=600)
    assert hook("RUNJOB", job=job)["accepted"]
    (lease,) = site.leases()
    assert lease["job"]["id"] == job["id"]
    assert lease["job"]["user"] == "root"
    assert lease["limit_seconds"] == 600
    assert site.open_sessions() == {"emu": 1, "fresnel.2": 0}

    launched = hook("EXECJOB_LAUNCH", job=job)
    assert launched["accepted"]
    assert launched["env"]["QRMI_JOB_QPU_RESOURCES"] == "emu"
    assert launched["env"]["QRMI_LIST_DELIMITER"] == ":"
    assert launched["env"]["emu_QRMI_JOB_TIMEOUT_SECONDS"] == "600"
    assert launched["env"]["emu_QRMI_JOB_ACQUISITION_TOKEN"]
    assert launched["variables"] is None

    job["stime"] = int(time.time())
    assert hook("EXECJOB_END", job=job)["accepted"]
    assert site.open_sessions() == {"emu": 0, "fresnel.2": 0}
    assert hook("ENDJOB", job=job)["accepted"]
    assert hook("EXECJOB_END", job=job)["accepted"]


def test_nothing_goes_through_pbs(hook: Hook, site: Site) -> None:
    """No token is in what PBS stores or logs of a job."""
    told = hook("RUNJOB", job=a_job(qpu_emu=1))
    token = site.wardens["emu"].held_sessions()[0]
    assert token not in json.dumps(told)
    assert told["variables"] is None
    hook("ENDJOB", job=a_job(qpu_emu=1))


def test_two_qpus_have_lists_that_pbs_can_carry(hook: Hook) -> None:
    """A comma would end the value: the lists are joined by colons, and say so."""
    job = a_job(qpu_emu=1, qpu_fresnel_2=1)
    assert hook("RUNJOB", job=job)["accepted"]
    env = hook("EXECJOB_LAUNCH", job=job)["env"]
    assert sorted(env["QRMI_JOB_QPU_RESOURCES"].split(":")) == ["emu", "fresnel.2"]
    assert env["QRMI_JOB_QPU_TYPES"] == "pasqal-local:pasqal-local"
    hook("ENDJOB", job=job)


def test_busy_is_later(hook: Hook, site: Site) -> None:
    """While somebody else has the QPU the job stays queued, without a hold, and with the reason."""
    other = site.occupy("emu")
    told = hook("RUNJOB", job=a_job(qpu_emu=1))
    assert told["accepted"] is False
    assert told["message"].startswith("waiting for a QPU: ")
    assert told["hold"] is None
    site.end(other)
    assert hook("RUNJOB", job=a_job(qpu_emu=1))["accepted"]
    hook("ENDJOB", job=a_job(qpu_emu=1))


def test_all_or_nothing(hook: Hook, site: Site) -> None:
    """When the second of two QPUs is taken, the first is not held either."""
    other = site.occupy("fresnel.2")
    told = hook("RUNJOB", job=a_job(qpu_emu=1, qpu_fresnel_2=1))
    assert told["accepted"] is False
    assert site.open_sessions() == {"emu": 0, "fresnel.2": 1}
    site.end(other)


def test_any_qpu(hook: Hook, site: Site) -> None:
    """`auto` takes whichever is free."""
    other = site.occupy("emu")
    job = a_job(quantum_resources="auto")
    assert hook("RUNJOB", job=job)["accepted"]
    assert site.open_sessions() == {"emu": 1, "fresnel.2": 1}
    assert hook("EXECJOB_LAUNCH", job=job)["env"]["QRMI_JOB_QPU_RESOURCES"] == "fresnel.2"
    hook("ENDJOB", job=job)
    site.end(other)


def test_refused_is_held(hook: Hook) -> None:
    """What can never run is held by the system, so that the scheduler does not try for ever."""
    settings = {"consumables": {**CONSUMABLES, "qpu_emu": "renamed"}}
    told = hook("RUNJOB", job=a_job(qpu_emu=1), settings=settings)
    assert told["accepted"] is False
    assert told["hold"] == "s"
    assert "renamed" in told["message"]


def test_unknown_user_is_rejected(hook: Hook, site: Site) -> None:
    """Nothing is lent to a user whose number is not known."""
    job = {**a_job(qpu_emu=1), "euser": "nobody-knows-me"}
    told = hook("RUNJOB", job=job)
    assert told["accepted"] is False
    assert "nobody-knows-me" in told["message"]


def test_daemon_away(hook: Hook, site: Site) -> None:
    """Without the daemon a QPU job stays queued, and the message says what is missing."""
    told = hook("RUNJOB", job=a_job(qpu_emu=1), settings={"socket": "/nonexistent"})
    assert told["accepted"] is False
    assert "daemon" in told["message"]
    launched = hook("EXECJOB_LAUNCH", job=a_job(qpu_emu=1), settings={"socket": "/nonexistent"})
    assert launched["accepted"]
    assert "daemon" in launched["env"]["QRMI_PLUGIN_ERROR"]


def test_launch_without_lease(hook: Hook) -> None:
    """A job that was started past the hook is told so, by what its program raises."""
    told = hook("EXECJOB_LAUNCH", job=a_job(qpu_emu=1))
    assert told["accepted"]
    assert "holds no QPU" in told["env"]["QRMI_PLUGIN_ERROR"]


def test_requeued_job(hook: Hook, site: Site) -> None:
    """The next run has a lease of its own, also when nobody told the end of the first."""
    job = a_job(qpu_emu=1)
    assert hook("RUNJOB", job=job)["accepted"]
    (first,) = site.leases()
    time.sleep(1.1)
    assert hook("RUNJOB", job=job)["accepted"]
    (second,) = site.leases()
    assert first["key"] != second["key"]
    assert site.open_sessions()["emu"] == 1
    hook("ENDJOB", job=job)


def test_late_end_of_an_earlier_run(hook: Hook, site: Site) -> None:
    """A node that was cut off ends the run that it had, and not the one that followed."""
    job = a_job(qpu_emu=1)
    assert hook("RUNJOB", job=job)["accepted"]
    hook("EXECJOB_END", job={**job, "stime": int(time.time()) - 1000})
    assert site.open_sessions()["emu"] == 1
    hook("EXECJOB_END", job=job)  # no time at all: the server will tell
    assert site.open_sessions()["emu"] == 1
    hook("ENDJOB", job=job)


def test_site_says_where_the_qpu_is(hook: Hook, site: Site) -> None:
    """The job's environment names the site's own address, whatever the user put into theirs."""
    job = a_job(qpu_emu=1)
    job["Variable_List"] = {"emu_QRMI_WARDEN_URL": "http://127.0.0.1:9"}
    assert hook("RUNJOB", job=job)["accepted"]
    told = hook("EXECJOB_LAUNCH", job=job)
    assert told["env"]["emu_QRMI_WARDEN_URL"] == site.wardens["emu"].url
    hook("ENDJOB", job=job)


def test_vendor_refuses(hook: Hook, site: Site) -> None:
    """When the second vendor says no, the first one's session is given back."""
    site.wardens["fresnel.2"].users = {12345}
    try:
        told = hook("RUNJOB", job=a_job(qpu_emu=1, qpu_fresnel_2=1))
    finally:
        site.wardens["fresnel.2"].users = set()
    assert told["accepted"] is False
    assert told["message"]
    assert site.open_sessions() == {"emu": 0, "fresnel.2": 0}
    assert hook("RUNJOB", job=a_job(qpu_emu=1, qpu_fresnel_2=1))["accepted"]
    hook("ENDJOB", job=a_job(qpu_emu=1, qpu_fresnel_2=1))


def test_daemon_killed_while_a_job_runs(hook: Hook, site: Site) -> None:
    """The lease is there again after the restart, and the job's end gives it back."""
    job = a_job(qpu_emu=1)
    assert hook("RUNJOB", job=job)["accepted"]
    (before,) = site.leases()
    site.stop(kill=True)
    told = hook("ENDJOB", job=job)
    assert told["accepted"]
    assert "later" in told["log"][0]
    site.start()
    assert [lease["key"] for lease in site.leases()] == [before["key"]]
    assert hook("ENDJOB", job=job)["accepted"]
    assert site.open_sessions()["emu"] == 0


def test_array(hook: Hook, site: Site) -> None:
    """Each task of an array has a lease."""
    ids = [_number.replace(".", f"[{index}].") for index in (1, 2)]
    tasks = [a_job(ids[0], qpu_emu=1), a_job(ids[1], qpu_fresnel_2=1)]
    for task in tasks:
        assert hook("RUNJOB", job=task)["accepted"]
    assert {lease["job"]["id"] for lease in site.leases()} == set(ids)
    for task in tasks:
        hook("ENDJOB", job=task)


# --- periodic ---------------------------------------------------------------------------------


def settled(site: Site, number: str) -> dict[str, Any]:
    """A job of PBS that began a while ago."""
    job = {"scheduler": "pbs", "cluster": "lab", "id": number, "uid": 0}
    job.update(restart=int(time.time()) - 600, submitted=int(fresh()))
    name = "emu" if number.startswith("1") else "fresnel.2"
    answer = site.caller.ask("POST", "/v1/leases", {"job": job, "want": {"names": [name]}})
    assert answer["outcome"] == "granted"
    return job


@pytest.mark.parametrize("state", [None, "QUEUED", "HELD", "FINISHED"])
def test_forgotten_leases_are_ended(hook: Hook, site: Site, state: str | None) -> None:
    """A job that PBS does not run holds nothing; one that runs, and other schedulers', do."""
    settled(site, "1.pbs")
    running = settled(site, "2.pbs")
    states = {"2.pbs": "RUNNING", **({"1.pbs": state} if state else {})}
    told = hook("PERIODIC", jobs=states, available={"qpu_emu": 1, "qpu_fresnel_2": 1})
    assert told["accepted"]
    assert [lease["job"]["id"] for lease in site.leases()] == ["2.pbs"]
    site.end(running)


def test_job_that_just_begins_is_left_alone(hook: Hook, site: Site) -> None:
    """Between the hook and the state there is a moment; it is no reason to end a lease."""
    job = a_job(qpu_emu=1)
    assert hook("RUNJOB", job=job)["accepted"]
    hook("PERIODIC", jobs={job["id"]: "QUEUED"}, available={"qpu_emu": 1, "qpu_fresnel_2": 1})
    assert site.open_sessions()["emu"] == 1
    hook("ENDJOB", job=job)


def test_away_qpu_is_taken_out_of_the_count(hook: Hook, site: Site, commands: Commands) -> None:
    """A drained QPU counts as none at the server, so that jobs wait; what is right is not set."""
    site.caller.ask("POST", "/v1/resources/emu/drain", {"reason": "laser", "until": None})
    try:
        hook("PERIODIC", available={"qpu_emu": 1, "qpu_fresnel_2": 1})
        assert commands.calls("qmgr") == [["-c", "set server resources_available.qpu_emu = 0"]]
    finally:
        site.caller.ask("POST", "/v1/resources/emu/resume", {})
    hook("PERIODIC", available={"qpu_emu": 0, "qpu_fresnel_2": 1})
    assert commands.calls("qmgr")[-1] == ["-c", "set server resources_available.qpu_emu = 1"]


def test_periodic_without_daemon(hook: Hook, commands: Commands) -> None:
    """It is logged, and nothing is changed."""
    told = hook("PERIODIC", settings={"socket": "/nonexistent"})
    assert told["accepted"]
    assert "daemon" in told["log"][0]
    assert commands.calls("qmgr") == []


# --- the file ---------------------------------------------------------------------------------


def test_hook_is_one_file_for_old_pythons(hook_file: Path) -> None:
    """Python 3.6 reads it, and it imports nothing but the standard library and `pbs`."""
    tree = ast.parse(hook_file.read_text(), feature_version=(3, 6))
    named = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    named += [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    tops = {name.split(".")[0] for name in named}
    assert tops <= set(sys.stdlib_module_names) | {"pbs"}
    assert "attrs" not in tops


@pytest.mark.parametrize("version", ["3.6", "3.8", "3.12"])
def test_life_of_a_job_in_another_python(hook: Hook, site: Site, version: str) -> None:
    """PBS brings a Python of its own, and an old one."""
    named = shutil.which(f"python{version}") or "/nonexistent"
    told = "import sys; print(sys.executable)"
    try:
        found = subprocess.run([named, "-c", told], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"there is no Python {version} here")
    python = found.stdout.strip()
    job = a_job(qpu_emu=1)
    assert hook("QUEUEJOB", job=a_job(quantum_resources="emu"), python=python)["accepted"]
    assert hook("RUNJOB", job=job, python=python)["accepted"]
    assert "QRMI_JOB_QPU_TYPES" in hook("EXECJOB_LAUNCH", job=job, python=python)["env"]
    available = {"qpu_emu": 1, "qpu_fresnel_2": 1}
    assert hook("PERIODIC", available=available, python=python)["log"] == []
    assert hook("ENDJOB", job=job, python=python)["accepted"]
    assert site.open_sessions()["emu"] == 0


def test_older_pbs_has_no_endjob(hook: Hook, site: Site) -> None:
    """Before OpenPBS 22.05 the node tells the end."""
    job = a_job(qpu_emu=1)
    assert hook("RUNJOB", job=job, lacks=["ENDJOB"])["accepted"]
    hook("EXECJOB_END", job={**job, "stime": int(time.time()) + 1}, lacks=["ENDJOB"])
    assert site.open_sessions()["emu"] == 0
