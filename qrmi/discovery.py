"""Which devices an account can reach, and which of them has the shortest queue.

An account is an entry of the configuration with ``is_dynamic``, or what `ResourceProvider` is
given.
"""

from __future__ import annotations

import fnmatch
import glob
import logging
from collections.abc import Iterable, Mapping

from qrmi import config, plugins
from qrmi.driver import Driver
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    ResourceUnavailableError,
    UnexpectedAnswerError,
)
from qrmi.recording import hooks
from qrmi.resource import QuantumResource
from qrmi.settings import EnvironmentSource, MappingSource, Settings
from qrmi.tasks import ResourceStatusCode, ResourceType

__all__ = [
    "ResourceProvider",
    "device_of_account",
    "devices_of_account",
    "first_online",
    "parse_filters",
    "passes",
]

_log = logging.getLogger(__name__)
_MOST_DIGITS = 18
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
        source = MappingSource(environment)
        del environment  # so that no traceback shows it
        self._settings = self._driver.SETTINGS.load(source)

    def resources(self, filters: str | None = None) -> list[QuantumResource]:
        """The devices that pass the filters, shortest queue first.

        Args:
            filters: ``key=value`` joined by ``&``, for example ``num_qubits=100&status=online``.

        Raises:
            UnsupportedResourceTypeError: the type cannot list devices.
            InvalidInputError: a filter is malformed, or its key is unknown.
        """
        wanted = parse_filters(filters)
        drivers = _discovered(self._driver, self._type_name, self._settings, wanted)
        return [QuantumResource.from_driver(d, resource_type=self._type_name) for d in drivers]

    def least_busy(self, filters: str | None = None) -> QuantumResource | None:
        """The online device with the shortest queue, or ``None`` when there is none."""
        return first_online(self.resources(filters))


def first_online(resources: Iterable[QuantumResource]) -> QuantumResource | None:
    """The first that is online; paused and offline ones are passed over.

    So is one whose status cannot be had, with a warning; if no other is online, that is raised.
    """
    failure: QrmiError | None = None
    for resource in resources:
        try:
            if resource.status().status is ResourceStatusCode.ONLINE:
                return resource
        except (ResourceNotFoundError, ResourceUnavailableError, UnexpectedAnswerError) as error:
            _log.warning("%s is passed over: %s", resource.resource_id(), error)
            failure = error
    if failure is not None:
        raise failure
    return None


def devices_of_account(
    account: config.ResourceDef, filters: Mapping[str, str] | None = None
) -> list[QuantumResource]:
    """The devices behind an entry of the configuration with ``is_dynamic``; simulators too.

    Settings come from the environment under the entry's name, then from the entry.

    Raises:
        UnsupportedResourceTypeError: the type cannot list devices.
        ConfigError: a setting is missing or malformed.
    """
    driver = plugins.driver_class(account.type_name)
    source = EnvironmentSource(
        prefix=driver.SETTINGS.prefix(account.name),
        environ=config.environment(),
        defaults=account.environment,
    )
    settings = driver.SETTINGS.load(source)
    wanted = dict(filters or {})
    found = _discovered(driver, account.type_name, settings, wanted)
    if "is_simulator" not in wanted:
        simulators = {**wanted, "is_simulator": "true"}
        found = [*found, *_discovered(driver, account.type_name, settings, simulators)]
    return [QuantumResource.from_driver(d, resource_type=account.type_name) for d in found]


def _discovered(
    driver: type[Driver], type_name: str, settings: Settings, filters: Mapping[str, str]
) -> list[Driver]:
    return hooks.note_devices(driver.discover(settings, filters), type_name, filters)


def device_of_account(account: config.ResourceDef, name: str) -> QuantumResource | None:
    """The device of that name behind an account, or ``None``."""
    return next(iter(devices_of_account(account, {"name": glob.escape(name)})), None)


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


def passes(
    filters: Mapping[str, str],
    *,
    name: str,
    num_qubits: int | None = None,
    max_shots: int | None = None,
    is_simulator: bool = False,
    is_online: bool = True,
) -> bool:
    """Whether a device passes the filters; a number that is not known fails a limit.

    Simulators pass only with ``is_simulator=true``, which leaves out everything else.

    Raises:
        InvalidInputError: a filter's value makes no sense.
    """
    wanted_simulator = filters.get("is_simulator", "false")
    if wanted_simulator not in ("true", "false"):
        raise InvalidInputError(f"is_simulator is true or false, not {wanted_simulator!r}")
    if filters.get("status", "online") != "online":
        raise InvalidInputError(f"status can only be online, not {filters['status']!r}")
    return (
        is_simulator == (wanted_simulator == "true")
        and (is_online or "status" not in filters)
        and fnmatch.fnmatchcase(name, filters.get("name", "*"))
        and _at_least(filters, "num_qubits", num_qubits)
        and _at_least(filters, "max_shots", max_shots)
    )


def _at_least(filters: Mapping[str, str], key: str, value: int | None) -> bool:
    if key not in filters:
        return True
    if not filters[key].isdecimal() or len(filters[key]) > _MOST_DIGITS:
        raise InvalidInputError(f"{key} is a whole number, not {filters[key][:60]!r}")
    return isinstance(value, int) and value >= int(filters[key])  # services may write anything
