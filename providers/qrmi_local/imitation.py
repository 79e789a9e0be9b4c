"""Handles on a simulator that imitates a device, made from the SDK's own objects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qrmi import config
from qrmi.errors import InvalidInputError
from qrmi.resource import QuantumResource
from qrmi_local.device import read_device
from qrmi_local.service.store import Store

if TYPE_CHECKING:
    from pulser.devices import Device
    from qiskit import transpiler

__all__ = ["resource"]


def resource(
    *,
    target: transpiler.Target | None = None,
    configuration: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    device: Device | str | None = None,
    seed: int | None = None,
    noise: bool = True,
    name: str = "local",
) -> QuantumResource:
    """A handle on the embedded simulator, which imitates at most one device.

    The device's description is kept below ``$QRMI_STATE_DIR/local/devices``, so the handle can be
    pickled and its tasks outlive this process.

    Args:
        target: a Qiskit `Target` with its errors and durations.
        configuration: an IBM backend's configuration, JSON values.
        properties: its properties; needs ``configuration``.
        device: a Pulser device, or its abstract representation.
        seed: makes results repeatable.
        noise: whether the device's noise is applied.
        name: what to call the resource.

    Raises:
        InvalidInputError: more than one device is given.
        ConfigError: a description is malformed.
    """
    text = _description(target, configuration, properties, device, name)
    settings = {"QRMI_LOCAL_NOISE": str(noise).lower()}
    if seed is not None:
        settings["QRMI_LOCAL_SEED"] = str(seed)
    if text is not None:
        described = read_device(text)
        store = Store(config.state_dir() / "local")
        store.put_device(described.digest, described.text)
        settings["QRMI_LOCAL_DEVICE"] = str(store.device_path(described.digest))
    return QuantumResource.from_config(name, "local", settings)


def _description(
    target: transpiler.Target | None,
    configuration: Mapping[str, Any] | None,
    properties: Mapping[str, Any] | None,
    device: Device | str | None,
    name: str,
) -> str | None:
    if sum(value is not None for value in (target, configuration, device)) > 1:
        raise InvalidInputError(
            "a resource imitates one device", hint="give one of target, configuration, device"
        )
    if properties is not None and configuration is None:
        raise InvalidInputError("properties need the configuration that they belong to")
    if target is not None:
        from qrmi.codecs.target import write_target

        return json.dumps(write_target(target, name))
    if configuration is not None:
        return json.dumps({"configuration": configuration, "properties": properties})
    return device if device is None or isinstance(device, str) else device.to_abstract_repr()
