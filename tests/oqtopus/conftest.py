"""The OQTOPUS sandbox and handles to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from qrmi import Payload, QuantumResource
from qrmi_sandbox.oqtopus import OqtopusServer

BELL = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
h q[0];
cx q[0], q[1];
c[0] = measure q[0];
c[1] = measure q[1];
"""


@pytest.fixture
def server() -> Iterator[OqtopusServer]:
    with OqtopusServer() as server:
        yield server


@pytest.fixture
def make(server: OqtopusServer, private_state: object) -> Callable[..., QuantumResource]:
    """Handles to devices of the sandbox: ``make(name, **settings)``."""

    def resource(name: str = "qulacs", **settings: str) -> QuantumResource:
        entry = server.resource(name)
        return QuantumResource.from_config(
            name, entry["type"], {**entry["environment"], **settings}
        )

    return resource


@pytest.fixture
def resource(make: Callable[..., QuantumResource]) -> QuantumResource:
    return make()


@pytest.fixture
def bell() -> str:
    return BELL


@pytest.fixture
def job(bell: str) -> Callable[..., Payload]:
    """Payloads: ``job(shots=10)``."""

    def payload(**fields: object) -> Payload:
        spec = {"job_type": "sampling", "program": bell, "shots": 20, **fields}
        return Payload.Oqtopus(json.dumps(spec))

    return payload


@pytest.fixture
def program(job: Callable[..., Payload]) -> Payload:
    return job()
