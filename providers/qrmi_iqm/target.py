"""IQM's architecture and calibration data as Qiskit's `Target`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from qiskit.circuit import Delay, IfElseOp, Measure, Parameter, Reset
from qiskit.circuit.library import CZGate, IGate, RGate
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from qrmi_iqm.architecture import Architecture, Detour, Locus

__all__ = ["make_target"]

_Properties = dict[tuple[int, ...], InstructionProperties | None]

_METHODS = {"prx": "rb", "measure": "ssro"}
_OTHER_METHOD = "irb"


def make_target(architecture: Architecture, parts: Mapping[str, Any]) -> Target:
    """What circuits have to fit.

    The gates are ``r`` (IQM's prx), ``cz``, ``measure``, ``id`` and ``delay``; also ``if_else`` and
    ``reset`` where the device has feedback. On devices with resonators, qubits that reach the same
    resonator have a ``cz``, which is done by way of it. Resonators are no qubits of the target.

    Args:
        architecture: what was calibrated.
        parts: the target's ``calibration_set`` and ``quality_metrics``, each with observations:
            errors, durations, T1, T2 and frequencies are taken from there, where they are.
    """
    return _Maker(architecture, _observations(parts)).target()


def _observations(parts: Mapping[str, Any]) -> dict[str, float]:
    """Finite values by name; of a name that occurs twice, the first."""
    found: dict[str, float] = {}
    for name in ("calibration_set", "quality_metrics"):
        for entry in (parts.get(name) or {}).get("observations") or ():
            value = entry.get("value")
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if is_number and math.isfinite(value) and not entry.get("invalid"):
                found.setdefault(entry["dut_field"].partition(":")[0], float(value))
    return found


class _Maker:
    """Builds one `Target`."""

    def __init__(self, architecture: Architecture, observed: Mapping[str, float]) -> None:
        self._architecture = architecture
        self._observed = observed

    def target(self) -> Target:
        one_qubit: list[Locus] = [(name,) for name in self._architecture.qubits]
        target = Target(
            num_qubits=len(one_qubit), qubit_properties=[self._qubit(name) for (name,) in one_qubit]
        )
        theta, phi = Parameter("theta"), Parameter("phi")
        target.add_instruction(RGate(theta, phi), self._properties("prx", one_qubit))
        target.add_instruction(Measure(), self._properties("measure", one_qubit))
        target.add_instruction(IGate(), dict.fromkeys(self._places(one_qubit)))
        target.add_instruction(Delay(Parameter("t")), dict.fromkeys(self._places(one_qubit)))
        self._add_feedback(target)
        pairs = self._pairs()
        if pairs:
            target.add_instruction(CZGate(), pairs)
        return target

    def _add_feedback(self, target: Target) -> None:
        controlled = [locus for locus in self._architecture.loci("cc_prx") if len(locus) == 1]
        resets = [locus for locus in self._architecture.loci("reset") if len(locus) == 1]
        if controlled:
            target.add_instruction(IfElseOp, name="if_else")
        if resets or controlled:  # resetting is measuring and a controlled prx
            target.add_instruction(Reset(), dict.fromkeys(self._places(resets or controlled)))

    def _places(self, loci: Iterable[Locus]) -> list[tuple[int, ...]]:
        index = self._architecture.index
        return [tuple(index[name] for name in locus) for locus in loci]

    def _properties(self, gate: str, loci: list[Locus]) -> _Properties:
        found = [self._of(gate, locus) for locus in loci]
        return dict(zip(self._places(loci), found, strict=True))

    def _pairs(self) -> _Properties:
        architecture = self._architecture
        qubits = set(architecture.qubits)
        own = [locus for locus in architecture.loci("cz") if qubits.issuperset(locus)]
        pairs = self._properties("cz", own)
        pairs.update({place[::-1]: known for place, known in pairs.items()})  # it is symmetric
        for pair, detour in architecture.detours.items():
            (place,) = self._places([pair])
            properties = self._of_detour(detour)
            pairs.setdefault(place, properties)
            pairs.setdefault(place[::-1], properties)
        return pairs

    def _of(self, gate: str, locus: Locus) -> InstructionProperties | None:
        """Error and duration of a gate; ``None`` when neither is known."""
        way = self._architecture.loci(gate)[locus]
        where = f"{gate}.{way}.{'__'.join(locus)}"
        fidelity = self._observed.get(
            f"metrics.{_METHODS.get(gate, _OTHER_METHOD)}.{where}.fidelity"
        )
        duration = self._observed.get(f"gates.{where}.duration")
        if fidelity is None and duration is None:
            return None
        error = None if fidelity is None else min(max(1.0 - fidelity, 0.0), 1.0)
        return InstructionProperties(error=error, duration=duration)

    def _of_detour(self, detour: Detour) -> InstructionProperties | None:
        """Two moves and a ``cz``."""
        places = self._architecture.loci("cz")
        locus = (detour.stays, detour.resonator)
        gate = self._of("cz", locus if locus in places else locus[::-1])
        move = self._of("move", (detour.moves, detour.resonator))
        if gate is None or move is None:
            return None
        error = duration = None
        if gate.error is not None and move.error is not None:
            error = 1.0 - (1.0 - gate.error) * (1.0 - move.error) ** 2
        if gate.duration is not None and move.duration is not None:
            duration = gate.duration + 2 * move.duration
        return InstructionProperties(error=error, duration=duration)

    def _qubit(self, name: str) -> QubitProperties:
        model = f"characterization.model.{name}"
        return QubitProperties(
            t1=self._observed.get(f"{model}.t1_time"),
            t2=self._observed.get(f"{model}.t2_time"),
            frequency=self._observed.get(f"controllers.{name}.drive.frequency"),
        )
