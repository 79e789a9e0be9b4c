"""The quantum computers of an account."""

from __future__ import annotations

import pytest

from qrmi import ResourceProvider
from qrmi.errors import InvalidInputError
from qrmi_sandbox.faults import Fault


@pytest.fixture
def provider(settings) -> ResourceProvider:
    return ResourceProvider("iqm-server", settings)


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (None, ["sirius", "garnet", "emerald"]),
        ("status=online", ["sirius", "garnet"]),
        ("num_qubits=20", ["garnet", "emerald"]),
        ("name=g*", ["garnet"]),
        ("is_simulator=true", ["garnet:mock", "aer"]),
        ("max_shots=100001", []),
        ("num_qubits=21&status=online", []),
    ],
)
def test_filters(provider, filters, names) -> None:
    """Online ones first, shortest queue first; mocks and simulators only when asked for."""
    assert [found.resource_id() for found in provider.resources(filters)] == names


def test_the_least_busy_is_online(provider) -> None:
    """The device in maintenance has the shortest queue and is not chosen."""
    assert provider.least_busy().resource_id() == "sirius"
    assert provider.least_busy("num_qubits=50") is None


def test_only_devices_whose_name_passes_are_asked(server, provider) -> None:
    provider.resources("name=garnet")
    assert [r.path.rpartition("/")[2] for r in server.requests] == ["quantum-computers", "garnet"]


def test_unknown_filters_are_refused(provider) -> None:
    with pytest.raises(InvalidInputError):
        provider.resources("qubits=5")


def test_a_device_is_asked_by_its_own_alias(settings) -> None:
    """An alias in the account's settings is no device's."""
    provider = ResourceProvider("iqm-server", {**settings, "QRMI_IQM_QC_ALIAS": "garnet"})
    (found,) = provider.resources("name=sirius")
    assert found.metadata()["backend_name"] == "sirius"


def test_what_is_found_runs(provider, program) -> None:
    (mock,) = provider.resources("is_simulator=true&name=garnet:*")
    task = mock.task_start(program)
    assert mock.task_wait(task).name == "COMPLETED"


@pytest.mark.parametrize("status", [403, 404])
def test_a_device_that_is_listed_and_closed_is_passed_over(server, provider, status) -> None:
    """The others are found all the same."""
    match = "GET /api/v1/quantum-computers/sirius"
    server.faults.add(Fault(kind="status", status=status, match=match))
    assert [found.resource_id() for found in provider.resources()] == ["garnet", "emerald"]
