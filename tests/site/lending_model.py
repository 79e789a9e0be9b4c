"""A world for the leases: resources whose vendors count their sessions and can be told to fail."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from qrmi.config_file import ResourceDef
from qrmi.discovery import parse_filters, passes
from qrmi.errors import ResourceNotFoundError
from qrmi.site.lending.lease_states import Device, SessionHabit
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.pace import Pace
from qrmi.site.lending.store import Store
from qrmi.site.terms import Job, Want

__all__ = ["QUICK", "Clock", "Entry", "Scripted", "Site", "a_job", "opened", "wants"]

QUICK = Pace(first_retry=0.01, longest_retry=0.05, patience=5.0, young=10.0)


class Clock:
    """A time that tests move."""

    def __init__(self, at: float = 1_700_000_000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


@attrs.define
class Entry:
    """One entry of the configuration.

    Attributes:
        slots: as in the file.
        devices: names of the devices behind it, shortest queue first; empty for one device.
        away: why it cannot be lent.
        qubits: how many it has.
        habit: of its vendor.
    """

    slots: int = 1
    devices: tuple[str, ...] = ()
    away: str = ""
    qubits: int = 5
    habit: SessionHabit = attrs.field(factory=lambda: SessionHabit(repeatable=True))


class Scripted:
    """Vendors in memory.

    Attributes:
        entries: the configuration.
        open: sessions that are open: token to device, job key and slots.
        most: the most slots that were ever open at once, by device.
        asked: how often a vendor was asked for a session, and to take one back, by device.
        before_acquire, before_release: called first; what they raise, the vendor raises.
        after_acquire: called when the session is open: what it raises hides its name.
        offline: devices of accounts that are not online.
    """

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self.entries = dict(entries)
        self.open: dict[str, tuple[str, str, int]] = {}
        self.most: Counter[str] = Counter()
        self.asked: Counter[tuple[str, str]] = Counter()
        self.order: list[str] = []
        self.before_acquire: Callable[[str, Job], object] = lambda device, job: None
        self.after_acquire: Callable[[str, Job], object] = lambda device, job: None
        self.before_release: Callable[[str, Job], object] = lambda device, job: None
        self.offline: set[str] = set()
        self.away_names: dict[str, str] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def names(self) -> Sequence[str]:
        return list(self.entries)

    def definition(self, name: str) -> ResourceDef:
        if name not in self.entries:
            raise ResourceNotFoundError(f"no resource {name!r}")
        entry = self.entries[name]
        return ResourceDef(name, "scripted", is_dynamic=bool(entry.devices), slots=entry.slots)

    def capacity(self, name: str) -> int:
        return self.entries[name].slots if name in self.entries else 0

    def away(self, name: str) -> str:
        return self.away_names.get(name, "") or (
            self.entries[name].away if name in self.entries else ""
        )

    def devices(self, name: str, filters: str = "") -> Sequence[Device]:
        self.definition(name)
        entry, wanted = self.entries[name], parse_filters(filters)
        found = [
            Device(
                name=device,
                entry=name,
                type="scripted",
                away="offline" if device in self.offline else "",
            )
            for device in entry.devices or (name,)
            if passes(wanted, name=device, num_qubits=entry.qubits)
        ]
        return sorted(found, key=lambda device: bool(device.away))

    def habit(self, device: Device) -> SessionHabit:
        self.definition(device.entry)
        return self.entries[device.entry].habit

    def acquire(self, device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        self.before_acquire(device.name, job)
        with self._lock:
            self.asked["acquire", device.name] += 1
            self.order.append(device.name)
            again = self._of(device.name, job) if self.habit(device).repeatable else None
            token = again or f"session-{next(self._numbers)}"
            if self.habit(device).kept:
                self.open[token] = (device.name, job.key, slots)
            self.most[device.name] = max(self.most[device.name], self.used(device.name))
        self.after_acquire(device.name, job)
        return token

    def _of(self, device: str, job: Job) -> str | None:
        """Vendors know jobs by their ids alone."""
        for token, (name, key, _) in self.open.items():
            if name == device and key.split("/")[:3] == job.key.split("/")[:3]:
                return token
        return None

    def release(self, device: Device, job: Job, token: str) -> None:
        self.before_release(device.name, job)
        with self._lock:
            self.asked["release", device.name] += 1
            self.open.pop(token, None)

    def used(self, device: str) -> int:
        """Slots in open sessions."""
        return sum(slots for name, _, slots in self.open.values() if name == device)

    def owners(self, device: str) -> list[str]:
        """Keys of the jobs that have a session."""
        return [key for name, key, _ in self.open.values() if name == device]


@attrs.define
class Site:
    """A daemon's leases without its doors.

    Attributes:
        freed: how often something was free again.
    """

    folder: Path
    vendors: Scripted
    clock: Clock
    pace: Pace = QUICK
    freed: list[None] = attrs.field(factory=list)
    store: Store = attrs.field(init=False)
    leasing: Leasing = attrs.field(init=False)

    def start(self) -> Site:
        self.store = Store(self.folder)
        self.store.open()
        self.leasing = Leasing(
            self.store,
            self.vendors,
            freed=lambda: self.freed.append(None),
            pace=self.pace,
            now=self.clock,
        )
        self.leasing.recover()
        return self

    def stop(self) -> None:
        self.leasing.close()
        self.store.close()

    def restart(self) -> None:
        self.stop()
        self.start()


@contextmanager
def opened(folder: Path, vendors: Scripted, pace: Pace = QUICK) -> Iterator[Site]:
    """A site for a test."""
    site = Site(folder=folder, vendors=vendors, clock=Clock(), pace=pace).start()
    try:
        yield site
    finally:
        site.stop()


def a_job(
    number: str = "1", *, restart: int = 0, submitted: int | None = 1000, uid: int = 7
) -> Job:
    """A job of a cluster."""
    return Job(
        scheduler="slurm", cluster="lab", id=number, restart=restart, submitted=submitted, uid=uid
    )


def wants(*names: str, **more: object) -> Want:
    """What a job wants; ``slots={…}``, ``any=…``, ``filters=…``, ``limit_seconds=…``."""
    return Want(names=names, **more)  # type: ignore[arg-type]
