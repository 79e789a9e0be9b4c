"""The device that a local resource imitates, as its setting gives it."""

from __future__ import annotations

import enum
import hashlib
import json
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import attrs

from qrmi.errors import ConfigError

__all__ = ["Device", "DeviceKind", "read_device"]

_KEY = "QRMI_LOCAL_DEVICE"
_PULSER_KEYS = frozenset({"channels", "rydberg_level", "dimensions"})


class DeviceKind(enum.StrEnum):
    """What kind of programs an imitated device takes."""

    GATE = "gate"
    ANALOG = "analog"


@attrs.frozen(slots=False)
class Device:
    """A device to imitate.

    Attributes:
        kind: gate or analog.
        text: for gates the JSON object ``{"configuration", "properties"}`` in IBM's form
            (``properties`` may be null); for pulses Pulser's abstract representation.
    """

    kind: DeviceKind
    text: str = attrs.field(repr=lambda value: f"<{len(value)} characters>")

    @cached_property
    def digest(self) -> str:
        """Names the text: its SHA-256."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @cached_property
    def name(self) -> str:
        """What the device calls itself."""
        data = json.loads(self.text)
        if self.kind is DeviceKind.GATE:
            return str(data["configuration"].get("backend_name", "imitated"))
        return str(data["name"])


def read_device(setting: str) -> Device:
    """Read the setting: JSON text, or the path of a file that has it.

    The text is one of: an IBM backend's configuration; an object with ``configuration`` and
    ``properties``, as our own target is; a Pulser device.

    Raises:
        ConfigError: the file cannot be read, or the text is none of these.
    """
    if setting.lstrip().startswith("{"):
        return _classified(setting, _KEY)
    try:
        path = Path(setting).expanduser()
        return _classified(path.read_text(encoding="utf-8"), f"{_KEY}: {path}")
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{_KEY}: cannot read {setting[:200]}: {reason}") from error
    except (ValueError, RuntimeError) as error:  # not UTF-8, no name of a file, no such user's home
        raise ConfigError(f"{_KEY}: {setting[:200]!r} names no text file") from error


@lru_cache(maxsize=16)
def _classified(text: str, origin: str) -> Device:
    data = _parsed(text, origin)
    if data.keys() >= _PULSER_KEYS:
        if not isinstance(data.get("name"), str) or not isinstance(data["channels"], list):
            raise ConfigError(f"{origin}: a Pulser device has a name and a list of channels")
        return Device(DeviceKind.ANALOG, text)
    if "basis_gates" in data:
        data = {"configuration": data, "properties": None}
    if "configuration" not in data:
        raise ConfigError(
            f"{origin}: neither an IBM configuration nor a Pulser device",
            hint='give {"configuration": …, "properties": …} or a Pulser device '
            "(`device.to_abstract_repr()`)",
        )
    return _gate_device(data, origin)


def _gate_device(data: dict[str, Any], origin: str) -> Device:
    configuration, properties = data["configuration"], data.get("properties")
    if not isinstance(configuration, dict) or not isinstance(properties, dict | None):
        raise ConfigError(f"{origin}: configuration and properties must be JSON objects")
    qubits, gates = configuration.get("n_qubits"), configuration.get("basis_gates")
    if type(qubits) is not int or qubits < 1:
        raise ConfigError(f"{origin}: configuration.n_qubits must be a whole number, 1 or more")
    if not isinstance(gates, list) or not all(isinstance(gate, str) for gate in gates):
        raise ConfigError(f"{origin}: configuration.basis_gates must be a list of names")
    shots = configuration.get("max_shots")
    if shots is not None and (type(shots) is not int or shots < 1):
        raise ConfigError(f"{origin}: configuration.max_shots must be a whole number, 1 or more")
    kept = {"configuration": configuration, "properties": properties}
    return Device(DeviceKind.GATE, json.dumps(kept))


def _parsed(text: str, origin: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{origin}, line {error.lineno}, column {error.colno}: not JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{origin}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{origin}: expected a JSON object")
    return data
