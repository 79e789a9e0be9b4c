"""OQTOPUS's documents in the form in which the upstream library gives them.

Facts: what the upstream library's bridge makes of the objects of oqtopus-client 1.3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from qrmi.errors import UnexpectedAnswerError
from qrmi.references import is_link
from qrmi.transport import answer_field

__all__ = ["device_document", "linked", "links_to", "moment", "result_text"]

_DEVICE_FIELDS = (
    "device_id",
    "device_type",
    "status",
    "available_at",
    "n_pending_jobs",
    "n_qubits",
    "basis_gates",
    "supported_instructions",
    "device_info",
    "calibrated_at",
    "description",
)
_JOB_FIELDS = ("job_id", "job_type", "status", "name", "description", "device_id", "shots")
_INFO_FIELDS = ("transpiler_info", "simulator_info", "mitigation_info")
_MOMENTS = ("submitted_at", "ready_at", "running_at", "ended_at")
_LINKED = {
    "input": ("program", "operator", "sse_program"),
    "combined_program": (),
    "result": ("sampling", "estimation"),
    "transpile_result": ("transpiled_program", "stats", "virtual_physical_mapping"),
}
"""The files of a job, and the fields that each is filled up to."""


def links_to(value: Any) -> str | None:
    """The link to the file that a value stands for; ``None`` when it stands for itself.

    Raises:
        UnexpectedAnswerError: it looks like a link and is none that can be followed.
    """
    if not isinstance(value, str) or not value.startswith(("http://", "https://")):
        return None
    if not is_link(value):
        raise UnexpectedAnswerError("the service's answer has a link that is no URL")
    return value


def linked(job: Any) -> dict[str, str]:
    """The links to a job's files, by the names of its ``job_info``."""
    info = answer_field(job, "job_info", dict)
    links = {name: links_to(info.get(name)) for name in _LINKED}
    return {name: link for name, link in links.items() if link is not None}


def result_text(job: Mapping[str, Any], files: Mapping[str, Any]) -> str:
    """A job's result: one JSON object, as the upstream library gives it.

    Args:
        job: the answer to ``GET /jobs/{id}``.
        files: what its links hold.

    Raises:
        UnexpectedAnswerError: it has no ``job_info``, or one that cannot be written.
    """
    told = answer_field(job, "job_info", dict)
    info: dict[str, Any] = {}
    for name, fields in _LINKED.items():
        info[name] = _filled(files.get(name, told.get(name)), fields)
    if isinstance(info["result"], dict):
        known = {name: info["result"].pop(name) for name in _LINKED["result"]}
        info["result"] = {**_sampling_filled(known), "additional_properties": info["result"]}
    info |= {name: told.get(name) for name in ("sse_log", "message")}
    result = {
        **{name: job.get(name) for name in _JOB_FIELDS},
        "job_info": info,
        **{name: job.get(name) for name in _INFO_FIELDS},
        "transpile_result": info["transpile_result"],
        "message": info["message"],
        "execution_time": job.get("execution_time"),
        **{name: moment(job.get(name)) for name in _MOMENTS},
    }
    try:
        return json.dumps(result)
    except RecursionError:
        raise UnexpectedAnswerError("the job's files are nested too deeply") from None


def _filled(value: Any, fields: tuple[str, ...]) -> Any:
    return {**dict.fromkeys(fields), **value} if isinstance(value, dict) else value


def _sampling_filled(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "sampling": _filled(result["sampling"], ("counts", "divided_counts"))}


def moment(text: Any) -> Any:
    """A time as the upstream library writes it, with a blank; what is no time stays as it is."""
    try:
        return str(datetime.fromisoformat(text))
    except (TypeError, ValueError):
        return text


def device_document(device: Mapping[str, Any], info: Any) -> dict[str, Any]:
    """A device with absent fields as ``null`` and its ``device_info`` as an object.

    Args:
        device: the answer to ``GET /devices/{id}``.
        info: its ``device_info``: JSON text, or what a link to it holds.
    """
    try:
        parsed = json.loads(info) if isinstance(info, str) and info else info or None
    except (RecursionError, ValueError):
        raise UnexpectedAnswerError("the device's device_info is no JSON") from None
    if parsed is not None and not isinstance(parsed, dict):
        parsed = {"value": parsed}
    return {**dict.fromkeys(_DEVICE_FIELDS), **device, "device_info": parsed}
