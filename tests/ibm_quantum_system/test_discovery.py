"""Which systems an instance has, and which of them is chosen."""

from __future__ import annotations

import pytest

from qrmi import QuantumResource, ResourceProvider
from qrmi.errors import AuthenticationFailedError, InvalidInputError, UnexpectedAnswerError
from qrmi.tasks import ResourceStatusCode, ResourceType
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.quantum_system import QuantumSystemServer


@pytest.fixture
def provider(server: QuantumSystemServer) -> ResourceProvider:
    """The instance."""
    return ResourceProvider(ResourceType.IBMQuantumSystem, server.resource()["environment"])


def _names(resources: list[QuantumResource]) -> list[str]:
    return [resource.resource_id() for resource in resources]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (None, ["test_heron", "test_eagle", "test_paused"]),
        ("name=test_h*", ["test_heron"]),
        ("name=TEST*", []),
        ("num_qubits=6", ["test_eagle", "test_paused"]),
        ("num_qubits=6&status=online", ["test_eagle"]),
        ("max_shots=100001", []),
        ("max_shots=100000 & name = *e*on", ["test_heron"]),
        ("is_simulator=true", ["test_simulator"]),
        ("is_simulator=true&num_qubits=9", []),
    ],
)
def test_filters(provider: ResourceProvider, filters: str | None, names: list[str]) -> None:
    """Simulators only when asked for; those online come first."""
    assert _names(provider.resources(filters)) == names


@pytest.mark.parametrize(
    "filters", ["num_qubits=many", "num_qubits=-1", "is_simulator=True", "status=paused", "x=1"]
)
def test_filters_that_make_no_sense(provider: ResourceProvider, filters: str) -> None:
    """They are refused."""
    with pytest.raises(InvalidInputError):
        provider.resources(filters)


def test_a_paused_system_is_never_chosen(
    server: QuantumSystemServer, provider: ResourceProvider
) -> None:
    """The least busy one is online, or there is none; what is listed works."""
    chosen = provider.least_busy()
    assert chosen is not None
    assert chosen.resource_id() == "test_heron"
    assert chosen.status().status is ResourceStatusCode.ONLINE
    server.devices["test_heron"]["status"] = "offline"
    other = provider.least_busy()
    assert other is not None
    assert other.resource_id() == "test_eagle"
    server.devices["test_eagle"]["status"] = "paused"
    assert provider.least_busy() is None


def test_status_of_each_kind(server: QuantumSystemServer, provider: ResourceProvider) -> None:
    """Reason, reservation and lanes are told; what is not reported is None."""
    heron, eagle, paused = (resource.status() for resource in provider.resources())
    assert (heron.busy, heron.status_reason, heron.healthy) == (None, None, None)
    assert (eagle.busy, eagle.status_reason) == (False, "calibrated today")
    assert paused.status is ResourceStatusCode.PAUSED
    assert paused.status_reason == "maintenance"
    assert heron.pending_job_count is None
    assert heron.capacity is not None
    assert heron.capacity.max_slots == server.lanes


def test_only_systems_that_may_pass_are_looked_at(
    server: QuantumSystemServer, provider: ResourceProvider
) -> None:
    """One request for the list and one for each system whose name and status pass."""
    provider.resources("name=test_e*&status=online")
    paths = [request.path for request in server.requests if request.path.startswith("/v1")]
    assert paths == ["/v1/backends", "/v1/backends/test_eagle/configuration"]


def test_a_system_without_a_configuration_is_left_out(
    server: QuantumSystemServer, provider: ResourceProvider
) -> None:
    """One odd system does not hide the others; a service that refuses does not either."""
    odd = Fault(
        kind="status", status=404, match="GET /v1/backends/test_heron/configuration", times=None
    )
    server.faults.add(odd)
    assert _names(provider.resources()) == ["test_eagle", "test_paused"]
    server.faults.add(Fault(kind="drop_fields", match="GET /v1/backends"))
    with pytest.raises(UnexpectedAnswerError):
        provider.resources()
    refused = {**server.resource()["environment"], "QRMI_IBM_QS_IAM_APIKEY": "wrong"}
    with pytest.raises(AuthenticationFailedError):
        ResourceProvider("ibm-quantum-system", refused).resources()
