"""What the leases ask of the world, and the world: the configured resources' drivers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

import attrs

from qrmi import plugins
from qrmi.config import UNLIMITED_SECONDS
from qrmi.config_file import ResourceDef
from qrmi.discovery import parse_filters
from qrmi.driver import Driver
from qrmi.errors import ResourceNotFoundError
from qrmi.settings import MappingSource
from qrmi.site.lending.device_lists import DeviceLists
from qrmi.site.lending.facts import Facts
from qrmi.site.lending.lease_states import Device, SessionHabit
from qrmi.site.terms import Job

__all__ = ["SiteVendors", "Vendors"]

_UID, _ID, _SLOTS = "QRMI_JOB_UID", "QRMI_JOB_ID", "QRMI_JOB_QPU_SLOTS"
_TOKEN, _LIMIT = "QRMI_JOB_ACQUISITION_TOKEN", "QRMI_JOB_TIMEOUT_SECONDS"
_OF_A_JOB = frozenset({_UID, _ID, _SLOTS, _TOKEN, _LIMIT})
_ASSUMED_LONGEST_SECONDS = 86400.0


class Vendors(Protocol):
    """The site's resources and their vendors. Methods are called from several threads at once."""

    def names(self) -> Sequence[str]:
        """All entries of the configuration, in its order."""

    def definition(self, name: str) -> ResourceDef:
        """An entry. Raises `ResourceNotFoundError`."""

    def devices(self, name: str, filters: str = "") -> Sequence[Device]:
        """The devices that an entry stands for and that pass the filters, best first.

        An entry of one device stands for itself; an account for all of its devices, those that
        are online first, shortest queue first. Each says why it is away.

        Raises:
            InvalidInputError: the filters are malformed.
            QrmiError: the account cannot be asked.
        """

    def capacity(self, name: str) -> int:
        """How many slots of an entry may be held at once; 0 for one that is unknown."""

    def away(self, name: str) -> str:
        """Why an entry cannot be lent now; empty when it can."""

    def habit(self, device: Device) -> SessionHabit:
        """What its vendor does when it is asked for a session. Raises `QrmiError`."""

    def acquire(self, device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        """Ask the vendor for a session, once; return its token. Raises `QrmiError`."""

    def release(self, device: Device, job: Job, token: str) -> None:
        """Give a session back; one that has ended already is no error. Raises `QrmiError`."""


class SiteVendors:
    """The resources of a site's configuration, through their drivers.

    Settings come from the configuration, and from the job; never from the daemon's environment. A
    driver whose settings say something of the job is made for each use; so is one with sessions,
    which might take one job's session for another's. The others are shared.

    Args:
        resources: the configured ones by name; a function, so that a new configuration counts.
        away: why an entry or a device cannot be lent now; empty when it can.
    """

    def __init__(
        self,
        resources: Callable[[], Mapping[str, ResourceDef]],
        away: Callable[[str], str] = lambda name: "",
    ) -> None:
        self._resources = resources
        self._away = away
        self._lock = threading.Lock()
        self._shared: dict[str, tuple[ResourceDef, Driver]] = {}
        self._habits: dict[str, tuple[ResourceDef, SessionHabit]] = {}
        self._lists = DeviceLists()
        self._facts = Facts()

    # --- which there are ------------------------------------------------------------------------

    def names(self) -> Sequence[str]:
        """All entries, in the file's order."""
        return list(self._resources())

    def definition(self, name: str) -> ResourceDef:
        """An entry. Raises `ResourceNotFoundError`."""
        found = self._resources().get(name)
        if found is None:
            raise ResourceNotFoundError(
                f"no resource {name!r} at this site", hint="there is: " + ", ".join(self.names())
            )
        return found

    def capacity(self, name: str) -> int:
        """``slots`` of the entry."""
        found = self._resources().get(name)
        return found.slots if found is not None else 0

    def away(self, name: str) -> str:
        """What the site's watch says."""
        return self._away(name)

    def devices(self, name: str, filters: str = "") -> Sequence[Device]:
        """See `Vendors.devices`."""
        definition = self.definition(name)
        wanted = parse_filters(filters)
        if definition.is_dynamic:
            found = self._lists.devices(definition, wanted)
            return [self._known_away(device) for device in found]
        device = Device(name=name, entry=name, type=definition.type_name)
        if wanted:
            with self._lent(device) as driver:
                if not self._facts.passes(definition, wanted, driver):
                    return ()
        return (self._known_away(device),)

    def _known_away(self, device: Device) -> Device:
        return device if device.away else attrs.evolve(device, away=self._away(device.name))

    # --- sessions -------------------------------------------------------------------------------

    def habit(self, device: Device) -> SessionHabit:
        """See `Vendors.habit`; what a vendor showed in its answers counts."""
        definition = self.definition(device.entry)
        with self._lock:
            made_for, known = self._habits.get(device.entry, (None, None))
        if known is not None and made_for == definition:
            return known
        with self._lent(device) as driver:
            return self._learnt(definition, driver)

    def _learnt(self, definition: ResourceDef, driver: Driver) -> SessionHabit:
        habit = SessionHabit(
            kept=driver.CAPABILITIES.sessions,
            repeatable=driver.repeatable_acquire,
            longest_seconds=driver.session_seconds or _ASSUMED_LONGEST_SECONDS,
        )
        with self._lock:
            self._habits[definition.name] = (definition, habit)
        return habit

    def acquire(self, device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        """See `Vendors.acquire`."""
        with self._lent(device, _about(job, limit_seconds, slots)) as driver:
            token = driver.acquire()
            if driver.CAPABILITIES.sessions:
                self._learnt(self.definition(device.entry), driver)
            return token

    def release(self, device: Device, job: Job, token: str) -> None:
        """See `Vendors.release`. A session that the site configured is left alone."""
        with self._lent(device, _about(job, None, 1)) as driver:
            if not driver.is_borrowed(token):
                driver.release(token)

    def close(self) -> None:
        """Let go of connections; they are made again when they are needed."""
        with self._lock:
            shared, self._shared = list(self._shared.values()), {}
        for _, driver in shared:
            driver.close()

    # --- drivers --------------------------------------------------------------------------------

    @contextmanager
    def _lent(self, device: Device, about: Mapping[str, str] | None = None) -> Iterator[Driver]:
        """A driver for one use.

        Raises:
            ResourceNotFoundError: the configuration has no such entry any more.
            ConfigError: a setting is missing or malformed.
        """
        definition = self.definition(device.entry)
        kind = plugins.driver_class(definition.type_name)
        own = {key: text for key, text in (about or {}).items() if key in _read_by(kind)}
        if not own and not kind.CAPABILITIES.sessions:
            yield self._shared_one(device, definition)
            return
        driver = _made(device, definition, own)
        try:
            yield driver
        finally:
            driver.close()

    def _shared_one(self, device: Device, definition: ResourceDef) -> Driver:
        with self._lock:
            made_for, driver = self._shared.get(device.name, (None, None))
        if driver is None or made_for != definition:
            driver = _made(device, definition, {})
            with self._lock:
                self._shared[device.name] = (definition, driver)
        return driver


@functools.cache
def _read_by(kind: type[Driver]) -> frozenset[str]:
    """The settings that a driver reads, by key."""
    return frozenset(key for each in kind.SETTINGS.declarations().values() for key in each.keys)


def _made(device: Device, definition: ResourceDef, about: Mapping[str, str]) -> Driver:
    kind = plugins.driver_class(definition.type_name)
    values = {k: v for k, v in definition.environment.items() if k.upper() not in _OF_A_JOB}
    settings = kind.SETTINGS.load(MappingSource({**values, **about}))
    return plugins.make_driver(device.name, definition.type_name, settings)


def _about(job: Job, limit_seconds: float | None, slots: int) -> dict[str, str]:
    """What a driver is told of the job: no session, which is what it is asked for."""
    limit = UNLIMITED_SECONDS if limit_seconds is None else max(int(limit_seconds), 1)
    about = {_UID: str(job.uid), _ID: job.id, _LIMIT: str(limit)}
    if slots > 1:  # one is what every vendor gives
        about[_SLOTS] = str(slots)
    return about
