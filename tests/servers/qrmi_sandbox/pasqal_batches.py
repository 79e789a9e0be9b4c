"""Batches and jobs as Pasqal Cloud has them, and the thread that runs them on Pulser's QuTiP."""

from __future__ import annotations

import datetime
import json
import queue
import secrets
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from qrmi.errors import QrmiError
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi_local.pulses.run import run as run_pulses

__all__ = ["Batch", "Job", "Runner"]

ENDED = frozenset({"DONE", "ERROR", "CANCELED", "TIMED_OUT"})
USER_ID = "EQZj1ZQE"


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat()


@attrs.define(kw_only=True)
class Job:
    """One job; ``result`` is set when it is done."""

    batch: Batch = attrs.field(repr=False)
    runs: int | None
    variables: dict[str, Any]
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    status: str = "PENDING"
    errors: list[str] | None = None
    result: dict[str, Any] | None = attrs.field(default=None, repr=False)
    created_at: str = attrs.field(factory=_now)
    started_at: str | None = None
    ended_at: str | None = None
    signature: str = attrs.field(factory=lambda: secrets.token_hex(16), repr=False)
    cancelled: threading.Event = attrs.field(factory=threading.Event, repr=False)

    def end(self, status: str) -> None:
        """Note how and when it ended."""
        self.status = status
        self.ended_at = _now()

    def answer(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "batch_id": self.batch.id,
            "id": self.id,
            "project_id": self.batch.project_id,
            "runs": self.runs,
            "status": self.status,
            "created_at": self.created_at,
            "updated_at": self.ended_at or self.started_at or self.created_at,
            "start_timestamp": self.started_at,
            "end_timestamp": self.ended_at,
            "errors": self.errors,
            "variables": self.variables,
            "creation_order": self.batch.jobs.index(self),
        }


@attrs.define(kw_only=True, eq=False)
class Batch:
    """A batch; a CUDA-Q job is a batch of one job whose sequence is an AHS program."""

    sequence: str = attrs.field(repr=False)
    device_type: str
    project_id: str
    open: bool = False
    is_cudaq: bool = False
    tags: list[str] = attrs.field(factory=list)
    configuration: str | None = attrs.field(default=None, repr=False)
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    jobs: list[Job] = attrs.field(factory=list, repr=False)
    forced: str | None = None
    created_at: str = attrs.field(factory=_now)

    @property
    def status(self) -> str:
        """One of the service's words."""
        if self.forced is not None:
            return self.forced
        words = {job.status for job in self.jobs}
        if words <= ENDED and words and not self.open:
            return next(word for word in ("DONE", "ERROR", "CANCELED") if word in words)
        return "PENDING" if words <= {"PENDING"} else "RUNNING"

    def counts(self) -> dict[str, int]:
        """How many jobs have each status."""
        return dict(Counter(job.status for job in self.jobs))

    def answer(self, *, jobs: bool) -> dict[str, Any]:
        """As the API shows it: version 1 with its jobs, version 2 with their ids."""
        shown: dict[str, Any] = {
            "open": self.open,
            "complete": not self.open,
            "created_at": self.created_at,
            "updated_at": self.created_at,
            "device_type": self.device_type,
            "project_id": self.project_id,
            "id": self.id,
            "priority": 10,
            "sequence_builder": self.sequence,
            "status": self.status,
            "user_id": USER_ID,
            "webhook": None,
            "start_datetime": None,
            "end_datetime": None,
            "tags": self.tags or None,
            "backend_configuration": self.configuration,
        }
        if jobs:
            return {**shown, "jobs": [job.answer() for job in self.jobs]}
        return {**shown, "job_ids": [job.id for job in self.jobs]}


class Runner:
    """Runs jobs one after another in a thread of its own.

    Attributes:
        run_seconds: how long a job runs at least.
        queue_seconds: how long a job is pending at least.
        executions: how often something was run, by batch id, job id and tag.
        emulate: what runs a program.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self.run_seconds = 0.0
        self.queue_seconds = 0.0
        self.executions: Counter[str] = Counter()
        self.emulate: Callable[[PasqalCloud | PulserBatch], str] = run_pulses
        self._lock = lock
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to run jobs, those that wait first."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Finish the job that runs, without delay, then no more."""
        if self._thread is not None:
            self._stopping.set()
            self._queue.put(None)
            self._thread.join(30)
            self._thread = None

    def add(self, batch: Batch, jobs: list[dict[str, Any]]) -> list[Job]:
        """Take jobs on; the lock is held."""
        made = [
            Job(batch=batch, runs=job.get("runs"), variables=job.get("variables") or {})
            for job in jobs
        ]
        batch.jobs += made
        for job in made:
            self.executions.update([batch.id, job.id, *batch.tags])
            self._queue.put(job)
        return made

    def _run(self) -> None:
        while not self._stopping.is_set() and (job := self._queue.get()) is not None:
            self._let_pass(self.queue_seconds, job)
            if self._begun(job):
                self._execute(job)

    def _let_pass(self, seconds: float, job: Job) -> None:
        """Wait, unless the job is cancelled or everything stops."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if job.cancelled.is_set() or self._stopping.wait(min(left, 0.02)):
                return

    def _begun(self, job: Job) -> bool:
        with self._lock:
            if job.status != "PENDING":
                return False
            job.status = "RUNNING"
            job.started_at = _now()
            return True

    def _execute(self, job: Job) -> None:
        begun = time.monotonic()
        try:
            result, errors = self._emulated(job), None
        except QrmiError as error:
            result, errors = None, [error.message]
        self._let_pass(self.run_seconds - (time.monotonic() - begun), job)
        with self._lock:
            if job.status == "RUNNING":
                job.result, job.errors = result, errors
                job.end("ERROR" if errors else "DONE")

    def _emulated(self, job: Job) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.emulate(_payload(job)))
        counter = found["counter"]
        return {**found, "raw": [bits for bits, count in counter.items() for _ in range(count)]}


def _payload(job: Job) -> PasqalCloud | PulserBatch:
    batch = job.batch
    if batch.is_cudaq:
        return PasqalCloud(batch.sequence, job.runs or 1)
    return PulserBatch(
        sequence=batch.sequence,
        jobs=[AnalogJob(runs=job.runs, variables=job.variables)],
        configuration=batch.configuration,
    )
