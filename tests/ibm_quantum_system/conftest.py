"""A quantum system on loopback, and handles on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qrmi import Payload, QuantumResource
from qrmi_sandbox.quantum_system import QuantumSystemServer

_BELL = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
rz(pi/2) $0;
sx $0;
rz(pi/2) $0;
rz(pi/2) $1;
sx $1;
rz(pi/2) $1;
cz $0, $1;
rz(pi/2) $1;
sx $1;
rz(pi/2) $1;
c[0] = measure $0;
c[1] = measure $1;
"""
_BROKEN = 'OPENQASM 3.0;\ninclude "stdgates.inc";\nccx $0, $1, $2;\n'

OpenResource = Callable[..., QuantumResource]
"""Makes a handle; keywords are settings to change, ``None`` takes one away."""


def sampler(circuit: str, shots: int = 100, *, support_qiskit: bool = True) -> Payload:
    """A sampler's payload for one circuit."""
    body = {
        "pubs": [[circuit, None, shots]],
        "version": 2,
        "options": {},
        "support_qiskit": support_qiskit,
    }
    return Payload.QiskitPrimitive(json.dumps(body), "sampler")


@pytest.fixture
def server() -> Iterator[QuantumSystemServer]:
    """The service, its identity service and its storage."""
    with QuantumSystemServer() as server:
        yield server


@pytest.fixture
def open_resource(server: QuantumSystemServer) -> OpenResource:
    """Makes handles on the server's system ``test_heron``, or on another by ``name``."""

    def make(name: str = "test_heron", **changes: str | None) -> QuantumResource:
        entry = server.resource(name)
        settings: dict[str, Any] = {**entry["environment"], **changes}
        given = {key: value for key, value in settings.items() if value is not None}
        return QuantumResource.from_config(name, entry["type"], given)

    return make


@pytest.fixture
def resource(open_resource: OpenResource) -> QuantumResource:
    """A handle on ``test_heron``."""
    return open_resource()


@pytest.fixture
def bell() -> Payload:
    """A Bell pair, 100 shots."""
    return sampler(_BELL)


@pytest.fixture
def plain_bell() -> Payload:
    """A Bell pair whose result is asked for in the plain schema."""
    return sampler(_BELL, support_qiskit=False)


@pytest.fixture
def broken() -> Payload:
    """A program that is taken and then fails: the system has no such gate."""
    return sampler(_BROKEN)
