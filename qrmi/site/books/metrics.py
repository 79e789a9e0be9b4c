"""Figures for Prometheus. Only the daemon imports this module.

Labels are resources, types, schedulers and words of this library: never a user, a job or a task.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from qrmi.errors import Owner
from qrmi.site.books.usage import JobUsage
from qrmi.site.terms import Answer, Grant, Job, Outcome
from qrmi.site.watching.standing import Standing, State

__all__ = ["Metrics"]

_WAITS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 4 * 3600.0, 12 * 3600.0, 86400.0)
_VENDOR_WAITS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _nothing() -> tuple[()]:
    return ()


class Metrics:
    """What the daemon counts, and what it looks up when it is scraped.

    The counters begin at 0 when the daemon starts; the ledger is what lasts. All methods may be
    called from several threads.

    Args:
        standings: every resource as it stands.
        held: the grants of the leases that are held; a list of one lease's each.
        releases_pending: how many resources the vendor could not be told to take back yet.
        untold: by scheduler, how many resources its switch does not have as they stand.
        now: the time, epoch seconds.
    """

    def __init__(
        self,
        *,
        standings: Callable[[], Iterable[Standing]] = _nothing,
        held: Callable[[], Iterable[Sequence[Grant]]] = _nothing,
        releases_pending: Callable[[], int] = int,
        untold: Callable[[], Mapping[str, int]] = dict,
        now: Callable[[], float] = time.time,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # series that nobody asks for
        self._registry = registry = CollectorRegistry()
        self._count_leases(registry)
        self._count_use(registry)
        registry.register(_Scrape(standings, held, releases_pending, untold, now))

    def _count_leases(self, registry: CollectorRegistry) -> None:
        self._acquires = Counter(
            "qrmi_acquires", "Requests for resources by outcome", ["outcome"], registry=registry
        )
        for outcome in Outcome:
            self._acquires.labels(outcome.value)
        self._acquire_seconds = Histogram(
            "qrmi_acquire_seconds",
            "How long requests for resources took to answer",
            buckets=_VENDOR_WAITS,
            registry=registry,
        )
        self._waits = Histogram(
            "qrmi_lease_wait_seconds",
            "From a job's submission to its lease",
            ["resource"],
            buckets=_WAITS,
            registry=registry,
        )
        self._jobs = Counter(
            "qrmi_jobs", "Jobs whose lease has ended", ["scheduler"], registry=registry
        )

    def _count_use(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, ["resource", *labels], registry=registry)

        self._held_seconds = counter("qrmi_held_seconds", "How long leases that ended were held")
        self._tasks = counter("qrmi_tasks", "Tasks of jobs that ended, behind the gateway")
        self._shots = counter("qrmi_shots", "Their shots, where the vendor reports them")
        self._qpu_seconds = counter("qrmi_qpu_seconds", "Their QPU time, where it is reported")
        self._task_waits = counter("qrmi_task_wait_seconds", "Their time before the QPU")
        self._errors = counter("qrmi_errors", "Errors of tasks by who owns them", "owner")

    # --- what happens ---------------------------------------------------------------------------

    def acquired(self, job: Job, answer: Answer, *, seconds: float, now: float) -> None:
        """A request was answered.

        Args:
            job: who asked.
            answer: what it was told; a job that asks again for what it holds is not an acquire.
            seconds: how long that took.
            now: the time, epoch seconds.
        """
        self._acquires.labels(answer.outcome.value).inc()
        self._acquire_seconds.observe(max(seconds, 0.0))
        if job.submitted is not None:
            for grant in answer.grants:
                self._waits.labels(grant.resource).observe(max(now - job.submitted, 0.0))

    def booked(self, usage: JobUsage) -> None:
        """A run of a job ended and is in the ledger."""
        self._jobs.labels(usage.job.scheduler).inc()
        for use in usage.resources:
            for counter, amount in (
                (self._held_seconds, use.held_seconds),
                (self._tasks, use.tasks),
                (self._shots, use.shots),
                (self._qpu_seconds, use.qpu_seconds),
                (self._task_waits, use.task_wait_seconds),
            ):
                if amount is not None:
                    counter.labels(use.resource).inc(amount)
            for owner, count in use.errors.items():
                self._errors.labels(use.resource, owner).inc(count)

    # --- what is read ---------------------------------------------------------------------------

    def exposition(self) -> tuple[bytes, str]:
        """The text of ``/metrics``, and its content type."""
        return generate_latest(self._registry), CONTENT_TYPE_LATEST

    def ready(self, resources: Iterable[str]) -> None:
        """Let the counters of these resources be there, at 0, before anything happens.

        A rate over a counter that appears with its first event misses that event.
        """
        for name in resources:
            self._waits.labels(name)
            for counter in (self._held_seconds, self._tasks, self._shots, self._qpu_seconds):
                counter.labels(name)
            self._task_waits.labels(name)
            for owner in Owner:
                self._errors.labels(name, owner.value)


class _Scrape(Collector):
    """What is looked up at each scrape."""

    def __init__(
        self,
        standings: Callable[[], Iterable[Standing]],
        held: Callable[[], Iterable[Sequence[Grant]]],
        releases_pending: Callable[[], int],
        untold: Callable[[], Mapping[str, int]],
        now: Callable[[], float],
    ) -> None:
        self._standings = standings
        self._held = held
        self._releases_pending = releases_pending
        self._untold = untold
        self._now = now

    def describe(self) -> Iterable[Metric]:
        """Nothing: the registry need not look anything up to learn the names."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        standings = list(self._standings())
        yield from _of_resources(standings, self._now())
        yield from self._of_leases([standing.name for standing in standings])
        pending = GaugeMetricFamily(
            "qrmi_releases_pending", "Resources that the vendor has yet to be told to take back"
        )
        pending.add_metric([], self._releases_pending())
        yield pending
        untold = GaugeMetricFamily(
            "qrmi_switch_pending",
            "Resources that a scheduler has yet to be told of",
            labels=["scheduler"],
        )
        for scheduler, count in self._untold().items():
            untold.add_metric([scheduler], count)
        yield untold

    def _of_leases(self, names: Sequence[str]) -> Iterator[Metric]:
        counts: Tally[str] = Tally(dict.fromkeys(names, 0))
        for grants in self._held():
            counts.update(grant.resource for grant in grants)
        leases = GaugeMetricFamily(
            "qrmi_leases", "Leases that are held, by resource", labels=["resource"]
        )
        for name, count in counts.items():
            leases.add_metric([name], count)
        yield leases


def _of_resources(standings: Sequence[Standing], now: float) -> Iterator[Metric]:
    states = GaugeMetricFamily(
        "qrmi_resource_state",
        "1 for the state that a resource is in, else 0",
        labels=["resource", "type", "state"],
    )
    for each in standings:
        for state in State:
            states.add_metric([each.name, each.type, state.value], float(each.state is state))
    yield states
    yield _gauge(standings, "slots", "Slots that may be held", lambda s: s.slots)
    yield _gauge(standings, "slots_used", "Slots that are held", lambda s: s.used)
    yield _gauge(standings, "queue", "Tasks that wait at the service", lambda s: s.pending)
    yield _gauge(
        standings,
        "poll_age_seconds",
        "Since the service answered last",
        lambda s: None if s.looked is None else max(now - s.looked, 0.0),
    )


def _gauge(
    standings: Sequence[Standing], name: str, text: str, value: Callable[[Standing], float | None]
) -> GaugeMetricFamily:
    """One figure of every resource that has it."""
    gauge = GaugeMetricFamily(f"qrmi_resource_{name}", text, labels=["resource"])
    for each in standings:
        if (amount := value(each)) is not None:
            gauge.add_metric([each.name], amount)
    return gauge
