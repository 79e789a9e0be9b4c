"""OQTOPUS Cloud as a resource: type ``oqtopus``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    AnswerLostError,
    InvalidInputError,
    Owner,
    QrmiError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.payloads import Oqtopus, Payload
from qrmi.settings import Settings
from qrmi.tasks import (
    ResourceStatus,
    ResourceStatusCode,
    Target,
    TaskId,
    TaskResult,
    TaskStatus,
)
from qrmi.transport import (
    Auth,
    HttpDriver,
    Problem,
    Request,
    Response,
    SendError,
    StaticAuth,
)
from qrmi_oqtopus import archives, documents, wire
from qrmi_oqtopus.discovery import matching
from qrmi_oqtopus.settings import OqtopusSettings
from qrmi_oqtopus.spec import read_spec

__all__ = ["OqtopusDriver"]

_MOST_PAGES = 1000


class OqtopusDriver(HttpDriver):
    """Quantum computers and simulators behind OQTOPUS Cloud's user API.

    A task is a job. It starts in two steps: one gets an id and uploads the program, one submits the
    job. The first can be repeated without harm, the second is taken once by the service, so a lost
    answer duplicates nothing.
    """

    PAYLOADS = frozenset({Oqtopus.FORMAT})
    CAPABILITIES = Capabilities(
        stop_running=True,
        queue_position=True,
        idempotency_key=True,
        two_step=True,
        settle_seconds=60.0,
        min_poll_seconds=0.05,
    )
    SETTINGS = OqtopusSettings
    HEADERS = wire.HEADERS
    settings: OqtopusSettings

    def __init__(self, resource_id: str, settings: Settings) -> None:
        super().__init__(resource_id, settings)
        self._base = self.settings.url

    def auth(self) -> Auth:
        """The API token has a header of its own."""
        return StaticAuth("q-api-token", self.settings.api_token)

    @staticmethod
    def problem(response: Response) -> Problem | None:
        """The service's reason."""
        return wire.problem(response)

    @classmethod
    def discover(cls, settings: Settings, filters: Mapping[str, str]) -> list[Driver]:
        """The account's devices that pass the filters: available ones first, then by queue."""
        account = cls("devices", settings)
        devices = account.client.json(wire.list_devices(account._base))
        return [cls(name, settings) for name in matching(devices, filters)]

    # --- the resource -------------------------------------------------------------------------

    def is_accessible(self) -> bool:
        """Whether the device is available."""
        return self.status().status is ResourceStatusCode.ONLINE

    def status(self) -> ResourceStatus:
        """Available or not, since or until when, and the queue."""
        return wire.resource_status(self._device())

    def target(self) -> Target:
        """The device's description, absent fields ``null``, its ``device_info`` as an object."""
        device = self._device()
        info = device.get("device_info")
        link = documents.links_to(info)
        if link is not None:
            info = archives.unpack(self._file(link))
        return Target(json.dumps(documents.device_document(device, info), ensure_ascii=False))

    def _device(self) -> dict[str, Any]:
        return wire.device(self.client.json(wire.get_device(self._base, self.resource_id)))

    # --- tasks --------------------------------------------------------------------------------

    def task_start(self, payload: Payload, key: str) -> TaskId:
        """Get an id, upload the program, submit the job."""
        task_id = self.task_create(payload, key)
        self.task_submit(task_id, payload, key)
        return task_id

    def task_create(self, payload: Payload, key: str) -> TaskId:
        """Get an id and upload the program; nothing runs.

        The service deletes no job that was not submitted, so an id whose upload fails stays,
        without effect.
        """
        spec = read_spec(cast(Oqtopus, payload))
        answer = self.client.json(wire.register_job(self._base))
        task_id, form = wire.registered(answer)
        self.client.send(wire.upload_form(form, task_id, spec))
        return task_id

    def task_submit(self, task_id: TaskId, payload: Payload, key: str) -> None:
        """Submit the job under its key, by which `find_task` finds it.

        The service takes a job once, so it is asked again until it answers; the job's status says
        whether it took it before.

        Raises:
            AnswerLostError: nobody can tell whether it did, or will.
        """
        spec = read_spec(cast(Oqtopus, payload))
        request = wire.submit_job(self._base, task_id, self.resource_id, spec, key)
        try:  # once by itself, to know whether there was an answer
            self.client.send(wire.once(request))
        except AnswerLostError:
            self._submit_again(request, task_id, was_lost=True)
        except ResourceUnavailableError:
            self._submit_again(request, task_id, was_lost=False)
        except InvalidInputError as error:  # as is said of a job that was submitted before, too
            if not self._was_taken(task_id, error):
                raise

    def _was_taken(self, task_id: TaskId, refusal: InvalidInputError) -> bool:
        """Whether the service has the job that it refused now."""
        try:
            return self.task_submitted(task_id)
        except (ResourceUnavailableError, UnexpectedAnswerError) as error:
            raise AnswerLostError(refusal.message, task_id=task_id) from error
        except QrmiError:
            return False

    def _submit_again(self, request: Request, task_id: TaskId, *, was_lost: bool) -> None:
        try:
            self.client.send(request)
        except QrmiError as error:
            word = self._word_if_known(task_id)
            if word not in (None, wire.REGISTERED):
                return
            was_lost = was_lost or _had_no_answer(error)
            if was_lost and (word is None or isinstance(error, ResourceUnavailableError)):
                raise AnswerLostError(error.message, task_id=task_id) from error
            raise

    def task_submitted(self, task_id: TaskId) -> bool:
        """Whether the service took the job, by its status."""
        return self._status_word(task_id) != wire.REGISTERED

    def _word_if_known(self, task_id: TaskId) -> str | None:
        try:
            answer = self.client.json(wire.get_status(self._base, task_id, repeats=False))
            return wire.status_word(answer)
        except QrmiError:
            return None

    def task_status(self, task_id: TaskId) -> TaskStatus:
        """Where the job is."""
        return wire.status_of(self._status_word(task_id), task_id)

    def _status_word(self, task_id: TaskId) -> str:
        return wire.status_word(self.client.json(wire.get_status(self._base, task_id)))

    def task_reason(self, task_id: TaskId) -> str:
        """The service's message on a failed job."""
        return wire.job_message(self.client.json(wire.get_job(self._base, task_id)))

    def task_result(self, task_id: TaskId) -> TaskResult:
        """The job with the content of its files, in the upstream library's form."""
        job = self.client.json(wire.get_job(self._base, task_id))
        word = wire.status_word(job)
        status = wire.status_of(word, task_id)
        if status is not TaskStatus.COMPLETED:
            raise _without_result(task_id, status, wire.job_message(job))
        files = {
            name: archives.unpack(self._file(url, task_id))
            for name, url in documents.linked(job).items()
        }
        return TaskResult(documents.result_text(job, files))

    def task_stop(self, task_id: TaskId) -> bool:
        """Ask for the job to be cancelled. One that was never submitted has nothing to cancel."""
        response = self.client.send(wire.cancel_job(self._base, task_id))
        if response.status < 300:
            return True
        word = self._status_word(task_id)
        return word in (wire.REGISTERED, "cancelling") or wire.status_of(word, task_id).is_final

    def find_task(self, key: str) -> TaskId | None:
        """The submitted job whose name or description bears the key."""
        return wire.found_task(self.client.json(wire.search_jobs(self._base, key)), key)

    def list_tasks(self) -> list[TaskId]:
        """Ids of the account's jobs on this device, newest first, of its newest 100,000 jobs."""
        devices: dict[TaskId, Any] = {}  # by job, of any device: a page may have none of this one
        for page in range(1, _MOST_PAGES + 1):
            known = len(devices)
            jobs = wire.jobs_listed(self.client.json(wire.list_jobs(self._base, page)))
            devices |= jobs
            if len(jobs) < wire.PAGE_SIZE or len(devices) == known:
                break
        return [task_id for task_id, device in devices.items() if device == self.resource_id]

    def _file(self, url: str, task_id: TaskId | None = None) -> bytes:
        response = self.client.send(wire.download(url, task_id))
        if response.status >= 400:
            raise ResourceUnavailableError(
                "a file is not behind its link, or no longer",
                owner=Owner.VENDOR,
                hint="ask for it again: each answer has new links",
                task_id=task_id,
            )
        return bytes(response.body)


def _had_no_answer(error: QrmiError) -> bool:
    return isinstance(error.__cause__, SendError) and error.__cause__.sent


def _without_result(task_id: TaskId, status: TaskStatus, message: str) -> QrmiError:
    if status is TaskStatus.FAILED:
        reason = message or "the service gives no reason"
        return TaskFailedError(f"task {task_id} failed: {reason}", task_id=task_id)
    if status is TaskStatus.CANCELLED:
        return TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
    return TaskNotReadyError(f"task {task_id} is still {status.name.lower()}", task_id=task_id)
