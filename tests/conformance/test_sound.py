"""The kit on resources without a fault: every rule holds."""

from __future__ import annotations

import pytest
from barn import Barn, BarnDriver, BarnSettings
from meadow import Meadow, MeadowSettings, Program

from qrmi.resource import QuantumResource
from qrmi.settings import MappingSource, Secret
from qrmi.testing.contract import ResourceContract


class _Farm(ResourceContract):
    patience_seconds = 20.0

    @pytest.fixture
    def program(self):
        return Program()

    @pytest.fixture
    def slow_program(self):
        return Program(seconds=2.0)

    @pytest.fixture
    def failing_program(self):
        return Program(fails=True)


class TestMeadow(_Farm):
    """A driver that keeps its tasks in files."""

    speaks_http = False

    @pytest.fixture
    def resource(self, tmp_path, private_state):
        settings = MeadowSettings(folder=str(tmp_path / "meadow"), password=Secret("s3cret-gate"))
        return QuantumResource.from_driver(Meadow("meadow", settings), resource_type="meadow")

    @pytest.fixture
    def held_sessions(self, kit):
        return lambda: [path.name for path in kit.driver.sessions.glob("*")]


class TestBarn(_Farm):
    """A driver that speaks HTTP."""

    @pytest.fixture(scope="class")
    def barn(self):
        with Barn() as server:
            yield server

    @pytest.fixture
    def resource(self, barn, private_state):
        settings = BarnSettings.load(MappingSource(barn.resource()["environment"]))
        return QuantumResource.from_driver(BarnDriver("barn", settings), resource_type="barn")

    @pytest.fixture
    def tasks_made(self, barn):
        return lambda: len(barn.tasks)
