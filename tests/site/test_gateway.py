"""A job's handle on a resource whose credentials stay with the site."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_lab import GatewayLab

import qrmi
from qrmi import Payload, QuantumResource, TaskStatus, registry
from qrmi.errors import (
    AccessDeniedError,
    AuthenticationFailedError,
    TaskNotFoundError,
)
from qrmi.site.driver import SiteDriver
from qrmi.testing.inside import driver_of
from qrmi.testing.scripted import ScriptedDriver
from qrmi_sandbox.compute_service import ComputeServiceServer

QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
x q[0];
c[0] = measure q[0];
c[1] = measure q[1];
"""
STRANGER = 65534


def program(shots: int = 10) -> Payload:
    params = {"pubs": [[QASM, None, shots]], "options": {}, "version": 2, "support_qiskit": True}
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")


@pytest.fixture(autouse=True)
def _own_state(private_state: Path) -> None:
    """Each test has a journal of its own."""


@pytest.fixture
def server() -> Iterator[ComputeServiceServer]:
    with ComputeServiceServer() as running:
        yield running


@pytest.fixture
def lab(tmp_path: Path, server: ComputeServiceServer) -> Iterator[GatewayLab]:
    made = GatewayLab(tmp_path / "site", server.resource("test_heron"))
    yield made
    made.down()


def test_a_job_runs_a_task(lab: GatewayLab, server: ComputeServiceServer) -> None:
    """The same handle and the same verbs; the vendor is asked by the daemon alone."""
    with lab.inside(lab.lend("test_heron")):
        resource = qrmi.open()
    assert isinstance(driver_of(resource), SiteDriver)
    assert resource.is_accessible()
    task = resource.task_start(program())
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
    assert json.loads(resource.task_result(task).value)
    assert len(server.jobs) == 1


@pytest.mark.parametrize("way", ["open", "name", "class", "service", "config"])
def test_every_way_in(lab: GatewayLab, way: str) -> None:
    """`qrmi.open`, `QuantumResource(id, type)` and `QRMIService` pick it up by themselves."""
    with lab.inside(lab.lend("test_heron")):
        made = {
            "open": lambda: qrmi.open(),
            "name": lambda: qrmi.open("test_heron"),
            "class": lambda: QuantumResource("test_heron", "ibm-quantum-compute-service"),
            "service": lambda: qrmi.QRMIService().resources()[0],
            "config": lambda: registry.resources()[0].open(),
        }[way]()
    assert isinstance(driver_of(made), SiteDriver)


def test_the_leases_session_is_not_the_jobs_to_end(
    lab: GatewayLab, server: ComputeServiceServer
) -> None:
    """`acquire` gives the job's token, which is borrowed: no ``with`` gives the QPU back."""
    resource = lab.handle("test_heron")
    with resource.acquired() as token:
        assert token.borrowed
    with resource:
        pass
    resource.release(resource.acquire())
    assert resource.task_start(program())
    assert [s.accepts for s in server.sessions.values()] == [True]


def test_tasks_go_to_the_jobs_session(lab: GatewayLab, server: ComputeServiceServer) -> None:
    """What the daemon acquired for the job is what its tasks run in."""
    resource = lab.handle("test_heron")
    resource.task_start(program())
    (session,) = server.sessions
    assert [job.session for job in server.jobs.values()] == [session]


def test_metadata_have_no_token_of_the_vendor(
    lab: GatewayLab, server: ComputeServiceServer
) -> None:
    """The vendor's name of the session stays with the site."""
    resource = lab.handle("test_heron")
    assert resource.metadata() == {"backend_name": "test_heron"}
    assert server.sessions


def test_after_the_job_its_user_looks_and_fetches(lab: GatewayLab) -> None:
    """By the task's id, without a token, from any process; but nothing new is started."""
    job = lab.lend("test_heron")
    inside = lab.handle("test_heron", of=job)
    task = inside.task_start(program())
    lab.leasing.end(job)
    later = registry.resource_of_task(task)
    assert isinstance(driver_of(later), SiteDriver)
    assert later.task_wait(task, 30) is TaskStatus.COMPLETED
    assert later.task_result(task).value
    assert later.task_logs(task) is not None
    later.task_stop(task)
    with pytest.raises(AuthenticationFailedError):
        later.task_start(program(11))
    with pytest.raises(AccessDeniedError, match="ended"):
        inside.task_start(program(12))
    assert inside.task_status(task) is TaskStatus.COMPLETED


