"""Which quantum computers an account can see on its IQM Server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.discovery import passes
from qrmi.driver import Driver
from qrmi.errors import AccessDeniedError, ResourceNotFoundError
from qrmi.tasks import ResourceStatus, ResourceStatusCode
from qrmi.transport import Client, reading
from qrmi_iqm import wire
from qrmi_iqm.settings import IQMSettings

if TYPE_CHECKING:
    from qrmi_iqm.driver import IQMServerDriver

__all__ = ["found"]

_MOCK = ":mock"


def found(
    kind: type[IQMServerDriver], settings: IQMSettings, filters: Mapping[str, str]
) -> list[Driver]:
    """The quantum computers that pass the filters, online ones first, shortest queue first.

    One request for the list, and one for each quantum computer whose name passes.
    """
    client = kind("account", settings).client
    aliases = wire.computers_listed(client.json(wire.computers(settings.endpoint)))
    named = {key: value for key, value in filters.items() if key == "name"}
    kept = []
    for alias in aliases:
        if passes(named, name=alias):
            details = _details(client, settings, alias)
            if details is None:
                continue
            status = wire.resource_status(details)
            if _passes(alias, details, status, filters):
                own = attrs.evolve(settings, alias=alias)  # its name is its alias, as it is
                kept.append((_order(status), kind(alias, own)))
    return [driver for _, driver in sorted(kept, key=lambda pair: pair[0])]


def _details(client: Client, settings: IQMSettings, alias: str) -> Any:
    """What the server says of one of the list; ``None`` when it says nothing to this account."""
    try:
        return client.json(wire.computer(settings.endpoint, alias))
    except (AccessDeniedError, ResourceNotFoundError):
        return None


def _passes(alias: str, details: Any, status: ResourceStatus, filters: Mapping[str, str]) -> bool:
    with reading("GET quantum computer"):
        return passes(
            filters,
            name=alias,
            num_qubits=details.get("number_of_qubits"),
            max_shots=(details.get("limits") or {}).get("max_shots_per_circuit"),
            is_simulator=_is_simulator(alias, details),
            is_online=status.status is ResourceStatusCode.ONLINE,
        )


def _is_simulator(alias: str, details: Mapping[str, Any]) -> bool:
    """A mock makes its results up; what says nothing of its kind is a device."""
    return alias.endswith(_MOCK) or details.get("backend_type", "qpu") != "qpu"


def _order(status: ResourceStatus) -> tuple[bool, int]:
    queue = status.pending_job_count
    return status.status is not ResourceStatusCode.ONLINE, queue if queue is not None else 10**9
