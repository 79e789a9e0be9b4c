"""A process killed at each of its points, those that come after it, and what the server counted."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
from lives import packed
from place import remembering
from programs import VENDORS, Vendor, mark_in
from zygote import Ended, Zygote

from qrmi import Payload
from qrmi_sandbox import make_server

__all__ = ["ROWS", "Site", "Sweep", "Trip", "site_of", "sweep", "zygotes"]

ROWS = (*VENDORS, "local")
"""What is swept: each vendor, and the embedded simulator."""

SETTINGS = {
    "QRMI_HTTP_TRANSPORT": "requests",
    "QRMI_HTTP_BUDGET_SECONDS": "5",
    "QRMI_START_SETTLE_SECONDS": "0.5",
}
_PROBES = Path(__file__).parent.parent / "local" / "probes"
_WORKERS = 3


def _local_program(mark: str, ticks: Path) -> Payload:
    steps = [["tick", str(ticks / mark)]]
    return Payload.QiskitPrimitive(json.dumps({"pubs": [["circuit"]], "probe": steps}), "sampler")


@attrs.define(kw_only=True)
class Trip:
    """One life that ended at a point, and what came after.

    Attributes:
        number: the point's.
        label: what the point is.
        marks: of the program with a derived key, and of that with a key of the caller's own.
        life: the process that was killed.
        killed: the next one, which was killed while it recovered; ``None`` if that was left out.
        after: the one after that.
        states: what the journal has of the starts by mark, an hour later.
        runs: how often the two programs were run.
        tasks: the ids under which they are on the server, by mark.
    """

    number: int
    label: str
    marks: list[str]
    life: Ended
    killed: Ended | None
    after: Ended
    states: dict[str, str]
    runs: list[int] = attrs.field(factory=list)
    tasks: dict[str, list[str]] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Sweep:
    """All lives of a vendor.

    Attributes:
        row: the vendor's.
        points: how many points a life has.
        trips: the lives that were killed.
        truth: what results must come to.
        sessions: how many sessions were opened, and left when all was reaped.
        seconds: how long it took.
    """

    row: str
    points: int
    trips: list[Trip]
    truth: Any
    sessions: list[int]
    seconds: float

    @property
    def may_be_uncertain(self) -> bool:
        """Whether the documentation says so."""
        return self.row != "local" and VENDORS[self.row].uncertain

    def wrong(self) -> list[str]:
        """Everything that must not be; empty when all is well."""
        return [
            f"killed at {trip.number} ({trip.label}): {complaint}\n    {trip.life.told}"
            f"\n    {trip.after.told}"
            for trip in self.trips
            for complaint in (*_of_derived(self, trip), *_of_own(self, trip), *_of_all(self, trip))
        ]

    def outcomes(self) -> Counter[str]:
        """How the killed starts came out, by word."""
        return Counter(word for trip in self.trips for word in _words(trip))


def _record(trip: Trip, mark: str) -> dict[str, Any] | None:
    found = [r for r in trip.after.told["records"] if r["mark"] == mark]
    assert len(found) < 2, found
    return found[0] if found else None


def _of_derived(sweep: Sweep, trip: Trip) -> Iterator[str]:
    """The start whose key was made up, which nobody repeats."""
    mark, runs, returned = trip.marks[0], trip.runs[0], trip.life.told.get("derived")
    record = _record(trip, mark)
    if runs > 1:
        yield f"run {runs} times"
    if returned and (runs != 1 or not record or record["id"] != returned):
        yield f"{returned} was returned; run {runs} times, found as {record}"
    is_open = sweep.may_be_uncertain and trip.states.get(mark) == "unsettled"
    if runs and not (record and record["status"]) and not is_open:
        yield f"it was run, and it is lost: {record}, {trip.states.get(mark)}"
    if not runs and record and record["status"]:
        yield f"it was not run, and is found as {record}"
    if not runs and not sweep.may_be_uncertain and trip.states.get(mark) == "unsettled":
        yield "it was not run, and nobody says so"
    if record and record["status"]:
        yield from _of_result(sweep, trip, record)


def _of_own(sweep: Sweep, trip: Trip) -> Iterator[str]:
    """The start with a key of the caller's own, which was started again."""
    mark, runs, returned = trip.marks[1], trip.runs[1], trip.life.told.get("own")
    again, record = trip.after.told["again"], _record(trip, mark)
    if runs > 1:
        yield f"own key: run {runs} times"
    if len(again) == 1:
        if runs != 1 or not record or record["id"] != again[0]:
            yield f"own key: started again as {again[0]}; run {runs} times, found as {record}"
        if returned not in (None, again[0]):
            yield f"own key: {returned}, and then {again[0]}"
    elif again[0] != "TaskStartUncertainError" or not sweep.may_be_uncertain or returned:
        yield f"own key: started again, it raises {again}"
    if record and record["status"]:
        yield from _of_result(sweep, trip, record)


