"""Targets of the Felis sandbox, in the form of the API's target documents."""

from __future__ import annotations

from typing import Any

__all__ = ["TARGETS"]

_QUBIT, _RESULT, _ANGLE, _FLAG = "%Qubit*", "%Result*", "double", "i1"
_MEASURE = f"{_QUBIT}, {_RESULT}"
_PAIR = f"{_QUBIT}, {_QUBIT}"


def _signatures(**functions: str) -> list[dict[str, str]]:
    listed = [{"signature": "__quantum__qis__read_result__body:i1 (%Result*)"}]
    for name, arguments in functions.items():
        full = name if name.endswith("__adj") else f"{name}__body"
        listed.append({"signature": f"__quantum__qis__{full}:void ({arguments})"})
    return listed


_SHOTS = {
    "required": True,
    "type": "int",
    "default": 1000,
    "constraints": [{"min": 1, "max": 10000000}],
}


def _photons(low: float, high: float, default: float | None) -> dict[str, Any]:
    limits = [{"min": low, "max": high}]
    return {"required": True, "type": "float", "default": default, "constraints": limits}


_MEASUREMENTS = {"mz": _MEASURE, "m": _MEASURE, "measure": _MEASURE}
_PREPARATIONS = {"prepare_x": f"{_FLAG}, {_QUBIT}", "prepare_z": f"{_FLAG}, {_QUBIT}"}

TARGETS: list[dict[str, Any]] = [
    {
        "name": "EMU:1Q:LESCANNE_2020",
        "numQubits": 1,
        "instructions": _signatures(
            z=_QUBIT,
            x=_QUBIT,
            **_MEASUREMENTS,
            mx=_MEASURE,
            reset=_QUBIT,
            delay=f"{_ANGLE}, {_QUBIT}",
            **_PREPARATIONS,
            rz=f"{_ANGLE}, {_QUBIT}",
        ),
        "inputParams": {"nbShots": _SHOTS, "averageNbPhotons": _photons(1.0, 10.0, 4.0)},
    },
    {
        "name": "EMU:40Q:PHYSICAL_CATS",
        "numQubits": 40,
        "instructions": _signatures(
            z=_QUBIT,
            x=_QUBIT,
            **_MEASUREMENTS,
            mx=_MEASURE,
            delay=f"{_ANGLE}, {_QUBIT}",
            **_PREPARATIONS,
            rz=f"{_ANGLE}, {_QUBIT}",
            cnot=_PAIR,
            cx=_PAIR,
            ccx=f"{_QUBIT}, {_QUBIT}, {_QUBIT}",
        ),
        "inputParams": {"nbShots": _SHOTS, "averageNbPhotons": _photons(4.0, 100000, None)},
    },
    {
        "name": "EMU:15Q:LOGICAL_EARLY",
        "numQubits": 15,
        "instructions": _signatures(
            x=_QUBIT,
            z=_QUBIT,
            h=_QUBIT,
            s=_QUBIT,
            s__adj=_QUBIT,
            t=_QUBIT,
            t__adj=_QUBIT,
            cnot=_PAIR,
            ccx=f"{_QUBIT}, {_QUBIT}, {_QUBIT}",
            **_MEASUREMENTS,
            reset=_QUBIT,
        ),
        "inputParams": {"nbShots": _SHOTS},
    },
    {
        "name": "QPU:1Q:BOSON_4A",
        "numQubits": 1,
        "instructions": _signatures(
            z=_QUBIT, mz=_MEASURE, mx=_MEASURE, **_PREPARATIONS, delay=f"{_ANGLE}, {_QUBIT}"
        ),
        "inputParams": {"nbShots": {**_SHOTS, "constraints": [{"min": 1, "max": 100000}]}},
    },
    {
        "name": "EMU:6Q:ROTATIONS",
        "numQubits": 6,
        "instructions": _signatures(
            h=_QUBIT,
            rx=f"{_ANGLE}, {_QUBIT}",
            ry=f"{_ANGLE}, {_QUBIT}",
            rz=f"{_ANGLE}, {_QUBIT}",
            cx=_PAIR,
            cz=_PAIR,
            **_MEASUREMENTS,
            reset=_QUBIT,
            barrier="",
        ),
        "inputParams": {"nbShots": _SHOTS, "averageNbPhotons": _photons(1.0, 10.0, 4.0)},
    },
]
"""Emulators and a computer; the last one, of our own making, has rotations about every axis."""
