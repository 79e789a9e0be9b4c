"""Programs of users in a job: the same lines as anywhere, and the keys stay with the site."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gateway_lab import GatewayLab

import qrmi
from qrmi import Payload, QuantumResource, TaskStatus
from qrmi.payload_files import to_json
from qrmi.site.driver import SiteDriver
from qrmi.testing.inside import driver_of
from qrmi.testing.programs import tiny_program
from qrmi.testing.scripted import ScriptedDriver
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.iqm import IQMServer
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer
from qrmi_sandbox.quantum_system import QuantumSystemServer


@pytest.fixture(autouse=True)
def _own_state(private_state: Path) -> None:
    """Each test has a journal of its own."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Any]:
    """``site(server)``: a site with that vendor's resource; a job in it is this process."""
    made: list[GatewayLab] = []
    with pytest.MonkeyPatch.context() as patch:

        def make(server: Any, name: str | None = None, **more: Any) -> GatewayLab:
            lab = GatewayLab(tmp_path / f"site{len(made)}", {**server.resource(name), **more})
            made.append(lab)
            (lent,) = lab.resources
            for key, text in lab.environment(lab.lend(lent)).items():
                patch.setenv(key, text)
            return lab

        yield make
    for lab in made:
        lab.down()


def bell() -> Any:
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_qiskit(site: Any) -> None:
    """A sampler on `qrmi.open()`."""
    from qiskit import generate_preset_pass_manager

    from qrmi.qiskit import SamplerV2, backend

    with ComputeServiceServer() as server:
        site(server)
        device = backend(qrmi.open())
        circuit = generate_preset_pass_manager(1, device, seed_transpiler=1).run(bell())
        result = SamplerV2(device).run([circuit], shots=100).result()
        counts = result[0].data.meas.get_counts()
        assert set(counts) <= {"00", "11"}
        assert sum(counts.values()) == 100
        assert len(server.jobs) == 1


