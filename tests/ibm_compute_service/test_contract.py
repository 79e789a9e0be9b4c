"""The rules of the interface, for both types of the compute service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from qrmi import Payload, QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi_sandbox.compute_service import ComputeServiceServer, RuntimeServiceServer


class TestComputeService(ResourceContract):
    """``ibm-quantum-compute-service``."""

    SERVER: type[ComputeServiceServer] = ComputeServiceServer

    @pytest.fixture
    def server(self) -> Iterator[ComputeServiceServer]:
        with self.SERVER() as running:
            yield running

    @pytest.fixture
    def resource(self, server: ComputeServiceServer) -> QuantumResource:
        entry = server.resource()
        hasty = {"QRMI_HTTP_BUDGET_SECONDS": "2", "QRMI_HTTP_READ_TIMEOUT_SECONDS": "1"}
        return QuantumResource.from_config(
            entry["name"], entry["type"], {**entry["environment"], **hasty}
        )

    @pytest.fixture
    def program(self, program: Payload) -> Payload:
        """The folder's own."""
        return program

    @pytest.fixture
    def failing_program(self) -> Payload:
        return Payload.QiskitPrimitive('{"pubs": [[1]], "version": 2}', "sampler")

    @pytest.fixture
    def slow_program(self, server: ComputeServiceServer, program: Payload) -> Payload:
        """Whatever is started in a test that asks for this takes a while."""
        server.run_seconds = 2.0
        return program

    @pytest.fixture
    def held_sessions(self, server: ComputeServiceServer):
        """The sessions that still take jobs."""
        return lambda: [s.id for s in server.sessions.values() if s.accepts]

    @pytest.fixture
    def tasks_made(self, server: ComputeServiceServer):
        return lambda: len(server.jobs)


class TestRuntimeService(TestComputeService):
    """``qiskit-runtime-service``."""

    SERVER = RuntimeServiceServer
