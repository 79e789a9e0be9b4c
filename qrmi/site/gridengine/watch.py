"""Whether Grid Engine has a run of a job still, for leases whose end nobody told."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from xml.etree.ElementTree import Element

import attrs

from qrmi.errors import QrmiError
from qrmi.site.gridengine.commands import Commands
from qrmi.site.terms import Job
from qrmi.waiting import Clock, SystemClock

__all__ = ["GridEngineWatch", "Look", "Running", "read_look"]

_UNHEARD = "u"
_FAILED_PAUSE_SECONDS = 2.0


@attrs.frozen(kw_only=True)
class Running:
    """A task that is on a host.

    Attributes:
        start: when it was started, in qmaster's local time, to the second.
        host: where; is_unheard: whether qmaster has not heard of that host for too long.
    """

    start: str
    host: str
    is_unheard: bool = False


@attrs.frozen(kw_only=True)
class Look:
    """One answer of qmaster.

    Attributes:
        runs: what is on hosts, by job and task (``17.1``).
        began: when it was asked.
    """

    runs: Mapping[str, list[Running]]
    began: float


def read_look(reply: Element, began: float) -> Look:
    """Read the reply to ``qstat -f -g d -u * -xml``: what the queues hold. Never raises."""
    runs: dict[str, list[Running]] = {}
    for queue in reply.iter("Queue-List"):
        host = (queue.findtext("name") or "").rpartition("@")[2]
        is_unheard = _UNHEARD in (queue.findtext("state") or "")
        for each in queue.iter("job_list"):
            number = (each.findtext("JB_job_number") or "").strip()
            task = (each.findtext("tasks") or "").strip() or "1"
            start = (each.findtext("JAT_start_time") or "").strip()[:19]
            run = Running(start=start, host=host, is_unheard=is_unheard)
            runs.setdefault(f"{number}.{task}", []).append(run)
    return Look(runs=runs, began=began)


class GridEngineWatch:
    """Tells runs that are over from those that go on.

    Qmaster is asked once for all jobs, at most every ``fresh_seconds``. A lease is judged only by
    an answer that was asked for after the lease was seen here first; until then it is ``None``.

    Args:
        commands: Grid Engine's.
        cluster: whose jobs these are; jobs of others get ``None``. Empty for any.
        lost_seconds: a run on a host that is unheard for so long is over.
        fresh_seconds: how old an answer may be.
        clock: what these go by.
    """

    def __init__(
        self,
        commands: Commands,
        *,
        cluster: str = "",
        lost_seconds: float = 600.0,
        fresh_seconds: float = 5.0,
        clock: Clock | None = None,
    ) -> None:
        self._commands = commands
        self._cluster = cluster
        self._lost = lost_seconds
        self._fresh = fresh_seconds
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._look: Look | None = None
        self._failed = float("-inf")
        self._asked: dict[str, float] = {}
        self._unheard: dict[str, float] = {}

    def is_over(self, job: Job) -> bool | None:
        """Whether this run of a job has ended.

        Returns:
            ``True`` when qmaster does not have it on any host, has started the job anew, or has
            not heard of its host for too long; ``False`` when it goes on; ``None`` when that
            cannot be told now: qmaster is silent, its answer is older than the question, or the
            job is not Grid Engine's.
        """
        if job.scheduler != "gridengine" or (self._cluster and job.cluster != self._cluster):
            return None
        with self._lock:
            asked = self._asked.setdefault(job.key, self._clock.monotonic())
            look = self._fresh_look()
            if look is None or look.began < asked:
                return None
            is_over = self._is_over(job, look)
            if is_over:
                self._asked.pop(job.key, None)
            return is_over

    def _is_over(self, job: Job, look: Look) -> bool:
        started = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(job.restart))
        here = [run for run in look.runs.get(job.id, []) if run.start == started]
        if not here:
            return True
        return all(run.is_unheard and self._is_lost(run.host) for run in here)

    def _is_lost(self, host: str) -> bool:
        since = self._unheard.get(host)
        return since is not None and self._clock.monotonic() - since >= self._lost

    def _fresh_look(self) -> Look | None:
        now = self._clock.monotonic()
        if self._look is not None and now - self._look.began < self._fresh:
            return self._look
        if now - self._failed < _FAILED_PAUSE_SECONDS:
            return None
        try:
            reply = self._commands.xml("qstat", "-f", "-g", "d", "-u", "*", "-xml")
        except QrmiError:
            self._look, self._failed = None, self._clock.monotonic()
            return None
        self._look = read_look(reply, now)
        self._remember(self._look, now)
        return self._look

    def _remember(self, look: Look, now: float) -> None:
        """Since when hosts are unheard; and forget questions that nobody asks any more."""
        unheard = {run.host for runs in look.runs.values() for run in runs if run.is_unheard}
        self._unheard = {host: self._unheard.get(host, now) for host in unheard}
        if len(self._asked) > 4 * len(look.runs) + 100_000:
            self._asked.clear()
