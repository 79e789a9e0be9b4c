"""Felis keeps every rule of the interface."""

from __future__ import annotations

import json

import pytest

from qrmi import Payload
from qrmi.testing.contract import ResourceContract


class TestFelis(ResourceContract):
    patience_seconds = 20.0

    @pytest.fixture
    def resource(self, resource):
        return resource

    @pytest.fixture
    def program(self, program):
        return program

    @pytest.fixture
    def failing_program(self):
        return Payload.AliceBobFelis("no QIR", json.dumps({"nbShots": 1, "averageNbPhotons": 4}))

    @pytest.fixture
    def tasks_made(self, server):
        return lambda: sum(status != "CREATED" for status in server.jobs().values())
