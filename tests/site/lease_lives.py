"""Daemons that are killed at numbered points of their lives, and the vendors that survive them.

Run as a program it is a nursery: it has all modules loaded, reads one order a line, forks a child
that lives it, and says how that ended. The vendors' sessions are files, so that what a killed
daemon had asked for is there for the next one.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from qrmi.config_file import ResourceDef
from qrmi.errors import ResourceNotFoundError, ResourceUnavailableError
from qrmi.site.lending.lease_states import Device, SessionHabit
from qrmi.site.lending.leasing import Leasing
from qrmi.site.lending.pace import Pace
from qrmi.site.lending.store import Store
from qrmi.site.terms import Job, Outcome, Want

__all__ = ["HABITS", "Nursery", "Order", "other_job", "the_job"]

LONGEST_SECONDS = 1000.0
HABITS = {
    "repeats": SessionHabit(repeatable=True, longest_seconds=LONGEST_SECONDS),
    "forgets": SessionHabit(longest_seconds=LONGEST_SECONDS),
    "keeps nothing": SessionHabit(kept=False),
}
_PACE = Pace(first_retry=0.01, longest_retry=0.02, patience=5.0)
_NAMES = ("a", "b", "c")


def the_job(submitted: int | None = 1000) -> Job:
    """Whose life it is."""
    return Job(scheduler="slurm", cluster="lab", id="7", submitted=submitted, uid=5)


def other_job() -> Job:
    """Who wants the same resources."""
    return Job(scheduler="slurm", cluster="lab", id="8", submitted=1000, uid=6)


@attrs.frozen(kw_only=True)
class Order:
    """One life.

    Attributes:
        folder: of the test; the state and the vendors' sessions are in it.
        habit: of all vendors, by its name in `HABITS`.
        steps: what the daemon is asked for: methods of `_Life`.
        want: names of the resources.
        kill_at: the number of the point at which it is killed, from 1; 0 for never.
        later_seconds: how far its clock is ahead.
    """

    folder: str
    habit: str
    steps: tuple[str, ...] = attrs.field(converter=tuple)
    want: tuple[str, ...] = attrs.field(default=("a",), converter=tuple)
    kill_at: int = 0
    later_seconds: float = 0.0


class _Points:
    """Counts points; the process ends at one."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._lock = threading.Lock()
        self.labels: list[str] = []

    def at(self, label: str) -> None:
        with self._lock:
            self.labels.append(label)
            if len(self.labels) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


class _Vendors:
    """Sessions are files: their names are tokens."""

    def __init__(self, order: Order, points: _Points, now: Any) -> None:
        self._folder = Path(order.folder) / "sessions"
        self._folder.mkdir(exist_ok=True)
        self._habit = HABITS[order.habit]
        self._points = points
        self._now = now
        self._lock = threading.Lock()
        self.is_down = False
        self.while_asked: Any = lambda: None

    def names(self) -> Sequence[str]:
        return _NAMES

    def definition(self, name: str) -> ResourceDef:
        if name not in _NAMES:
            raise ResourceNotFoundError(name)
        return ResourceDef(name, "files")

    def devices(self, name: str, filters: str = "") -> Sequence[Device]:
        return (Device(name=name, entry=name, type="files"),)

    def capacity(self, name: str) -> int:
        return 1 if name in _NAMES else 0

    def away(self, name: str) -> str:
        return ""

    def habit(self, device: Device) -> SessionHabit:
        return self._habit

    def acquire(self, device: Device, job: Job, limit_seconds: float | None, slots: int) -> str:
        self._points.at(f"acquire {device.name}: asked")
        self.while_asked()
        if not self._habit.kept:
            return "nothing"
        with self._lock:
            sessions = self.sessions(device.name)
            own = [token for token, said in sessions.items() if said["job"] == job.id]
            token = own[0] if own and self._habit.repeatable else uuid.uuid4().hex
            others = sessions.keys() - {token}
            if others:
                self._wrong(f"{device.name} was lent twice")
            said = {"device": device.name, "job": job.id, "born": self._now()}
            draft = self._folder.parent / f"draft-{token}"
            draft.write_text(json.dumps(said))
            draft.rename(self._folder / token)
        self._points.at(f"acquire {device.name}: done")
        return token

    def release(self, device: Device, job: Job, token: str) -> None:
        self._points.at(f"release {device.name}: asked")
        if self.is_down:
            raise ResourceUnavailableError("down")
        (self._folder / token).unlink(missing_ok=True)
        self._points.at(f"release {device.name}: done")

    def sessions(self, device: str) -> dict[str, dict[str, Any]]:
        """Those that are open; the ones that are too old have ended by themselves."""
        found = {path.name: json.loads(path.read_text()) for path in self._folder.iterdir()}
        if self._habit.repeatable is False:
            for token, said in list(found.items()):
                if self._now() - said["born"] >= LONGEST_SECONDS:
                    (self._folder / token).unlink(missing_ok=True)
                    del found[token]
        return {token: said for token, said in found.items() if said["device"] == device}

    def _wrong(self, text: str) -> None:
        (self._folder.parent / "wrong").write_text(text)


