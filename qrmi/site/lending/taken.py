"""How many slots are taken, and by which jobs: who comes first gets them, in one step."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import attrs

from qrmi.site.lending.lease_states import Device, Part
from qrmi.site.terms import Job

__all__ = ["Choice", "Taken"]


@attrs.frozen(kw_only=True)
class Choice:
    """One resource that is wanted.

    Attributes:
        wanted: what the job called it; empty for any.
        devices: any one of these, best first.
        slots: how many slots of it.
    """

    wanted: str
    devices: tuple[Device, ...]
    slots: int = 1


class Taken:
    """Counts slots by device and by entry; thread-safe.

    A device may be reached by an entry of its own and by an account: it counts once. A job of
    which an earlier run still has something at a vendor gets nothing there: vendors know jobs by
    their ids, and might take the two for one.

    Args:
        capacity: how many slots an entry has; 0 for one that is unknown.
    """

    def __init__(self, capacity: Callable[[str], int]) -> None:
        self._capacity = capacity
        self._lock = threading.Lock()
        self._slots: Counter[str] = Counter()
        self._of_entry: Counter[str] = Counter()
        self._whose: dict[tuple[str, int, str], str] = {}
        self._turn: dict[str, int] = {}
        self._turns = 0

    def by_name(self) -> dict[str, int]:
        """Slots that are taken, by device and by account."""
        with self._lock:
            return {**(+self._of_entry), **(+self._slots)}

    def take(self, job: Job, choices: Sequence[Choice]) -> tuple[Part, ...] | str:
        """Take one device for each choice, all different, or none: then why not, for the user."""
        order = sorted(range(len(choices)), key=lambda n: (not choices[n].wanted, n))
        with self._lock:
            found: dict[int, Part] = {}
            for number in order:
                part = self._first_free(job, choices[number], found.values())
                if part is None:
                    return self._why_not(job, choices[number])
                found[number] = part
            parts = tuple(found[number] for number in range(len(choices)))
            for part in parts:
                self._add(job, part)
                self._turns += 1
                self._turn[part.resource] = self._turns
        return parts

    def count(self, job: Job, parts: Iterable[Part]) -> None:
        """Count what is taken already: at the start of the daemon."""
        with self._lock:
            for part in parts:
                self._add(job, part)

    def free(self, job: Job, parts: Iterable[Part]) -> None:
        """Let go of parts."""
        with self._lock:
            for part in parts:
                self._slots[part.resource] -= part.slots
                self._of_entry[part.entry] -= part.slots
                self._whose.pop((part.resource, job.uid, job.id), None)

    def _add(self, job: Job, part: Part) -> None:
        self._slots[part.resource] += part.slots
        self._of_entry[part.entry] += part.slots
        self._whose[(part.resource, job.uid, job.id)] = job.key

    def _first_free(self, job: Job, choice: Choice, others: Iterable[Part]) -> Part | None:
        names = {part.resource for part in others}
        free = [d for d in choice.devices if d.name not in names]
        if not choice.wanted:  # in turn, so that none is worn out while others idle
            free.sort(key=lambda d: (self._slots[d.name], self._turn.get(d.name, 0)))
        else:
            free.sort(key=lambda d: self._slots[d.name] > 0)
        within: Counter[str] = Counter()
        for part in others:
            within[part.entry] += part.slots
        for device in free:
            if self._fits(job, device, choice.slots, within[device.entry]):
                return Part(
                    resource=device.name, entry=device.entry, type=device.type, slots=choice.slots
                )
        return None

    def _fits(self, job: Job, device: Device, slots: int, within: int) -> bool:
        own = self._capacity(device.name) or self._capacity(device.entry)
        return (
            not device.away
            and self._slots[device.name] + slots <= own
            and self._of_entry[device.entry] + within + slots <= self._capacity(device.entry)
            and (device.name, job.uid, job.id) not in self._whose
        )

    def _why_not(self, job: Job, choice: Choice) -> str:
        """In words that name resources and the job's own runs, nobody else."""
        if not choice.wanted:
            return "not enough resources are free"
        earlier = [d for d in choice.devices if (d.name, job.uid, job.id) in self._whose]
        if earlier and len(earlier) == len(choice.devices):
            return f"an earlier run of this job still holds {choice.wanted}"
        away = [device for device in choice.devices if device.away]
        if len(away) == len(choice.devices):
            return f"{choice.wanted} is away: {away[0].away}"
        total = self._capacity(choice.wanted)
        held = self._of_entry[choice.wanted]
        if len(choice.devices) == 1:
            held = max(held, self._slots[choice.devices[0].name])
        return f"{choice.wanted} is busy: {held} of its {total} slots are held"
