"""Which devices of the service instance there are."""

from __future__ import annotations

import pytest

from qrmi import ResourceProvider
from qrmi.errors import InvalidInputError, UnexpectedAnswerError
from qrmi_sandbox.faults import Fault


@pytest.fixture
def provider(server):
    entry = server.resource()
    return ResourceProvider(entry["type"], entry["environment"])


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (None, ["test_eagle", "test_heron", "test_paused"]),
        ("status=online", ["test_eagle", "test_heron"]),
        ("num_qubits=6", ["test_eagle"]),
        ("num_qubits=6&status=online&name=test_h*", []),
        ("name=test_[hp]*", ["test_heron", "test_paused"]),
        ("name=TEST_HERON", []),
        ("is_simulator=true", ["test_simulator"]),
        ("is_simulator=true&num_qubits=9", []),
        ("max_shots=100000&status=online", ["test_eagle", "test_heron"]),
        ("max_shots=100001", []),
    ],
)
def test_filters(provider, filters, names):
    """Each filter alone and with others; those online first, then by the queue."""
    assert [found.resource_id() for found in provider.resources(filters)] == names


@pytest.mark.parametrize(
    "filters", ["num_qubits=many", "max_shots=-1", "qubits=5", "status=offline", "is_simulator=yes"]
)
def test_malformed_filters(provider, filters):
    """A filter that means nothing is refused."""
    with pytest.raises(InvalidInputError):
        provider.resources(filters)


def test_paused_device_is_never_the_least_busy(server, provider):
    """The paused device has the shortest queue and is not chosen, even when it is all there is."""
    assert provider.least_busy().resource_id() == "test_eagle"
    for device in server.devices.values():
        device["listed"]["status"]["name"] = "paused"
    assert provider.least_busy() is None


def test_found_devices_work(server, provider, program):
    """A device that was found is a resource like any other; the token is asked for once."""
    found = provider.resources("status=online")
    assert [device.is_accessible() for device in found] == [True, True]
    assert found[0].task_start(program)
    assert sum(server.tokens_given.values()) == 1


def test_one_request_does(server, provider):
    """The list says what most filters need; no device is asked one by one."""
    provider.resources("status=online&num_qubits=3")
    assert [r.path for r in server.requests if r.path.startswith("/api")] == ["/api/v1/backends"]


def test_list_that_does_not_tell_the_qubits(server, provider):
    """Then the configuration does."""
    for device in server.devices.values():
        del device["listed"]["qubits"]
    names = [found.resource_id() for found in provider.resources("num_qubits=6")]
    assert names == ["test_eagle"]


def test_device_with_a_bad_configuration_does_not_pass(server, provider):
    """One broken device does not hide the others."""
    server.faults.add(
        Fault(kind="drop_fields", match="GET /api/v1/backends/test_eagle/configuration", times=None)
    )
    names = [found.resource_id() for found in provider.resources("max_shots=1&status=online")]
    assert names == ["test_heron"]


def test_unknown_status_of_a_device(server, opened, provider):
    """A new word is an error that names it for that device; the others are listed."""
    server.devices["test_heron"]["listed"]["status"]["name"] = "levitating"
    with pytest.raises(UnexpectedAnswerError, match="levitating"):
        opened().status()
    assert provider.least_busy().resource_id() == "test_eagle"
    assert len(provider.resources()) == 3


def test_list_of_names_alone_is_malformed(server, opened):
    """What a server of the API's first version answers is an error, not an empty list."""
    server.devices["test_heron"]["listed"] = "test_heron"
    with pytest.raises(UnexpectedAnswerError):
        opened("test_eagle").status()
