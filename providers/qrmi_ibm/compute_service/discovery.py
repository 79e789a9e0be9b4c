"""The devices of an account, from the service's list; pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.discovery import passes
from qrmi.errors import ResourceNotFoundError, UnexpectedAnswerError
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.transport import Request, Response, answer_field, join, reading
from qrmi_ibm.compute_service.wire import Site

__all__ = [
    "Device",
    "candidates",
    "get_backend_status",
    "get_configuration",
    "get_properties",
    "is_active",
    "is_large_enough",
    "is_undecided",
    "list_backends",
    "named",
    "read_devices",
    "resource_status",
    "target_text",
]

_NO_PROPERTIES = frozenset({404})
_ACTIVE = frozenset({"active", "online"})
_CODES = {
    "online": ResourceStatusCode.ONLINE,
    "paused": ResourceStatusCode.PAUSED,
    "offline": ResourceStatusCode.OFFLINE,
}


def list_backends(site: Site) -> Request:
    """All devices of the account with status and queue (GET /backends, version 2025-01-01)."""
    return Request("GET", join(site.endpoint, "backends"), headers=site.versioned_headers)


def get_backend_status(site: Site) -> Request:
    """Whether the device takes jobs (GET /backends/{name}/status)."""
    return _about(site, site.backend, "status")


def get_configuration(site: Site, backend: str | None = None) -> Request:
    """A device's configuration (GET /backends/{name}/configuration)."""
    return _about(site, backend or site.backend, "configuration")


def get_properties(site: Site) -> Request:
    """The device's calibration (GET /backends/{name}/properties); a 404 is an answer."""
    return _about(site, site.backend, "properties", accept=_NO_PROPERTIES)


def _about(site: Site, backend: str, what: str, *, accept: frozenset[int] = frozenset()) -> Request:
    url = join(site.endpoint, "backends", backend, what)
    return Request("GET", url, headers=site.headers, accept=accept)


@attrs.frozen(kw_only=True)
class Device:
    """One entry of the list.

    Attributes:
        name: the device.
        status: its status in the service's word.
        reason: why, or ``None``.
        queue_length: how many jobs wait, or ``None``.
        num_qubits: or ``None`` when the list does not say.
        is_simulator: whether it is one.
    """

    name: str
    status: str
    reason: str | None = None
    queue_length: int | None = None
    num_qubits: int | None = None
    is_simulator: bool = False

    @property
    def is_online(self) -> bool:
        """Whether it takes jobs."""
        return self.status.lower() == "online"


def read_devices(answer: Any) -> list[Device]:
    """Read an answer to `list_backends`."""
    with reading("GET /backends"):
        return [_device(entry) for entry in answer["devices"]]


def _device(entry: Any) -> Device:
    return Device(
        name=answer_field(entry, "name", str),
        status=answer_field(entry["status"], "name", str),
        reason=str(entry["status"].get("reason") or "") or None,
        queue_length=_whole(entry.get("queue_length")),
        num_qubits=_whole(entry.get("qubits")),
        is_simulator=bool(entry.get("is_simulator")),
    )


def _whole(value: Any) -> int | None:
    if value is not None and not isinstance(value, int):
        raise TypeError("not a whole number")
    return value


def named(devices: list[Device], name: str) -> Device:
    """The device of that name.

    Raises:
        ResourceNotFoundError: the account has none.
    """
    for device in devices:
        if device.name == name:
            return device
    raise ResourceNotFoundError(f"backend `{name}` not found in device list")


def resource_status(device: Device, *, busy: bool | None) -> ResourceStatus:
    """What is known of a device.

    Raises:
        UnexpectedAnswerError: its status is a word that is not known.
    """
    code = _CODES.get(device.status.lower())
    if code is None:
        raise UnexpectedAnswerError(
            f"the service reports the unknown status {device.status[:60]!r} of {device.name}"
        )
    return ResourceStatus(
        code,
        status_reason=device.reason,
        busy=busy,
        pending_job_count=device.queue_length,
    )


def is_active(answer: Any) -> bool:
    """Read an answer to `get_backend_status`."""
    with reading("GET /backends/{name}/status"):
        return answer["status"].lower() in _ACTIVE


def candidates(devices: list[Device], filters: Mapping[str, str]) -> list[Device]:
    """The devices that pass the filters as far as the list tells.

    Those online come first, among them the shortest queue.

    Raises:
        InvalidInputError: a filter's value makes no sense.
    """
    return sorted((each for each in devices if _passes(each, filters)), key=_eligibility)


def _passes(device: Device, filters: Mapping[str, str]) -> bool:
    untold = {"max_shots"} if device.num_qubits is not None else {"max_shots", "num_qubits"}
    return passes(
        {key: value for key, value in filters.items() if key not in untold},
        name=device.name,
        num_qubits=device.num_qubits,
        is_simulator=device.is_simulator,
        is_online=device.is_online,
    )


def is_undecided(device: Device, filters: Mapping[str, str]) -> bool:
    """Whether only the configuration of a candidate tells if it passes."""
    return "max_shots" in filters or ("num_qubits" in filters and device.num_qubits is None)


def is_large_enough(configuration: Any, device: Device, filters: Mapping[str, str]) -> bool:
    """Whether an undecided candidate passes, by its configuration."""
    return passes(
        {key: filters[key] for key in ("max_shots", "num_qubits") if key in filters},
        name=device.name,
        num_qubits=answer_field(configuration, "n_qubits", int),
        max_shots=answer_field(configuration, "max_shots", int),
    )


def _eligibility(device: Device) -> tuple[bool, float]:
    return not device.is_online, math.inf if device.queue_length is None else device.queue_length


def target_text(configuration: Response, properties: Response) -> str:
    """``{"configuration": …, "properties": …}``, each half in the service's own text.

    Args:
        configuration: the answer to `get_configuration`.
        properties: the answer to `get_properties`; a simulator has none, which gives ``null``.

    Raises:
        ResourceNotFoundError: a device that is no simulator has no properties.
        UnexpectedAnswerError: an answer is not what it should be.
    """
    described = configuration.json()
    answer_field(described, "n_qubits", int)
    if properties.status in _NO_PROPERTIES:
        if not described.get("simulator"):
            raise ResourceNotFoundError("the service has no properties of this device")
        second = "null"
    else:
        calibrated = properties.json()
        if not isinstance(calibrated, dict | None):
            raise UnexpectedAnswerError("the properties of the device are not an object")
        second = properties.text
    return f'{{"configuration":{configuration.text},"properties":{second}}}'
