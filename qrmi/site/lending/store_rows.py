"""Leases as rows of the store's file, and the statements that write them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import attrs

from qrmi.site.lending.lease_states import LeaseRecord, Part
from qrmi.site.terms import Job

__all__ = [
    "COLUMNS",
    "FENCE",
    "INSERT",
    "KNOWN",
    "SCHEMA",
    "SCHEMA_VERSION",
    "UPDATE",
    "parts_text",
    "possibly_asked",
    "record_of",
    "row_of",
]

SCHEMA_VERSION = 1
COLUMNS = "job, state, lease, parts, since, granted, limit_seconds, reason, hint"
SCHEMA = """
CREATE TABLE lease (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    run TEXT NOT NULL,
    place TEXT NOT NULL,
    state TEXT NOT NULL,
    job TEXT NOT NULL,
    lease TEXT NOT NULL,
    parts TEXT NOT NULL,
    since REAL NOT NULL,
    granted REAL,
    limit_seconds REAL,
    reason TEXT NOT NULL,
    hint TEXT NOT NULL
);
CREATE INDEX lease_place ON lease (place, since);
CREATE INDEX lease_refused ON lease (since) WHERE state = 'refused';
CREATE TABLE fence (
    name TEXT PRIMARY KEY,
    before INTEGER,
    at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX fence_at ON fence (at);
"""
INSERT = (
    "INSERT OR REPLACE INTO lease (key, run, place, state, job, lease, parts, since, granted,"
    " limit_seconds, reason, hint) VALUES (?1, ?2, ?3, CASE WHEN ?4 <> 'refused' AND EXISTS ("
    " SELECT 1 FROM fence WHERE name = ?1 OR name = ?2 AND before >= ?13) THEN 'ending' ELSE ?4"
    " END, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
)
UPDATE = (
    "UPDATE lease SET state = CASE state WHEN 'ending' THEN state ELSE ? END, parts = ?,"
    " granted = ?, reason = ?, hint = ? WHERE key = ? AND lease = ?"
)
FENCE = (
    "INSERT INTO fence (name, before, at) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE"
    " SET before = max(before, excluded.before), at = excluded.at"
)
KNOWN = (
    "SELECT EXISTS (SELECT 1 FROM fence WHERE name = ?1 OR name = ?2 AND (?3 IS NULL OR"
    f" before >= ?3)), {COLUMNS} FROM (SELECT 1) LEFT JOIN lease ON lease.key = ?1"
)


def row_of(record: LeaseRecord) -> tuple[object, ...]:
    """The values of `INSERT`."""
    job = record.job
    return (
        record.key,
        job.run,
        job.place,
        str(record.state),
        json.dumps(job.as_json()),
        record.id,
        parts_text(record.parts),
        record.since,
        record.granted,
        record.limit_seconds,
        record.reason,
        record.hint,
        job.submitted or 0,
    )


def possibly_asked(parts: tuple[Part, ...]) -> list[Part]:
    """Vendors are asked in order of their names, each after the token before it was kept."""
    missing = sorted(part.resource for part in parts if part.token is None)
    never = set(missing[1:])
    return [attrs.evolve(p, back=True) if p.resource in never else p for p in parts]


def parts_text(parts: Iterable[Part]) -> str:
    """Parts as the file has them, with their tokens."""
    return json.dumps([attrs.asdict(part) for part in parts])


def record_of(row: tuple[Any, ...]) -> LeaseRecord:
    """The lease in a row of `COLUMNS`."""
    job, state, lease, parts, since, granted, limit_seconds, reason, hint = row
    return LeaseRecord(
        job=Job(**json.loads(job)),
        state=state,
        id=lease,
        parts=(Part(**part) for part in json.loads(parts)),
        since=since,
        granted=granted,
        limit_seconds=limit_seconds,
        reason=reason,
        hint=hint,
    )
