"""The devices and emulators of an account."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from qrmi import ResourceProvider
from qrmi.errors import InvalidInputError
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer


@pytest.fixture
def provider(server: PasqalCloudServer) -> ResourceProvider:
    """The account."""
    return ResourceProvider("pasqal-cloud", server.resource()["environment"])


def names(provider: ResourceProvider, filters: str | None = None) -> set[str]:
    """The names of what is found."""
    return {resource.resource_id() for resource in provider.resources(filters)}


def test_devices_and_emulators_are_told_apart(provider: ResourceProvider) -> None:
    """Devices unless simulators are asked for, and then these alone."""
    assert names(provider) == {"FRESNEL", "FRESNEL_CAN1"}
    assert names(provider, "is_simulator=true") == {"EMU_FREE", "EMU_MPS", "EMU_SV", "EMU_FRESNEL"}
    assert names(provider, "is_simulator=true&name=*_S?") == {"EMU_SV"}


def test_filters_look_at_the_description(provider: ResourceProvider) -> None:
    """Atoms and runs of a device, from its own description."""
    assert names(provider, "num_qubits=80&max_shots=2000") == {"FRESNEL", "FRESNEL_CAN1"}
    assert names(provider, "num_qubits=81") == set()
    assert names(provider, "max_shots=2001") == set()
    with pytest.raises(InvalidInputError, match="unknown filter key"):
        provider.resources("colour=blue")


@pytest.mark.parametrize("availability", ["PAUSED", "INACTIVE"])
def test_what_takes_no_tasks_is_not_chosen(
    server: PasqalCloudServer, provider: ResourceProvider, availability: str
) -> None:
    """`least_busy` gives an online device or none."""
    server.devices["FRESNEL"]["availability"] = availability
    assert names(provider, "status=online") == {"FRESNEL_CAN1"}
    chosen = provider.least_busy()
    assert chosen is not None
    assert chosen.resource_id() == "FRESNEL_CAN1"
    server.devices["FRESNEL_CAN1"]["availability"] = availability
    assert provider.least_busy() is None


def test_what_is_found_works(provider: ResourceProvider, flip_text: str) -> None:
    """A found handle has the account's settings."""
    from qrmi.payloads import PasqalCloud

    chosen = provider.least_busy("name=EMU_SV&is_simulator=true")
    assert chosen is not None
    assert chosen.task_wait(chosen.task_start(PasqalCloud(flip_text, 1)), 60).name == "COMPLETED"


def test_private_devices_are_found_with_credentials(
    server: PasqalCloudServer, provider: ResourceProvider, asked: Callable[[], list[str]]
) -> None:
    """The account's own list is asked for; without credentials the public one."""
    server.private = {"FRESNEL_CAN1"}
    assert names(provider) == {"FRESNEL", "FRESNEL_CAN1"}
    public = {
        key: value for key, value in server.resource()["environment"].items() if "CLIENT" not in key
    }
    asked()
    assert names(ResourceProvider("pasqal-cloud", public)) == {"FRESNEL"}
    assert all("oauth" not in request for request in asked())


def test_a_device_with_an_odd_name_hides_no_other(
    server: PasqalCloudServer, provider: ResourceProvider
) -> None:
    """What can be no device type cannot be asked for, and is passed over."""
    server.devices["Fresnel 2-B"] = {**server.devices["FRESNEL"]}
    assert names(provider) == {"FRESNEL", "FRESNEL_CAN1"}
