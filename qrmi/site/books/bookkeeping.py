"""From accounts that are closed to the ledger, and to whoever else is told of a job's end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import attrs

from qrmi.errors import QrmiError
from qrmi.site.books.ledger import Ledger
from qrmi.site.books.open_accounts import Account, OpenAccounts, usage_of
from qrmi.site.books.usage import JobUsage, TaskUse
from qrmi.tasks import SessionUse
from qrmi.waiting import Clock, SystemClock

__all__ = ["Bookkeeper", "Reporter", "Tasks"]

_log = logging.getLogger(__name__)

_AT_ONCE = 500
_FIRST_RETRY_SECONDS = 2.0
_LAST_RETRY_SECONDS = 300.0
_GIVE_UP_SECONDS = 3600.0


class Tasks(Protocol):
    """What the gateway knows of the tasks of jobs: `qrmi.site.gateway.dispatch.Gateway`."""

    def look(self, job: str) -> None:
        """Look at what has become of those that nobody saw end; by the job's key."""

    def uses(self, job: str) -> Sequence[TaskUse]:
        """What a job's starts have come to."""


class Reporter(Protocol):
    """A scheduler's own accounting."""

    def report(self, usage: JobUsage) -> None:
        """Tell it what a job used; for jobs of other schedulers nothing. It may be told again.

        Raises:
            QrmiError: it could not be told; where that is retryable, it is told later.
        """


@attrs.define
class _Waiting:
    """An account that a scheduler has yet to be told of."""

    since: float
    due: float
    failures: int = 0


class Bookkeeper:
    """Books each account that is closed: ledger, schedulers, figures, in that order.

    An account stays until that is done; the ledger knows what it has. A scheduler that cannot be
    told is told again for an hour, and then not, with a warning.

    Args:
        accounts: prepared.
        ledger: where entries go.
        tasks: the gateway's; ``None`` where there is none.
        is_served: whether the gateway serves the resources of an entry of the configuration.
        ask_vendor: for the other resources: what the vendor accounts for the session, once it has
            ended; ``None`` or an error where it does not tell.
        reporters: the schedulers' accountings.
        booked: is told of each entry that is new in the ledger.
        clock: what retries go by.
        pause_seconds: how often it looks.
    """

    def __init__(
        self,
        accounts: OpenAccounts,
        ledger: Ledger,
        *,
        tasks: Tasks | None = None,
        is_served: Callable[[str], bool] = lambda entry: False,
        ask_vendor: Callable[[Account, str], SessionUse | None] = lambda account, name: None,
        reporters: Sequence[Reporter] = (),
        booked: Callable[[JobUsage], None] = lambda usage: None,
        clock: Clock | None = None,
        pause_seconds: float = 1.0,
    ) -> None:
        self._accounts = accounts
        self._ledger = ledger
        self._tasks = tasks
        self._is_served = is_served
        self._ask_vendor = ask_vendor
        self._reporters = tuple(reporters)
        self._booked = booked
        self._clock = clock or SystemClock()
        self._pause = pause_seconds
        self._entries: dict[str, JobUsage] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self) -> int:
        """Book what is closed; how many accounts are done with.

        Raises:
            ResourceUnavailableError: the ledger or the accounts cannot be written; nothing is lost.
        """
        closed = self._accounts.closed(most=_AT_ONCE + len(self._waiting))
        entries = [self._entry(account) for account in closed]
        for usage in self._ledger.note_all(entries):
            self._booked(usage)
        done = [usage.job.key for usage in entries if self._reported(usage)]
        self._accounts.done(done)
        for key in done:
            self._waiting.pop(key, None)
            self._entries.pop(key, None)
        return len(done)

    def _entry(self, account: Account) -> JobUsage:
        """What the job used; asked for once, also where telling it takes several attempts."""
        key = account.job.key
        if key not in self._entries:
            counts = self._counts(account)
            self._entries[key] = usage_of(account, counts, self._told(account, set(counts)))
        return self._entries[key]

    def _counts(self, account: Account) -> dict[str, Sequence[TaskUse]]:
        """The job's tasks by resource, for each that the gateway serves."""
        names = [grant.resource for grant in account.grants]
        served = [name for name in names if self._is_served(account.entries[name])]
        if self._tasks is None or not served:
            return {}
        key = account.job.key
        try:
            self._tasks.look(key)
            uses = self._tasks.uses(key)
        except Exception as error:
            _log.error("the tasks of %s cannot be counted: %s", key, type(error).__name__)
            _log.debug("unexpected", exc_info=error)
            return {}
        return {name: [use for use in uses if use.resource == name] for name in served}

    def _told(self, account: Account, known: set[str]) -> dict[str, SessionUse]:
        """What vendors account for the job's sessions; one that cannot say is left out."""
        found = {}
        for name in sorted(account.tokens.keys() - known):
            try:
                use = self._ask_vendor(account, name)
            except Exception as error:
                said = error.message if isinstance(error, QrmiError) else type(error).__name__
                _log.info("%s does not tell what %s used: %s", name, account.job.key, said)
                continue
            if use is not None:
                found[name] = use
        return found

    def _reported(self, usage: JobUsage) -> bool:
        """Whether the schedulers have been told, or are not to be told any more."""
        key, now = usage.job.key, self._clock.monotonic()
        waiting = self._waiting.get(key)
        if waiting is not None and now < waiting.due:
            return False
        try:
            for reporter in self._reporters:
                reporter.report(usage)
        except QrmiError as error:
            return self._put_off(key, now, error.message, error.retryable)
        except Exception as error:
            return self._put_off(key, now, f"unexpected {type(error).__name__}", False)
        return True

    def _put_off(self, key: str, now: float, message: str, retryable: bool) -> bool:
        waiting = self._waiting.setdefault(key, _Waiting(since=now, due=now))
        if not retryable or now - waiting.since > _GIVE_UP_SECONDS:
            _log.warning("its scheduler was not told what %s used: %s", key, message)
            return True
        waiting.failures += 1
        wait = _FIRST_RETRY_SECONDS * 2 ** min(waiting.failures - 1, 20)
        waiting.due = now + min(wait, _LAST_RETRY_SECONDS)
        _log.debug("its scheduler could not be told what %s used: %s", key, message)
        return False

    # --- a thread of its own --------------------------------------------------------------------

    def start(self) -> None:
        """Book in the background until `close`."""
        self._thread = threading.Thread(target=self._run, name="bookkeeper", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop, with a last look; what is left is booked after the next start."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)

    def _run(self) -> None:
        failures = done = 0
        while True:
            pause = 0.0 if done >= _AT_ONCE else self._pause * 2 ** min(failures, 6)
            is_last = self._stop.wait(min(pause, 60.0))
            done = 0
            try:
                done = self.step()
                failures = 0
            except QrmiError as error:
                failures += 1
                if failures == 1:
                    _log.error("%s", error)
            except Exception:
                failures += 1
                _log.exception("the books could not be kept; they are tried again")
            if is_last:
                return
