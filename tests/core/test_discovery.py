"""Accounts: entries that stand for many devices, filters, and the least busy device."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import attrs
import pytest

import qrmi
from qrmi import plugins, registry
from qrmi.discovery import ResourceProvider, parse_filters, passes
from qrmi.driver import Driver
from qrmi.errors import (
    InvalidInputError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.settings import Settings, setting
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.testing import ScriptedDriver

DEVICES = {"paused": 0, "quiet": 1, "busy": 9}


@attrs.frozen(kw_only=True)
class AccountSettings(Settings):
    account: str = setting("ACCOUNT", help="Whose devices.")


class AccountDriver(ScriptedDriver):
    """Three devices, the first of which is paused, and a simulator."""

    SETTINGS = AccountSettings

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id)
        self.settings = settings

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        names = [*DEVICES, "sim"]
        return [cls(n, settings) for n in names if passes(filters, name=n, is_simulator=n == "sim")]

    def status(self) -> ResourceStatus:
        paused = self.resource_id == "paused"
        code = ResourceStatusCode.PAUSED if paused else ResourceStatusCode.ONLINE
        return ResourceStatus(code, pending_job_count=DEVICES.get(self.resource_id))


@pytest.fixture(autouse=True)
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration with an account of that type."""
    found = plugins.driver_class
    monkeypatch.setattr(
        plugins, "driver_class", lambda name: AccountDriver if name == "many" else found(name)
    )
    path = tmp_path / "qrmi_config.json"
    entry = {"name": "ours", "type": "many", "is_dynamic": True, "environment": {"ACCOUNT": "a"}}
    path.write_text(json.dumps({"resources": [entry]}))
    monkeypatch.setenv("QRMI_CONFIG", str(path))


def test_an_account_is_expanded_to_its_devices() -> None:
    names = [r.name for r in registry.expanded(registry.resources())]
    assert names == ["paused", "quiet", "busy", "sim", "local"]


def test_a_device_of_an_account_is_opened_by_its_name() -> None:
    resource = qrmi.open("busy")
    assert (resource.resource_id(), resource.type_name) == ("busy", "many")
    assert qrmi.open("sim").resource_id() == "sim"
    with pytest.raises(ResourceNotFoundError, match="nothing"):
        qrmi.open("nothing")


def test_an_account_opens_as_its_online_device_with_the_shortest_queue() -> None:
    """A paused device is never chosen, though it has the shortest queue."""
    assert qrmi.open("ours").resource_id() == "quiet"
    provider = ResourceProvider("many", {"ACCOUNT": "a"})
    chosen = provider.least_busy()
    assert chosen is not None
    assert chosen.resource_id() == "quiet"


def test_an_account_without_an_online_device_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    offline = ResourceStatus(ResourceStatusCode.OFFLINE)
    monkeypatch.setattr(AccountDriver, "status", lambda self: offline)
    with pytest.raises(ResourceUnavailableError, match="ours"):
        qrmi.open("ours")


@pytest.mark.parametrize(
    ("filters", "error"),
    [("num_qubits>=100", "num_qubits>"), ("name", "expected 'key=value'"), ("color=red", "color")],
)
def test_filters_that_make_no_sense_are_refused(filters: str, error: str) -> None:
    with pytest.raises(InvalidInputError, match=error):
        parse_filters(filters)


@pytest.mark.parametrize(
    "filters", [{"num_qubits": "-1"}, {"is_simulator": "True"}, {"status": "paused"}]
)
def test_values_that_make_no_sense_are_refused(filters: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        passes(filters, name="x", num_qubits=5)


def test_what_filters_mean() -> None:
    """Simulators pass only when asked for; what is not known fails a limit."""
    assert passes({}, name="x")
    assert not passes({}, name="x", is_simulator=True)
    assert passes({"is_simulator": "true"}, name="x", is_simulator=True)
    assert not passes({"is_simulator": "true"}, name="x")
    assert passes({"name": "ibm_*", "num_qubits": "100"}, name="ibm_x", num_qubits=100)
    assert not passes({"num_qubits": "100"}, name="x", num_qubits=99)
    assert not passes({"max_shots": "1"}, name="x")
    assert not passes({"status": "online"}, name="x", is_online=False)


def test_an_account_that_cannot_be_asked_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The device is found behind the next account; if there is none, the failure is told."""

    class DeafDriver(AccountDriver):
        @classmethod
        def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
            raise ResourceUnavailableError("deaf")

    kinds = {"deaf": DeafDriver, "many": AccountDriver}
    monkeypatch.setattr(plugins, "driver_class", kinds.__getitem__)
    path = tmp_path / "two.json"
    common = {"is_dynamic": True, "environment": {"ACCOUNT": "a"}}
    entries = [{"name": f"my {kind}", "type": kind, **common} for kind in kinds]
    path.write_text(json.dumps({"resources": entries}))
    monkeypatch.setenv("QRMI_CONFIG", str(path))
    assert qrmi.open("quiet").resource_id() == "quiet"
    with pytest.raises(ResourceUnavailableError, match="deaf"):
        qrmi.open("nowhere")


def test_a_device_whose_status_cannot_be_had_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The next one is chosen; where none is online, the failure is told."""
    ill = {"quiet"}
    usual = AccountDriver.status

    def status(self: AccountDriver) -> ResourceStatus:
        if self.resource_id in ill:
            raise UnexpectedAnswerError("no status")
        return usual(self)

    monkeypatch.setattr(AccountDriver, "status", status)
    provider = ResourceProvider("many", {"ACCOUNT": "a"})
    chosen = provider.least_busy()
    assert chosen is not None
    assert chosen.resource_id() == "busy"
    ill.add("busy")
    with pytest.raises(UnexpectedAnswerError, match="no status"):
        provider.least_busy()


@pytest.mark.parametrize("number", ["x", [], {}, "99", 1.5, None])
def test_a_number_that_is_none_fails_a_limit(number: object) -> None:
    """Services may write anything where a number belongs."""
    assert not passes({"num_qubits": "1"}, name="q", num_qubits=number)  # type: ignore[arg-type]


def test_an_endless_number_in_a_filter_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="max_shots"):
        passes({"max_shots": "9" * 5000}, name="q", max_shots=1)
