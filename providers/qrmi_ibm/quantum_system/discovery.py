"""The systems of a service instance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qrmi.discovery import passes
from qrmi.driver import Driver
from qrmi.errors import ResourceNotFoundError
from qrmi.tasks import ResourceStatusCode
from qrmi_ibm.quantum_system import answers
from qrmi_ibm.quantum_system.settings import QuantumSystemSettings

if TYPE_CHECKING:
    from qrmi_ibm.quantum_system.driver import QuantumSystemDriver

__all__ = ["found"]

_OF_THE_LIST = ("name", "status")


def found(
    kind: type[QuantumSystemDriver], settings: QuantumSystemSettings, filters: Mapping[str, str]
) -> list[Driver]:
    """The systems that pass the filters, those online first; the service tells of no queue.

    One request for the list (GET /v1/backends), and one for the configuration of each system that
    its name and status let pass. A system without a configuration is left out.

    Raises:
        InvalidInputError: a filter's value makes no sense.
    """
    instance = kind("instance", settings)
    listed = answers.read_backends(instance.client.json(instance.api.backends()))
    early = {key: filters[key] for key in _OF_THE_LIST if key in filters}
    chosen = []
    for name, status in sorted(listed, key=lambda entry: not _is_online(entry[1])):
        is_online = _is_online(status)
        if passes(early, name=name, is_online=is_online):
            configuration = _configuration(instance, name)
            if configuration is not None and passes(
                filters,
                name=name,
                num_qubits=configuration.get("n_qubits"),
                max_shots=configuration.get("max_shots"),
                is_simulator=bool(configuration.get("simulator")),
                is_online=is_online,
            ):
                chosen.append(kind(name, settings))
    return list(chosen)


def _is_online(status: ResourceStatusCode) -> bool:
    return status is ResourceStatusCode.ONLINE


def _configuration(instance: QuantumSystemDriver, name: str) -> dict[str, Any] | None:
    try:
        return answers.read_configuration(instance.client.send(instance.api.configuration(name)))
    except ResourceNotFoundError:
        return None
