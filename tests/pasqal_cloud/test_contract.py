"""Pasqal Cloud keeps every rule of the interface."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from qrmi import QuantumResource
from qrmi.payloads import PasqalCloud, Payload
from qrmi.testing.contract import ResourceContract
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer


class TestPasqalCloud(ResourceContract):
    """A sequence on an emulator."""

    @pytest.fixture
    def resource(self, server: PasqalCloudServer) -> QuantumResource:
        """An emulator on a fresh account."""
        entry = server.resource("EMU_FREE")
        return QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])

    @pytest.fixture
    def program(self, flip_text: str) -> Payload:
        """Two atoms, half a turn."""
        return PasqalCloud(flip_text, 20)

    @pytest.fixture
    def failing_program(self, flip_text: str) -> Payload:
        """A sequence that the service takes and its emulator cannot read."""
        data = json.loads(flip_text)
        data["operations"][0]["op"] = "no such operation"
        return PasqalCloud(json.dumps(data), 20)

    @pytest.fixture
    def slow_program(self, server: PasqalCloudServer, program: Payload) -> Payload:
        """The same, taking its time."""
        server.run_seconds = 2.0
        return program

    @pytest.fixture
    def tasks_made(self, server: PasqalCloudServer) -> Callable[[], int]:
        """How many batches there are."""
        return lambda: len(server.batches)
