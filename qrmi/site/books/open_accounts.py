"""Open accounts: what a job holds and since when, kept until it is in the ledger.

They lie beside the leases in the same file, and the file keeps them itself: in the transaction in
which a lease becomes held its account is opened, in the one in which it is held no more the account
is closed. So a daemon that is killed at any point has neither lost one nor made one twice, and a
lease costs no further flush.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from qrmi.site.books.usage import JobUsage, ResourceUse, TaskUse, counted, measured
from qrmi.site.lending.store import Store
from qrmi.site.terms import Grant, Job
from qrmi.tasks import SessionUse

__all__ = ["Account", "OpenAccounts", "usage_of"]

_NOW = "(julianday('now') - 2440587.5) * 86400.0"  # epoch seconds
_OPEN = (
    "INSERT OR IGNORE INTO account (key, job, parts, held)"
    f" VALUES (NEW.key, NEW.job, NEW.parts, coalesce(NEW.granted, {_NOW}));"
)
_CLOSE = f"UPDATE account SET ended = {_NOW} WHERE key = OLD.key AND ended IS NULL;"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS account (key TEXT PRIMARY KEY, job TEXT NOT NULL,"
    " parts TEXT NOT NULL, held REAL NOT NULL, ended REAL) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS account_ended ON account (ended) WHERE ended IS NOT NULL",
    "CREATE TRIGGER IF NOT EXISTS account_begins AFTER INSERT ON lease"
    f" WHEN NEW.state = 'held' BEGIN {_OPEN} END",
    "CREATE TRIGGER IF NOT EXISTS account_opens AFTER UPDATE OF state ON lease"
    f" WHEN NEW.state = 'held' AND OLD.state <> 'held' BEGIN {_OPEN} END",
    "CREATE TRIGGER IF NOT EXISTS account_closes AFTER UPDATE OF state ON lease"
    f" WHEN OLD.state = 'held' AND NEW.state <> 'held' BEGIN {_CLOSE} END",
    "CREATE TRIGGER IF NOT EXISTS account_goes AFTER DELETE ON lease"
    f" WHEN OLD.state = 'held' BEGIN {_CLOSE} END",
)
_CLOSED = (
    "SELECT key, job, parts, held, ended FROM account WHERE ended IS NOT NULL AND"
    f" (ended < {_NOW} - ? OR NOT EXISTS (SELECT 1 FROM lease WHERE lease.key = account.key))"
    " ORDER BY ended LIMIT ?"
)


@attrs.frozen(kw_only=True)
class Account:
    """What a run of a job held.

    Attributes:
        job: the run.
        grants: its resources.
        entries: by resource, the entry of the configuration that it comes from.
        tokens: by resource, the vendor's name of the session that has ended.
        held: when it had them all, epoch seconds.
        ended: when it had them no more.
    """

    job: Job
    grants: tuple[Grant, ...]
    entries: Mapping[str, str] = attrs.field(factory=dict)
    tokens: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    held: float
    ended: float


class OpenAccounts:
    """The accounts of one daemon.

    Args:
        store: of the leases, opened.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def prepare(self) -> None:
        """Let the store keep accounts from now on. Once more is no error.

        Raises:
            ResourceUnavailableError: it cannot be written.
        """

        def work(connection: sqlite3.Connection) -> None:
            for statement in _SCHEMA:
                connection.execute(statement)

        self._store.write(work)

    def closed(self, *, most: int = 500, patience_seconds: float = 60.0) -> list[Account]:
        """Accounts that are closed and not `done`, oldest first.

        Args:
            most: no more than that many.
            patience_seconds: how long one is held back whose resources have not all been given
                back: tasks that are stopped with it may still have to be counted.
        """
        return [_account(row) for row in self._store.read(_CLOSED, (patience_seconds, most))]

    def done(self, keys: Iterable[str]) -> None:
        """Forget accounts that are booked."""
        rows = [(key,) for key in keys]

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany("DELETE FROM account WHERE key = ?", rows)

        if rows:
            self._store.write(work)


def _account(row: tuple[Any, ...]) -> Account:
    _, job, text, held, ended = row
    parts = json.loads(text)
    return Account(
        job=Job(**json.loads(job)),
        grants=tuple(
            Grant(resource=part["resource"], type=part["type"], slots=part["slots"])
            for part in parts
        ),
        entries={part["resource"]: part["entry"] for part in parts},
        tokens={part["resource"]: part["token"] for part in parts if part["token"]},
        held=held,
        ended=max(held, ended),  # a clock may be set back
    )


def usage_of(
    account: Account,
    counts: Mapping[str, Sequence[TaskUse]],
    told: Mapping[str, SessionUse] = MappingProxyType({}),
) -> JobUsage:
    """The entry of an account that is closed.

    Args:
        account: what was held.
        counts: the job's tasks by resource, for those that the gateway serves.
        told: what vendors account for its sessions, by resource. What is in neither is not known.
    """
    held = account.ended - account.held
    uses = []
    for grant in account.grants:
        use = ResourceUse(
            resource=grant.resource, type=grant.type, slots=grant.slots, held_seconds=round(held, 3)
        )
        if grant.resource in counts:
            use = counted(use, counts[grant.resource])
        elif grant.resource in told:
            use = measured(use, told[grant.resource])
        uses.append(use)
    submitted = account.job.submitted
    wait = None if submitted is None else round(max(account.held - submitted, 0.0), 3)
    return JobUsage(
        job=account.job, ended=round(account.ended, 3), wait_seconds=wait, resources=uses
    )
