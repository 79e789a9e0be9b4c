"""The sandbox's Warden, proven by the Rust client with real MUNGE credentials.

The client is given a libmunge that asks the test's own munged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulser
import pytest
from pulser.register.special_layouts import TriangularLatticeLayout

from qrmi_sandbox.munge import PrivateMunge, StandInMunge
from qrmi_sandbox.warden import WardenServer

_HEAD = """
import json, sys, time, qrmi
settings = json.loads({settings!r})
said = {{}}
def opened(**more):
    return qrmi.QuantumResource.from_config(
        "FRESNEL", qrmi.ResourceType.PasqalLocal, {{**settings, **more}})
def refused(verb, *arguments):
    try:
        verb(*arguments)
    except qrmi.QrmiError as error:
        return str(error)
"""

_CYCLE = """
resource = opened()
said["accessible"] = resource.is_accessible()
said["status"] = resource.status().to_dict()
said["target"] = json.loads(resource.target().value)
token = resource.acquire()
resource = opened(QRMI_JOB_ACQUISITION_TOKEN=token)
task = resource.task_start(qrmi.Payload.PasqalCloud(settings["sequence"], 60))
said["task"] = task
ends = time.monotonic() + 30
while resource.task_status(task) in (qrmi.TaskStatus.Queued, qrmi.TaskStatus.Running):
    assert time.monotonic() < ends
    time.sleep(0.02)
said["status_at_end"] = str(resource.task_status(task))
said["result"] = resource.task_result(task).value
said["logs"] = refused(resource.task_logs, task) or resource.task_logs(task)
said["stop"] = refused(resource.task_stop, task)
resource.release(token)
said["late"] = refused(resource.task_start, qrmi.Payload.PasqalCloud(settings["sequence"], 1))
"""


@pytest.fixture(scope="module")
def munge() -> PrivateMunge:
    """A munged that servers start and stop."""
    if not PrivateMunge.is_installed():
        pytest.skip("MUNGE is not installed: apt-get install munge")
    return PrivateMunge()


@pytest.fixture(params=["0.3.2", "0.1"])
def server(request: pytest.FixtureRequest, munge: PrivateMunge) -> Iterator[WardenServer]:
    """Each generation in turn."""
    with WardenServer(generation=request.param, munge=munge) as server:
        yield server


@pytest.fixture
def rust(
    peer: Callable[[str], Any], munge: PrivateMunge, munge_library: Callable[[str], Path]
) -> Callable[[WardenServer, str], Any]:
    """Run a script with the Rust client, which asks the test's munged."""
    folder = munge_library(munge.socket)

    def run(server: WardenServer, script: str) -> Any:
        settings = {
            "QRMI_WARDEN_URL": server.url,
            "QRMI_JOB_UID": str(os.getuid()),
            "QRMI_JOB_ID": "4242",
            "sequence": _sequence(),
        }
        head = _HEAD.format(settings=json.dumps(settings))
        tail = "print(json.dumps(said))"
        return peer("rust").run(f"{head}\n{script}\n{tail}", LD_LIBRARY_PATH=str(folder))

    return run


def _sequence() -> str:
    """Two atoms within each other's blockade: one of them is excited."""
    register = TriangularLatticeLayout(61, 5.0).define_register(30, 34)
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    sequence.add(pulser.Pulse.ConstantPulse(400, 5.55, 0.0, 0.0), "ising")
    sequence.measure("ground-rydberg")
    return str(sequence.to_abstract_repr())


def test_the_rust_client_goes_through_a_whole_cycle(
    server: WardenServer, rust: Callable[[WardenServer, str], Any]
) -> None:
    """Status, target, session, start, wait, result, log, stop, as the client understands them."""
    said = rust(server, _CYCLE)
    assert said["accessible"] is True
    assert said["status"]["status"] == "online"
    (device,) = said["target"]
    assert device["device_type"] == "AnalogDevice"
    assert json.loads(device["specs"])["name"] == "AnalogDevice"
    assert said["status_at_end"].lower().endswith("completed")
    text = said["result"].replace("'", '"') if server.is_old else said["result"]
    counter = json.loads(text)["counter"]
    assert sum(counter.values()) == 60
    assert counter.get("01", 0) + counter.get("10", 0) > 50
    if server.is_old:
        assert "404" in said["logs"]
        assert "404" in said["stop"]
    else:
        assert said["logs"] == "ran on QuTiP"
        assert "409" in said["stop"]
    assert "Session has been revoked" in said["late"]
    assert server.executions == {said["task"]: 1}
    assert server.held_sessions() == []


def test_the_rust_client_is_refused_without_rights(
    server: WardenServer, rust: Callable[[WardenServer, str], Any]
) -> None:
    """Only administrators open sessions; the client's user is who MUNGE says."""
    server.admins = {123456}
    said = rust(server, 'said["acquire"] = refused(opened().acquire)')
    assert "403" in said["acquire"]
    assert "Endpoint restricted" in said["acquire"]


def test_the_rust_client_stops_a_task(
    munge: PrivateMunge, rust: Callable[[WardenServer, str], Any]
) -> None:
    """On a newer Warden a running job is cancelled."""
    with WardenServer(munge=munge) as server:
        server.run_seconds = 20.0
        said = rust(
            server,
            """
resource = opened(QRMI_JOB_ACQUISITION_TOKEN=opened().acquire())
task = resource.task_start(qrmi.Payload.PasqalCloud(settings["sequence"], 60))
resource.task_stop(task)
ends = time.monotonic() + 10
while (status := resource.task_status(task)) != qrmi.TaskStatus.Cancelled:
    assert time.monotonic() < ends, status
    time.sleep(0.02)
said["stopped"] = True
""",
        )
    assert said == {"stopped": True}


def test_the_stand_in_takes_no_real_credential_twice(munge: PrivateMunge) -> None:
    """Shapes alone are checked where MUNGE is absent, but by munged's own rules of use."""
    munge.start()
    try:
        import qrmi.munge as client

        credential = client.MungeCredentials(socket=munge.socket).make().reveal()
    finally:
        munge.stop()
    stand_in = StandInMunge()
    assert stand_in.user_of(credential) == os.getuid()
    with pytest.raises(Exception, match="replayed"):
        stand_in.user_of(credential)


def test_munged_ends_when_it_has_only_just_begun(munge: PrivateMunge) -> None:
    """It misses about one in twenty first signals then; it is not waited for without end."""
    for _ in range(30):
        munge.start()
        process = munge._process
        munge.stop()
        assert process is not None
        assert process.returncode == 0
