"""Giving sessions back to their vendors, however long it takes, and no slot before its time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import attrs

from qrmi.errors import QrmiError
from qrmi.site.lending.hands import Hands
from qrmi.site.lending.lease_states import LeaseRecord, Part
from qrmi.site.lending.pace import Pace
from qrmi.site.lending.store import Store
from qrmi.site.lending.vendors import Vendors
from qrmi.site.terms import Job

__all__ = ["GivingBack", "Return"]

_log = logging.getLogger(__name__)


class Return:
    """A lease on its way back.

    Attributes:
        record: the lease; its parts say whether they are back.
        refusal: what is kept of it in the end, if anything.
        tried: each vendor has been asked once, or nothing is left to ask.
    """

    def __init__(self, record: LeaseRecord, refusal: LeaseRecord | None = None) -> None:
        self.record = record
        self.refusal = refusal
        self.lock = threading.Lock()
        self.failures: dict[str, int] = {}
        self.untried = {part.resource for part in record.left}
        self.tried = threading.Event()

    @classmethod
    def finished(cls, record: LeaseRecord) -> Return:
        """One that somebody else has finished."""
        going = cls(attrs.evolve(record, parts=(attrs.evolve(p, back=True) for p in record.parts)))
        going.tried.set()
        return going

    def was_tried(self, resource: str) -> None:
        """One vendor has been asked."""
        with self.lock:
            self.untried.discard(resource)
            if not self.untried:
                self.tried.set()

    @property
    def pending(self) -> tuple[str, ...]:
        """Resources that are not given back yet."""
        return tuple(part.resource for part in self.record.left)


class GivingBack:
    """All leases on their way back; each once, whoever asks for it.

    Args:
        vendors: take sessions back.
        store: remembers what is left.
        freed: is told of each part that is free again.
        pace: how soon a vendor that failed is asked again.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        vendors: Vendors,
        store: Store,
        freed: Callable[[Job, tuple[Part, ...]], None],
        pace: Pace,
        now: Callable[[], float],
    ) -> None:
        self._vendors = vendors
        self._store = store
        self._freed = freed
        self._pace = pace
        self._now = now
        self._lock = threading.Lock()
        self._returns: dict[str, Return] = {}
        self._hands = Hands()

    def start(self, record: LeaseRecord, refusal: LeaseRecord | None = None) -> Return:
        """Begin to give a lease back that nobody else gives back yet.

        Args:
            record: the lease as its own request leaves it.
            refusal: what is to be kept in its place.
        """
        going = Return(record, refusal)
        with self._lock:
            self._returns[record.id] = going
        return self._begun(going)

    def take_up(self, record: LeaseRecord) -> Return:
        """The same for a lease that the store had; somebody may be at it, or have finished it."""
        with self._lock:
            going = self._returns.get(record.id)
            if going is not None:
                return going
            kept = self._store.lease(record.key)  # who finishes one removes it there, then here
            if kept is None or kept.id != record.id:
                return Return.finished(record)
            going = self._returns[record.id] = Return(kept)
        return self._begun(going)

    def _begun(self, going: Return) -> Return:
        if any(part.kept for part in going.record.left):
            for part in going.record.left:
                self._order(going, part.resource)
        else:
            self._settled(going)
        return going

    def close(self) -> None:
        """Ask no vendor any more; what is left is done after the next start."""
        self._hands.close()

    def _order(self, going: Return, resource: str, after: float = 0.0) -> None:
        self._hands.do(resource, lambda: self._try(going, resource), after)

    def _try(self, going: Return, resource: str) -> bool:
        part = going.record.part(resource)
        if part is None or part.back:
            return True
        try:
            wait = self._give_back(going, part)
            if wait is None:
                self._part_is_back(going, part)
                going.was_tried(resource)
                return True
        except Exception as error:
            wait = self._put_off(going, part, error)
        going.was_tried(resource)
        self._order(going, resource, wait)
        return False

    def _give_back(self, going: Return, part: Part) -> float | None:
        """Do it; how long to wait where it cannot be done yet, else ``None``."""
        job, device = going.record.job, part.device
        if part.token is not None:
            self._vendors.release(device, job, part.token)
            return None
        habit = self._vendors.habit(device)
        left = (part.asked or 0.0) + habit.longest_seconds - self._now()
        if not habit.kept or left <= 0:
            return None
        if habit.repeatable:
            limit = going.record.limit_seconds
            token = self._vendors.acquire(device, job, limit, part.slots)
            self._vendors.release(device, job, token)
            if self._vendors.habit(device).repeatable:  # its answer may have shown otherwise
                return None
        self._note(
            going,
            f"{part.resource}: a session may have been opened whose name is not known; its slots "
            f"stay taken until none can be left, for {left:.0f} s",
            is_new=part.resource not in going.failures,
        )
        going.failures.setdefault(part.resource, 0)
        return min(left, self._pace.longest_retry)

    def _put_off(self, going: Return, part: Part, error: Exception) -> float:
        failures = going.failures[part.resource] = going.failures.get(part.resource, 0) + 1
        wait = min(self._pace.first_retry * 2.0 ** min(failures - 1, 30), self._pace.longest_retry)
        said = error.message if isinstance(error, QrmiError) else type(error).__name__
        if not isinstance(error, QrmiError):
            _log.debug("unexpected", exc_info=error)
        text = f"{part.resource} cannot be given back yet: {said}"
        self._note(going, text, is_new=failures == 1)
        return wait

    def _note(self, going: Return, text: str, *, is_new: bool) -> None:
        """Say it where people look: once in the log, and in the lease's record."""
        if not is_new:
            return
        _log.warning("%s: %s", going.record.key, text)
        with going.lock:
            going.record = attrs.evolve(going.record, reason=text)
            try:
                self._store.change(going.record)
            except QrmiError as error:
                _log.error("%s: %s", going.record.key, error.message)

    def _part_is_back(self, going: Return, part: Part) -> None:
        with going.lock:
            record = going.record.with_part(attrs.evolve(part, back=True))
            if record.left:
                self._store.change(record)
            else:
                self._close(going)
            going.record = record
        self._freed(record.job, (part,))

    def _settled(self, going: Return) -> bool:
        """No vendor has anything of it."""
        record = going.record
        try:
            self._close(going)
        except QrmiError as error:
            _log.error("%s: %s", record.key, error.message)
            self._hands.do("", lambda: self._settled(going), self._pace.first_retry)
            return False
        going.record = Return.finished(record).record
        self._freed(record.job, record.left)
        going.tried.set()
        return True

    def _close(self, going: Return) -> None:
        if going.refusal is not None:
            self._store.put(going.refusal)
        else:
            self._store.remove(going.record)
        with self._lock:
            self._returns.pop(going.record.id, None)
