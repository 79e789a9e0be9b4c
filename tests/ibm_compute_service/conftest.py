"""One sandbox server and one device of it for each test."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qrmi import Payload, QuantumResource
from qrmi.errors import ResourceUnavailableError
from qrmi_sandbox.compute_service import ComputeServiceServer

QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
x q[0];
c[0] = measure q[0];
c[1] = measure q[1];
"""


@pytest.fixture(autouse=True)
def _own_state(private_state: Path) -> None:
    """Each test has a journal of its own."""


@pytest.fixture
def server() -> Iterator[ComputeServiceServer]:
    """A compute service that runs nothing yet."""
    with ComputeServiceServer() as running:
        yield running


@pytest.fixture
def opened(server: ComputeServiceServer) -> Iterator[Callable[..., QuantumResource]]:
    """Opens a device of the server; keywords are settings without their family's prefix."""
    handles = []

    def open_device(name: str = "test_heron", **settings: str) -> QuantumResource:
        entry = server.resource(name)
        own = {
            key if key.startswith("QRMI_") else f"QRMI_IBM_QCS_{key}": value
            for key, value in settings.items()
        }
        config = {**entry["environment"], **own}
        handles.append(QuantumResource.from_config(name, entry["type"], config))
        return handles[-1]

    yield open_device
    for handle in handles:
        handle.close()


@pytest.fixture
def resource(opened: Callable[..., QuantumResource]) -> QuantumResource:
    """The device ``test_heron``."""
    return opened()


@pytest.fixture
def program() -> Payload:
    """A sampler's program of ten shots: qubit 0 is set, qubit 1 is not."""
    params = {"pubs": [[QASM, None, 10]], "options": {}, "version": 2, "support_qiskit": True}
    return Payload.QiskitPrimitive(json.dumps(params), "sampler")


@pytest.fixture
def hasty(opened: Callable[..., QuantumResource]) -> QuantumResource:
    """A handle that gives up soon; its token is there already."""
    resource = opened(
        QRMI_HTTP_READ_TIMEOUT_SECONDS="0.3",
        QRMI_HTTP_BUDGET_SECONDS="0.2",
        QRMI_START_SETTLE_SECONDS="0.3",
    )
    for _ in range(20):  # on a loaded machine no answer comes as soon as that
        with contextlib.suppress(ResourceUnavailableError):
            resource.is_accessible()
            return resource
    pytest.fail("no token in twenty attempts")
