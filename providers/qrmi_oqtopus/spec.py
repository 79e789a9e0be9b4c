"""A job as its user describes it: checked, and split into what is uploaded and what is submitted.

The keys are those of ``OqtopusJobSpec`` of oqtopus-client 1.3 without ``device_id``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from qrmi.errors import InvalidInputError
from qrmi.payloads import Oqtopus
from qrmi_oqtopus.discovery import MOST_SHOTS

__all__ = ["JobSpec", "read_spec"]

_TYPES = ("sampling", "estimation", "multi_manual", "sse")
_DEFAULT_SHOTS = 1000
_REQUIRED = ("job_type", "program")
_INFOS = ("transpiler_info", "simulator_info", "mitigation_info")


@attrs.frozen(kw_only=True)
class JobSpec:
    """A checked description.

    Attributes:
        content: the JSON object that is uploaded: the program, and the operator of an estimation.
        request: the JSON object that is submitted, but for device and key.
    """

    content: Mapping[str, Any]
    request: Mapping[str, Any]


def read_spec(payload: Oqtopus) -> JobSpec:
    """Read and check a payload. A key with the value ``null`` counts as absent.

    Raises:
        InvalidInputError: a key is missing, unknown, or has a value that the service would refuse.
    """
    spec = {
        name: value for name, value in json.loads(payload.job_spec).items() if value is not None
    }
    if unknown := set(spec) - set(_CHECKS):
        raise InvalidInputError(
            f"the job has no field {sorted(unknown)[0]!r}",
            hint=f"it has: {', '.join(sorted(_CHECKS))}; the device is added",
        )
    for name in _REQUIRED:
        if name not in spec:
            raise InvalidInputError(f"the job needs a field {name!r}")
    for name, value in spec.items():
        wanted, fits = _CHECKS[name]
        if not fits(value):
            raise InvalidInputError(f"{name} of the job must be {wanted}")
    return JobSpec(content=_content(spec), request=_request(spec))


def _content(spec: Mapping[str, Any]) -> dict[str, Any]:
    programs = [spec["program"]] if isinstance(spec["program"], str) else list(spec["program"])
    kind = spec["job_type"]
    if kind != "multi_manual" and len(programs) != 1:
        raise InvalidInputError(
            f"a job of type {kind} has one program, not {len(programs)}",
            hint="start a job for each, or combine them: job_type multi_manual",
        )
    if kind == "estimation" and "operator" not in spec:
        raise InvalidInputError("a job of type estimation needs an operator")
    if kind == "sse":
        return {"sse_program": programs[0]}
    content: dict[str, Any] = {"program": programs}
    if "operator" in spec:
        content["operator"] = [
            {name: value for name, value in term.items() if value is not None}
            for term in spec["operator"]
        ]
    return content


def _request(spec: Mapping[str, Any]) -> dict[str, Any]:
    request = {name: spec[name] for name in ("name", "description", "job_type") if name in spec}
    request |= {name: spec.get(name, {}) for name in _INFOS}
    return {**request, "shots": spec.get("shots", _DEFAULT_SHOTS)}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _are_programs(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return (
        isinstance(listed, list) and bool(listed) and all(isinstance(p, str) and p for p in listed)
    )


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_SHOTS


def _is_operator(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_term(term) for term in value)


def _is_term(term: Any) -> bool:
    if not isinstance(term, dict) or not set(term) <= {"pauli", "coeff"}:
        return False
    coefficient = term.get("coeff", 1.0)
    is_number = isinstance(coefficient, int | float) and not isinstance(coefficient, bool)
    number = is_number and abs(coefficient) < math.inf  # which is false of what is not a number
    return isinstance(term.get("pauli"), str) and (number or coefficient is None)


_CHECKS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "job_type": (f"one of {', '.join(_TYPES)}", lambda value: value in _TYPES),
    "program": ("a program's text, or a list of such", _are_programs),
    "shots": (f"a whole number from 1 to {MOST_SHOTS}", _is_count),
    "name": ("a text", _is_text),
    "description": ("a text", _is_text),
    **dict.fromkeys(_INFOS, ("an object", lambda value: isinstance(value, dict))),
    "operator": ("a list of objects with pauli and coeff", _is_operator),
}
"""For each field what it must be, in words and as a test."""
