"""Which resources jobs can have: looks at each, and tells the schedulers what changes."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from qrmi.config_file import ResourceDef
from qrmi.errors import ResourceNotFoundError
from qrmi.site.watching.drains import Drain, Drains
from qrmi.site.watching.standing import History, Seen, Standing, State, free_lines, seen
from qrmi.site.watching.switching import Publisher
from qrmi.tasks import ResourceStatus
from qrmi.waiting import Clock, SystemClock

__all__ = ["Availability"]

_log = logging.getLogger(__name__)

_MOST_LOOKS = 64
_STEP_SECONDS = 1.0
_FAILED_LOOKS = 3
_LOUD = (State.OFFLINE, State.UNKNOWN)


@attrs.define
class _Watched:
    """One resource and the look at it that is under way."""

    definition: ResourceDef
    history: History = attrs.field(factory=History)
    due: float = float("-inf")
    started: float | None = None
    overdue: int = 0


def _in_a_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="look", daemon=True).start()


class Availability:
    """The standing of every resource, kept up to date.

    Each resource is looked at by a thread of its own, at most every ``poll_seconds``, and never
    by two at once, so that a slow service delays no other. One that does not answer in time counts
    as a look that failed; its late answer counts when it comes.

    Args:
        resources: the site's resources by name.
        look: asks a resource for its status; raises `QrmiError`.
        drains: planned maintenance.
        publishers: the schedulers' switches.
        used: how many slots are held, by resource.
        free_file: where `free_lines` go, for submission filters; ``None`` for nowhere.
        poll_seconds: how often a resource is asked.
        timeout_seconds: how long an answer is waited for.
        failed_looks: how many looks have to fail before a resource counts as offline.
        clock: what intervals go by; now: the time, epoch seconds.
        spawn: runs a look without waiting for it.
    """

    def __init__(
        self,
        resources: Mapping[str, ResourceDef],
        look: Callable[[str], ResourceStatus],
        drains: Drains,
        *,
        publishers: Sequence[Publisher] = (),
        used: Callable[[], Mapping[str, int]] = dict,
        free_file: Path | None = None,
        poll_seconds: float = 10.0,
        timeout_seconds: float = 10.0,
        failed_looks: int = _FAILED_LOOKS,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
        spawn: Callable[[Callable[[], None]], None] = _in_a_thread,
    ) -> None:
        self._look_at = look
        self._drains = drains
        self._publishers = tuple(publishers)
        self._used = used
        self._free_file = free_file
        self._poll = poll_seconds
        self._timeout = timeout_seconds
        self._patience = failed_looks
        self._clock = clock or SystemClock()
        self._now = now
        self._spawn = spawn
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._written = ("", float("-inf"))
        fresh = History(since=now())
        self._watched = {n: _Watched(d, history=fresh) for n, d in resources.items()}

    # --- what others ask ------------------------------------------------------------------------

    def standings(self) -> list[Standing]:
        """Every resource, in the configuration's order."""
        used = self._used()
        drains = self._drains.current()
        with self._lock:
            return [_standing(name, w, drains, used) for name, w in self._watched.items()]

    def standing(self, name: str) -> Standing:
        """One resource. Raises `ResourceNotFoundError`."""
        watched, used, drains = self._known(name), self._used(), self._drains.current()
        with self._lock:
            return _standing(name, watched, drains, used)

    def serve(self, resources: Mapping[str, ResourceDef]) -> None:
        """Watch these from now on; what is known of those that stay is kept.

        One that is gone is switched on again, so that nothing of it is left at a scheduler.
        """
        fresh = History(since=self._now())
        with self._lock:
            gone = {name: None for name in self._watched if name not in resources}
            kept = self._watched
            self._watched = {n: _Watched(d, history=fresh) for n, d in resources.items()}
            for name, watched in self._watched.items():
                if name in kept:
                    watched.history = kept[name].history
        for publisher in self._publishers:
            publisher.put(gone)
        self._tell()

    def away(self, name: str) -> str:
        """Why a resource cannot be lent now; empty when it can, and for one not known here."""
        watched = self._watched.get(name)
        if watched is None:
            return ""
        drains = self._drains.current()
        with self._lock:
            standing = _standing(name, watched, drains, {})
        return standing.text if standing.is_away else ""

    def drain(self, name: str, reason: str, until: float | None = None, by: str = "") -> Drain:
        """Keep new jobs from a resource from now on; those that hold it go on.

        The schedulers learn of it within a second, or once they answer.

        Raises:
            ResourceNotFoundError: the site has no such resource.
            InvalidInputError: no reason, or an end that is no time to come.
            ResourceUnavailableError: it cannot be written down; nothing has changed.
        """
        self._known(name)
        new = self._drains.drain(name, reason, until, by)
        _log.info("%s is drained: %s", name, new.reason)
        self._tell()
        return new

    def resume(self, name: str) -> None:
        """End a drain; nothing changes when there is none. Raises as `drain` does."""
        self._known(name)
        if self._drains.resume(name):
            _log.info("%s is resumed", name)
            self._tell()

    def _known(self, name: str) -> _Watched:
        if name not in self._watched:
            raise ResourceNotFoundError(
                f"this site has no resource {name!r}",
                hint="there is: " + (", ".join(self._watched) or "none"),
            )
        return self._watched[name]

    # --- looking --------------------------------------------------------------------------------

    def step(self) -> None:
        """Start the looks that are due, count those that take too long, tell what has changed."""
        for name in self._to_look_at():
            self._spawn(lambda name=name: self._look(name))  # type: ignore[misc]
        self._tell()

    def _to_look_at(self) -> list[str]:
        now = self._clock.monotonic()
        with self._lock:
            for name, watched in self._watched.items():
                self._count_overdue(name, watched, now)
            under_way = sum(w.started is not None for w in self._watched.values())
            due = [n for n, w in self._watched.items() if w.started is None and w.due <= now]
            due.sort(key=lambda name: self._watched[name].due)
            chosen = due[: max(_MOST_LOOKS - under_way, 0)]
            for name in chosen:
                self._watched[name].started = now
                self._watched[name].due = now + self._poll
            return chosen

    def _count_overdue(self, name: str, watched: _Watched, now: float) -> None:
        if watched.started is None:
            return
        interval = max(self._timeout, self._poll)
        late = now - watched.started - self._timeout
        if late >= watched.overdue * interval:
            watched.overdue += 1
            self._note(name, watched, Seen(reason=f"no answer within {self._timeout:g} s"))

    def _look(self, name: str) -> None:
        try:
            result = seen(self._look_at(name))
        except Exception as error:
            result = seen(error)
        with self._lock:
            watched = self._watched.get(name)
            if watched is None:
                return
            counted_already = watched.overdue and result.state is None
            watched.started, watched.overdue = None, 0
            if not counted_already:
                self._note(name, watched, result)
        self._tell()

    def _note(self, name: str, watched: _Watched, look: Seen) -> None:
        before = watched.history
        watched.history = after = before.after(look, self._now(), self._patience)
        if (after.state, after.reason) != (before.state, before.reason):
            level = logging.WARNING if after.state in _LOUD else logging.INFO
            reason = f": {after.reason}" if after.reason else ""
            _log.log(level, "%s is %s%s", name, after.state.value, reason)
        elif look.state is None:
            _log.debug("a look at %s failed: %s", name, look.reason)

    # --- telling --------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Hand the switches what they should know; before the first look that is nothing."""
        standings = self.standings()
        states = {s.name: s.absence for s in standings if s.state is not State.UNKNOWN}
        for publisher in self._publishers:
            publisher.put(states)
        self._write(standings)

    def _write(self, standings: list[Standing]) -> None:
        if self._free_file is None:
            return
        body, now = free_lines(standings, 0), self._clock.monotonic()
        with self._lock:
            if self._written[0] == body and now - self._written[1] < self._poll:
                return
            self._written = (body, now)
            try:
                _replace(self._free_file, free_lines(standings, self._now()))
            except OSError as error:
                self._written = ("", float("-inf"))
                _log.warning("cannot write %s: %s", self._free_file, error.strerror or error)

    # --- a thread of its own --------------------------------------------------------------------

    def start(self) -> None:
        """Look in the background until `close`."""
        for publisher in self._publishers:
            publisher.start()
        self._thread = threading.Thread(target=self._run, name="availability", daemon=True)
        self._thread.start()

    def close(self, timeout_seconds: float = 5.0) -> None:
        """Stop looking; looks that are under way are left behind."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout_seconds)
        for publisher in self._publishers:
            publisher.close(timeout_seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.step()
            except Exception:
                _log.exception("a round of looks failed")
            self._stop.wait(min(_STEP_SECONDS, self._poll))


def _standing(
    name: str, watched: _Watched, drains: Mapping[str, Drain], used: Mapping[str, int]
) -> Standing:
    return watched.history.standing(
        name=name,
        type_name=watched.definition.type_name,
        slots=getattr(watched.definition, "slots", 1),
        used=used.get(name, 0),
        drain=drains.get(name),
    )


def _replace(file: Path, text: str) -> None:
    """Readers see the old file or the new one; anybody may read it."""
    new = file.with_name(f".{file.name}.new")
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    with new.open("x", encoding="utf-8") as stream:
        stream.write(text)
    new.chmod(0o644)
    new.replace(file)
