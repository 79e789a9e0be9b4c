"""The real drivers behind the gateway, with the site's credentials: one for each way of asking.

Jobs share a driver, with its connections and login, unless its settings tell them apart: a session,
a time limit, a user's number.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping

import attrs

from qrmi import plugins
from qrmi.config import UNLIMITED_SECONDS
from qrmi.config_file import ResourceDef
from qrmi.driver import Driver
from qrmi.settings import MappingSource

__all__ = ["Drivers", "Place"]

_MOST_KEPT = 256
_OF_A_JOB = (
    "QRMI_JOB_ACQUISITION_TOKEN",
    "QRMI_JOB_ID",
    "QRMI_JOB_QPU_SLOTS",
    "QRMI_JOB_TIMEOUT_SECONDS",
    "QRMI_JOB_UID",
)


@attrs.frozen(kw_only=True)
class Place:
    """A device as a job sees it.

    Attributes:
        name: the device's name, with what its user wrote after it (a calibration set).
        entry: the entry of the configuration that it comes from.
        type: its type, as files spell it.
        uid: the user; ``None`` for nobody's.
        job_id: the scheduler's id of the job; empty where there is none, as for the rest.
        token: the vendor's name of the job's session.
        slots: how many of its slots the job holds.
        limit_seconds: the job's time limit; ``None`` for no limit.
    """

    name: str
    entry: str
    type: str
    uid: int | None = None
    job_id: str = ""
    token: str = attrs.field(default="", repr=False)
    slots: int = 1
    limit_seconds: float | None = None

    def variables(self) -> dict[str, str]:
        """What a scheduler's hook would tell the driver of the job; empty for no job."""
        if not self.job_id:
            return {}
        limit = UNLIMITED_SECONDS if self.limit_seconds is None else int(self.limit_seconds)
        slots = str(self.slots) if self.slots > 1 else ""  # one is what every vendor gives
        values = (self.token, self.job_id, slots, str(max(limit, 1)), str(self.uid))
        return {key: text for key, text in zip(_OF_A_JOB, values, strict=True) if text}


class Drivers:
    """Makes drivers and keeps those in use. Thread-safe.

    Args:
        definition: an entry of the site's configuration; raises `ResourceNotFoundError`.
    """

    def __init__(self, definition: Callable[[str], ResourceDef]) -> None:
        self._definition = definition
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Driver] = OrderedDict()

    def driver(self, place: Place) -> Driver:
        """The driver of a place; opens nothing.

        Raises:
            ResourceNotFoundError: the site's configuration has no such entry any more.
            ConfigError: its settings make no sense.
        """
        kind = plugins.driver_class(place.type)
        entry = self._definition(place.entry).environment
        own = _told(kind, place.variables())
        known = _name_of([place.name, place.type, sorted(entry.items()), sorted(own.items())])
        with self._lock:
            if known in self._kept:
                self._kept.move_to_end(known)
                return self._kept[known]
        driver = kind(place.name, kind.SETTINGS.load(MappingSource({**entry, **own})))
        with self._lock:
            kept = self._kept.setdefault(known, driver)
            if len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)  # its connections close with its last call
        return kept


def _name_of(values: object) -> str:
    """What values with secrets among them are known by."""
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()


def _told(kind: type[Driver], variables: Mapping[str, str]) -> dict[str, str]:
    """Those of a job's variables that the driver reads."""
    read = {key for each in kind.SETTINGS.declarations().values() for key in each.keys}
    return {key: text for key, text in variables.items() if key in read}
