"""Which devices an account can reach, and which of them has the shortest queue."""

from __future__ import annotations

from collections.abc import Mapping

from qrmi import plugins
from qrmi.errors import InvalidInputError
from qrmi.resource import QuantumResource
from qrmi.settings import MappingSource
from qrmi.tasks import ResourceStatusCode, ResourceType

__all__ = ["ResourceProvider", "parse_filters"]

_FILTER_KEYS = frozenset({"num_qubits", "max_shots", "name", "is_simulator", "status"})


class ResourceProvider:
    """The devices behind one account.

    Args:
        resource_type: a resource type whose driver can list devices.
        environment: its settings by unprefixed key.

    Raises:
        UnsupportedResourceTypeError: no such type is installed.
        ConfigError: a setting is missing or malformed.
    """

    def __init__(self, resource_type: str | ResourceType, environment: Mapping[str, str]) -> None:
        named = isinstance(resource_type, ResourceType)
        self._type_name = resource_type.type_name if named else str(resource_type)  # type: ignore[union-attr]
        self._driver = plugins.driver_class(self._type_name)
        self._settings = self._driver.SETTINGS.load(MappingSource(environment))

    def resources(self, filters: str | None = None) -> list[QuantumResource]:
        """The devices that pass the filters, shortest queue first.

        Args:
            filters: ``key=value`` joined by ``&``, for example ``num_qubits=100&status=online``.

        Raises:
            UnsupportedResourceTypeError: the type cannot list devices.
            InvalidInputError: a filter is malformed, or its key is unknown.
        """
        wanted = parse_filters(filters)
        drivers = self._driver.discover(self._settings, wanted)
        return [QuantumResource.from_driver(d, resource_type=self._type_name) for d in drivers]

    def least_busy(self, filters: str | None = None) -> QuantumResource | None:
        """The online device with the shortest queue, or ``None`` when there is none."""
        for resource in self.resources(filters):
            if resource.status().status is ResourceStatusCode.ONLINE:
                return resource
        return None


def parse_filters(text: str | None) -> dict[str, str]:
    """Read ``key=value`` pairs joined by ``&``; blanks are trimmed, empty segments skipped.

    Raises:
        InvalidInputError: a segment has no ``=``, or its key is not one of those known.
    """
    filters = {}
    for segment in filter(None, (part.strip() for part in (text or "").split("&"))):
        key, separator, value = (part.strip() for part in segment.partition("="))
        if not separator:
            raise InvalidInputError(f"invalid filter segment \"{segment}\": expected 'key=value'")
        if key not in _FILTER_KEYS:
            raise InvalidInputError(
                f'unknown filter key "{key}"', hint="known: " + ", ".join(sorted(_FILTER_KEYS))
            )
        filters[key] = value
    return filters
