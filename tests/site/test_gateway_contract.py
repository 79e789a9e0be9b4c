"""Through the gateway a resource keeps every rule of the interface that it keeps without it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from gateway_lab import GatewayLab

from qrmi import Payload, QuantumResource
from qrmi.errors import UnsupportedFunctionError
from qrmi.testing.contract import ResourceContract
from qrmi.testing.programs import tiny_program
from qrmi_sandbox.compute_service import ComputeServiceServer
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.iqm import IQMServer
from qrmi_sandbox.oqtopus import OqtopusServer
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer
from qrmi_sandbox.quantum_system import QuantumSystemServer

QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
x q[0];
c[0] = measure q[0];
c[1] = measure q[1];
"""


class ThroughTheGateway(ResourceContract):
    """A job on a site; the vendor's server stands behind the site's daemon."""

    speaks_http = False  # the client of the daemon is no `HttpDriver`
    threads = 4
    orders = 4
    NAME: ClassVar[str]

    @pytest.fixture(autouse=True)
    def own_state(self, private_state: Path) -> None:
        """Each test has a journal of its own."""

    @pytest.fixture
    def lab(self, tmp_path: Path, entry: dict) -> Iterator[GatewayLab]:
        made = GatewayLab(tmp_path / "site", {**entry, "gateway": True})
        yield made
        made.down()

    @pytest.fixture
    def resource(self, lab: GatewayLab) -> QuantumResource:
        return lab.handle(self.NAME)

    @pytest.fixture
    def secrets(self, lab: GatewayLab, resource: QuantumResource) -> tuple[str, ...]:
        """The site's settings that look like secrets, and the job's token."""
        entry = lab.resources[self.NAME].environment
        marks = ("KEY", "TOKEN", "SECRET", "PASSWORD")
        site = [v for k, v in entry.items() if any(mark in k for mark in marks)]
        return (*site, resource.acquire())


class TestLocal(ThroughTheGateway):
    """The embedded simulator of the site."""

    NAME = "local"

    @pytest.fixture
    def entry(self) -> dict:
        return {"name": "local", "type": "local", "environment": {}}

    @pytest.fixture(scope="class")
    def program(self) -> Payload:
        return tiny_program(QuantumResource("local", "local"))


class TestComputeService(ThroughTheGateway):
    """Sessions, keys that are looked up."""

    NAME = "test_heron"

    @pytest.fixture
    def server(self) -> Iterator[ComputeServiceServer]:
        with ComputeServiceServer() as running:
            yield running

    @pytest.fixture
    def entry(self, server: ComputeServiceServer) -> dict:
        return server.resource(self.NAME)

    @pytest.fixture
    def program(self) -> Payload:
        params = {"pubs": [[QASM, None, 10]], "options": {}, "version": 2, "support_qiskit": True}
        return Payload.QiskitPrimitive(json.dumps(params), "sampler")

    @pytest.fixture
    def failing_program(self) -> Payload:
        return Payload.QiskitPrimitive('{"pubs": [[1]], "version": 2}', "sampler")

    @pytest.fixture
    def slow_program(self, server: ComputeServiceServer, program: Payload) -> Payload:
        server.run_seconds = 2.0
        return program

    @pytest.fixture
    def tasks_made(self, server: ComputeServiceServer) -> Callable[[], int]:
        return lambda: len(server.jobs)


class TestPasqalCloud(ThroughTheGateway):
    """Batches, keys that only some tasks bear."""

    NAME = "EMU_FREE"

    @pytest.fixture
    def server(self) -> Iterator[PasqalCloudServer]:
        with PasqalCloudServer() as running:
            yield running

    @pytest.fixture
    def entry(self, server: PasqalCloudServer) -> dict:
        return server.resource(self.NAME)

    @pytest.fixture(scope="class")
    def sequence(self) -> str:
        import dataclasses

        import pulser
        from pulser.devices import AnalogDevice
        from pulser.register.special_layouts import TriangularLatticeLayout

        layout = TriangularLatticeLayout(61, 5.0)
        register = layout.define_register(0, 60, qubit_ids=["left", "right"])
        made = pulser.Sequence(register, dataclasses.replace(AnalogDevice, name="FRESNEL"))
        made.declare_channel("global", "rydberg_global")
        made.add(pulser.Pulse.ConstantPulse(300, 3.14159265 / 0.3, 0, 0), "global")
        made.measure("ground-rydberg")
        text: str = made.to_abstract_repr()
        return text

    @pytest.fixture
    def program(self, sequence: str) -> Payload:
        return Payload.PasqalCloud(sequence, 20)

    @pytest.fixture
    def failing_program(self, sequence: str) -> Payload:
        data = json.loads(sequence)
        data["operations"][0]["op"] = "no such operation"
        return Payload.PasqalCloud(json.dumps(data), 20)

    @pytest.fixture
    def slow_program(self, server: PasqalCloudServer, program: Payload) -> Payload:
        server.run_seconds = 2.0
        return program

    @pytest.fixture
    def tasks_made(self, server: PasqalCloudServer) -> Callable[[], int]:
        return lambda: len(server.batches)


class OfAServer(ThroughTheGateway):
    """A vendor whose program is made for its device."""

    SERVER: ClassVar[type]

    @pytest.fixture
    def server(self) -> Iterator[Any]:
        with self.SERVER() as running:
            yield running

    @pytest.fixture
    def entry(self, server: Any) -> dict:
        return server.resource(self.NAME)

    @pytest.fixture
    def program(self, entry: dict) -> Payload:
        direct = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
        made = tiny_program(direct)
        direct.close()
        return made


@pytest.mark.slow
class TestFelis(OfAServer):
    """Starts in two steps."""

    NAME, SERVER = "EMU:6Q:ROTATIONS", FelisServer


@pytest.mark.slow
class TestOqtopus(OfAServer):
    """Starts in two steps, and keys."""

    NAME, SERVER = "qulacs", OqtopusServer


@pytest.mark.slow
class TestIqm(OfAServer):
    """Requests that are held, and no keys."""

    NAME, SERVER = "garnet", IQMServer


@pytest.mark.slow
class TestQuantumSystem(OfAServer):
    """Starts that may be repeated, and tasks that have to be freed."""

    NAME, SERVER = "test_heron", QuantumSystemServer


def test_transports_are_not_for_the_gateway(tmp_path: Path) -> None:
    """What a job sends goes to the daemon, whatever transport it would like."""
    lab = GatewayLab(
        tmp_path / "site", {"name": "local", "type": "local", "environment": {}, "gateway": True}
    )
    try:
        with lab.inside(lab.lend("local")), pytest.raises(UnsupportedFunctionError):
            QuantumResource("local", "local", transport=object())
    finally:
        lab.down()
