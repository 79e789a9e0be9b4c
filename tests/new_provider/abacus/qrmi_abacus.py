"""The Abacus of Example & Co, a machine for gate programs, as a resource of openqrmi."""

from __future__ import annotations

import json
from typing import Any

import attrs

from qrmi.driver import Capabilities, unknown_status
from qrmi.errors import TaskCancelledError, TaskFailedError, TaskNotFoundError, TaskNotReadyError
from qrmi.payloads import Payload, QiskitPrimitive
from qrmi.settings import Secret, setting
from qrmi.tasks import ResourceStatus, ResourceStatusCode, Target, TaskId, TaskResult, TaskStatus
from qrmi.transport import (
    JSON,
    HttpDriver,
    HttpSettings,
    Request,
    StaticAuth,
    answer_field,
    join,
    json_body,
)

STATES = {
    "waiting": TaskStatus.QUEUED,
    "running": TaskStatus.RUNNING,
    "done": TaskStatus.COMPLETED,
    "error": TaskStatus.FAILED,
    "stopped": TaskStatus.CANCELLED,
}


@attrs.frozen(kw_only=True)
class AbacusSettings(HttpSettings):
    """What a user sets, in qrmi_config.json or as variables; time-outs and proxies come along."""

    endpoint: str = setting("ABACUS_ENDPOINT", help="The service's address.")
    token: Secret = setting("ABACUS_TOKEN", convert=Secret, help="Your token.")


class AbacusDriver(HttpDriver):
    """One machine: each method is one request. Waiting, repeats and the journal are openqrmi's."""

    PAYLOADS = frozenset({QiskitPrimitive.FORMAT})
    CAPABILITIES = Capabilities(stop_running=True, queue_position=True, dialect="qasm3")
    SETTINGS = AbacusSettings
    settings: AbacusSettings

    def auth(self) -> StaticAuth:
        return StaticAuth("authorization", self.settings.token, "Bearer {}")

    def is_accessible(self) -> bool:
        return self.status().status is ResourceStatusCode.ONLINE

    def status(self) -> ResourceStatus:
        device = self.client.json(self._request("GET", "device"))
        online = answer_field(device, "online", bool)
        code = ResourceStatusCode.ONLINE if online else ResourceStatusCode.OFFLINE
        return ResourceStatus(code, pending_job_count=answer_field(device, "waiting", int))

    def target(self) -> Target:
        device = self.client.json(self._request("GET", "device"))
        return Target(json.dumps({"configuration": answer_field(device, "device", dict)}))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        assert isinstance(payload, QiskitPrimitive)  # the handle lets nothing else through
        body = json_body({"program": payload.program_id, "input": payload.input, "name": key})
        job = self.client.json(self._request("POST", "jobs", headers=JSON, body=body))
        return TaskId(answer_field(job, "id", str))

    def task_status(self, task_id: TaskId) -> TaskStatus:
        state = answer_field(self.client.json(self._job("GET", task_id)), "state", str)
        return STATES.get(state) or unknown_status(state, task_id)

    def task_result(self, task_id: TaskId) -> TaskResult:
        answer = self.client.send(self._job("GET", task_id, "result", accept=frozenset({409})))
        if answer.status != 409:
            return TaskResult(answer.text)
        job = answer.json()
        status = STATES.get(answer_field(job, "state", str))
        if status is TaskStatus.FAILED:
            raise TaskFailedError(answer_field(job, "why", str), task_id=task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError("the job was stopped", task_id=task_id)
        raise TaskNotReadyError("the job has not ended", task_id=task_id)

    def task_stop(self, task_id: TaskId) -> bool:
        self.client.send(self._job("DELETE", task_id, idempotent=True))
        return True

    def _request(self, method: str, *path: str, **values: Any) -> Request:
        return Request(method, join(self.settings.endpoint, "v1", *path), **values)

    def _job(self, method: str, task_id: TaskId, *path: str, **values: Any) -> Request:
        about: dict[str, Any] = {"missing": TaskNotFoundError, "task_id": task_id, **values}
        return self._request(method, "jobs", task_id, *path, **about)