def _of_result(sweep: Sweep, trip: Trip, record: dict[str, Any]) -> Iterator[str]:
    mark = record["mark"]
    own_id = str(record["id"]).rpartition(":")[2]
    if trip.tasks and own_id not in trip.tasks.get(mark, ()):
        yield f"the task of {mark} is said to be {record['id']}, and is {trip.tasks.get(mark)}"
    if record.get("reached") != mark:
        yield f"the context is lost: {record}"
    if _value(sweep.row, record["value"]) != sweep.truth:
        yield f"the result is not complete: {record}"


def _of_all(sweep: Sweep, trip: Trip) -> Iterator[str]:
    told = trip.after.told
    known = {*trip.marks}
    strange = [r for r in told["records"] if r["mark"] not in known]
    if strange and sweep.row != "local":  # whose lives share a folder
        yield f"records of nobody: {strange}"
    if "token" in trip.life.told and trip.killed is None:
        is_over = "labels" in trip.life.told or "released" in trip.label
        if not told["leases"] and not is_over:
            yield f"the session {trip.life.told['token']} is not listed"
    if told["leases_left"]:
        yield f"sessions are left: {told['reaped']}"


def _words(trip: Trip) -> Iterator[str]:
    for mark, runs in zip(trip.marks, trip.runs, strict=True):
        record = _record(trip, mark)
        if record and record["status"]:
            yield "found"
        elif runs:
            yield "uncertain, run"
        elif record is None:
            yield "never begun"
        else:
            yield "uncertain, not run" if trip.states.get(mark) == "unsettled" else "not run"


def _value(row: str, value: str | None) -> Any:
    if value is None:
        return None
    if row == "local":
        return "ended"
    return VENDORS[row].result(value)


# --- the sweep itself -------------------------------------------------------------------------


@attrs.define(kw_only=True)
class Site:
    """Where a sweep takes place: a server, and folders for journals.

    Attributes:
        row: the vendor's.
        folder: for all files.
        kind: the resource's type.
        name: its name.
        server: what counts; ``None`` for the embedded simulator.
        entry: the server's entry of a configuration file.
    """

    row: str
    folder: Path
    kind: str
    name: str
    server: Any = None
    entry: dict[str, Any] = attrs.field(factory=dict)

    def place(self, number: int, marks: list[str]) -> dict[str, Any]:
        """Words for the processes of a life."""
        vendor = VENDORS.get(self.row)
        ticks = self.folder / "ticks"
        programs = [vendor.make(m) if vendor else _local_program(m, ticks) for m in marks]
        state = self.folder / "state" if vendor is None else self.folder / f"state-{number}"
        found = {
            "kind": self.kind,
            "name": self.name,
            "state": str(state),
            "key": f"own {self.row} {number}",
            "programs": [packed(program) for program in programs],
        }
        return {**found, "config": self._config(number)} if self.entry else found

    def _config(self, number: int) -> str:
        """A configuration file, of a scheduler's job of its own where jobs have sessions."""
        environment = {**self.entry["environment"], **SETTINGS}
        if "QRMI_JOB_ID" in environment:
            environment["QRMI_JOB_ID"] = str(number + 1)
        path = self.folder / f"config-{number}.json"
        path.write_text(json.dumps({"resources": [{**self.entry, "environment": environment}]}))
        path.chmod(0o600)
        return str(path)

    def counted(self) -> tuple[Counter[str], dict[str, list[str]]]:
        """Runs by mark, and ids by mark."""
        runs: Counter[str] = Counter()
        ids: dict[str, list[str]] = {}
        if self.server is None:
            for file in (self.folder / "ticks").iterdir():
                runs[file.name] = len(file.read_text().split())
            return runs, ids
        for task_id, program in self.server.program_texts().items():
            runs[mark_in(program)] += self.server.executions[task_id]
            ids.setdefault(mark_in(program), []).append(task_id)
        return runs, ids

    def sessions(self) -> list[int]:
        """Sessions that were opened, and that are open."""
        if not hasattr(self.server, "sessions"):
            return [0, 0]
        if hasattr(self.server, "held_sessions"):
            return [len(self.server.sessions), len(self.server.held_sessions())]
        with self.server.lock:
            left = [s for s in self.server.sessions.values() if s.accepts]
        return [len(self.server.sessions), len(left)]


