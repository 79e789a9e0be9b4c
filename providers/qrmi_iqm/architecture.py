"""A device's dynamic quantum architecture: which gates were calibrated, and where.

Source: IQM Server, GET /api/v1/calibration-sets/{qc}/{id}/dynamic-quantum-architecture::

    {"calibration_set_id": …, "qubits": ["QB1", …], "computational_resonators": ["COMPR1", …],
     "gates": {"cz": {"implementations": {"tgss": {"loci": [["QB1", "QB2"], …]}},
                      "default_implementation": "tgss",
                      "override_default_implementation": {"QB1,QB2": "crf"}}, …}}
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any

import attrs

from qrmi.errors import UnexpectedAnswerError, UnsupportedPayloadError
from qrmi.transport import answer_field, reading

__all__ = ["Architecture", "Detour", "Locus", "read_architecture", "read_parts"]

Locus = tuple[str, ...]
"""Names of the components that a gate acts on."""

_ONE_QUBIT = ("prx", "measure")
_SIZES = {"prx": 1, "measure": 1, "cz": 2, "move": 2}


@attrs.frozen
class Detour:
    """How a ``cz`` between qubits without a coupler is done: one of them visits a resonator.

    Attributes:
        stays: the qubit that has the ``cz`` with the resonator.
        moves: the qubit whose state is moved into the resonator, and back.
        resonator: the resonator.
    """

    stays: str
    moves: str
    resonator: str


@attrs.frozen(kw_only=True)
class Architecture:
    """What was calibrated.

    Attributes:
        calibration_set_id: the calibration set that this describes.
        qubits: those with all that Qiskit takes for granted of a qubit, in the server's order:
            qubit i of a target is the i-th.
        resonators: in the server's order.
        gates: for each gate, its loci and the implementation in use there.
    """

    calibration_set_id: str
    qubits: tuple[str, ...]
    resonators: tuple[str, ...]
    gates: Mapping[str, Mapping[Locus, str]]

    @functools.cached_property
    def index(self) -> dict[str, int]:
        """The number of each component: qubits first, then resonators."""
        return {name: number for number, name in enumerate((*self.qubits, *self.resonators))}

    def loci(self, gate: str) -> Mapping[Locus, str]:
        """Where a gate is calibrated; nowhere when it is not."""
        return self.gates.get(gate, {})

    @functools.cached_property
    def detours(self) -> dict[tuple[str, str], Detour]:
        """How a ``cz`` is done by way of a resonator, by (qubit that stays, qubit that moves).

        Pairs that have a ``cz`` of their own are left out. Of several resonators the first.
        """
        found: dict[tuple[str, str], Detour] = {}
        direct = self.loci("cz")
        for first, second in direct:
            stays, resonator = (first, second) if second in self.resonators else (second, first)
            for moves, into in self.loci("move"):
                pairs = ((stays, moves), (moves, stays))
                if into == resonator and moves != stays and not any(p in direct for p in pairs):
                    found.setdefault((stays, moves), Detour(stays, moves, resonator))
        return found


def read_parts(text: str) -> dict[str, Any]:
    """The parts of a target's text.

    Raises:
        UnexpectedAnswerError: it is not a JSON object.
    """
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswerError("the target is not JSON") from error
    if not isinstance(parts, dict):
        raise UnexpectedAnswerError("the target is not a JSON object")
    return parts


@functools.lru_cache(maxsize=16)
def read_architecture(text: str) -> Architecture:
    """The architecture in a target's text.

    Raises:
        UnsupportedPayloadError: the device has no gates that circuits could use.
        UnexpectedAnswerError: it is malformed.
    """
    described = answer_field(read_parts(text), "dynamic_quantum_architecture", dict)
    with reading("GET dynamic quantum architecture"):
        gates = {name: _implementations(info) for name, info in described["gates"].items()}
        usable = [{locus[0] for locus in gates.get(g, {}) if len(locus) == 1} for g in _ONE_QUBIT]
        qubits = tuple(name for name in described["qubits"] if all(name in s for s in usable))
        resonators = tuple(described.get("computational_resonators") or ())
        known = {*qubits, *resonators}
        kept = {
            name: {
                locus: way
                for locus, way in places.items()
                if known.issuperset(locus) and len(locus) == _SIZES.get(name, len(locus))
            }
            for name, places in gates.items()
        }
    if not qubits:
        raise UnsupportedPayloadError(
            "no qubit of this device is calibrated for circuits",
            hint="ask for another calibration set: name,calibration_set_id",
        )
    return Architecture(
        calibration_set_id=answer_field(described, "calibration_set_id", str),
        qubits=qubits,
        resonators=resonators,
        gates=kept,
    )


def _implementations(info: Mapping[str, Any]) -> dict[Locus, str]:
    """Each locus of a gate with the implementation in use there."""
    ways = info["implementations"]
    overrides = info.get("override_default_implementation") or {}
    default = info["default_implementation"]
    loci = {tuple(locus): None for way in ways.values() for locus in way["loci"]}
    return {locus: overrides.get(",".join(locus), default) for locus in loci}
