"""Putting the daemon's parts together from its settings."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from qrmi import plugins
from qrmi.config_file import Config, ResourceDef
from qrmi.errors import ConfigError, MissingExtraError, Owner, QrmiError
from qrmi.secrecy import privacy
from qrmi.site.books.bookkeeping import Bookkeeper
from qrmi.site.books.ledger import Ledger
from qrmi.site.books.open_accounts import OpenAccounts
from qrmi.site.gateway.dispatch import Gateway
from qrmi.site.lending.environment import Address, JobEnvironments, uses_gateway
from qrmi.site.lending.lease_states import LeaseState
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.store import Store
from qrmi.site.lending.vendors import SiteVendors
from qrmi.site.neighbours import neighbours
from qrmi.site.parts import Parts
from qrmi.site.settings import SiteSettings
from qrmi.site.watching.availability import Availability
from qrmi.site.watching.drains import Drains
from qrmi.site.watching.looking import Looks
from qrmi.site.watching.repeating import Repeated

try:
    from qrmi.site.books.metrics import Metrics
    from qrmi.site.doors.counting import CountedLeases
except ModuleNotFoundError as _error:
    if _error.name != "prometheus_client":
        raise
    raise MissingExtraError(
        "qrmid needs prometheus-client, which is not installed",
        hint="pip install 'openqrmi[site]'",
    ) from _error

__all__ = ["Site", "folder_for", "read_config"]

_log = logging.getLogger(__name__)

_FREE_FILE = "free"


class Site:
    """The parts of one daemon, and what runs in its background.

    Making one reads the configuration; `open` takes the state folder. Call `close` at the end,
    whatever happened before.

    Args:
        settings: `qrmid.toml`.
        freed: called when something can be lent again; from any thread.

    Raises:
        ConfigError: the configuration is not as it must be.
    """

    def __init__(self, settings: SiteSettings, freed: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._config = read_config(settings.config)
        self._store = Store(settings.state)
        self._looks = Looks(self.resources)
        self._drains: Drains | None = None
        self._vendors = SiteVendors(self.resources, self._away)
        self._slots = {name: each.slots for name, each in self.resources().items()}
        self._neighbours = neighbours(settings, self._slots)
        self._leasing = Leasing(self._store, self._vendors, freed=freed)
        self._gateway = Gateway(self._leasing, self._vendors.definition, settings.state)
        self._ledger = Ledger(settings.state)
        self._availability: Availability | None = None
        self._counts: Metrics | None = None
        self._background: list[Callable[[], None]] = []

    def resources(self) -> Mapping[str, ResourceDef]:
        """The entries of the configuration that holds now, by name."""
        return self._config.resource_map

    def open(self) -> Parts:
        """Take the state folder, settle what an earlier daemon left, and begin to watch.

        Raises:
            ConfigError: another daemon has the folder, or it cannot be used.
        """
        folder_for(self._settings.state)
        self._store.open()
        accounts = OpenAccounts(self._store)
        accounts.prepare()
        self._gateway.open()
        self._leasing.recover()
        watched = self._watched()
        metrics = self._metrics(watched)
        books = self._bookkeeper(accounts, metrics)
        for begin in (*self._neighbours.begin, watched.start, books.start):
            begin()
        reaper = Repeated("reaper", self._reap, self._settings.reap_seconds)
        reaper.start()
        self._background = [reaper.close, watched.close, books.close, *self._neighbours.end]
        return Parts(
            leases=CountedLeases(self._leasing, metrics),
            resources=watched,
            environments=self._environments(),
            gateway=self._gateway,
            books=self._ledger,
            metrics=metrics,
            about={"version": _version()},
        )

    def reload(self) -> None:
        """Read `qrmi_config.json` again.

        Raises:
            ConfigError: it is not as it must be; the one before stays in force.
        """
        config = read_config(self._settings.config)
        with self._lock:
            self._config = config
            self._slots.clear()
            self._slots.update({name: each.slots for name, each in config.resource_map.items()})
        if self._availability is not None and self._counts is not None:
            self._availability.serve(config.resource_map)
            self._counts.ready(config.resource_map)

    def close(self) -> None:
        """Stop all that runs in the background, and let go of the state folder."""
        for end in (*self._background, self._leasing.close, self._close_gateway):
            _quietly(end)
        for end in (self._vendors.close, self._looks.close, self._store.close):
            _quietly(end)

    # --- parts ----------------------------------------------------------------------------------

    def _watched(self) -> Availability:
        self._availability = Availability(
            self.resources(),
            self._looks,
            Drains(self._settings.state),
            publishers=self._neighbours.publishers,
            used=self._leasing.used,
            free_file=self._settings.socket.parent / _FREE_FILE,
            poll_seconds=self._settings.poll_seconds,
        )
        return self._availability

    def _away(self, name: str) -> str:
        return "" if self._availability is None else self._availability.away(name)

    def _metrics(self, watched: Availability) -> Metrics:
        metrics = Metrics(
            standings=watched.standings,
            held=lambda: (
                each.grants for each in self._leasing.leases() if each.state is LeaseState.HELD
            ),
            releases_pending=self._releases_pending,
            untold=lambda: {each.name: each.pending() for each in self._neighbours.publishers},
        )
        metrics.ready(self.resources())
        self._counts = metrics
        return metrics

    def _releases_pending(self) -> int:
        return sum(len(each.parts) for each in self._store.leases(LeaseState.ENDING))

    def _bookkeeper(self, accounts: OpenAccounts, metrics: Metrics) -> Bookkeeper:
        return Bookkeeper(
            accounts,
            self._ledger,
            tasks=self._gateway,
            is_served=self._is_served,
            ask_vendor=self._looks.session_use,
            reporters=self._neighbours.reporters,
            booked=metrics.booked,
        )

    def _is_served(self, name: str) -> bool:
        """Whether jobs reach a resource through the gateway."""
        try:
            definition = self._vendors.definition(name)
            return uses_gateway(definition, plugins.driver_class(definition.type_name).SETTINGS)
        except QrmiError:  # it was taken out of the file
            return False

    def _environments(self) -> JobEnvironments:
        address = Address(socket=str(self._settings.socket), url=self._settings.public_url)
        definition, tokens = self._vendors.definition, self._gateway.tokens
        return JobEnvironments(self._leasing, definition, tokens, address)

    def _reap(self) -> None:
        self._leasing.reap(self._neighbours.is_over)

    def _close_gateway(self) -> None:
        if hasattr(self._gateway, "tasks"):  # it was opened
            self._gateway.close()


def read_config(file: Path) -> Config:
    """The site's `qrmi_config.json`.

    Raises:
        ConfigError: it is malformed, or holds secrets and others can read it.
    """
    loaded, about = Config.read(file)
    privacy.settle(file, about, loaded)
    return loaded


def folder_for(path: Path) -> None:
    """Make the state folder, and close it to others.

    Raises:
        ConfigError: it cannot be made, or is another user's.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.stat()
        if about.st_uid != os.geteuid():
            raise ConfigError(
                f"{path} belongs to user {about.st_uid}",
                owner=Owner.SITE,
                hint=f"qrmid runs as user {os.geteuid()}: chown it, or run qrmid as that user",
            )
        path.chmod(0o700)
    except OSError as error:
        raise ConfigError(
            f"cannot use {path}: {error.strerror or error}",
            owner=Owner.SITE,
            hint="`state` of qrmid.toml names a folder that qrmid can write to",
        ) from error


def _quietly(end: Callable[[], object]) -> None:
    """One part that cannot be closed keeps no other from being closed."""
    try:
        end()
    except Exception as error:
        _log.warning("at the end: %s: %s", type(error).__name__, error)


def _version() -> str:
    try:
        return version("openqrmi")
    except PackageNotFoundError:
        return ""