@contextlib.contextmanager
def site_of(row: str, folder: Path) -> Iterator[Site]:
    """The vendor's server, running."""
    folder.mkdir(parents=True, exist_ok=True)
    if row == "local":
        (folder / "ticks").mkdir()
        yield Site(row=row, folder=folder, kind="local", name="local")
        from qrmi_local.service import client

        client.shutdown(folder / "state")
        return
    vendor = VENDORS[row]
    with _server(vendor) as server:
        entry = server.resource(vendor.name)
        yield Site(
            row=row,
            folder=folder,
            kind=vendor.kind,
            name=vendor.name,
            server=server,
            entry=entry,
        )


@contextlib.contextmanager
def zygotes(number: int) -> Iterator[list[Zygote]]:
    """Processes that fork others."""
    environment = {"PYTHONPATH": os.pathsep.join([str(_PROBES), os.environ.get("PYTHONPATH", "")])}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Zygote(environment)) for _ in range(number)]


def _server(vendor: Vendor) -> Any:
    server: Any = make_server(vendor.kind)
    if hasattr(server, "lanes"):
        server.lanes = 1 << 30
    for holder in (getattr(server, "runner", None), getattr(server, "qpu", None)):
        if holder is not None:
            holder.emulate = remembering(holder.emulate)
    return server


def sweep(row: str, folder: Path, *, most: int, seed: int) -> Sweep:
    """Kill a life at each of its points, or at ``most`` of them that the seed chooses."""
    begun = time.monotonic()
    chance = random.Random(f"{row} {seed}")
    with site_of(row, folder) as site, zygotes(_WORKERS) as ready:
        whole = _trip(site, ready[0], 0, 0, again_first=False)
        labels = whole.life.told["labels"]
        chosen = _chosen(labels, most, chance)
        plans = [(n, chance.randint(1, 40) if i % 3 == 2 else 0) for i, n in enumerate(chosen)]
        with ThreadPoolExecutor(_WORKERS) as pool:
            done = [
                pool.submit(_trip, site, ready[i % _WORKERS], n, then, again_first=bool(i % 2))
                for i, (n, then) in enumerate(plans)
            ]
            trips = [each.result() for each in done]
        time.sleep(0.3)
        runs, ids = site.counted()
        for trip in (whole, *trips):
            trip.runs = [runs[mark] for mark in trip.marks]
            trip.tasks = ids
        return Sweep(
            row=row,
            points=len(labels),
            trips=[whole, *trips],
            truth=_value(row, whole.life.told["value"]),
            sessions=site.sessions(),
            seconds=time.monotonic() - begun,
        )


def _chosen(labels: list[str], most: int, chance: random.Random) -> list[int]:
    """Numbers of points: all, or each kind of point once before any comes twice."""
    numbers = list(range(1, len(labels) + 1))
    if len(numbers) <= most:
        return numbers
    chance.shuffle(numbers)
    seen: Counter[str] = Counter()
    ranked = []
    for number in numbers:
        label = re.sub(r"\W*\d+\W*", "", labels[number - 1])
        ranked.append((seen[label], number))
        seen[label] += 1
    return sorted(number for _, number in sorted(ranked)[:most])


def _trip(site: Site, zygote: Zygote, number: int, then: int, *, again_first: bool) -> Trip:
    marks = [f"mark-{number:04}a", f"mark-{number:04}b"]
    place = site.place(number, marks)
    life = zygote.run("life", place=place, last=number, marks=marks)
    killed = None
    if then:
        killed = zygote.run("after", place=place, marks=marks, last=then, again_first=again_first)
    after = zygote.run("after", place=place, marks=marks, again_first=again_first)
    later = zygote.run("later", place=place, marks=marks)
    return Trip(
        number=number,
        label=life.told.get("killed_at", "the end"),
        marks=marks,
        life=life,
        killed=killed,
        after=after,
        states=later.told["states"],
    )
