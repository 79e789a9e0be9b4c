"""The driver keeps every rule of the interface."""

from __future__ import annotations

import pytest
from abacus_server import AbacusServer

from qrmi import QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi.testing.programs import tiny_program


class TestAbacus(ResourceContract):
    @pytest.fixture(scope="class")
    def server(self):
        with AbacusServer() as server:
            yield server

    @pytest.fixture
    def resource(self, server):
        return QuantumResource.from_config("abacus", "abacus", server.resource()["environment"])

    @pytest.fixture
    def program(self, resource):
        return tiny_program(resource)

    @pytest.fixture
    def tasks_made(self, server):
        return lambda: len(server.jobs)
