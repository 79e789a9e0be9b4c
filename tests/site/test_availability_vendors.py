"""Availability against services that answer over HTTP, through the real drivers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qrmi.config_file import ResourceDef
from qrmi.site.watching.availability import Availability
from qrmi.site.watching.drains import Drains
from qrmi.site.watching.looking import Looks
from qrmi.tasks import ResourceType
from qrmi.testing.clock import FakeClock
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.quantum_system import QuantumSystemServer


@pytest.fixture
def server() -> Iterator[QuantumSystemServer]:
    with QuantumSystemServer() as server:
        yield server


class Watch:
    """A poller over a server; each `round` is one look at everything."""

    def __init__(self, server: QuantumSystemServer, folder: Path, *, dynamic: bool = False) -> None:
        entry = server.resource()
        settings = {**entry["environment"], "QRMI_HTTP_BUDGET_SECONDS": "0.3"}
        name = "account" if dynamic else entry["name"]
        kind = ResourceType.from_name(entry["type"])
        self.resources = {name: ResourceDef(name, kind, dynamic, settings)}
        self.name = name
        self.clock = FakeClock()
        self.poller = Availability(
            self.resources,
            Looks(lambda: self.resources),
            Drains(folder),
            clock=self.clock,
            spawn=lambda look: look(),
        )

    def round(self, times: int = 1) -> str:
        """How it stands after some more looks."""
        for _ in range(times):
            self.poller.step()
            self.clock.sleep(10)
        return self.poller.standing(self.name).text


def _set(server: QuantumSystemServer, status: str, message: str = "", name: str = "") -> None:
    chosen: dict[str, Any] = server.devices
    for device in [name] if name else list(chosen):
        chosen[device].update(status=status, message=message)


def test_a_pause_and_its_end(server: QuantumSystemServer, tmp_path: Path) -> None:
    """The vendor's word and reason, at the next look; nothing of an online one's chatter."""
    watch = Watch(server, tmp_path)
    assert watch.round() == "online"
    _set(server, "paused", "calibration until 14:00")
    assert watch.round() == "paused: calibration until 14:00"
    _set(server, "online", "calibrated today")
    assert watch.round() == "online"


def test_a_hiccup_and_an_outage(server: QuantumSystemServer, tmp_path: Path) -> None:
    """One bad answer changes nothing; a service that is gone is offline after three looks."""
    watch = Watch(server, tmp_path)
    watch.round()
    server.faults.add(Fault(kind="not_json", match="GET /v1/backends", times=1))
    assert watch.round(2) == "online"
    server.stop()
    assert watch.round(2) == "online"
    assert watch.round().startswith("offline: ")


def test_a_wrong_entry_is_offline_at_once(server: QuantumSystemServer, tmp_path: Path) -> None:
    """The reason names the setting, and no secret."""
    watch = Watch(server, tmp_path)
    settings = dict(watch.resources[watch.name].environment)
    del settings["QRMI_IBM_QS_SERVICE_CRN"]
    watch.resources[watch.name] = ResourceDef(
        watch.name, ResourceType.IBM_QUANTUM_SYSTEM, False, settings
    )
    text = watch.round()
    assert text.startswith("offline: ")
    assert "QRMI_IBM_QS_SERVICE_CRN" in text
    assert settings["QRMI_IBM_QS_IAM_APIKEY"] not in text


def test_an_account_is_online_while_one_device_is(
    server: QuantumSystemServer, tmp_path: Path
) -> None:
    """And says which of its devices are what when none is."""
    watch = Watch(server, tmp_path, dynamic=True)
    _set(server, "paused", "maintenance")
    _set(server, "online", name="test_eagle")
    assert watch.round() == "online"
    _set(server, "paused", "maintenance")
    text = watch.round()
    assert text.startswith("paused: no device is online: ")
    assert "test_heron is paused (maintenance)" in text
