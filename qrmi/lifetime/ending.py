"""What has to be done before this process ends, and a thread that stands ready to do it.

A *duty* is something that must not outlive the process: a lease that it holds, tasks that it was
asked to stop. At the end of the interpreter, and at a signal that ends the process, duties are
carried out by a thread of their own, the *keeper*, for `LIMIT_SECONDS` at most. So a service that
does not answer holds nothing up for longer, and a lock that the interrupted thread has stops
nothing. The keeper begins with the first duty and stays, since neither a signal handler nor an
ending interpreter can start threads.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import functools
import itertools
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from qrmi.driver import Driver
from qrmi.waiting import Deadline, SystemClock

__all__ = [
    "LIMIT_SECONDS",
    "Duty",
    "Keeper",
    "after_fork",
    "apart",
    "at_signal",
    "duties",
    "inherited",
    "is_busy",
    "keeper",
    "lay_down",
    "take_on",
    "tell",
    "together",
]

LIMIT_SECONDS = 5.0
"""The longest that the end of the process is held up."""

_MOST_THREADS = 16
_TELLING_SECONDS = 0.3
_log = logging.getLogger(__name__)
_clock = SystemClock()


class Duty(Protocol):
    """Something to be done before the process ends. Both ways may be tried, more than once.

    Attributes:
        rank: duties of lower rank go first.
    """

    rank: int

    def at_end(self, deadline: Deadline) -> None:
        """The interpreter ends: do it, if it is not done. Raises nothing."""

    def at_signal(self, deadline: Deadline) -> None:
        """A signal ends the process: do it, without any lock that another thread may hold."""


class Keeper:
    """A thread that waits for work on a pipe.

    Args:
        on_signal: called, in the thread, with the number of a signal that was written to the pipe.
    """

    def __init__(self, on_signal: Callable[[int], None]) -> None:
        self.pid = os.getpid()
        self._on_signal = on_signal
        self._work: collections.deque[tuple[Callable[[], None], threading.Event]]
        self._work = collections.deque()
        self._read, self.pipe = os.pipe()
        os.set_blocking(self.pipe, False)
        threading.Thread(target=self._run, name="qrmi-keeper", daemon=True).start()

    def post(self, work: Callable[[], None]) -> threading.Event:
        """Have something done; the event is set when it is. For signal handlers too."""
        done = threading.Event()
        self._work.append((work, done))
        with contextlib.suppress(BlockingIOError):  # it is full, so the thread will wake anyway
            os.write(self.pipe, b"\0")
        return done

    def abandon(self) -> None:
        """In a forked child: close the pipe, which is the parent's too."""
        for descriptor in (self._read, self.pipe):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _run(self) -> None:
        while True:
            for number in os.read(self._read, 64):
                if number:
                    self._on_signal(number)
            while self._work:
                work, done = self._work.popleft()
                work()
                done.set()


class _State:
    """What this process has to do; a forked child has a new one."""

    def __init__(self, inherited: Sequence[Duty] = ()) -> None:
        self.duties: dict[Duty, None] = {}  # used without a lock: each operation is atomic
        self.inherited = tuple(inherited)
        self.keeper: Keeper | None = None
        self.lock = threading.Lock()
        self.signalled = False
        self.is_worker_watched = False
        self.lines: collections.deque[tuple[int, str, tuple[object, ...]]] = collections.deque()


_state = _State()


def duties() -> list[Duty]:
    """What has to be done, in order."""
    return sorted(_state.duties, key=lambda duty: duty.rank)


def is_busy() -> bool:
    """Whether there is anything to be done."""
    return bool(_state.duties)


def inherited() -> tuple[Duty, ...]:
    """The duties of the process that forked this one: they stay with it."""
    return _state.inherited


def keeper() -> Keeper | None:
    """The thread, while there is one."""
    return _state.keeper


def take_on(duty: Duty, on_signal: Callable[[int], None]) -> None:
    """Have something done before the process ends."""
    with _state.lock:
        _state.duties[duty] = None
        if not _state.is_worker_watched:
            _state.is_worker_watched = True
            _watch_worker()
        if _state.keeper is None:
            try:
                _state.keeper = Keeper(on_signal)
            except (OSError, RuntimeError) as error:  # no descriptors or threads are left
                _log.warning("the end of this process cannot be watched: %s", error)


def _watch_worker() -> None:
    """A worker of `multiprocessing` ends without `atexit`, but not without its own finalizers."""
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, _at_end, exitpriority=0)


def lay_down(duty: Duty) -> bool:
    """It is done. Returns whether nothing is left to do."""
    _state.duties.pop(duty, None)
    return not _state.duties


def at_signal() -> None:
    """Carry out all duties because a signal ends the process; once, and within the limit."""
    if _state.signalled:
        return
    _state.signalled = True
    deadline = Deadline.after(LIMIT_SECONDS, _clock)
    for _, group in itertools.groupby(duties(), key=lambda duty: duty.rank):
        together([functools.partial(duty.at_signal, deadline) for duty in group], deadline)
    together([_tell], Deadline.after(_TELLING_SECONDS, _clock))


def tell(level: int, text: str, *values: object) -> None:
    """Log a line of `Duty.at_signal` once all duties have had their turn: it may block."""
    _state.lines.append((level, text, values))


def _tell() -> None:
    while _state.lines:
        level, text, values = _state.lines.popleft()
        _log.log(level, text, *values)


def _at_end() -> None:
    deadline = Deadline.after(LIMIT_SECONDS, _clock)

    def carry_out() -> None:
        for duty in duties():
            if deadline.passed:
                break
            duty.at_end(deadline)

    if not _state.duties:
        return
    if _state.keeper is None:
        carry_out()
    elif not _state.keeper.post(carry_out).wait(LIMIT_SECONDS):
        _log.warning("the service did not answer in time: `qrmi leases` lists what is still held")


def apart(driver: Driver) -> Driver:
    """A driver like this one that shares no lock with it, for `Duty.at_signal`."""
    made: Any = driver.__reduce__()
    copy: Driver = made[0](*made[1])
    return copy


def together(works: Sequence[Callable[[], None]], deadline: Deadline) -> None:
    """Do several things in threads of their own, and wait for them until the deadline.

    What is not done then goes on, if the process does.
    """
    left = collections.deque(works)

    def work_off() -> None:
        with contextlib.suppress(IndexError):
            while True:
                left.popleft()()

    threads = [threading.Thread(target=work_off, daemon=True) for _ in works[:_MOST_THREADS]]
    begun = []
    for thread in threads:
        try:
            thread.start()
        except RuntimeError:  # none are to be had
            work_off()
            break
        begun.append(thread)
    for thread in begun:
        thread.join(deadline.shorten(threading.TIMEOUT_MAX))


def after_fork() -> None:
    """In a forked child: duties and keeper are the parent's."""
    global _state
    before = _state
    _state = _State(inherited=(*before.inherited, *before.duties))
    if before.keeper is not None:
        before.keeper.abandon()


atexit.register(_at_end)
