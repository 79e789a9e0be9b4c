"""The site's policy: who is lent which resource, and that it comes back.

A lease goes through the store at each step: the intent is on disk before a vendor is asked, its
token before the job is told, its end before anything is given back. So a daemon that is killed at
any point finds out at its next start what it has to finish.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator

import attrs

from qrmi.errors import QrmiError
from qrmi.site.lending import planning
from qrmi.site.lending.flights import Flight, Flights
from qrmi.site.lending.giving_back import GivingBack, Return
from qrmi.site.lending.lease_states import LeaseRecord, LeaseState, Part
from qrmi.site.lending.pace import Pace
from qrmi.site.lending.reaper import Reaped, Reaper
from qrmi.site.lending.store import Store
from qrmi.site.lending.taken import Choice, Taken
from qrmi.site.lending.vendors import Vendors
from qrmi.site.lending.verdicts import ended, is_certain, later, refusal_of, why_not
from qrmi.site.terms import Answer, Ended, Job, Outcome, Want
from qrmi.waiting import Deadline, SystemClock

__all__ = ["Leasing"]

_log = logging.getLogger(__name__)


class Leasing:
    """The leases of a site. Thread-safe; its methods block while vendors are asked.

    Call `recover` once before anything else.

    Args:
        store: opened.
        vendors: the resources.
        freed: is called when something is free again.
        pace: how patient it is.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        store: Store,
        vendors: Vendors,
        *,
        freed: Callable[[], None] = lambda: None,
        pace: Pace | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._vendors = vendors
        self._told_freed = freed
        self._pace = pace or Pace()
        self._now = now
        self._flights = Flights()
        self._taken = Taken(vendors.capacity)
        self._returns = GivingBack(vendors, store, self._freed, self._pace, now)
        self._reaper = Reaper(store, self._pace, now)

    # --- asking ---------------------------------------------------------------------------------

    def acquire(self, job: Job, want: Want) -> Answer:
        """Lend a job all that it wants, or nothing.

        The same answer again while the job holds it, whatever it wants then. The reason of one
        that is not granted names resources, and nobody.
        """
        flight, is_own = self._flights.join(job)
        if flight is None:
            return ended()
        if not is_own:
            return flight.answer()
        try:
            answer = self._settled(flight, want)
        except BaseException as error:
            self._flights.finish(flight)
            flight.land(None, error)
            raise
        self._flights.finish(flight)
        flight.land(answer)
        return answer

    def _settled(self, flight: Flight, want: Want) -> Answer:
        job = flight.job
        known = self._known(job)
        if known is not None:
            return known
        choices = planning.plan(self._vendors, want)
        if isinstance(choices, Answer):
            return self._noted(job, want, choices)
        try:
            return self._lent(flight, want, choices)
        except QrmiError as error:  # the store's: nothing was asked of a vendor
            return later(error.message, error.hint)

    def _known(self, job: Job) -> Answer | None:
        is_fenced, record = self._store.known(job)
        if is_fenced:
            return ended()
        if record is None or record.state is LeaseState.REFUSED:
            return None
        if record.state is LeaseState.HELD:
            return Answer(outcome=Outcome.GRANTED, grants=record.grants)
        names = ", ".join(part.resource for part in record.parts)
        return later(f"an earlier request of this job is still being undone: {names}")

    def _noted(self, job: Job, want: Want, answer: Answer) -> Answer:
        """Keep a refusal, for the job's user to be told."""
        if answer.outcome is Outcome.REFUSED:
            record = LeaseRecord(
                job=job,
                state=LeaseState.REFUSED,
                since=self._now(),
                limit_seconds=want.limit_seconds,
            )
            self._store.put(refusal_of(record, answer))
        return answer

    def _lent(self, flight: Flight, want: Want, choices: tuple[Choice, ...]) -> Answer:
        parts = self._taken.take(flight.job, choices)
        if isinstance(parts, str):
            return later(parts, "wait until it is given back")
        now = self._now()
        record = LeaseRecord(
            job=flight.job,
            state=LeaseState.ASKING,
            parts=(attrs.evolve(p, asked=now, kept=self._is_kept(p)) for p in parts),
            since=now,
            limit_seconds=want.limit_seconds,
        )
        if record.is_kept:  # else no vendor opens anything, and there is nothing to remember
            try:
                self._store.put(record)
            except BaseException:
                self._taken.free(flight.job, parts)
                raise
        return self._asked(flight, record)

    def _is_kept(self, part: Part) -> bool:
        try:
            return self._vendors.habit(part.device).kept
        except Exception:
            return True  # what is wrong shows when it is asked

    def _asked(self, flight: Flight, record: LeaseRecord) -> Answer:
        """Ask the vendors, one after the other, in one order for all jobs.

        Each token is written down before the next vendor is asked, where vendors keep anything.
        """
        order = sorted(record.parts, key=lambda part: part.resource)
        job, limit = record.job, record.limit_seconds
        for number, part in enumerate(order):
            if flight.fenced:
                return self._given_up(record, order[number:], ended(), fenced=True)
            try:
                token = self._vendors.acquire(part.device, job, limit, part.slots)
                record = record.with_part(attrs.evolve(part, token=token))
                if number + 1 == len(order):
                    record = attrs.evolve(record, state=LeaseState.HELD, granted=self._now())
                    (self._store.change if record.is_kept else self._store.put)(record)
                elif record.is_kept:
                    self._store.change(record)
            except Exception as error:
                unasked = order[number + 1 :]
                if record.tokens.get(part.resource) is None and is_certain(error):
                    unasked = order[number:]
                answer = why_not(record, part.resource, error)
                return self._given_up(record, unasked, answer, fenced=flight.fenced)
        if not self._flights.finish(flight, unless_fenced=True):
            never = attrs.evolve(record, granted=None)  # nobody told the job that it has it
            return self._given_up(never, [], ended(), fenced=True)
        _log.info("%s holds %s", record.key, ", ".join(part.resource for part in order))
        return Answer(outcome=Outcome.GRANTED, grants=record.grants)

    def _given_up(
        self, record: LeaseRecord, unasked: list[Part], answer: Answer, *, fenced: bool
    ) -> Answer:
        """Give back what there is; of ``unasked`` there is nothing."""
        for part in unasked:
            record = record.with_part(attrs.evolve(part, back=True))
        record = attrs.evolve(record, state=LeaseState.ENDING)
        refusal = None
        if answer.outcome is Outcome.REFUSED and not fenced:
            refusal = refusal_of(record, answer)
        try:
            self._store.change(record)
        except QrmiError as error:  # its intent is there; the next start would look what came of it
            _log.error("%s: %s", record.key, error.message)
        self._taken.free(record.job, unasked)
        going = self._returns.start(record, refusal)
        if not fenced:
            going.tried.wait(self._pace.patience)
        return answer

    # --- ending ---------------------------------------------------------------------------------

    def end(self, job: Job, why: str = "", *, patience_seconds: float | None = None) -> Ended:
        """Take back all that a job holds, and let no request of it through any more.

        Also of one that nobody has heard of, and of one whose request is under way: that is not
        waited for, and what comes of it is given back at once. Without a time of submission: of
        all submissions up to now.

        Args:
            job: its key counts; nothing else of it does.
            why: for the log.
            patience_seconds: how long vendors are waited for; ``None`` for the usual time.

        Raises:
            ResourceUnavailableError: the end could not be written down: say it again.
        """
        gone, returns, in_flight = self._ending(job, why)
        patience = self._pace.patience if patience_seconds is None else patience_seconds
        deadline = Deadline.after(patience, SystemClock())
        for going in returns:
            going.tried.wait(deadline.shorten(patience))
        pending = {name for going in returns for name in going.pending} | set(in_flight)
        parts = [part for going in returns for part in going.record.parts]
        released = {part.resource for part in (*gone, *parts)} - pending
        return Ended(released=sorted(released), pending=sorted(pending))

    def _ending(self, job: Job, why: str) -> tuple[list[Part], list[Return], list[str]]:
        """What is given back, what is on its way, and what a request under way gives back."""
        flights = self._flights.fence(job)
        try:
            closed, ending = self._store.fence(job, self._now())
        finally:
            self._flights.fenced(job)
        for record in (*closed, *ending):
            _log.info("%s ends%s", record.key, f": {why}" if why else "")
        under_way = {flight.job.key for flight in flights}
        others = [p.resource for r in (*closed, *ending) if r.key in under_way for p in r.left]
        gone = [record for record in closed if record.key not in under_way]
        for record in gone:
            self._freed(record.job, record.parts)
        returns = [self._returns.take_up(r) for r in ending if r.key not in under_way]
        return [part for record in gone for part in record.parts], returns, others

    # --- looking --------------------------------------------------------------------------------

    def lease(self, key: str) -> LeaseRecord | None:
        """What there is of a key: a lease, or the refusal of one."""
        return self._store.lease(key)

    def leases(self, place: str | None = None) -> Iterator[LeaseRecord]:
        """All that are not over, oldest first; refusals are none. Read by and by.

        Args:
            place: only those of a job, by ``scheduler/cluster/id``.
        """
        return self._store.leases(place=place)

    def of_job(self, scheduler: str, cluster: str, id: str) -> LeaseRecord | None:  # noqa: A002
        """The newest lease of a job: the one that it holds, if it does; else how it is refused."""
        return self._store.newest(f"{scheduler}/{cluster}/{id}")

    def used(self) -> dict[str, int]:
        """How many slots are taken, by entry of the configuration and by device of an account."""
        return self._taken.by_name()

    # --- the daemon's own -----------------------------------------------------------------------

    def recover(self) -> None:
        """Take up what the daemon before this one left. Call it once, before anything else.

        What it held is held. What it asked for without hearing an answer is undone, in the
        background; until that is settled its slots stay taken.
        """
        self._store.undo_intents()
        for record in self._store.leases():
            self._taken.count(record.job, record.left)
            if record.state is LeaseState.ENDING:
                self._returns.take_up(record)
        self._store.prune(self._now() - self._pace.fences)

    def reap(self, is_over: Callable[[Job], bool | None]) -> Reaped:
        """End leases whose jobs are over, unsaid; see `qrmi.site.lending.reaper`."""
        return self._reaper.reap(is_over, lambda job: self._ending(job, "its job is over"))

    def close(self) -> None:
        """Give nothing back any more: what is under way is taken up at the next start."""
        self._returns.close()

    def _freed(self, job: Job, parts: tuple[Part, ...]) -> None:
        self._taken.free(job, parts)
        self._told_freed()
