"""A service over HTTP and its driver: the sound animal of the zoo that can be cut off."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from typing import Any

import attrs

from qrmi.driver import Capabilities, unknown_status
from qrmi.errors import (
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnexpectedAnswerError,
)
from qrmi.payloads import Payload
from qrmi.settings import Secret, setting
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus
from qrmi.transport import (
    JSON,
    HttpDriver,
    HttpSettings,
    Request,
    Response,
    StaticAuth,
    answer_field,
    join,
    json_body,
)
from qrmi_sandbox.server import Call, Refusal, Reply, Server, route

__all__ = ["Barn", "BarnDriver", "BarnSettings"]

STATUS = {
    "waiting": TaskStatus.QUEUED,
    "running": TaskStatus.RUNNING,
    "done": TaskStatus.COMPLETED,
    "broken": TaskStatus.FAILED,
    "stopped": TaskStatus.CANCELLED,
}


class Barn(Server):
    """Tasks whose status is a matter of time."""

    key = "barn-door-s3cret"

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.tasks: dict[str, dict[str, Any]] = {}
        self.starts: Counter[str] = Counter()

    def resource(self, name: str | None = None) -> dict[str, Any]:
        return {
            "name": name or "barn",
            "type": "barn",
            "environment": {"BARN_ENDPOINT": self.url, "BARN_KEY": self.key},
        }

    def check(self, call: Call) -> None:
        if call.headers.get("authorization") != f"Bearer {self.key}":
            raise Refusal(401, {"why": "who are you?"})

    @route("GET", "/device")
    def device(self, _call: Call) -> Reply:
        return Reply({"hay": 3})

    @route("POST", "/tasks")
    def create(self, call: Call) -> Reply:
        body = call.json()
        with self.lock:
            task = uuid.uuid4().hex
            self.starts[body["key"]] += 1
            self.tasks[task] = {**body, "at": time.monotonic(), "stopped": False}
        return Reply({"id": task}, 201)

    @route("GET", "/tasks/{id}")
    def look(self, call: Call) -> Reply:
        return Reply({"id": call.path["id"], "status": self._status(call)})

    @route("GET", "/tasks/{id}/result")
    def result(self, call: Call) -> Reply:
        status = self._status(call)
        if status != "done":
            raise Refusal(409, {"why": status})
        return Reply({"eggs": 12})

    @route("DELETE", "/tasks/{id}")
    def stop_task(self, call: Call) -> Reply:
        if self._status(call) in ("waiting", "running"):
            self.tasks[call.path["id"]]["stopped"] = True
        return Reply(status=204)

    def _status(self, call: Call) -> str:
        task = self.tasks.get(call.path["id"])
        if task is None:
            raise Refusal(404, {"why": "no such task"})
        age = time.monotonic() - task["at"]
        if task["stopped"]:
            return "stopped"
        if age < task["seconds"]:
            return "waiting" if age < 0.01 else "running"
        return "broken" if task["fails"] else "done"


@attrs.frozen(kw_only=True)
class BarnSettings(HttpSettings):
    endpoint: str = setting("BARN_ENDPOINT", help="Where it is.")
    key: Secret = setting("BARN_KEY", convert=Secret, help="What opens the door.")


class BarnDriver(HttpDriver):
    """A driver without a fault."""

    PAYLOADS = frozenset({"meadow"})
    CAPABILITIES = Capabilities(stop_running=True)
    SETTINGS = BarnSettings
    settings: BarnSettings

    def auth(self) -> StaticAuth:
        return StaticAuth("authorization", self.settings.key, "Bearer {}")

    def is_accessible(self) -> bool:
        return bool(self.target().value)

    def target(self) -> Target:
        return Target(self.client.send(self.request("GET", "device")).text)

    def task_start(self, payload: Payload, key: str) -> TaskId:
        body = json_body({**attrs.asdict(payload), "key": key})
        request = Request("POST", join(self.settings.endpoint, "tasks"), headers=JSON, body=body)
        return TaskId(answer_field(self.client.json(request), "id", str))

    def task_status(self, task_id: TaskId) -> TaskStatus:
        answer = self.client.json(self.task_request("GET", task_id))
        word = answer_field(answer, "status", str)
        return STATUS.get(word) or unknown_status(word, task_id)

    def task_result(self, task_id: TaskId) -> TaskResult:
        request = self.task_request("GET", task_id, "result", accept=frozenset({409}))
        response = self.client.send(request)
        if response.status != 409:
            return TaskResult(response.text)
        raise self.no_result(task_id, response)

    def task_stop(self, task_id: TaskId) -> bool:
        self.client.send(self.task_request("DELETE", task_id, idempotent=True))
        return True

    # --- inside -------------------------------------------------------------------------------

    def request(self, method: str, *path: str, **values: Any) -> Request:
        return Request(method, join(self.settings.endpoint, *path), **values)

    def task_request(self, method: str, task_id: TaskId, *path: str, **values: Any) -> Request:
        return self.request(
            method, "tasks", task_id, *path, missing=TaskNotFoundError, task_id=task_id, **values
        )

    def no_result(self, task_id: TaskId, response: Response) -> Exception:
        status = STATUS.get(answer_field(response.json(), "why", str))
        if status is TaskStatus.FAILED:
            return TaskFailedError("the roof fell in", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            return TaskCancelledError("it was stopped", task_id=task_id)
        if status in (TaskStatus.QUEUED, TaskStatus.RUNNING):
            return TaskNotReadyError(f"task {task_id} has not ended", task_id=task_id)
        return UnexpectedAnswerError("no result, for no reason that is known", task_id=task_id)
