"""What was held when, as the vendors' servers and the daemon say it, and what was wrong with it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from qrmi.schedulers.speaking import Away, Lost

__all__ = ["History"]


class History:
    """Watches a site while jobs run and things are killed. A context manager.

    Args:
        site: a `SlurmSite` or `GESite`.
        slots: how many slots each resource has.

    Attributes:
        looks: how often the daemon was asked who holds what.
    """

    def __init__(self, site: Any, slots: dict[str, int]) -> None:
        self.looks = 0
        self._site = site
        self._slots = slots
        self._double: list[str] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> History:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            with contextlib.suppress(Away, Lost):  # it was killed
                self._look(self._site.daemon.ask("GET", "/v1/leases"))

    def _look(self, rows: list[dict[str, Any]]) -> None:
        self.looks += 1
        used: Counter[str] = Counter()
        for row in rows:
            for grant in row["grants"]:
                used[grant["resource"]] += grant["slots"]
        self._double += [
            f"{name}: {count} of {self._slots[name]} slots: {[row['key'] for row in rows]}"
            for name, count in used.items()
            if count > self._slots[name]
        ]

    def wrongs(self) -> list[str]:
        """Everything that must not have happened; empty when all is well."""
        return [*self._double, *self._two_owners(), *self._leaks(), *self._booked_twice()]

    def _two_owners(self) -> Iterator[str]:
        """Two sessions of one slot that were open at the vendor at the same moment."""
        warden = self._site.warden
        with warden.lock:
            spans = sorted((s.created_at, s.revoked_at or "9", s.job) for s in warden.sessions)
        for before, after in pairwise(spans):
            if before[1] > after[0]:
                yield f"jobs {before[2]} and {after[2]} had fresnel at the same time"

    def _leaks(self) -> Iterator[str]:
        for session in self._site.sessions():
            yield f"session {session} is open at its vendor, and no job runs"
        for key in self._site.leases():
            yield f"lease {key} is there, and no job runs"

    def _booked_twice(self) -> Iterator[str]:
        lines = [
            json.loads(line)
            for file in sorted(Path(self._site.folder / "state").rglob("*.jsonl"))
            for line in file.read_text().splitlines()
        ]
        for key, count in Counter(line["key"] for line in lines).items():
            if count > 1:
                yield f"{key} is in the ledger {count} times"
