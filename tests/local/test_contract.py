"""The embedded simulator keeps every rule of the interface."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from qrmi.payloads import PasqalCloud, QiskitPrimitive
from qrmi.resource import QuantumResource
from qrmi.testing.contract import ResourceContract
from qrmi.testing.programs import tiny_program
from qrmi_local.device import DeviceKind
from qrmi_local.driver import LocalDriver
from qrmi_local.settings import LocalSettings

PROBES = Path(__file__).parent / "probes"


class TestGates(ResourceContract):
    """Circuits on Aer."""

    speaks_http = False
    threads = 4
    orders = 4

    @pytest.fixture
    def resource(self, local):
        return local

    @pytest.fixture(scope="class")
    def program(self):
        return tiny_program(QuantumResource("local", "local"))


class TestMachinery(ResourceContract):
    """The same processes, and a program of the tests in the simulators' place."""

    speaks_http = False
    threads = 4
    orders = 6
    patience_seconds = 30.0
    test_junk_is_refused_or_fails = None  # the program of the tests takes anything

    @pytest.fixture
    def resource(self, private_state, monkeypatch):
        path = [str(PROBES), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
        functions = dict.fromkeys(DeviceKind, "qrmi_probe:run")
        driver = LocalDriver("local", LocalSettings(), functions=functions)
        return QuantumResource.from_driver(driver, resource_type="local")

    @pytest.fixture
    def program(self):
        return PasqalCloud(json.dumps({"version": "1", "operations": [], "register": []}), 5)

    @pytest.fixture
    def slow_program(self):
        return _steps(["sleep", 5.0])

    @pytest.fixture
    def failing_program(self):
        return _steps(["refuse", "not today"])


def _steps(*steps):
    return QiskitPrimitive(json.dumps({"pubs": [["circuit"]], "probe": steps}), "sampler")