def test_a_lease_expires(lab: GatewayLab) -> None:
    """The token is no better than the job's time limit, even if nobody ended the lease."""
    resource = lab.handle("test_heron", of=lab.lend("test_heron", limit_seconds=60.0))
    task = resource.task_start(program())
    lab.seconds_ahead = 60.0 + 599.0
    assert resource.task_start(program(11))
    lab.seconds_ahead = 60.0 + 601.0
    with pytest.raises(AccessDeniedError, match="ended"):
        resource.task_start(program(12))
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED


@pytest.mark.skipif(os.getuid() != 0, reason="other users are needed")
def test_a_stolen_token_is_worth_nothing(lab: GatewayLab, server: ComputeServiceServer) -> None:
    """Another user with a job's whole environment starts nothing and sees nothing."""
    from site_lab import as_user

    resource = lab.handle("test_heron")
    task = resource.task_start(program())
    stolen = driver_of(resource)

    def refused(call):
        told = as_user(STRANGER, call)
        return told["error"]["class"]

    assert refused(lambda: stolen.task_start(program(11), "k")) == "AccessDeniedError"
    assert refused(lambda: stolen.acquire()) == "AccessDeniedError"
    assert refused(lambda: stolen.target().value) == "AccessDeniedError"
    assert refused(lambda: stolen.task_status(task).name) == "TaskNotFoundError"
    assert refused(lambda: stolen.task_result(task).value) == "TaskNotFoundError"
    assert refused(lambda: stolen.task_stop(task)) == "TaskNotFoundError"
    assert refused(lambda: stolen.task_logs(task)) == "TaskNotFoundError"
    assert len(server.jobs) == 1


def test_the_root_user_is_no_exception(lab: GatewayLab) -> None:
    """A token is for its job's user, not for whoever may administer the site."""
    resource = lab.handle("test_heron", of=lab.lend("test_heron", uid=1234))
    with pytest.raises(AccessDeniedError, match="not for user"):
        resource.task_start(program())


def test_users_see_their_own_tasks_alone(lab: GatewayLab, server: ComputeServiceServer) -> None:
    """Two users with the same key have two tasks; lists and keys show each only their own."""
    lab.resources["test_heron"] = definition_with_slots(lab, 2)
    mine, theirs = lab.handle("test_heron"), lab.lend("test_heron", uid=1234)
    first = mine.task_start(program(), key="vqe")
    other = call_as(lab, theirs, "task_start", payload=program(), key="vqe")
    assert other != first
    assert len(server.jobs) == 2
    assert mine.find_task("vqe") == first
    assert call_as(lab, theirs, "find_task", key="vqe") == other
    assert mine.list_tasks() == [first]
    assert call_as(lab, theirs, "list_tasks") == [other]
    with pytest.raises(TaskNotFoundError):
        mine.task_status(other)
    assert mine.find_task("nobody's") is None


def definition_with_slots(lab: GatewayLab, slots: int):
    import attrs

    return attrs.evolve(lab.resources["test_heron"], slots=slots)


def call_as(lab: GatewayLab, job, method: str, **arguments):
    """What a user's job gets, with the right token."""
    from qrmi.site.gateway import packing

    token = lab.environment(job)["test_heron_QRMI_JOB_ACQUISITION_TOKEN"]
    body = packing.Packed({"token": token, "name": "test_heron", "arguments": arguments})
    answer = lab.gateway.call(
        caller=job.uid, resource="test_heron", method=method, body=b"".join(body)
    )
    return packing.unpacked(b"".join(answer))


def test_a_pickled_handle_works(lab: GatewayLab) -> None:
    """It travels with its settings, as every handle."""
    resource = pickle.loads(pickle.dumps(lab.handle("test_heron")))
    task = resource.task_start(program())
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED


