"""What the Felis sandbox refuses, and how the service says so."""

from __future__ import annotations

from typing import Any

from qrmi_sandbox.felis_targets import TARGETS
from qrmi_sandbox.qir_run import Program, QirError
from qrmi_sandbox.server import Refusal

__all__ = ["check_parameters", "check_program", "invalid", "refused", "target_named"]

_TYPES = {"int": int, "float": (int, float), "bool": bool, "str": str}


def refused(status: int, message: str) -> Refusal:
    return Refusal(status, {"error": {"code": status, "message": message}})


def invalid(place: list[str], message: str) -> Refusal:
    detail = [{"loc": place, "msg": message, "type": "value_error"}]
    return Refusal(422, {"detail": detail})


def target_named(name: Any) -> dict[str, Any]:
    for target in TARGETS:
        if target["name"] == name:
            return target
    raise invalid(["path", "target"], "unknown target")


def check_parameters(given: Any, declared: dict[str, Any]) -> None:
    if not isinstance(given, dict) or set(given) - set(declared):
        raise invalid(["body", "inputParams"], "unknown parameter")
    for name, description in declared.items():
        value = given.get(name)
        if value is None:
            if description["required"]:
                raise invalid(["body", "inputParams", name], "required")
            continue
        if not isinstance(value, _TYPES[description["type"]]) or isinstance(value, bool):
            raise invalid(["body", "inputParams", name], "wrong type")
        for limits in description["constraints"]:
            if not limits["min"] <= value <= limits["max"]:
                raise invalid(["body", "inputParams", name], "out of range")


def check_program(program: Program, target: dict[str, Any]) -> None:
    if program.num_qubits > target["numQubits"]:
        raise QirError(
            f"Input program requires {program.num_qubits} qubits, "
            f"the maximum is {target['numQubits']}"
        )
    listed = {entry["signature"].partition(":")[0] for entry in target["instructions"]}
    for step in program.calls():
        if f"__quantum__qis__{step.name}" not in listed:
            raise QirError(f"The target has no function {step.name}")
