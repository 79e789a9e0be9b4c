"""What Pasqal Cloud's validation refuses, and in which words."""

from __future__ import annotations

import gzip
import json
from collections.abc import Collection, Mapping
from typing import Any

from qrmi_sandbox.server import Call, Refusal

__all__ = [
    "EMULATORS",
    "PROJECT_ID",
    "check_jobs",
    "check_project",
    "checked_batch",
    "invalid",
    "json_of",
    "only",
    "refusal",
]

PROJECT_ID = "11111111-2222-3333-4444-555555555555"
EMULATORS = ("EMU_FREE", "EMU_MPS", "EMU_SV", "EMU_FRESNEL")
_BATCH_FIELDS = frozenset(
    {
        "sequence_builder",
        "jobs",
        "device_type",
        "project_id",
        "open",
        "tags",
        "webhook",
        "configuration",
        "backend_configuration",
    }
)


def refusal(status: int, message: str, description: Any) -> Refusal:
    """An answer that refuses, with its reason."""
    data = {"description": description}
    return Refusal(
        status, {"status": "fail", "message": message, "code": str(status), "data": data}
    )


def invalid(place: str, name: str, message: str) -> Refusal:
    """The answer to a request with a wrong field."""
    where = [part for part in (place, name) if part]
    fault = {"loc": where, "msg": message, "type": "value_error"}
    return refusal(422, "Unprocessable Entity", [fault])


def only(given: Mapping[str, Any], allowed: Collection[str]) -> None:
    """Refuse names that are not allowed."""
    for name in given:
        if name not in allowed:
            raise invalid("query", name, "extra fields not permitted")


def json_of(call: Call) -> Any:
    """The body, compressed or not."""
    body = call.body
    if call.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    try:
        return json.loads(body)
    except ValueError:
        raise invalid("body", "", "not JSON") from None


def check_project(body: Mapping[str, Any]) -> None:
    """Refuse a project that is not the account's."""
    if body.get("project_id") != PROJECT_ID:
        raise refusal(403, "Forbidden", "you are not a member of this project")


def checked_batch(body: Any, devices: Collection[str]) -> str:
    """Refuse a batch that is malformed; return its device type."""
    if not isinstance(body, dict):
        raise invalid("body", "", "not an object")
    for name in body.keys() - _BATCH_FIELDS:
        raise invalid("body", name, "extra fields not permitted")
    for name in ("sequence_builder", "jobs", "project_id"):
        if name not in body:
            raise invalid("body", name, "field required")
    check_project(body)
    sequence = _object(body["sequence_builder"])
    if not sequence.keys() >= {"version", "operations", "register"}:
        raise invalid("body", "sequence_builder", "not a sequence")
    device = sequence.get("device") or {}
    device_type = body.get("device_type") or str(device.get("name"))
    if device_type not in devices:
        raise invalid("body", "device_type", "unknown device type")
    check_jobs(body["jobs"], device_type, may_be_empty=body.get("open", False))
    if device_type in EMULATORS:
        return device_type
    if device.get("name") != device_type:
        raise invalid("body", "sequence_builder", f"made for another device than {device_type}")
    if body.get("backend_configuration") is not None:
        raise invalid("body", "backend_configuration", "a QPU takes none")
    return device_type


def _object(text: Any) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (TypeError, ValueError):
        found = None
    if not isinstance(text, str) or not isinstance(found, dict):
        raise invalid("body", "sequence_builder", "not the text of a JSON object")
    return found


def check_jobs(jobs: Any, device_type: str, *, may_be_empty: bool) -> None:
    """Refuse a list of jobs that is malformed."""
    if not isinstance(jobs, list) or not (jobs or may_be_empty):
        raise invalid("body", "jobs", "a list with at least one job")
    for job in jobs:
        if not isinstance(job, dict) or job.keys() - {"runs", "variables"}:
            raise invalid("body", "jobs", "a job has runs and variables, nothing else")
        runs = job.get("runs")
        optional = runs is None and device_type in EMULATORS
        if not optional and (type(runs) is not int or runs < 1):
            raise invalid("body", "jobs", "runs must be at least 1")
