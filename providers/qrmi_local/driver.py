"""The embedded simulator as a resource: type ``local``."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, cast

import attrs

from qrmi import config
from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    InvalidInputError,
    Owner,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
)
from qrmi.payload_files import from_json, to_json
from qrmi.payloads import (
    AnalogJob,
    PasqalCloud,
    Payload,
    PulserBatch,
    QiskitPrimitive,
)
from qrmi.tasks import (
    BatchJob,
    ResourceCapacity,
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi_local.checks import check_payload, must_be_installed, must_match
from qrmi_local.device import Device, DeviceKind, read_device
from qrmi_local.pulses import check as analog_check
from qrmi_local.service import batch
from qrmi_local.service.client import Client, runner
from qrmi_local.service.place import Place
from qrmi_local.service.state import State
from qrmi_local.service.store import Store, task_id_of_key
from qrmi_local.settings import LocalSettings
from qrmi_local.target import target_text

__all__ = ["FUNCTIONS", "LocalDriver"]

FUNCTIONS: Mapping[DeviceKind, str] = {
    DeviceKind.GATE: "qrmi_local.gates.run:run",
    DeviceKind.ANALOG: "qrmi_local.pulses.run:run",
}
"""What runs each kind of program, in a process of its own: ``module:function``."""


class LocalDriver(Driver):
    """Gate programs on Qiskit Aer, pulse sequences on Pulser's emulators, in processes of its own.

    Tasks are files below ``$QRMI_STATE_DIR/local``: any process of the user can follow them, on
    another host too; the host that a task was started on runs it. All local resources of a user
    share one store, whatever they imitate.

    Args:
        resource_id: its name.
        settings: what it imitates, and how.
        functions: replaces `FUNCTIONS`, for tests of this machinery.
    """

    PAYLOADS = frozenset({"pulser-sequence", "qiskit-primitive"})
    CAPABILITIES = Capabilities(
        logs=True,
        stop_running=True,
        queue_position=True,
        idempotency_key=True,
        repeatable_start=True,
        batches=True,
        push=True,
    )
    SETTINGS = LocalSettings
    settings: LocalSettings

    def __init__(
        self,
        resource_id: str,
        settings: LocalSettings,
        *,
        functions: Mapping[DeviceKind, str] = FUNCTIONS,
    ) -> None:
        if os.name != "posix":
            raise ResourceUnavailableError(
                "the embedded simulator needs a POSIX system",
                owner=Owner.USER,
                hint="run it on Linux or macOS, or on Windows in WSL",
                retryable=False,
            )
        super().__init__(resource_id, settings)
        self._functions = functions
        self._store = Store(config.state_dir() / "local")
        place = Place(self._store.root)
        self._client = Client(place, settings.idle_seconds, settings.keep_days)

    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.resource_id, self.settings, self._functions)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether tasks can be written; starts nothing."""
        folder = self._store.root
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        return os.access(folder, os.W_OK | os.X_OK)

    def status(self) -> ResourceStatus:
        """Online whenever tasks can be written; the queue as this host's supervisor knows it."""
        if not self.is_accessible():
            return ResourceStatus(
                ResourceStatusCode.OFFLINE, status_reason=f"cannot write {self._store.root}"
            )
        told = self._client.ask_if_there({"do": "status"}) or {"queued": 0, "running": []}
        slots = len(self._functions)
        running = len(told["running"])
        return ResourceStatus(
            ResourceStatusCode.ONLINE,
            healthy=True,
            busy=running > 0,
            capacity=ResourceCapacity(available_slots=max(slots - running, 0), max_slots=slots),
            pending_job_count=told["queued"],
        )

    def target(self) -> Target:
        """What can be run here; see `qrmi_local.target` for the form."""
        return Target(target_text(self._device(), self.resource_id))

    def metadata(self) -> dict[str, str]:
        """The resource's name, and that of the device that it imitates."""
        device = self._device()
        return {"backend_name": device.name if device is not None else self.resource_id}

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Start a task; the same key again gives the task that it started.

        Raises:
            UnsupportedPayloadError: not a kind of program that is run here; nothing was written.
            InvalidInputError: malformed, or the key belongs to another payload.
            MissingExtraError: the simulator for it is not installed.
        """
        check_payload(payload)
        extra = {"open": False} if isinstance(payload, PulserBatch) else {}
        return self._start(payload, key, extra)

    def batch_start(self, payload: PulserBatch, key: str) -> TaskId:
        """Start an open batch, with or without first jobs; as `task_start` otherwise."""
        check_payload(payload, may_be_empty=True)
        return self._start(payload, key, {"open": True})

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the task is, from its files; brings back the supervisor of an unended task."""
        state = self._store.state(task_id)
        if not state.status.is_final and self._is_ours(task_id):
            self._client.ensure_running()
        return state.status

    def task_wait(self, task_id: TaskId, timeout_seconds: float) -> TaskStatus:
        """Block until the task ends or the time is over; return its status then."""
        if self._store.has_ended(task_id):
            return self._store.state(task_id).status
        request = {"do": "wait", "task": task_id, "seconds": timeout_seconds}
        answer = self._client.ask(request, hold_seconds=timeout_seconds)
        return TaskStatus[answer["status"]]

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The result, from the task's files; of a batch, its jobs' results.

        The ``jobs`` of a batch that completed may have failed one by one.
        """
        state, result = self._store.outcome(task_id)
        if state.status is TaskStatus.COMPLETED:
            if self._store.is_closed(task_id):
                return TaskResult(batch.read_result(self._store, task_id))
            return TaskResult(result)
        if state.status is TaskStatus.FAILED:
            raise TaskFailedError(state.reason, task_id=task_id)
        if state.status is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        raise TaskNotReadyError(
            f"task {task_id} is still {state.status.name.lower()}", task_id=task_id
        )

    def task_stop(self, task_id: TaskId) -> bool:
        """Cancel a task that has not ended; its process, if any, is killed. One step suffices.

        From another host than the task's, its process ends within a second if it lives at all.
        """
        state = self._store.state(task_id)
        if state.status.is_final:
            return True
        if self._is_ours(task_id):
            self._client.ask({"do": "stop", "task": task_id})
        else:
            self._stop_from_afar(task_id, state)
        return True

    def task_logs(self, task_id: TaskId) -> str:
        """What the simulation printed, logged or warned of; a batch's: that of its jobs."""
        logs = [self._store.log(task_id)]
        logs += [self._store.log(job) for job in self._store.jobs(task_id)]
        return "".join(logs)

    def find_task(self, key: str) -> TaskId | None:
        """The task that was started with this key, if any."""
        task_id = task_id_of_key(key)
        return task_id if self._store.exists(task_id) else None

    def list_tasks(self) -> list[TaskId]:
        """Ids of the user's local tasks, newest first; the jobs of batches are not listed."""
        return self._store.tasks()

    # --- batches ------------------------------------------------------------------------------

    def batch_add(self, batch_id: TaskId, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch of this host and return their ids."""
        digest = self._batch_of_ours(batch_id)["device"]
        device = Device(DeviceKind.ANALOG, self._store.device(digest)) if digest else None
        started = cast("PulserBatch", from_json(self._store.payload(batch_id)))
        added = attrs.evolve(started, jobs=jobs)
        check_payload(added, may_be_empty=True)
        self._admit(added, DeviceKind.ANALOG, device)
        request = {
            "do": "add",
            "task": batch_id,
            "jobs": [attrs.asdict(job) for job in jobs],
            "token": uuid.uuid4().hex,
        }
        return list(self._client.ask(request)["jobs"])

    def batch_close(self, batch_id: TaskId) -> None:
        """Say that no more jobs come."""
        self._batch_of_ours(batch_id)
        self._client.ask({"do": "close", "task": batch_id})

    def batch_jobs(self, batch_id: TaskId) -> list[BatchJob]:
        """The jobs in order, with the results that are there."""
        return batch.read_jobs(self._store, batch_id)

    # --- inside -------------------------------------------------------------------------------

    def _device(self) -> Device | None:
        return read_device(self.settings.device) if self.settings.device is not None else None

    def _start(self, payload: Payload, key: str, extra: Mapping[str, object]) -> TaskId:
        kind = DeviceKind.GATE if isinstance(payload, QiskitPrimitive) else DeviceKind.ANALOG
        device = self._device()
        self._admit(payload, kind, device)
        if device is not None:
            self._store.put_device(device.digest, device.text)
        task_id = task_id_of_key(key)
        text = to_json(payload)
        meta = {**self._meta(kind, device), **extra}
        if self._store.create(task_id, meta, text):
            self._client.ask({"do": "start", "task": task_id, "meta": meta})
            return task_id
        self._must_be_same(task_id, text)
        if self._is_ours(task_id):
            self._client.ask({"do": "start", "task": task_id})
        return task_id

    def _meta(self, kind: DeviceKind, device: Device | None) -> dict[str, object]:
        return {
            "version": 1,
            "resource": self.resource_id,
            "host": config.host_name(),
            "queued_at": time.time(),
            "slot": kind.value,
            "runner": runner(self._functions[kind]),
            "device": device.digest if device is not None else None,
            "seed": self.settings.seed,
            "noise": self.settings.noise,
        }

    def _admit(self, payload: Payload, kind: DeviceKind, device: Device | None) -> None:
        """Refuse what the simulators, or the imitated device, could only refuse later."""
        if device is not None:
            must_match(kind, device, self.resource_id)
        if self._functions[kind] == FUNCTIONS[kind]:
            must_be_installed(kind)
            if isinstance(payload, PasqalCloud | PulserBatch):
                analog_check.check(payload, None if device is None else device.text)

    def _must_be_same(self, task_id: TaskId, text: str) -> None:
        if json.loads(self._store.payload(task_id)) != json.loads(text):
            raise InvalidInputError(
                "this key started another task",
                hint="give each task a key of its own",
                task_id=task_id,
            )

    def _is_ours(self, task_id: TaskId) -> bool:
        return bool(self._store.meta(task_id)["host"] == config.host_name())

    def _batch_of_ours(self, batch_id: TaskId) -> dict[str, Any]:
        meta = batch.batch_meta(self._store, batch_id)
        if meta["host"] != config.host_name():
            raise ResourceUnavailableError(
                f"batch {batch_id} is open on {meta['host']}, not on this host",
                owner=Owner.USER,
                hint=f"add to it and close it on {meta['host']}",
                retryable=False,
            )
        return meta

    def _stop_from_afar(self, task_id: TaskId, state: State) -> None:
        final = attrs.evolve(state, status=TaskStatus.CANCELLED, ended_at=time.time())
        for task in (task_id, *self._store.jobs(task_id)):
            self._store.end(task, final)


def _revive(
    cls: type[LocalDriver], name: str, settings: LocalSettings, functions: Mapping[DeviceKind, str]
) -> LocalDriver:
    return cls(name, settings, functions=functions)
