"""The Felis sandbox and handles to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from qiskit import QuantumCircuit

from qrmi import Payload, QuantumResource
from qrmi_alice_bob.instructions import functions_of
from qrmi_alice_bob.qir import write_qir
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.felis_targets import TARGETS

PHOTONS = {"averageNbPhotons": 4.0}


def target_document(name: str = "EMU:6Q:ROTATIONS") -> dict:
    """A target of the sandbox."""
    return next(target for target in TARGETS if target["name"] == name)


@pytest.fixture
def server() -> Iterator[FelisServer]:
    with FelisServer() as server:
        yield server


@pytest.fixture
def make(server: FelisServer, private_state: object) -> Callable[..., QuantumResource]:
    """Handles to targets of the sandbox: ``make(name, **settings)``."""

    def resource(name: str = "EMU:6Q:ROTATIONS", **settings: str) -> QuantumResource:
        entry = server.resource(name)
        return QuantumResource.from_config(
            name, entry["type"], {**entry["environment"], **settings}
        )

    return resource


@pytest.fixture
def resource(make: Callable[..., QuantumResource]) -> QuantumResource:
    return make()


@pytest.fixture
def program() -> Payload:
    """A Bell pair, 20 shots."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    qir = write_qir(circuit, functions_of(target_document()))
    return Payload.AliceBobFelis(qir, json.dumps({"nbShots": 20, **PHOTONS}))
