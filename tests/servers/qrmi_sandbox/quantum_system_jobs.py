"""Jobs of the quantum system's server: their records, and what a request for one must be like."""

from __future__ import annotations

import json
import threading
import uuid
from datetime import datetime
from typing import Any

import attrs

from qrmi_sandbox.server import Refusal

__all__ = ["STORED", "Job", "check_job", "refused"]

_JOB_KEYS = {"backend", "id", "log_level", "program_id", "storage", "timeout_secs"}
_LOG_LEVELS = ("debug", "info", "warning", "error", "critical")
STORED = {"input": "GET", "results": "PUT", "logs": "PUT"}
"""A job's objects, and what its presigned URLs are for."""


@attrs.define(kw_only=True)
class Job:
    """A record.

    Attributes:
        reason: code, message and solution of a failure.
        cancel: set when it was asked to end.
    """

    id: str
    backend: str
    program_id: str
    storage: dict[str, Any]
    timeout_secs: int
    log_level: str
    created: datetime
    status: str = "Running"
    ended: datetime | None = None
    reason: tuple[int | None, str | None, str | None] = (None, None, None)
    cancel: threading.Event = attrs.field(factory=threading.Event)

    def shown(self) -> dict[str, Any]:
        """What GET /v1/jobs/{id} says of it."""
        shown: dict[str, Any] = {
            "id": self.id,
            "backend": self.backend,
            "created_time": self.created.isoformat().replace("+00:00", "Z"),
            "program_id": self.program_id,
            "status": self.status,
            "storage": {},
            "timeout_secs": self.timeout_secs,
        }
        if self.ended is not None:
            shown["end_time"] = self.ended.isoformat().replace("+00:00", "Z")
            shown["usage"] = {"quantum_nanoseconds": 1000}
        if any(self.reason):
            code, message, solution = self.reason
            shown |= {"reason_code": code, "reason_message": message, "reason_solution": solution}
        return shown


def check_job(body: Any) -> None:
    """Refuse a body that is not exactly what POST /v1/jobs takes."""
    if not isinstance(body, dict) or not {*body} | {"log_level"} == _JOB_KEYS:
        raise refused(400, 1219, "The body has too few or too many keys.")
    timeout = body["timeout_secs"]
    checks = {
        "id": _is_uuid(body["id"]),
        "log_level": body.get("log_level", "warning") in _LOG_LEVELS,
        "timeout_secs": type(timeout) is int and timeout > 0,
        "storage": isinstance(body["storage"], dict) and body["storage"].keys() == STORED.keys(),
    }
    for name, is_right in checks.items():
        if not is_right:
            raise refused(400, 1219, f"{name} is not as it should be.")
    for place in body["storage"].values():
        if place.keys() != {"presigned_url", "type"} or place["type"] != "s3_compatible":
            raise refused(400, 1219, "storage is not as it should be.")


def _is_uuid(value: Any) -> bool:
    try:
        return str(uuid.UUID(value)) == value
    except (ValueError, AttributeError, TypeError):
        return False


def refused(status: int, code: int, message: str) -> Refusal:
    """An error as the API words it."""
    titles = {401: "Unauthorized", 404: "Not found", 409: "Conflict", 429: "Too many requests"}
    return Refusal(
        status,
        {
            "status_code": status,
            "title": titles.get(status, "Refused"),
            "trace": uuid.uuid4().hex,
            "correlation_id": uuid.uuid4().hex,
            "errors": [
                {
                    "code": str(code),
                    "message": message,
                    "more_info": "https://docs.quantum.ibm.com/errors",
                    "location": "",
                    "value": json.dumps(None),
                }
            ],
        },
    )
