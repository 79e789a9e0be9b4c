"""Whether Slurm has a job still, for leases whose end nobody told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import attrs

from qrmi.errors import QrmiError
from qrmi.site.slurm.commands import SlurmCommands
from qrmi.site.terms import Job
from qrmi.waiting import Clock, SystemClock

__all__ = ["SlurmWatch"]

_FORMAT = "JobID:20,State:24,SubmitTime:24,RestartCnt:12"
_GOES_ON = ("CONFIGURING", "RUNNING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING")


@attrs.frozen
class _Seen:
    """A job as the controller has it."""

    state: str
    submitted: int | None
    restart: int


@attrs.frozen
class _Look:
    """One answer of the controller: all jobs that go on, and when it was asked."""

    jobs: dict[str, list[_Seen]]
    began: float


class SlurmWatch:
    """Tells runs that are over from those that go on.

    The controller is asked once for all jobs, at most every ``fresh_seconds``, however many leases
    there are. A lease that is younger than that answer is not judged by it: the caller is told
    ``None`` once, and the truth the next time.

    Args:
        commands: Slurm's.
        cluster: whose jobs these are; jobs of others get ``None``. Empty for any.
        fresh_seconds: how old an answer may be.
        clock: what that goes by.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        commands: SlurmCommands,
        *,
        cluster: str = "",
        fresh_seconds: float = 5.0,
        clock: Clock | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._commands = commands
        self._cluster = cluster
        self._fresh = fresh_seconds
        self._clock = clock or SystemClock()
        self._now = now
        self._lock = threading.Lock()
        self._look: _Look | None = None
        self._failed = float("-inf")
        self._asked: dict[str, float] = {}

    def is_over(self, job: Job) -> bool | None:
        """Whether this run of a job has ended.

        Returns:
            ``True`` when the controller says so, or does not know the run any more; ``False`` when
            it goes on; ``None`` when that cannot be told now: the controller is silent, its answer
            is older than the question, or the job is not Slurm's.
        """
        if job.scheduler != "slurm" or (self._cluster and job.cluster != self._cluster):
            return None
        with self._lock:
            asked = self._asked.setdefault(job.key, self._clock.monotonic())
            look = self._fresh_look()
            if look is None:
                return None
            if not _is_over(job, look.jobs.get(job.id, [])):
                return False
            if look.began < asked:
                return None
            del self._asked[job.key]
            return True

    def _fresh_look(self) -> _Look | None:
        now = self._clock.monotonic()
        if self._look is not None and now - self._look.began < self._fresh:
            return self._look
        if now - self._failed < self._fresh:
            return None
        began = self._clock.monotonic()
        try:
            states = ",".join(_GOES_ON)
            text = self._commands.run("squeue", "-h", "-a", "-t", states, "-O", _FORMAT)
        except QrmiError:
            self._look, self._failed = None, self._clock.monotonic()
            return None
        self._forget(began)
        self._look = _Look(_read(text), began)
        return self._look

    def _forget(self, now: float) -> None:
        """Questions that nobody repeats: their leases are gone."""
        oldest = now - 3600.0
        self._asked = {key: at for key, at in self._asked.items() if at > oldest}


def _read(text: str) -> dict[str, list[_Seen]]:
    jobs: dict[str, list[_Seen]] = {}
    for line in text.splitlines():
        words = line.split()
        if len(words) == 4:
            number, state, submitted, restart = words
            seen = _Seen(state, _whole(submitted), _whole(restart) or 0)
            jobs.setdefault(number, []).append(seen)
    return jobs


def _whole(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _is_over(job: Job, found: list[_Seen]) -> bool:
    return not any(_is_this_run(job, seen) and seen.state in _GOES_ON for seen in found)


def _is_this_run(job: Job, seen: _Seen) -> bool:
    """Ids come back; a run has its own number of restarts and its own time of submission."""
    if seen.restart != job.restart:
        return False
    return job.submitted is None or seen.submitted is None or seen.submitted == job.submitted
