"""Pasqal Cloud on loopback, handles on it, and small programs for it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pulser
import pytest
from pulser.devices import AnalogDevice
from pulser.register.special_layouts import TriangularLatticeLayout

from qrmi import QuantumResource
from qrmi.transport import transport_for
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer

FRESNEL = dataclasses.replace(AnalogDevice, name="FRESNEL")
_LAYOUT = TriangularLatticeLayout(61, 5.0)


@pytest.fixture(autouse=True)
def no_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private_state: Path) -> Path:
    """An empty home folder, nothing of Pasqal in the environment, a journal of its own."""
    for name in ("PASQAL_USERNAME", "PASQAL_PASSWORD", "PASQAL_CONFIG_ROOT"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture
def server() -> Iterator[PasqalCloudServer]:
    """A fresh account; connections to it do not outlive it."""
    with PasqalCloudServer() as running:
        yield running
    transport_for.cache_clear()


@pytest.fixture
def on(server: PasqalCloudServer) -> Callable[..., QuantumResource]:
    """Makes a new handle on a device type; settings that are ``None`` are left out."""

    def made(name: str = "EMU_FREE", **settings: str | None) -> QuantumResource:
        entry = server.resource(name)
        chosen = {**entry["environment"], **settings}
        given = {key: value for key, value in chosen.items() if value is not None}
        return QuantumResource.from_config(name, entry["type"], given)

    return made


@pytest.fixture
def resource(on: Callable[..., QuantumResource]) -> QuantumResource:
    """A handle on an emulator."""
    return on()


@pytest.fixture
def sweep() -> pulser.Sequence:
    """Two atoms that do not feel each other, driven for ``t`` ns; 300 are half a turn."""
    register = _LAYOUT.define_register(0, 60, qubit_ids=["left", "right"])
    made = pulser.Sequence(register, FRESNEL)
    made.declare_channel("global", "rydberg_global")
    duration = made.declare_variable("t", dtype=int)
    made.add(pulser.Pulse.ConstantPulse(duration, 3.14159265 / 0.3, 0, 0), "global")
    made.measure("ground-rydberg")
    return made


@pytest.fixture
def sweep_text(sweep: pulser.Sequence) -> str:
    """The same as text."""
    text: str = sweep.to_abstract_repr()
    return text


@pytest.fixture
def flip_text(sweep: pulser.Sequence) -> str:
    """Half a turn: nearly all shots are 11."""
    text: str = sweep.build(t=300).to_abstract_repr()
    return text


@pytest.fixture
def ahs_text() -> str:
    """CUDA-Q's program for three sites, of which the middle one is empty: half a turn of each."""

    def constant(value: float) -> dict[str, Any]:
        points = {"times": ["0.00000000", "0.00000100"], "values": [str(value)] * 2}
        return {"pattern": "uniform", "time_series": points}

    driving = {"amplitude": constant(3141592.65), "phase": constant(0), "detuning": constant(0)}
    sites = [["0.00000000", "0.00000000"], ["0.00002000", "0"], ["0.00004000", "0.00000000"]]
    return json.dumps(
        {
            "setup": {"ahs_register": {"sites": sites, "filling": [1, 0, 1]}},
            "hamiltonian": {"drivingFields": [driving], "localDetuning": []},
        }
    )


@pytest.fixture
def asked(server: PasqalCloudServer) -> Callable[[], list[str]]:
    """What the server was asked since the last call: ``"GET v1/batches/<id>/status"``."""
    seen = [0]

    def requests() -> list[str]:
        new = server.requests[seen[0] :]
        seen[0] += len(new)
        return [f"{r.method} {r.path.removeprefix('/core-fast/api/')}" for r in new]

    return requests
