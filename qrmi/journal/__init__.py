"""The journal: what was started, acquired and seen to end, kept for every later process.

A folder of append-only files of JSON lines, one file for each writing process, so that many
processes on many nodes can write to one shared home without a lock. Readers merge the files and
pass over a torn last line. Files of processes that have ended are brought together in segments
with an index. A record holds ids, names, times and the adapter's context; never a payload, a
result or a secret. docs/journal.md describes it for users and administrators.
"""

from __future__ import annotations

from qrmi.journal.book import Journal, default
from qrmi.journal.checks import Health
from qrmi.journal.events import FORMAT_VERSION, Event, members
from qrmi.journal.forgetting import Forgotten
from qrmi.journal.records import LeaseRecord, TaskRecord
from qrmi.journal.upkeep import CompactReport

__all__ = [
    "FORMAT_VERSION",
    "CompactReport",
    "Event",
    "Forgotten",
    "Health",
    "Journal",
    "LeaseRecord",
    "TaskRecord",
    "default",
    "members",
]
