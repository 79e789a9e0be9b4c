"""Pasqal's devices and emulators behind its cloud: type ``pasqal-cloud``."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Mapping, Sequence
from typing import cast

from qrmi.codecs.analog import program_kind
from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    ConfigError,
    InvalidInputError,
    ResourceNotFoundError,
    UnsupportedPayloadError,
)
from qrmi.payloads import AnalogJob, PasqalCloud, Payload, PulserBatch
from qrmi.settings import Settings
from qrmi.tasks import (
    BatchJob,
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.transport import JSON, HttpDriver, Problem, Response, TokenAuth, Unchanged
from qrmi_pasqal.cloud import answers, wire
from qrmi_pasqal.cloud.credentials import TokenSource
from qrmi_pasqal.cloud.kinds import batch_id_of, task_of
from qrmi_pasqal.cloud.service import Service
from qrmi_pasqal.cloud.settings import PasqalCloudSettings, is_device_type

__all__ = ["PasqalCloudDriver"]

_EMULATOR = "EMU_"
_KNOWN_DEVICES = frozenset({"FRESNEL", "FRESNEL_CAN1"})
_MOST_LISTED = 1000


class PasqalCloudDriver(HttpDriver):
    """A device type of Pasqal Cloud.

    The resource's name is the device type (``FRESNEL``, ``EMU_MPS``, …) unless a setting names
    another. A sequence becomes a batch, all jobs of a `PulserBatch` one batch; an AHS program, as
    CUDA-Q writes it, becomes a CUDA-Q job. `qrmi_pasqal.cloud.kinds` has the ids of tasks. A
    batch's tag is the key that it was started with; CUDA-Q jobs have no tags, so a lost answer to
    the start of one cannot be reconciled.
    """

    PAYLOADS = frozenset({"pulser-sequence"})
    CAPABILITIES = Capabilities(
        logs=True,
        stop_running=True,
        idempotency_key=True,
        settle_seconds=60.0,
        batches=True,
        min_poll_seconds=0.05,
    )
    SETTINGS = PasqalCloudSettings
    HEADERS = JSON
    settings: PasqalCloudSettings

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The devices and emulators of the account that pass the filters."""
        from qrmi_pasqal.cloud.discovery import found

        return found(cls, cast("PasqalCloudSettings", settings), filters)

    # --- what it is ---------------------------------------------------------------------------

    @functools.cached_property
    def device_type(self) -> str:
        """The device type, in capital letters; one that is not known here is warned of.

        Raises:
            InvalidInputError: it cannot be one.
        """
        name = (self.settings.device_type or self.resource_id).upper()
        if not is_device_type(name):
            raise InvalidInputError(
                f"device type {name!r} is invalid: it has letters, digits and _",
                hint="name the resource after its device type, such as FRESNEL or EMU_MPS, or set "
                "QRMI_PASQAL_CLOUD_DEVICE_TYPE",
                resource_id=self.resource_id,
            )
        if name not in _KNOWN_DEVICES and not name.startswith(_EMULATOR):
            warnings.warn(f"openqrmi does not know the device type {name}", stacklevel=2)
        return name

    @functools.cached_property
    def account(self) -> PasqalCloudSettings:
        """The settings, with those of the file; read at first use."""
        return self.settings.completed()

    @functools.cached_property
    def _target_text(self) -> Unchanged:
        return Unchanged(answers.target_text)

    @functools.cached_property
    def service(self) -> Service:
        """The API."""
        return Service(lambda: self.client, wire.api_of(self.account.place.base_url))

    def auth(self) -> TokenAuth:
        """Tokens, configured or fetched."""
        return TokenAuth(TokenSource(lambda: self.account, lambda: self.anonymous))

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """The service's reason."""
        return answers.problem(response)

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the service takes tasks for the device."""
        return self.status().status is ResourceStatusCode.ONLINE

    def status(self) -> ResourceStatus:
        """What the service says of the device; without credentials where that suffices."""
        for authorized in (False, True):
            request = wire.devices(self.service.api, self.device_type, authorized=authorized)
            entries = self.service.data(request, list)
            entry = answers.device_entry(entries, self.device_type)
            if entry is not None:
                return answers.device_status(entry)
            if not self.has_credentials():
                break
        raise ResourceNotFoundError(
            f"Pasqal Cloud has no device {self.device_type}, or not for this account",
            resource_id=self.resource_id,
        )

    def has_credentials(self) -> bool:
        """Whether there is something to get a token with."""
        account = self.account
        return bool(account.auth_token or account.username or account.client_id)

    def target(self) -> Target:
        """The device in Pulser's abstract representation; for an emulator, all public devices."""
        kind = self.device_type
        request = (
            wire.public_specs(self.service.api)
            if kind.startswith(_EMULATOR)
            else wire.device_specs(self.service.api, kind)
        )
        return Target(self._target_text(self.client.send(request)))

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Start a batch or a CUDA-Q job.

        Raises:
            InvalidInputError: the sequence is malformed, or there is no job.
            UnsupportedPayloadError: an AHS program with more than shots, or an emulator's
                configuration for a device.
            ConfigError: there is no project id.
        """
        batch = _as_batch(payload)
        if program_kind(batch.sequence) == "ahs":
            return self._start_cudaq(batch)
        if not batch.jobs:
            raise InvalidInputError(
                "the batch has no jobs", hint="start an open batch with batch_start()"
            )
        return _batch_task_id(self._start_batch(batch, key), len(batch.jobs))

    def batch_start(self, payload: PulserBatch, key: str) -> TaskId:
        """Start an open batch, with or without first jobs."""
        if program_kind(payload.sequence) == "ahs":
            raise UnsupportedPayloadError("an AHS program has no batches on Pasqal Cloud")
        return TaskId(f"batch:{self._start_batch(payload, key, is_open=True)}")

    def _start_batch(self, batch: PulserBatch, key: str, *, is_open: bool = False) -> str:
        kind = batch.device_type or self.device_type
        if batch.configuration is not None and not kind.startswith(_EMULATOR):
            raise UnsupportedPayloadError(
                f"{kind} is no emulator, and the batch has an emulator's configuration",
                hint="ask for a device type such as EMU_MPS, or leave the configuration out",
                resource_id=self.resource_id,
            )
        request = wire.create_batch(
            self.service.api,
            sequence=batch.sequence,
            jobs=batch.jobs,
            device_type=kind,
            project_id=self._project_id(),
            tag=key,
            configuration=batch.configuration,
            is_open=is_open,
        )
        return self.service.create(request)

    def _start_cudaq(self, batch: PulserBatch) -> TaskId:
        jobs = batch.jobs
        if len(jobs) != 1 or jobs[0].runs is None or jobs[0].variables or batch.configuration:
            raise UnsupportedPayloadError(
                "an AHS program runs on Pasqal Cloud as one job with a number of shots alone",
                resource_id=self.resource_id,
            )
        request = wire.create_cudaq_job(
            self.service.api,
            program=batch.sequence,
            shots=jobs[0].runs,
            device_type=batch.device_type or self.device_type,
            project_id=self._project_id(),
        )
        return TaskId(f"cudaq:{self.service.create(request)}")

    def _project_id(self) -> str:
        project = self.account.project_id
        if not project:
            raise ConfigError(
                f"{self.resource_id} has no project id, which every task needs",
                hint=f"set {self.resource_id}_QRMI_PASQAL_CLOUD_PROJECT_ID, give it in the "
                "resource's entry of qrmi_config.json, or write project_id to ~/.pasqal/config; "
                "`qrmi config check` shows all settings",
                resource_id=self.resource_id,
            )
        return project

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the task is: one request."""
        return task_of(self.service, task_id).status()

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The result, in the form of `qrmi.codecs.analog`; of a batch, its jobs' results."""
        return TaskResult(task_of(self.service, task_id).result())

    def task_stop(self, task_id: TaskId) -> bool:
        """Ask the service to cancel the task; one that has ended is left alone."""
        task_of(self.service, task_id).stop()
        return True

    def task_reason(self, task_id: TaskId) -> str:
        """The errors of the task's jobs."""
        return task_of(self.service, task_id).reason()

    def task_logs(self, task_id: TaskId) -> str:
        """A line for each job with its status, times and errors."""
        return task_of(self.service, task_id).logs()

    def can_find(self, payload: Payload) -> bool:
        """Whether it becomes a batch, which has tags; a CUDA-Q job has none and is not listed."""
        return program_kind(cast("PasqalCloud | PulserBatch", payload).sequence) != "ahs"

    def find_task(self, key: str) -> TaskId | None:
        """The batch whose tag is this key."""
        for entry in self.service.batches(tag=key):
            if answers.has_tag(entry, key):
                return _listed_task_id(entry)
        return None

    def list_tasks(self) -> list[TaskId]:
        """The newest batches of this device type, a thousand at most; no CUDA-Q jobs."""
        project = self.account.project_id
        entries = self.service.batches(device_type=self.device_type, project_id=project)
        return [_listed_task_id(entry) for entry in itertools.islice(entries, _MOST_LISTED)]

    # --- batches ------------------------------------------------------------------------------

    def batch_add(self, batch_id: TaskId, jobs: Sequence[AnalogJob]) -> list[str]:
        """Add jobs to an open batch; their ids are task ids."""
        own_ids = self.service.add_jobs(batch_id_of(batch_id), jobs)
        return [f"job:{own_id}" for own_id in own_ids]

    def batch_close(self, batch_id: TaskId) -> None:
        """Say that no more jobs come."""
        own_id = batch_id_of(batch_id)
        try:
            self.service.end(wire.close_batch(self.service.api, own_id))
        except InvalidInputError:
            if self.service.batch(own_id).get("open") is not False:
                raise

    def batch_jobs(self, batch_id: TaskId) -> list[BatchJob]:
        """The jobs in order, with the results that are there; their ids are task ids."""
        return self.service.batch_jobs(batch_id_of(batch_id))


def _as_batch(payload: Payload) -> PulserBatch:
    if isinstance(payload, PasqalCloud):
        return PulserBatch(sequence=payload.sequence, jobs=[AnalogJob(runs=payload.job_runs)])
    return cast("PulserBatch", payload)


def _batch_task_id(batch_id: str, jobs: int) -> TaskId:
    return TaskId(batch_id if jobs == 1 else f"batch:{batch_id}")


def _listed_task_id(entry: Mapping[str, object]) -> TaskId:
    own_id = answers.created_id({"data": entry})
    is_single = answers.job_count(entry) == 1 and not entry.get("open")
    return _batch_task_id(own_id, 1 if is_single else 2)
