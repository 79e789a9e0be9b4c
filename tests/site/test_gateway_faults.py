"""What goes wrong between a job and the daemon: one start is one task, whatever happens."""

from __future__ import annotations

import functools
import json
import random
import signal
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_lab import GatewayLab
from site_lab import Qrmid, eventually, job

from qrmi import Payload, QuantumResource, TaskStatus
from qrmi.errors import (
    Owner,
    QrmiError,
    ResourceUnavailableError,
    TaskFailedError,
    TaskStartUncertainError,
)
from qrmi.testing.inside import driver_of
from qrmi.testing.programs import tiny_program
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.iqm import IQMServer
from qrmi_sandbox.mishaps import KINDS, Heard, Mishap
from qrmi_sandbox.munge import PrivateMunge
from qrmi_sandbox.oqtopus import OqtopusServer
from qrmi_sandbox.proxy import Proxy
from qrmi_sandbox.quantum_system import QuantumSystemServer

HASTY = {
    "QRMI_HTTP_BUDGET_SECONDS": "0.5",
    "QRMI_HTTP_READ_TIMEOUT_SECONDS": "3",
    "QRMI_START_SETTLE_SECONDS": "1",
}
IMPATIENT = {"QRMI_SITE_BUDGET_SECONDS": "3", "QRMI_SITE_ANSWER_SECONDS": "0.7"}


@pytest.fixture(autouse=True)
def _own_state(private_state: Path) -> None:
    """Each test has a journal of its own."""


def entry_of(server: Any, name: str | None = None) -> dict[str, Any]:
    entry = server.resource(name)
    return {**entry, "environment": {**entry["environment"], **HASTY}}


def program_of(entry: dict[str, Any]) -> Payload:
    direct = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
    made = tiny_program(direct)
    direct.close()
    return made


class Behind:
    """A job whose daemon is behind a proxy; ``mishap`` happens to the next start."""

    def __init__(self, folder: Path, server: Any, munge: PrivateMunge) -> None:
        self.entry = entry_of(server)
        self.server = server
        self.program = program_of(self.entry)
        self.lab = GatewayLab(folder, self.entry, tcp=True, munge_socket=str(munge.socket))
        door = types.SimpleNamespace(port=self.lab.doors.server.tcp_port, seen_as=None)
        self.proxy = Proxy(door, self._plan).start()
        self.mishap: tuple[str, Mishap] | None = None
        self.handle = self.lab.handle(
            self.entry["name"],
            **IMPATIENT,
            QRMI_SITE_SOCKET="/nowhere",
            QRMI_SITE_URL=self.proxy.url,
            QRMI_SITE_MUNGE_SOCKET=str(munge.socket),
        )
        driver_of(self.handle).sending_seconds  # noqa: B018 (asked for once, before it counts)

    def _plan(self, heard: Heard) -> Mishap | None:
        if self.mishap is None or not heard.path.endswith(self.mishap[0]):
            return None
        _, mishap = self.mishap
        self.mishap = None
        return mishap

    def stop(self) -> None:
        self.handle.close()
        self.proxy.stop()
        self.lab.down()


@pytest.fixture
def behind(tmp_path: Path, site_munge: PrivateMunge) -> Iterator[Callable[[Any], Behind]]:
    made: list[Behind] = []

    def make(server: Any) -> Behind:
        made.append(Behind(tmp_path / "site", server, site_munge))
        return made[-1]

    yield make
    for each in made:
        each.stop()


