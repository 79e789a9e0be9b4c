"""Availability, drains and books of a real daemon, and what users see of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from site_lab import Qrmid, eventually, job, raw_request

from qrmi.cli.site_rows import remarks_of
from qrmi.site.terms import Want
from qrmi_sandbox.quantum_system import QuantumSystemServer

Made = Callable[..., Qrmid]
WAIT = "jobs that ask for it wait"


@pytest.fixture
def server() -> Iterator[QuantumSystemServer]:
    with QuantumSystemServer() as server:
        yield server


@pytest.fixture
def daemon(qrmid: Made, server: QuantumSystemServer) -> Qrmid:
    """A daemon that lends a system of a service, and the embedded simulator in four slots."""
    entries = [
        {"name": "emu", "type": "local", "slots": 4, "environment": {}},
        server.resource("test_heron"),
    ]
    return qrmid(resources=entries).start()


def row(daemon: Qrmid, name: str) -> dict[str, Any]:
    """What the daemon says of a resource."""
    rows = daemon.client().get("/v1/resources")
    return next(each for each in rows if each["name"] == name)


def acquire(daemon: Qrmid, number: int, name: str) -> dict[str, Any]:
    """Ask for a resource."""
    body = {"job": job(number, uid=os.getuid()).as_json(), "want": Want(names=(name,)).as_json()}
    answer: dict[str, Any] = daemon.client().post("/v1/leases", body)
    return answer


def end(daemon: Qrmid, number: int) -> None:
    daemon.client().post("/v1/leases/end", {"job": job(number, uid=os.getuid()).as_json()})


def qrmi(daemon: Qrmid, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, as a user at this site gives it."""
    return subprocess.run(
        [sys.executable, "-m", "qrmi", *arguments],
        env={**os.environ, "QRMI_SITE_SOCKET": str(daemon.socket), **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def metrics(daemon: Qrmid) -> dict[str, float]:
    """Figures by name and labels."""
    status, body = raw_request(daemon.socket, "GET", "/metrics")
    assert status == 200
    text = body.decode()
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def test_a_pause_reaches_jobs_users_figures_and_the_file(
    daemon: Qrmid, server: QuantumSystemServer
) -> None:
    """Jobs that ask for it have to wait, with the vendor's reason; then they do not any more."""
    free = daemon.socket.parent / "free"
    eventually(lambda: row(daemon, "test_heron")["state"] == "online")
    server.devices["test_heron"].update(status="paused", message="calibration until 14:00")
    eventually(lambda: row(daemon, "test_heron")["state"] == "paused")
    answer = acquire(daemon, 1, "test_heron")
    assert answer["outcome"] == "later"
    assert "calibration until 14:00" in answer["reason"]
    state = 'qrmi_resource_state{resource="test_heron",state="paused",type="ibm-quantum-system"}'
    assert metrics(daemon)[state] == 1
    eventually(lambda: "test_heron paused 1 0" in free.read_text().splitlines())
    shown = qrmi(daemon, "resources")
    assert shown.returncode == 0
    (line,) = (each for each in shown.stdout.splitlines() if each.startswith("test_heron"))
    assert line.split()[:4] == ["test_heron", "ibm-quantum-system", "site", "paused"]
    assert line.endswith("calibration until 14:00; jobs that ask for it wait")
    server.devices["test_heron"].update(status="online", message="")
    eventually(lambda: acquire(daemon, 1, "test_heron")["outcome"] == "granted")
    end(daemon, 1)


def test_a_drain_survives_kill_9_and_ends_by_itself(daemon: Qrmid) -> None:
    """A job that runs keeps what it holds; the next one waits until the drain is over."""
    assert acquire(daemon, 1, "emu")["outcome"] == "granted"
    until = time.time() + 4
    body = {"reason": "new fridge", "until": until}
    assert daemon.client().post("/v1/resources/emu/drain", body)["state"] == "drained"
    assert acquire(daemon, 2, "emu")["outcome"] == "later"
    daemon.kill()
    daemon.start()
    told = row(daemon, "emu")
    assert (told["state"], told["reason"], told["until"]) == ("drained", "new fridge", until)
    assert acquire(daemon, 1, "emu")["outcome"] == "granted", "it holds it still"
    shown = json.loads(qrmi(daemon, "resources", "--json").stdout)
    (mine,) = (each for each in shown if each["name"] == "emu")
    assert (mine["origin"], mine["status"], mine["status_reason"]) == (
        "site", "drained", "new fridge",
    )  # fmt: skip
    eventually(lambda: acquire(daemon, 2, "emu")["outcome"] == "granted")
    assert row(daemon, "emu")["used"] == 2
    for number in (1, 2):
        end(daemon, number)


def test_what_a_job_used_is_in_the_ledger_and_in_the_figures(daemon: Qrmid) -> None:
    """Once, also when its end is told again after a ``kill -9``."""
    assert acquire(daemon, 1, "emu")["outcome"] == "granted"
    end(daemon, 1)
    daemon.kill()
    daemon.start()
    end(daemon, 1)
    eventually(daemon.ledger)
    (line,) = daemon.ledger()
    entry = json.loads(line)
    assert entry["key"] == job(1).key
    assert entry["resources"][0]["resource"] == "emu"
    assert entry["resources"][0]["tasks"] is None, "jobs reach the simulator without the daemon"
    told = qrmi(daemon, "site", "usage", "--by", "resource", "--json")
    (row_,) = json.loads(told.stdout)
    assert (row_["name"], row_["jobs"], row_["uncounted"]) == ("emu", 1, 1)
    assert acquire(daemon, 2, "emu")["outcome"] == "granted"
    assert metrics(daemon)['qrmi_leases{resource="emu"}'] == 1
    assert metrics(daemon)['qrmi_acquires_total{outcome="granted"}'] == 1
    end(daemon, 2)
    eventually(lambda: metrics(daemon)['qrmi_jobs_total{scheduler="slurm"}'] >= 1)


def test_users_of_a_site_whose_daemon_is_away(daemon: Qrmid, tmp_path: Path) -> None:
    """`qrmi resources` shows what there is elsewhere, at once and without a word."""
    daemon.kill()
    assert daemon.socket.exists()
    shown = qrmi(daemon, "resources")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert [line.split()[0] for line in shown.stdout.splitlines()] == ["NAME", "local"]
    nowhere = qrmi(daemon, "resources", QRMI_SITE_SOCKET=str(tmp_path / "none"))
    assert (nowhere.returncode, nowhere.stderr) == (0, "")
    assert nowhere.stdout == shown.stdout


def test_a_resource_that_the_user_knows_too_is_one_line(daemon: Qrmid, tmp_path: Path) -> None:
    """With the site's word on it: what a user opens by a file is not what a job waits for."""
    daemon.client().post("/v1/resources/emu/drain", {"reason": "new fridge"})
    file = tmp_path / "qrmi_config.json"
    file.write_text(
        json.dumps({"resources": [{"name": "emu", "type": "local", "environment": {}}]})
    )
    shown = qrmi(daemon, "resources", QRMI_CONFIG=str(file)).stdout.splitlines()
    (line,) = (each for each in shown if each.startswith("emu"))
    assert line.split()[2] == "file"
    assert line.endswith("at this site drained: new fridge; jobs that ask for it wait")


def test_in_the_job_that_holds_it(daemon: Qrmid) -> None:
    """Nothing is said of waiting for what it has."""
    assert acquire(daemon, 1, "emu")["outcome"] == "granted"
    given = {"QRMI_JOB_QPU_RESOURCES": "emu", "QRMI_JOB_QPU_TYPES": "local"}
    shown = qrmi(daemon, "resources", **given).stdout.splitlines()
    (line,) = (each for each in shown if each.startswith("emu"))
    assert line.split()[2:4] == ["job", "online"]
    assert "wait" not in line
    end(daemon, 1)


@pytest.mark.parametrize(
    ("told", "remarks"),
    [
        ({"state": "online"}, ""),
        ({"state": "online", "slots": 1, "used": 1}, f"it is held by a job; {WAIT}"),
        ({"state": "online", "slots": 4, "used": 1}, "1 of 4 slots held"),
        ({"state": "online", "slots": 4, "used": 4}, f"all its 4 slots are held; {WAIT}"),
        ({"state": "online", "reason": "not healthy"}, "not healthy"),
        ({"state": "paused", "reason": "calibration"}, f"calibration; {WAIT}"),
        ({"state": "drained", "reason": "x", "until": 1e99}, f"x; {WAIT}"),
        ({"state": "unknown"}, ""),
    ],
)  # fmt: skip
def test_what_a_user_is_told(told: dict[str, Any], remarks: str) -> None:
    assert remarks_of(told) == remarks


def test_until_when_is_told_in_local_time() -> None:
    at = time.mktime((2026, 12, 1, 8, 30, 0, 0, 0, -1))
    told = {"state": "drained", "reason": "new fridge", "until": at}
    assert remarks_of(told) == "new fridge; until 2026-12-01 08:30; jobs that ask for it wait"
