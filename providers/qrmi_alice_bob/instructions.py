"""Felis's instructions: QIR functions that a target lists, and Qiskit's instructions for them.

Facts: qiskit-alice-bob-provider 3.0 and the target documents of the API. A function's signature is
``__quantum__qis__<name>__<body or adj>:<type> (<arguments>)``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

from qiskit import QuantumCircuit
from qiskit.circuit import Delay, IfElseOp, Instruction, Measure, Parameter, Reset
from qiskit.circuit.library import (
    CCXGate,
    CXGate,
    CZGate,
    HGate,
    Initialize,
    RXGate,
    RYGate,
    RZGate,
    RZZGate,
    SdgGate,
    SGate,
    SwapGate,
    TdgGate,
    TGate,
    XGate,
    YGate,
    ZGate,
)
from qiskit.transpiler import Target

__all__ = ["PREPARE", "MeasureX", "MeasureY", "functions_of", "target_of"]

_log = logging.getLogger(__name__)

PREPARE = {
    "0": ("prepare_z", False),
    "1": ("prepare_z", True),
    "+": ("prepare_x", False),
    "-": ("prepare_x", True),
    "r": ("prepare_y", False),
    "l": ("prepare_y", True),
}
"""The function that prepares each state, and the flag that it takes."""

_FUNCTIONS: Mapping[str, tuple[str, ...]] = {
    "ccx": ("ccx__body", "toffoli__body"),
    "cx": ("cnot__body", "cx__body"),
    "cz": ("cz__body",),
    "delay": ("delay__body",),
    "h": ("h__body",),
    "if_else": ("read_result__body",),
    "measure": ("mz__body", "m__body", "measure__body"),
    "measure_x": ("mx__body",),
    "measure_y": ("my__body",),
    "prepare_x": ("prepare_x__body",),
    "prepare_y": ("prepare_y__body",),
    "prepare_z": ("prepare_z__body",),
    "reset": ("reset__body",),
    "rx": ("rx__body",),
    "ry": ("ry__body",),
    "rz": ("rz__body",),
    "rzz": ("rzz__body",),
    "s": ("s__body",),
    "sdg": ("s__adj", "sdg__body"),
    "swap": ("swap__body",),
    "t": ("t__body",),
    "tdg": ("t__adj", "tdg__body"),
    "x": ("x__body",),
    "y": ("y__body",),
    "z": ("z__body",),
}
"""For each instruction the functions that do it; the first that a target lists is called."""

_PREFIX = "__quantum__qis__"
_SILENT = frozenset({"barrier__body"})  # listed, and of no concern here


class MeasureX(Instruction):  # type: ignore[misc]  # untyped base
    """A measurement along X: 0 for ``+``, 1 for ``-``. A target that lists ``mx`` has it."""

    def __init__(self) -> None:
        super().__init__("measure_x", 1, 1, [])

    def _define(self) -> None:
        circuit = QuantumCircuit(1, 1)
        circuit.h(0)
        circuit.measure(0, 0)
        circuit.h(0)
        self.definition = circuit


class MeasureY(Instruction):  # type: ignore[misc]  # untyped base
    """A measurement along Y: 0 for ``+i``, 1 for ``-i``. A target that lists ``my`` has it."""

    def __init__(self) -> None:
        super().__init__("measure_y", 1, 1, [])

    def _define(self) -> None:
        circuit = QuantumCircuit(1, 1)
        circuit.sdg(0)
        circuit.h(0)
        circuit.measure(0, 0)
        circuit.h(0)
        circuit.s(0)
        self.definition = circuit


def functions_of(description: Mapping[str, Any]) -> dict[str, str]:
    """For each instruction that a target can do, the whole name of the QIR function to call.

    ``prepare_x`` and its kin stand for themselves: in Qiskit they are ``initialize``.
    """
    signatures = [str(entry["signature"]) for entry in description["instructions"]]
    listed = {signature.partition(":")[0].strip().removeprefix(_PREFIX) for signature in signatures}
    found = {}
    for name, candidates in _FUNCTIONS.items():
        function = next((candidate for candidate in candidates if candidate in listed), None)
        if function:
            found[name] = _PREFIX + function
    known = {candidate for candidates in _FUNCTIONS.values() for candidate in candidates}
    for strange in sorted(listed - known - _SILENT):
        _log.info("the target's instruction %s is not known here", strange)
    return found


def target_of(description: Mapping[str, Any]) -> Target:
    """What circuits have to fit. Every instruction is allowed on all qubits."""
    functions = functions_of(description)
    target = Target(num_qubits=int(description["numQubits"]))
    for name, instruction in _instructions().items():
        if name in functions:
            target.add_instruction(instruction, name=name)
    if any(name.startswith("prepare_") for name in functions):
        target.add_instruction(Initialize([1 / math.sqrt(2), 1 / math.sqrt(2)]), name="initialize")
    return target


def _instructions() -> dict[str, Any]:
    angle = Parameter("angle")
    return {
        "ccx": CCXGate(),
        "cx": CXGate(),
        "cz": CZGate(),
        "delay": Delay(Parameter("duration"), unit="us"),
        "h": HGate(),
        "if_else": IfElseOp,
        "measure": Measure(),
        "measure_x": MeasureX(),
        "measure_y": MeasureY(),
        "reset": Reset(),
        "rx": RXGate(angle),
        "ry": RYGate(angle),
        "rz": RZGate(angle),
        "rzz": RZZGate(angle),
        "s": SGate(),
        "sdg": SdgGate(),
        "swap": SwapGate(),
        "t": TGate(),
        "tdg": TdgGate(),
        "x": XGate(),
        "y": YGate(),
        "z": ZGate(),
    }
