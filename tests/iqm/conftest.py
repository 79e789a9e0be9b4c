"""An IQM Server on loopback, handles on its quantum computers, and programs for them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qrmi import Payload, QuantumResource
from qrmi_sandbox.iqm import IQMServer

Settings = dict[str, str]


@pytest.fixture
def server() -> Iterator[IQMServer]:
    with IQMServer() as started:
        yield started


@pytest.fixture
def settings(server: IQMServer) -> Settings:
    return {
        "QRMI_IQM_ISA_ENDPOINT": server.url,
        "QRMI_IQM_ISA_TOKEN": server.token,
        "QRMI_HTTP_BUDGET_SECONDS": "5",
    }


@pytest.fixture
def open_iqm(settings: Settings) -> Callable[..., QuantumResource]:
    """A function that opens a quantum computer by its name, with settings of its own on top."""

    def opened(name: str = "garnet", **more: str) -> QuantumResource:
        return QuantumResource.from_config(name, "iqm-server", {**settings, **more})

    return opened


@pytest.fixture
def resource(open_iqm: Callable[..., QuantumResource]) -> QuantumResource:
    return open_iqm()


@pytest.fixture
def flip() -> Callable[..., Payload]:
    """A function that makes a payload: a qubit that is turned over and measured, 1 in each shot.

    It takes operations to do in between, and fields of the run request.
    """

    def made(*between: dict[str, Any], shots: int = 10, **fields: Any) -> Payload:
        turn = {"name": "prx", "locus": ["QB1"], "args": {"angle": math.pi, "phase": 0.0}}
        measure = {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
        circuit = {"name": "flip", "instructions": [turn, *between, measure]}
        text = json.dumps({"circuits": [circuit], "shots": shots, **fields})
        return Payload.IQMServer(text, "circuit", None, None)

    return made


@pytest.fixture
def program(flip: Callable[..., Payload]) -> Payload:
    return flip()


@pytest.fixture
def failing_program(flip: Callable[..., Payload]) -> Payload:
    return flip(max_circuit_duration_over_t2=1e-9)


@pytest.fixture
def slow_program(flip: Callable[..., Payload]) -> Payload:
    return flip({"name": "delay", "locus": ["QB1"], "args": {"duration": 0.5}}, shots=4)
