"""The QPU behind the sandbox's Warden: one job at a time, on Pulser's QuTiP backend."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from importlib import resources
from typing import Any

import attrs

from qrmi.codecs import ahs, analog
from qrmi.errors import QrmiError
from qrmi.payloads import PasqalCloud
from qrmi_local.pulses.run import run
from qrmi_sandbox.server import Refusal
from qrmi_sandbox.warden_answers import now
from qrmi_sandbox.warden_sessions import Session

__all__ = ["ENDED", "Job", "Qpu", "as_pulser", "row_of", "specs"]

ENDED = ("DONE", "CANCELED", "ERROR")


@attrs.define
class Job:
    """A job of a user's."""

    id: int
    session: Session
    sequence: str
    shots: int
    status: str = "PENDING"
    results: str | None = None
    logs: str = ""
    created_at: str = attrs.field(factory=now)
    put_at: float = attrs.field(factory=time.monotonic)
    began_at: float | None = None
    ended_at: float | None = None
    cancelled: threading.Event = attrs.field(factory=threading.Event)


class Qpu:
    """The queue and what works it off.

    Args:
        lock: guards the jobs.
        literal: whether results are Python literals, as from Warden 0.1's simulated QPU.

    Attributes:
        jobs: all jobs ever given, in order.
        run_seconds: how long a job takes beyond its emulation.
        executions: how often each job was run, by its id.
        emulate: what runs a program.
    """

    def __init__(self, lock: threading.RLock, *, literal: bool) -> None:
        self.jobs: list[Job] = []
        self.run_seconds = 0.0
        self.executions: Counter[str] = Counter()
        self.emulate: Callable[[PasqalCloud], str] = run
        self._lock = lock
        self._literal = literal
        self._queued = threading.Condition(lock)
        self._worker: threading.Thread | None = None

    def start(self) -> None:
        """Begin to work; once."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, daemon=True)
            self._worker.start()

    def put(self, session: Session, sequence: str, shots: int) -> Job:
        """Queue a job."""
        with self._queued:
            job = Job(len(self.jobs) + 1, session, sequence, shots)
            self.jobs.append(job)
            self._queued.notify()
            return job

    def cancel(self, job: Job) -> None:
        """Cancel a job; one that runs ends a little later."""
        job.cancelled.set()
        if job.status == "PENDING":
            job.status = "CANCELED"
            job.ended_at = time.monotonic()

    def _work(self) -> None:
        while True:
            with self._queued:
                while not (job := next((j for j in self.jobs if j.status == "PENDING"), None)):
                    self._queued.wait()
                job.status = "RUNNING"
                job.began_at = time.monotonic()
                self.executions[str(job.id)] += 1
            job.cancelled.wait(self.run_seconds)
            self._end(job, *self._outcome(job))

    def _outcome(self, job: Job) -> tuple[str, str | None, str]:
        if job.cancelled.is_set():
            return "CANCELED", None, ""
        try:
            counter = json.loads(self.emulate(PasqalCloud(job.sequence, job.shots)))["counter"]
        except QrmiError as error:
            return "ERROR", None, f"the sequence was refused: {error.message}"
        except Exception as error:  # a QPU's failure is an answer, too
            return "ERROR", None, f"the QPU failed: {type(error).__name__}"
        results = {"counter": counter}
        return "DONE", str(results) if self._literal else json.dumps(results), "ran on QuTiP"

    def _end(self, job: Job, status: str, results: str | None, logs: str) -> None:
        with self._lock:
            job.logs = "" if self._literal else logs
            job.results = results
            job.status = status
            job.ended_at = time.monotonic()


def row_of(job: Job) -> dict[str, Any]:
    """What the accounts say of a job that has ended; whole seconds."""
    began, ended = job.began_at, job.ended_at or job.put_at
    return {
        "id": job.id,
        "user_id": job.session.user,
        "session_id": job.session.id,
        "slurm_job_id": job.session.job,
        "status": job.status,
        "shots": job.shots,
        "execution_time": int(ended - began) if began is not None else 0,
        "wait_time": int((ended if began is None else began) - job.put_at),
    }


def specs() -> str:
    """The device: Pulser's AnalogDevice."""
    return (resources.files("qrmi_local") / "devices" / "AnalogDevice.json").read_text()


def as_pulser(sequence: str) -> str:
    """An AHS program as a sequence for the device; anything else as it is."""
    try:
        if analog.program_kind(sequence) != "ahs":
            return sequence
    except QrmiError:
        return sequence  # nothing is checked here: the QPU will refuse it
    try:
        device = next(iter(analog.read_devices(_target()).values()))
        return analog.encode_single(ahs.to_sequence(sequence, device), 1).sequence
    except QrmiError as error:
        raise Refusal(422, {"detail": error.message}) from None


def _target() -> str:
    return json.dumps([{"device_type": "AnalogDevice", "specs": specs()}])
