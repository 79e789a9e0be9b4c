"""The devices and emulators that an account can reach."""

from __future__ import annotations

import json
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.discovery import passes
from qrmi.driver import Driver
from qrmi.errors import ResourceNotFoundError
from qrmi.tasks import ResourceStatusCode
from qrmi_pasqal.cloud import answers, wire
from qrmi_pasqal.cloud.settings import PasqalCloudSettings, is_device_type

if TYPE_CHECKING:
    from qrmi_pasqal.cloud.driver import PasqalCloudDriver

__all__ = ["EMULATORS", "found"]

EMULATORS = ("EMU_FREE", "EMU_MPS", "EMU_SV", "EMU_FRESNEL")
"""The emulators that the service has (pasqal-cloud 0.24); no request lists them."""


def found(
    kind: type[PasqalCloudDriver], settings: PasqalCloudSettings, filters: Mapping[str, str]
) -> list[Driver]:
    """The device types that pass the filters, online ones first; the service tells of no queue.

    One request for the devices' descriptions, and one for each device type whose name and kind
    pass. Without credentials, only public devices are found.
    """
    settings = attrs.evolve(settings, device_type=None)
    account = kind("account", settings)
    specs = dict.fromkeys(EMULATORS, "{}")
    if filters.get("is_simulator", "false") != "true":
        service = account.service
        request = (
            wire.device_specs(service.api)
            if account.has_credentials()
            else wire.public_specs(service.api)
        )
        specs = answers.specs_by_type(service.data(request, object))
    rated = [
        (rank, driver)
        for name, text in specs.items()
        if is_device_type(name)
        and fnmatchcase(name, filters.get("name", "*"))
        and (rank := _rank(driver := kind(name, settings), text, filters)) is not None
    ]
    return [driver for _, driver in sorted(rated, key=lambda pair: pair[0])]


def _rank(driver: PasqalCloudDriver, specs: str, filters: Mapping[str, str]) -> int | None:
    """0 for a device that is online, 1 for another one, ``None`` for one that does not pass."""
    try:
        status = driver.status()
    except ResourceNotFoundError:
        return None
    is_online = status.status is ResourceStatusCode.ONLINE
    limits = _limits(specs)
    passed = passes(
        filters,
        name=driver.resource_id,
        num_qubits=limits.get("max_atom_num"),
        max_shots=limits.get("max_runs"),
        is_simulator=driver.resource_id in EMULATORS,
        is_online=is_online,
    )
    return int(not is_online) if passed else None


def _limits(specs: str) -> dict[str, Any]:
    """What a description says; nothing when this Pulser's form is not that one's."""
    try:
        told = json.loads(specs)
    except (RecursionError, ValueError):
        return {}
    names = ("max_atom_num", "max_runs")
    told = told if isinstance(told, dict) else {}
    return {name: told[name] for name in names if isinstance(told.get(name), int)}
