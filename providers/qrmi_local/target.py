"""What a local resource can run, as the text of its target.

``{"configuration": {…} | null, "properties": {…} | null, "devices": [{"device_type", "specs"}]}``:
the first two in the form of the IBM services, the third in that of Pasqal's. An imitated device
stands alone; without one, each kind of program whose simulator is installed has its part.
"""

from __future__ import annotations

import importlib.util
import json
from functools import lru_cache
from importlib import resources
from typing import Any

from qrmi_local.device import Device, DeviceKind

__all__ = ["is_installed", "target_text"]

SIMULATORS = {DeviceKind.GATE: "qiskit_aer", DeviceKind.ANALOG: "pulser_simulation"}
"""The module that runs each kind of program."""

_QUBITS = 256  # what stabilizer and tensor-network methods reach; Aer refuses what it cannot hold
_MAX_SHOTS = 10_000_000
_TICK_NANOSECONDS = 1.0  # gates take no time here, but delays are told in ticks
# Qiskit's standard gates that Aer 0.17 and 0.18 run without decomposing them.
_BASIS_GATES = (
    *("ccx", "ccz", "cp", "crx", "cry", "crz", "cswap", "csx", "cu", "cu1", "cu3", "cx", "cy"),
    *("cz", "ecr", "h", "id", "p", "r", "rx", "rxx", "ry", "ryy", "rz", "rzx", "rzz", "s", "sdg"),
    *("swap", "sx", "sxdg", "t", "tdg", "u", "u1", "u2", "u3", "x", "y", "z"),
)
_INSTRUCTIONS = (
    *("barrier", "break_loop", "continue_loop", "delay", "for_loop", "if_else", "initialize"),
    *("measure", "reset", "store", "switch_case", "while_loop"),
)


_found: set[str] = set()


def target_text(device: Device | None, name: str) -> str:
    """The target of a resource that imitates ``device``, or of the ideal simulators.

    Args:
        device: the imitated device.
        name: what the resource is called.
    """
    return _target_text(
        device, name, is_installed(DeviceKind.GATE), is_installed(DeviceKind.ANALOG)
    )


@lru_cache(maxsize=16)
def _target_text(device: Device | None, name: str, has_gates: bool, has_pulses: bool) -> str:
    if device is None:
        gates = _ideal_configuration(name) if has_gates else None
        return _written(gates, None, _shipped_devices() if has_pulses else [])
    if device.kind is DeviceKind.ANALOG:
        return _written(None, None, [{"device_type": device.name, "specs": device.text}])
    data = json.loads(device.text)
    return _written(data["configuration"], data["properties"], [])


def is_installed(kind: DeviceKind) -> bool:
    """Whether the simulator for a kind of program is there; it is not imported."""
    module = SIMULATORS[kind]
    if module not in _found:
        importlib.invalidate_caches()  # it may have been installed a moment ago
        if importlib.util.find_spec(module) is None:
            return False
        _found.add(module)
    return True


def _written(
    configuration: dict[str, Any] | None,
    properties: dict[str, Any] | None,
    devices: list[dict[str, str]],
) -> str:
    return json.dumps(
        {"configuration": configuration, "properties": properties, "devices": devices}
    )


def _ideal_configuration(name: str) -> dict[str, Any]:
    return {
        "backend_name": name,
        "backend_version": "1",
        "n_qubits": _QUBITS,
        "basis_gates": list(_BASIS_GATES),
        "gates": [],
        "coupling_map": None,
        "supported_instructions": sorted({*_BASIS_GATES, *_INSTRUCTIONS}),
        "max_shots": _MAX_SHOTS,
        "dt": _TICK_NANOSECONDS,
        "simulator": True,
        "local": True,
        "conditional": True,
        "memory": True,
        "open_pulse": False,
    }


def _shipped_devices() -> list[dict[str, str]]:
    folder = resources.files("qrmi_local") / "devices"
    files = sorted(folder.iterdir(), key=lambda file: file.name)
    return [
        {"device_type": file.name.removesuffix(".json"), "specs": file.read_text("utf-8").strip()}
        for file in files
        if file.name.endswith(".json")
    ]