@pytest.mark.skipif(importlib.util.find_spec("cudaq") is None, reason="CUDA-Q is not installed")
def test_cudaq(site: Any, tmp_path: Path) -> None:
    """A kernel on the job's QPU, in a process that has nothing but the job's environment."""
    program = tmp_path / "program.py"
    program.write_text(
        "import cudaq\n"
        "cudaq.set_target('qrmi')\n"
        "@cudaq.kernel\n"
        "def flipped():\n"
        "    q = cudaq.qvector(2)\n"
        "    x(q[1])\n"
        "    mz(q)\n"
        "print(dict(cudaq.sample(flipped, shots_count=20).items()))\n"
    )
    with QuantumSystemServer() as server:
        site(server)
        done = subprocess.run(
            [sys.executable, str(program)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert done.stdout.splitlines()[-1] == "{'01': 20}"
        assert len(server.jobs) + len(server.executions) > 0


def test_pulser(site: Any) -> None:
    """A batch of two jobs on a QPU of Pulser's."""
    import pulser
    from pulser.backend import QPUBackend
    from pulser.devices import AnalogDevice
    from pulser.register.special_layouts import TriangularLatticeLayout

    from qrmi.pulser import QRMIConnection

    register = TriangularLatticeLayout(61, 5.0).define_register(0, 60)
    made = pulser.Sequence(register, dataclasses.replace(AnalogDevice, name="FRESNEL"))
    made.declare_channel("global", "rydberg_global")
    duration = made.declare_variable("t", dtype=int)
    made.add(pulser.Pulse.ConstantPulse(duration, 3.14159265 / 0.3, 0, 0), "global")
    made.measure("ground-rydberg")
    jobs = [{"runs": 5, "variables": {"t": 300}}, {"runs": 6, "variables": {"t": 152}}]
    with PasqalCloudServer() as server:
        site(server, "FRESNEL")
        results = QPUBackend(made, QRMIConnection(qrmi.open())).run(jobs, wait=True)
        assert [sum(each.final_bitstrings.values()) for each in results.results] == [5, 6]
        assert len(server.batches) == 1


def test_task_runner(site: Any, tmp_path: Path) -> None:
    """The command of the upstream library, as a job's script runs it."""
    with FelisServer() as server:
        lab = site(server)
        (name,) = lab.resources
        source, target = tmp_path / "input.json", tmp_path / "output.json"
        source.write_text(to_json(tiny_program(qrmi.open())))
        done = subprocess.run(
            [sys.executable, "-m", "qrmi.tools.task_runner.main", name, str(source), str(target)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert target.read_text()
        assert len(server.jobs()) == 1


def test_a_calibration_after_the_name(site: Any) -> None:
    """What users may write after a resource's name reaches the vendor's driver."""
    with IQMServer() as server:
        site(server)
        named = QuantumResource("garnet,default", "iqm-server")
        assert isinstance(driver_of(named), SiteDriver)
        assert named.metadata()
        task = named.task_start(tiny_program(named), key="of mine")
        assert named.task_wait(task, 30) is TaskStatus.COMPLETED
        assert qrmi.open().task_status(task) is TaskStatus.COMPLETED


def test_a_service_that_holds_requests(site: Any) -> None:
    """``push`` goes through: a wait is one request, and ends when the task does."""
    with IQMServer() as server:
        site(server)
        resource = qrmi.open()
        assert resource.capabilities.push
        server.run_seconds = 1.0
        program = tiny_program(resource)
        task = resource.task_start(program)
        before = len(server.requests)
        assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
        assert len(server.requests) - before <= 3


def test_what_a_service_says_of_its_time(site: Any) -> None:
    """QPU seconds in the books are the vendor's where it reports them."""
    with QuantumSystemServer() as server:
        lab = site(server)
        resource = qrmi.open()
        task = resource.task_start(tiny_program(resource))
        assert resource.task_wait(task, 30) is TaskStatus.COMPLETED
        assert lab.gateway.tasks.of_task("test_heron", task).qpu_seconds == 1000e-9
        assert resource.task_result(task).value


def test_marks_and_findable_payloads_are_the_vendors(site: Any) -> None:
    """`mark_of` and `can_find` depend on the payload: the vendor's driver answers."""
    with IQMServer() as server:
        site(server)
        driver = driver_of(qrmi.open())
        payload = Payload.IQMServer("{}", "circuit")
        assert driver.mark_of(payload, "k") == driver.mark_of(payload, "k") != ""
    with PasqalCloudServer() as server:
        site(server)
        driver = driver_of(QuantumResource("EMU_FREE", "pasqal-cloud"))
        ahs = json.dumps({"setup": {"ahs_register": {}}, "hamiltonian": {}})
        sequence = json.dumps({"version": "1", "operations": [], "register": []})
        assert driver.can_find(Payload.PasqalCloud(sequence, 1))
        assert not driver.can_find(Payload.PasqalCloud(ahs, 1))


def test_what_the_driver_declares_is_the_vendors(site: Any) -> None:
    """Payloads and capabilities without asking; what settings change is asked once."""
    with ComputeServiceServer() as server:
        entry = server.resource()
        entry["environment"]["QRMI_START_SETTLE_SECONDS"] = "7"
        entry["environment"]["QRMI_HTTP_BUDGET_SECONDS"] = "11"
        direct = driver_of(
            QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
        )
        lab = site(server)
        lab.resources[entry["name"]].environment.update(entry["environment"])
        driver = driver_of(qrmi.open())
        assert driver.PAYLOADS == direct.PAYLOADS
        assert driver.CAPABILITIES == direct.CAPABILITIES
        assert driver.settle_seconds == direct.settle_seconds == 7
        assert driver.sending_seconds == direct.sending_seconds + driver.settings.budget_seconds
        assert len(server.requests) <= 3, "describing a driver asks no vendor"


class _Large(ScriptedDriver):
    """Its results are of 50 MB."""

    def __init__(self, resource_id: str, settings: Any) -> None:
        super().__init__(resource_id, result="0123456789" * 5_000_000)


def test_a_large_result_through_daemon_and_socket(tmp_path: Path) -> None:
    """50 MB from the vendor's driver to the job, both in this process.

    Beside the driver's own copy there are two, for a moment: the reader's buffer and its text.
    """
    size = 50_000_000
    lab = GatewayLab(
        tmp_path / "site", {"name": "local", "type": "local", "environment": {}, "gateway": True}
    )
    try:
        large = _Large("local", None)
        lab.gateway._drivers.driver = lambda place: large
        handle = lab.handle("local")
        task = handle.task_start(Payload.PasqalCloud("{}", 1))
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        result = handle.task_result(task)
        peak = tracemalloc.get_traced_memory()[1] - before
        tracemalloc.stop()
    finally:
        lab.down()
    assert len(result.value) == size
    assert peak < 2.2 * size, f"{peak / size:.2f} copies beside the driver's own"
