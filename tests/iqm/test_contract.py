"""IQM Server keeps every rule of the interface."""

from __future__ import annotations

import pytest

from qrmi.testing.contract import ResourceContract
from qrmi_sandbox.iqm import IQMServer


class TestIQMServer(ResourceContract):
    patience_seconds = 20.0

    @pytest.fixture
    def resource(self, resource):
        return resource

    @pytest.fixture
    def program(self, program):
        return program

    @pytest.fixture
    def failing_program(self, failing_program):
        return failing_program

    @pytest.fixture
    def slow_program(self, slow_program):
        return slow_program

    @pytest.fixture
    def tasks_made(self, server: IQMServer):
        return lambda: len(
            [r for r in server.requests if r.method == "POST" and "/cancel" not in r.path]
        )
