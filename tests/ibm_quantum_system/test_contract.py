"""Every rule of the interface, on the quantum system's server."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qrmi import Payload, QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi_sandbox.quantum_system import QuantumSystemServer

_TEXT = '{"a program of some length": "for the contract"}'


class TestQuantumSystem(ResourceContract):
    """The contract; a slow program is one that the server holds for a while."""

    @pytest.fixture
    def resource(self, server: QuantumSystemServer, resource: QuantumResource) -> QuantumResource:
        """A handle; lanes are many, because some rules start many tasks."""
        server.lanes = 1000
        server.programs = {"executor": lambda text: "{}", "slow": lambda text: "{}"}
        server.seconds_of = {"slow": 3.0}
        return resource

    @pytest.fixture
    def program(self) -> Payload:
        """A program that the server answers at once: simulation is not what is tested here."""
        return Payload.QiskitPrimitive(_TEXT, "executor")

    @pytest.fixture
    def slow_program(self) -> Payload:
        """The same, held for some seconds unless it is cancelled."""
        return Payload.QiskitPrimitive(_TEXT, "slow")

    @pytest.fixture
    def failing_program(self, broken: Payload) -> Payload:
        """A gate that the system does not have."""
        return broken

    @pytest.fixture
    def tasks_made(self, server: QuantumSystemServer) -> Callable[[], int]:
        """How many ids the server was given."""
        return lambda: len(server._ids)