def test_the_books(lab: GatewayLab) -> None:
    """Each task is counted with its shots and times; a refused start is an error of its owner."""
    job = lab.lend("test_heron")
    resource = lab.handle("test_heron", of=job)
    task = resource.task_start(program(25))
    with pytest.raises(qrmi.errors.InvalidInputError):
        resource.task_start(Payload.QiskitPrimitive('{"pubs": 5}', "sampler"))
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
    done, refused = lab.gateway.uses(job.key)
    assert (done.resource, done.task, done.shots, done.error) == ("test_heron", task, 25, "")
    assert (refused.task, refused.error) == ("", "user")
    (row,) = [row for row in lab.gateway.tasks.of_job(job.key) if row.task]
    assert (row.uid, row.format, row.status) == (os.getuid(), "qiskit-primitive", "COMPLETED")
    assert row.asked <= row.started <= row.ended


def test_the_books_of_tasks_that_nobody_waited_for(lab: GatewayLab) -> None:
    """At the end of a lease the daemon looks at them itself."""
    job = lab.lend("test_heron")
    task = lab.handle("test_heron", of=job).task_start(program())
    lab.handle("test_heron", of=job).task_wait(task, 30)
    unseen = lab.handle("test_heron", of=job).task_start(program(11))
    import time

    time.sleep(0.3)
    lab.leasing.end(job)
    lab.gateway.look(job.key)
    assert lab.gateway.tasks.of_task("test_heron", unseen).status == "COMPLETED"


def test_a_device_of_an_account(tmp_path: Path, server: ComputeServiceServer) -> None:
    """An account's chosen device is reached with the account's key, by the device's name."""
    import attrs

    lab = GatewayLab(tmp_path / "account", {**server.resource(), "name": "ours"})
    lab.resources["ours"] = attrs.evolve(lab.resources["ours"], is_dynamic=True)
    try:
        with lab.inside(lab.lend("ours")):
            resource = qrmi.open()
        assert resource.resource_id() in server.devices
        task = resource.task_start(program())
        assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
    finally:
        lab.down()


def test_a_name_that_shells_drop(tmp_path: Path) -> None:
    """A shell passes on no variable with a colon in its name: the plain spelling is enough."""
    from qrmi_sandbox.felis import FelisServer

    with FelisServer() as felis:
        lab = GatewayLab(tmp_path / "felis", felis.resource())
        try:
            (name,) = lab.resources
            given = lab.environment(lab.lend(name))
            kept = {key: text for key, text in given.items() if ":" not in key}
            with pytest.MonkeyPatch.context() as patch:
                for key, text in kept.items():
                    patch.setenv(key, text)
                assert qrmi.open().is_accessible()
        finally:
            lab.down()


def test_a_lease_that_ends_while_a_task_is_started(tmp_path: Path) -> None:
    """The task is stopped and the job is told: by now the resource may be another job's."""
    entry = {"name": "local", "type": "local", "environment": {}, "gateway": True}
    lab = GatewayLab(tmp_path / "late", entry)
    given = lab.lend("local")

    class Late(ScriptedDriver):
        def task_start(self, payload, key):
            lab.leasing.end(given)
            return super().task_start(payload, key)

    late = Late(statuses=[TaskStatus.RUNNING])
    lab.gateway._drivers.driver = lambda place: late
    try:
        with pytest.raises(AccessDeniedError, match="ended") as caught:
            lab.handle("local", of=given).task_start(Payload.PasqalCloud("{}", 1))
        assert caught.value.owner is qrmi.errors.Owner.USER
        assert late.task_status("task-1") is TaskStatus.CANCELLED
    finally:
        lab.down()


def test_what_a_job_is_missing(lab: GatewayLab) -> None:
    """`qrmi config check` and `qrmi doctor` in the job ask for no key that is the site's."""
    import subprocess
    import sys

    with lab.inside(lab.lend("test_heron")):
        for command in ("config", "check"), ("doctor",):
            done = subprocess.run(
                [sys.executable, "-m", "qrmi", *command],
                capture_output=True,
                text=True,
                check=False,
            )
            assert "APIKEY" not in done.stdout
            assert done.returncode == 0, done.stdout


def test_a_result_after_the_job_on_the_command_line(lab: GatewayLab) -> None:
    """`qrmi result ID` next day: the journal says where it was, and the daemon whose it is."""
    import subprocess
    import sys

    job = lab.lend("test_heron")
    resource = lab.handle("test_heron", of=job)
    task = resource.task_start(program())
    assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
    lab.leasing.end(job)
    done = subprocess.run(
        [sys.executable, "-m", "qrmi", "result", task], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
