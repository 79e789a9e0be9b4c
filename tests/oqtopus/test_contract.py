"""OQTOPUS keeps every rule of the interface."""

from __future__ import annotations

import pytest

from qrmi.testing.contract import ResourceContract


class TestOqtopus(ResourceContract):
    patience_seconds = 20.0

    @pytest.fixture
    def resource(self, resource):
        return resource

    @pytest.fixture
    def program(self, program):
        return program

    @pytest.fixture
    def failing_program(self, job):
        return job(program="no QASM")

    @pytest.fixture
    def tasks_made(self, server):
        return lambda: sum(status != "registered" for status in server.jobs().values())
