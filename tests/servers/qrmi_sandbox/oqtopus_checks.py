"""What the OQTOPUS sandbox refuses, and its archives."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

from qrmi_sandbox.oqtopus_devices import DEVICES
from qrmi_sandbox.oqtopus_run import JobError
from qrmi_sandbox.server import Refusal

__all__ = ["check_request", "refused", "unzipped", "zipped"]

_TYPES = frozenset({"sampling", "estimation", "multi_manual", "sse"})
_REQUIRED = {"device_id", "job_type", "shots"}
_OPTIONAL = {"name", "description", "transpiler_info", "simulator_info", "mitigation_info"}


def refused(status: int, message: str) -> Refusal:
    return Refusal(status, {"message": message})


def check_request(request: Any) -> None:
    """Refuse what the service's schema refuses."""
    if not isinstance(request, dict) or _REQUIRED - set(request):
        raise refused(400, f"expected {sorted(_REQUIRED)}")
    if unknown := set(request) - _REQUIRED - _OPTIONAL:
        raise refused(400, f"unknown field {sorted(unknown)[0]}")
    if request["job_type"] not in _TYPES:
        raise refused(400, "unknown job type")
    if not isinstance(request["shots"], int) or not 1 <= request["shots"] <= 10_000_000:
        raise refused(400, "shots out of range")
    device = DEVICES.get(request["device_id"])
    if device is None:
        raise refused(400, "device not found")
    if device["status"] != "available":
        raise refused(400, f"device {device['device_id']} is not available")


def zipped(name: str, value: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.json", json.dumps(value))
    return buffer.getvalue()


def unzipped(content: bytes) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            (name,) = archive.namelist()
            value = json.loads(archive.read(name))
    except (zipfile.BadZipFile, ValueError) as error:
        raise JobError("the input is no archive with one JSON member") from error
    known = {"program", "operator", "sse_program"}
    if not isinstance(value, dict) or not set(value) <= known:
        raise JobError("the input has unknown fields")
    return value