class _Life:
    """One daemon, from its start to its end, or to the point at which it is killed."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self.points = _Points(order.kill_at)
        self._said = Path(order.folder) / "said"
        self._want = Want(names=order.want)

    def now(self) -> float:
        return time.time() + self._order.later_seconds

    def live(self) -> None:
        self.store = Store(Path(self._order.folder) / "state")
        self.store.open()
        self.store.write(self._watch)
        self.vendors = _Vendors(self._order, self.points, self.now)
        self.leasing = Leasing(self.store, self.vendors, pace=_PACE, now=self.now)
        self.leasing.recover()
        for step in self._order.steps:
            getattr(self, step)()
        self.leasing.close()
        self.store.close()

    def _watch(self, connection: sqlite3.Connection) -> None:
        def trace(statement: str) -> None:
            if statement in ("BEGIN IMMEDIATE", "COMMIT"):
                self.points.at(statement)

        connection.set_trace_callback(trace)

    def say(self, text: str) -> None:
        """The answer leaves the daemon."""
        self.points.at(f"answer {text}: before")
        self.note(text)
        self.points.at(f"answer {text}: after")

    def note(self, text: str) -> None:
        with self._said.open("a") as stream:
            stream.write(text + "\n")

    # --- what it may be asked for -----------------------------------------------------------------

    def ask(self) -> None:
        self.say(str(self.leasing.acquire(the_job(), self._want).outcome))

    def ask_and_be_ended(self) -> None:
        """The job ends while the vendor is being asked."""
        ends = iter([True])

        def end() -> None:
            if next(ends, False):
                thread = threading.Thread(target=self.end)
                thread.start()
                thread.join()

        self.vendors.while_asked = end
        self.say(str(self.leasing.acquire(the_job(), self._want).outcome))

    def ask_until_settled(self) -> None:
        """A hook that asks again while the answer is later."""
        end = time.monotonic() + 10
        while (answer := self.leasing.acquire(the_job(), self._want)).outcome is Outcome.LATER:
            assert time.monotonic() < end, answer
            time.sleep(0.005)
        assert answer.outcome is Outcome.GRANTED, answer
        self.say(str(answer.outcome))

    def end(self) -> None:
        self.note("ending")
        self.leasing.end(the_job())
        self.say("end")

    def end_any_submission(self) -> None:
        self.note("ending")
        self.leasing.end(the_job(submitted=None))
        self.say("end")

    def vendor_goes_down(self) -> None:
        self.vendors.is_down = True

    def vendor_comes_back(self) -> None:
        self.vendors.is_down = False

    def other_asks(self) -> None:
        """Somebody else may get it, or not; the vendors see whether that is too early."""
        self.note("other asking")
        answer = self.leasing.acquire(other_job(), self._want)
        self.say(f"other {answer.outcome}")

    def other_must_get_it(self) -> None:
        end = time.monotonic() + 10
        while self.leasing.acquire(other_job(), self._want).outcome is not Outcome.GRANTED:
            assert time.monotonic() < end, "a slot was lost"
            time.sleep(0.005)

    def must_be_held(self) -> None:
        """What the job was told is still so, and no vendor is asked for it."""
        record = self.leasing.lease(the_job().key)
        assert record is not None, "the lease was lost"
        answer = self.leasing.acquire(the_job(), self._want)
        assert answer.outcome is Outcome.GRANTED, answer
        assert [grant.resource for grant in answer.grants] == list(self._order.want)
        for name, token in record.tokens.items():
            assert token == "nothing" or token in self.vendors.sessions(name), "its session is gone"

    def must_be_ended(self) -> None:
        answer = self.leasing.acquire(the_job(), self._want)
        assert answer.outcome is Outcome.ENDED, answer

    def end_other(self) -> None:
        self.leasing.end(other_job())

    def must_be_empty(self) -> None:
        end = time.monotonic() + 10
        while self.leasing.used():
            assert time.monotonic() < end, f"slots stay taken: {self.leasing.used()}"
            time.sleep(0.005)
        for name in _NAMES:
            assert not self.vendors.sessions(name), f"a session of {name} was left behind"
        assert not list(self.leasing.leases()), "records were left behind"


def _lived(line: str) -> dict[str, Any]:
    """Fork a child that lives an order; how it ended."""
    order = Order(**json.loads(line))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        told: dict[str, Any] = {}
        life = _Life(order)
        try:
            life.live()
        except BaseException:
            told["error"] = traceback.format_exc()
        told["points"] = life.points.labels
        os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        text = stream.read()
    _, status = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(status)
    return {"killed": killed, **(json.loads(text) if text else {})}


class Nursery:
    """Runs lives, one after the other, each in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, order: Order) -> dict[str, Any]:
        """How one ended: ``killed``, ``points``, ``error``."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(attrs.asdict(order)) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        """Send it home."""
        self._process.communicate(timeout=20)


if __name__ == "__main__":
    for order_line in sys.stdin:
        print(json.dumps(_lived(order_line)), flush=True)
