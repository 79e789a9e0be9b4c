"""Payloads as JSON, in the schema of the ``task_runner`` command.

A payload is one JSON object, told apart by its required keys. A text field may also be given as
the object that it is the text of, because published examples write either.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.errors import InvalidInputError
from qrmi.payloads import (
    AliceBobFelis,
    AnalogJob,
    IQMServer,
    Oqtopus,
    PasqalCloud,
    Payload,
    PulserBatch,
    QiskitPrimitive,
)

__all__ = ["from_json", "to_json"]

_READERS: tuple[tuple[frozenset[str], Any], ...] = (
    (
        frozenset({"parameters", "program_id"}),
        lambda data: QiskitPrimitive(_as_text(data["parameters"]), data["program_id"]),
    ),
    (
        frozenset({"sequence", "job_runs"}),
        lambda data: PasqalCloud(_as_text(data["sequence"]), data["job_runs"]),
    ),
    (
        frozenset({"sequence", "jobs"}),
        lambda data: PulserBatch(
            sequence=_as_text(data["sequence"]),
            jobs=[AnalogJob(**job) for job in data["jobs"]],
            configuration=_as_optional_text(data.get("configuration")),
            device_type=data.get("device_type"),
        ),
    ),
    (
        frozenset({"human_qir", "input_params"}),
        lambda data: AliceBobFelis(data["human_qir"], _as_text(data["input_params"])),
    ),
    (
        frozenset({"iqmjson", "job_type"}),
        lambda data: IQMServer(
            _as_text(data["iqmjson"]),
            data["job_type"],
            data.get("use_timeslot", False),
            data.get("tag"),
        ),
    ),
    (frozenset({"job_spec"}), lambda data: Oqtopus(_as_text(data["job_spec"]))),
    (frozenset({"job_type", "program"}), lambda data: Oqtopus(json.dumps(data))),
)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _as_optional_text(value: object) -> str | None:
    return None if value is None else _as_text(value)


def from_json(text: str) -> Payload:
    """Read a payload in the task-runner schema.

    Raises:
        InvalidInputError: the text is not JSON, or not one of the known forms.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if not isinstance(data, dict):
        raise InvalidInputError("a payload is a JSON object")
    for keys, read in _READERS:
        if keys <= data.keys():
            return _read(read, data)
    known = "; ".join(", ".join(sorted(keys)) for keys, _ in _READERS)
    raise InvalidInputError(
        "no payload format has these keys: " + (", ".join(sorted(data)) or "none"),
        hint=f"a payload has one of these sets of keys: {known}",
    )


def _read(read: Any, data: Mapping[str, Any]) -> Payload:
    try:
        payload: Payload = read(data)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"malformed payload: {error}") from error
    return payload


def to_json(payload: Payload) -> str:
    """Write a payload in the task-runner schema; `from_json` gives an equal payload back."""
    values = attrs.asdict(payload)  # type: ignore[arg-type]
    if isinstance(payload, QiskitPrimitive):
        values = {"program_id": payload.program_id, "parameters": payload.input}
    return json.dumps(values)