def mishap_of(kind: str) -> Mishap:
    return Mishap(kind=kind, seconds=0.3 if kind == "trickle" else 1.5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_answer_of_a_service_with_keys(behind: Any, kind: str) -> None:
    """The start is looked for by its key, as with the vendor: one task, whatever was lost."""
    with ComputeServiceServer() as server:
        job = behind(server)
        job.mishap = ("/task_start", mishap_of(kind))
        task = job.handle.task_start(job.program)
        assert job.mishap is None, "nothing went wrong"
        assert list(server.jobs) == [task]
        assert job.handle.task_wait(task, 30) is TaskStatus.COMPLETED


@pytest.mark.parametrize("step", ["/task_create", "/task_submit"])
@pytest.mark.parametrize(
    "kind", ["cut_before", "cut_unanswered", "garbled", "twice", "late_answer"]
)
@pytest.mark.parametrize("vendor", [FelisServer, OqtopusServer])
def test_a_lost_answer_in_two_steps(behind: Any, vendor: Any, kind: str, step: str) -> None:
    """A step that was lost is done again; the program runs once, and no empty task is left."""
    with vendor() as server:
        job = behind(server)
        job.mishap = (step, mishap_of(kind))
        task = job.handle.task_start(job.program)
        assert job.mishap is None, "nothing went wrong"
        assert job.handle.task_wait(task, 30) is TaskStatus.COMPLETED
        assert list(server.jobs()) == [task]
        assert set(server.executions.values()) == {1}


@pytest.mark.parametrize("kind", ["cut_before", "cut_unanswered", "garbled", "late_answer"])
def test_a_lost_answer_of_a_service_without_keys(behind: Any, kind: str) -> None:
    """As with such a vendor it is uncertain; nothing is sent twice."""
    with IQMServer() as server:
        job = behind(server)
        job.mishap = ("/task_start", mishap_of(kind))
        with pytest.raises(TaskStartUncertainError):
            job.handle.task_start(job.program)
        eventually(lambda: len(server.job_ids()) == (kind != "cut_before"), 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["task_status", "task_result"])
def test_questions_are_repeated(behind: Any, kind: str, method: str) -> None:
    """What changes nothing is asked again until it is answered, or the answer is odd."""
    with ComputeServiceServer() as server:
        job = behind(server)
        task = job.handle.task_start(job.program)
        job.handle.task_wait(task, 30)
        job.mishap = (f"/{method}", mishap_of(kind))
        if kind in ("status_before", "status_after", "twice"):
            with pytest.raises(QrmiError):
                getattr(job.handle, method)(task)
        else:
            assert getattr(job.handle, method)(task)
        assert job.mishap is None, "nothing went wrong"


def test_no_daemon(tmp_path: Path) -> None:
    """Nothing answers: that is the site's, nothing was sent, and the hint says where to look."""
    lab = GatewayLab(
        tmp_path / "s", {"name": "local", "type": "local", "environment": {}, "gateway": True}
    )
    handle = lab.handle("local", QRMI_SITE_BUDGET_SECONDS="0.2")
    lab.down()
    with pytest.raises(ResourceUnavailableError, match="no qrmid answers") as caught:
        handle.task_start(Payload.PasqalCloud("{}", 1))
    assert caught.value.owner is Owner.SITE
    assert caught.value.retryable


# --- kill -9 of a real daemon ---------------------------------------------------------------------


class Killed:
    """A job on a real `qrmid`, which can be killed."""

    def __init__(self, qrmid: Callable[..., Qrmid], server: Any) -> None:
        self.entry = entry_of(server)
        self.program = program_of(self.entry)
        self.daemon = qrmid(resources=[self.entry]).start()
        self.job = job()
        name = self.entry["name"]
        answer = self.daemon.client().post(
            "/v1/leases", {"job": self.job.as_json(), "want": {"names": [name]}}
        )
        assert answer["outcome"] == "granted", answer
        asked = {"scheduler": "slurm", "cluster": "lab", "id": self.job.id}
        told = self.daemon.client().post("/v1/environment", asked)
        with pytest.MonkeyPatch.context() as patch:
            for key, text in told["environment"].items():
                patch.setenv(key, text)
            patch.setenv("QRMI_SITE_BUDGET_SECONDS", "30")
            self.handle = QuantumResource(name, self.entry["type"])
        self.handle.is_accessible()
        driver_of(self.handle).sending_seconds  # noqa: B018 (asked for once, before it counts)
        self.outcome: list[Any] = []
        self.starting = threading.Thread(target=self.start)

    def start(self, key: str = "mine") -> None:
        try:
            self.outcome.append(self.handle.task_start(self.program, key=key))
        except Exception as error:
            self.outcome.append(error)

    def kill(self) -> None:
        self.daemon.signal(signal.SIGKILL)
        self.daemon.process.wait(10)
        self.daemon.start()

    def ended(self) -> Any:
        self.starting.join(60)
        assert self.outcome, "the start has not come back"
        if isinstance(self.outcome[0], Exception):
            raise self.outcome[0]
        return self.outcome[0]


def test_a_restart_is_waited_for(qrmid: Any) -> None:
    """A daemon that comes back within the budget is not noticed, but for the time it took."""
    with ComputeServiceServer() as server:
        site = Killed(qrmid, server)
        task = site.handle.task_start(site.program)
        site.daemon.stop()
        again = threading.Timer(0.5, site.daemon.start)
        again.start()
        assert site.handle.task_wait(task, 30) is TaskStatus.COMPLETED
        again.join()
        assert site.handle.task_start(site.program)


@pytest.mark.parametrize("kind", ["delay", "silence"])
def test_killed_in_the_middle_of_a_start(qrmid: Any, kind: str) -> None:
    """The vendor has the start, or has not: after the restart there is exactly one task."""
    with ComputeServiceServer() as server:
        site = Killed(qrmid, server)
        before = len(server.requests)
        fault = server.faults.add(Fault(kind=kind, match="POST /api/v1/jobs", seconds=0.6))
        site.starting.start()
        eventually(lambda: fault.hits, 10)
        site.kill()
        task = site.ended()
        assert list(server.jobs) == [task]
        assert site.handle.task_wait(task, 30) is TaskStatus.COMPLETED
        assert site.handle.find_task("mine") == task
        assert site.handle.task_start(site.program, key="mine") == task
        assert len(server.requests) > before


def test_killed_between_two_steps(qrmid: Any) -> None:
    """The second step is done by the next daemon; the first is not done again."""
    with OqtopusServer() as server:
        site = Killed(qrmid, server)
        fault = server.faults.add(Fault(kind="delay", match="POST /jobs/", seconds=0.6))
        site.starting.start()
        eventually(lambda: fault.hits or site.outcome, 10)
        assert fault.hits, site.outcome
        site.kill()
        task = site.ended()
        assert list(server.jobs()) == [task]
        assert site.handle.task_wait(task, 30) is TaskStatus.COMPLETED
        assert set(server.executions.values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "vendor", [ComputeServiceServer, OqtopusServer, FelisServer, QuantumSystemServer]
)
def test_killed_at_any_time(qrmid: Any, vendor: Any) -> None:
    """Whenever the daemon is killed: each start ends with one task, whose program ran once."""
    draw = random.Random(20261123)
    with vendor() as server:
        site = Killed(qrmid, server)
        started = []
        for number in range(15):
            if draw.random() < 0.5:
                server.faults.add(Fault(kind="delay", seconds=0.3 * draw.random()))
            site.outcome.clear()
            start = functools.partial(site.start, f"key-{number}")
            site.starting = threading.Thread(target=start)
            site.starting.start()
            site.starting.join(0.12 * draw.random())
            site.kill()
            started.append(site.ended())
            server.faults.clear()
            assert site.handle.task_wait(started[-1], 30) is TaskStatus.COMPLETED
        assert len(set(started)) == 15
        ran = [task for task in server.executions if task in server.program_texts()]
        assert sorted(ran) == sorted(started)
        assert set(server.executions.values()) == {1}


# --- the vendor's own errors ----------------------------------------------------------------------


def test_errors_cross_as_they_are(tmp_path: Path) -> None:
    """Class, owner, retryable, hint and ids of an error are those that the driver raised."""
    with ComputeServiceServer() as server:
        entry = entry_of(server)
        direct = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
        lab = GatewayLab(tmp_path / "site", entry)
        try:
            through = lab.handle("test_heron")
            told = []
            for handle in (direct, through):
                task = handle.task_start(
                    Payload.QiskitPrimitive('{"pubs": [[1]], "version": 2}', "sampler")
                )
                assert handle.task_wait(task, 30) is TaskStatus.FAILED
                with pytest.raises(TaskFailedError) as caught:
                    handle.task_result(task)
                error = caught.value
                assert error.task_id == task
                told.append(
                    (error.message.replace(task, "T"), error.owner, error.retryable, error.hint)
                )
            assert told[0] == told[1]
            busy = Fault(kind="status", match="GET /api/v1/backends", status=503, times=None)
            server.faults.add(busy)
            with pytest.raises(ResourceUnavailableError) as caught:
                through.status()
            assert caught.value.request_ids
            assert json.dumps(list(caught.value.request_ids))
        finally:
            lab.down()
            direct.close()
