"""Requests under way: one for each key, joined by those that ask the same again."""

from __future__ import annotations

import threading

from qrmi.site.terms import Answer, Job

__all__ = ["Flight", "Flights"]


class Flight:
    """One request for a job's resources while its vendors are asked.

    Attributes:
        job: whose it is.
        fenced: the job has been ended meanwhile: what comes is given back at once.
    """

    def __init__(self, job: Job) -> None:
        self.job = job
        self.fenced = False
        self._done = threading.Event()
        self._answer: Answer | None = None
        self._error: BaseException | None = None

    def land(self, answer: Answer | None, error: BaseException | None = None) -> None:
        """Tell everybody how it ended."""
        self._answer, self._error = answer, error
        self._done.set()

    def answer(self) -> Answer:
        """Wait for the answer; raises what the one who asks met."""
        self._done.wait()
        if self._error is not None:
            raise self._error
        assert self._answer is not None
        return self._answer


class Flights:
    """All requests under way; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_key: dict[str, Flight] = {}
        self._of_run: dict[str, set[Flight]] = {}
        self._fences: list[Job] = []

    def join(self, job: Job) -> tuple[Flight | None, bool]:
        """The flight of that key, and whether it is the caller's own: it has just begun.

        ``None`` when the job has been ended, this very moment or while the flight is under way.
        """
        with self._lock:
            if any(_covers(fence, job) for fence in self._fences):
                return None, False
            flight = self._by_key.get(job.key)
            if flight is not None:
                return (None if flight.fenced else flight), False
            flight = self._by_key[job.key] = Flight(job)
            self._of_run.setdefault(job.run, set()).add(flight)
            return flight, True

    def finish(self, flight: Flight, *, unless_fenced: bool = False) -> bool:
        """It is over: the next request of the key begins anew. False where a fence forbids it."""
        with self._lock:
            if unless_fenced and flight.fenced:
                return False
            if self._by_key.get(flight.job.key) is flight:
                del self._by_key[flight.job.key]
                others = self._of_run[flight.job.run]
                others.discard(flight)
                if not others:
                    del self._of_run[flight.job.run]
            return True

    def fence(self, job: Job) -> list[Flight]:
        """Let nothing of the job begin until `fenced`; those of its flights that are under way."""
        with self._lock:
            self._fences.append(job)
            flights = [f for f in self._of_run.get(job.run, ()) if _covers(job, f.job)]
            for flight in flights:
                flight.fenced = True
            return flights

    def fenced(self, job: Job) -> None:
        """The fence is on disk, where everybody looks."""
        with self._lock:
            self._fences.remove(job)


def _covers(fence: Job, job: Job) -> bool:
    if fence.submitted is None:
        return fence.run == job.run
    return fence.key == job.key
