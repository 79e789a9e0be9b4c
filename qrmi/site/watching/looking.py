"""Asking the site's resources for their status, and what they account for sessions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from qrmi import plugins
from qrmi.config_file import ResourceDef
from qrmi.driver import Driver
from qrmi.errors import QrmiError, ResourceNotFoundError
from qrmi.settings import MappingSource, Settings
from qrmi.site.books.open_accounts import Account
from qrmi.site.watching.standing import of_account
from qrmi.tasks import ResourceStatus, SessionUse

__all__ = ["Looks"]

_MOST_DEVICES = 50


class Looks:
    """The status of each entry of a configuration, and the accounts of its service.

    Drivers and their connections are made at the first look at a resource and kept. Settings come
    from the configuration alone, never from the daemon's environment. An entry is looked at by one
    thread at a time.

    Args:
        resources: the site's resources by name; a function, so that a new configuration counts.
        timeout_seconds: how long a service may take, with all repeats of a request, unless its
            entry says otherwise.
    """

    def __init__(
        self, resources: Callable[[], Mapping[str, ResourceDef]], *, timeout_seconds: float = 10.0
    ) -> None:
        self._resources = resources
        self._defaults = {"QRMI_HTTP_BUDGET_SECONDS": f"{timeout_seconds:g}"}
        self._lock = threading.Lock()
        self._drivers: dict[str, tuple[ResourceDef, Driver]] = {}

    def __call__(self, name: str) -> ResourceStatus:
        """A resource's status; an account's as `of_account` makes it from its devices'.

        Raises:
            QrmiError: it cannot be asked, or its entry is wrong.
        """
        definition = self._resources().get(name)
        if definition is None:
            raise ResourceNotFoundError(f"this site has no resource {name!r}")
        if definition.is_dynamic:
            return of_account(self._statuses(definition))
        return self._driver(definition).status()

    def session_use(self, account: Account, resource: str) -> SessionUse | None:
        """What the vendor accounts for a job's session that has ended; ``None`` if it does not.

        Raises:
            QrmiError: the vendor cannot be asked.
        """
        definition = self._resources().get(account.entries[resource])
        if definition is None:  # it was taken out of the file
            return None
        if not plugins.driver_class(definition.type_name).CAPABILITIES.sessions:
            return None
        settings = self._settings(definition)
        driver = plugins.make_driver(resource, definition.type_name, settings)
        return driver.session_use(account.tokens[resource])

    def close(self) -> None:
        """Let go of connections; the next look makes new ones."""
        with self._lock:
            drivers, self._drivers = list(self._drivers.values()), {}
        for _, driver in drivers:
            driver.close()

    def _driver(self, definition: ResourceDef) -> Driver:
        with self._lock:
            made_for, driver = self._drivers.get(definition.name, (None, None))
        if driver is not None and made_for == definition:
            return driver
        driver = plugins.make_driver(
            definition.name, definition.type_name, self._settings(definition)
        )
        with self._lock:
            self._drivers[definition.name] = (definition, driver)
        return driver

    def _settings(self, definition: ResourceDef) -> Settings:
        kind = plugins.driver_class(definition.type_name).SETTINGS
        return kind.load(MappingSource({**self._defaults, **definition.environment}))

    def _statuses(self, account: ResourceDef) -> dict[str, ResourceStatus | QrmiError]:
        """Of the account's devices, simulators too; raises what keeps it from listing them."""
        kind, settings = plugins.driver_class(account.type_name), self._settings(account)
        found = [
            *kind.discover(settings, {}),
            *kind.discover(settings, {"is_simulator": "true"}),
        ]
        statuses: dict[str, ResourceStatus | QrmiError] = {}
        for device in found[:_MOST_DEVICES]:
            try:
                statuses[device.resource_id] = device.status()
            except QrmiError as error:
                statuses[device.resource_id] = error
        return statuses
