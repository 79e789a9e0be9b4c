"""What a gate device can do: IBM's configuration and properties, to and from Qiskit's `Target`.

The JSON is that of the IBM services: ``configuration`` (names, coupling, ``dt`` in ns) and
``properties`` (per-qubit and per-gate calibration with units). Reading follows
qiskit-ibm-runtime 0.51, which treats a gate or qubit whose ``operational`` is 0 as absent.

Beyond IBM's form, for simulators:

* without a ``coupling_map`` and properties, instructions are allowed on all qubits (`Target`
  with ``None`` for their qubits), unless their entry in ``gates`` lists qubits;
* ``angle_bounds`` in the configuration, an object, says which gates take angles in a range only.
  Without it, ``rzz`` of a device that is not a simulator is limited to 0 to pi/2, as IBM's is.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from qiskit.circuit import ControlFlowOp, Gate, Instruction, Parameter
from qiskit.circuit.controlflow import get_control_flow_name_mapping
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.transpiler import InstructionProperties, QubitProperties, Target

from qrmi.codecs.target_form import NON_UNITARY, RZZ_BOUNDS, TIMING, UNITS
from qrmi.codecs.target_writer import write_target
from qrmi.errors import QrmiError, UnexpectedAnswerError, UnsupportedPayloadError

__all__ = ["configuration_in", "from_configuration", "read_target", "without_gates", "write_target"]

_log = logging.getLogger(__name__)

_KNOWN = frozenset({"T1", "T2", "frequency"})

_Qargs = dict[tuple[int, ...], InstructionProperties | None] | None


def read_target(value: str) -> Target:
    """Read the text of a resource's target.

    Args:
        value: ``{"configuration": {...}, "properties": {...} or null, ...}``.

    Raises:
        UnsupportedPayloadError: it describes no gate device; the message says what it offers.
        UnexpectedAnswerError: it is malformed.
    """
    data = _parsed(value)
    configuration = data.get("configuration") if isinstance(data, dict) else None
    if not configuration:
        raise UnsupportedPayloadError(
            "this resource does not run gate circuits",
            hint=f"it offers {_offer(data)}",
        )
    return from_configuration(configuration, data.get("properties"))


def configuration_in(value: str) -> dict[str, Any]:
    """The configuration in the text of a resource's target; empty when there is none.

    Raises:
        UnexpectedAnswerError: the text is not JSON, or the configuration is no object.
    """
    data = _parsed(value)
    configuration = (data.get("configuration") if isinstance(data, dict) else None) or {}
    if not isinstance(configuration, dict):
        raise UnexpectedAnswerError("malformed target: its configuration is no JSON object")
    return configuration


def without_gates(value: str, names: Collection[str]) -> str:
    """The text of a target without some gates; a text of another form is given back as it is."""
    try:
        data, configuration = json.loads(value), configuration_in(value)
    except (ValueError, RecursionError, UnexpectedAnswerError):
        return value
    if not isinstance(configuration.get("basis_gates"), list):
        return value
    kept = [name for name in configuration["basis_gates"] if name not in names]
    return json.dumps({**data, "configuration": {**configuration, "basis_gates": kept}})


def from_configuration(
    configuration: Mapping[str, Any], properties: Mapping[str, Any] | None = None
) -> Target:
    """Make a `Target` of IBM's configuration and properties, as parsed from JSON.

    Raises:
        UnexpectedAnswerError: they are malformed.
    """
    try:
        return _Reader(configuration, properties or {}).target()
    except QrmiError:
        raise
    except Exception as error:
        raise UnexpectedAnswerError(
            f"malformed configuration or properties: {type(error).__name__}: {error}"
        ) from error


def _parsed(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise UnexpectedAnswerError(f"the target is not JSON: {error}") from error


def _offer(data: Any) -> str:
    devices = data.get("devices") if isinstance(data, dict) else data
    names = [
        str(device["device_type"])
        for device in (devices if isinstance(devices, list) else [])
        if isinstance(device, dict) and "device_type" in device
    ]
    return f"pulse sequences ({', '.join(names)})" if names else "no device that is known here"


class _Reader:
    """Builds one `Target`."""

    def __init__(self, configuration: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
        self._configuration = configuration
        self._num_qubits = int(configuration["n_qubits"])
        self._gates = {gate["name"]: gate for gate in configuration.get("gates") or ()}
        self._ideal = configuration.get("coupling_map") is None and not properties
        self._calibrated = bool(properties)
        self._qubits = [_values(entries) for entries in properties.get("qubits") or ()]
        self._calibration: dict[str, dict[tuple[int, ...], dict[str, Any]]] = {}
        for gate in properties.get("gates") or ():
            entry = self._calibration.setdefault(gate["gate"], {})
            entry[tuple(gate["qubits"])] = _values(gate["parameters"])
        self._faulty = {
            index for index, values in enumerate(self._qubits) if not values.get("operational", 1)
        }

    def target(self) -> Target:
        timing = self._configuration.get("timing_constraints") or {}
        options: dict[str, Any] = {key: timing[key] for key in TIMING if key in timing}
        if self._configuration.get("dt") is not None:
            options["dt"] = self._configuration["dt"] * 1e-9
        if any(_KNOWN.intersection(values) for values in self._qubits):
            options["qubit_properties"] = [
                QubitProperties(
                    t1=values.get("T1"), t2=values.get("T2"), frequency=values.get("frequency")
                )
                for values in self._qubits
            ]
        target = Target(num_qubits=self._num_qubits, **options)
        for name, instruction in self._instructions().items():
            if isinstance(instruction, type):
                target.add_instruction(instruction, name=name)
            else:
                self._add(target, name, instruction)
        return target

    def _add(self, target: Target, name: str, instruction: Instruction) -> None:
        bounds = self._bounds(name)
        # Qiskit before 2.2 has no bounds on angles.
        options = {"angle_bounds": bounds} if bounds and hasattr(Target, "has_angle_bounds") else {}
        target.add_instruction(instruction, self._qargs(name), name=name, **options)

    def _bounds(self, name: str) -> list[tuple[float, float]] | None:
        default = {} if self._configuration.get("simulator") else {"rzz": RZZ_BOUNDS}
        bounds = self._configuration.get("angle_bounds", default).get(name)
        return [tuple(pair) for pair in bounds] if bounds else None

    def _instructions(self) -> dict[str, Instruction | type[ControlFlowOp]]:
        """All instructions by name; control flow as classes."""
        standard = get_standard_gate_name_mapping()
        control_flow = get_control_flow_name_mapping()
        supported = self._configuration.get("supported_instructions", NON_UNITARY)
        names = [*self._configuration.get("basis_gates", ())]
        names += [name for name in supported if name in NON_UNITARY or name in control_flow]
        found: dict[str, Instruction | type[ControlFlowOp]] = {}
        for name in dict.fromkeys(names):
            if name in control_flow:
                found[name] = control_flow[name]
            elif name in standard:
                found[name] = standard[name]
            elif name in self._gates:
                found[name] = self._custom(self._gates[name])
            else:
                _log.info("instruction %s of the configuration is not known here", name)
        for signature in self._configuration.get("instruction_signatures") or ():
            found[signature["name"]] = Instruction(
                signature["name"],
                signature["num_qubits"],
                signature["num_clbits"],
                [Parameter(name) for name in signature["parameters"]],
            )
        return found

    def _custom(self, gate: Mapping[str, Any]) -> Gate:
        places = gate.get("coupling_map")
        width = len(places[0]) if places else gate.get("num_qubits", 0)
        return Gate(gate["name"], width, [Parameter(name) for name in gate.get("parameters", ())])

    def _qargs(self, name: str) -> _Qargs:
        """Where an instruction is allowed; ``None`` for everywhere."""
        places = self._gates.get(name, {}).get("coupling_map", ())
        qargs: _Qargs = {tuple(place): None for place in places} if places else None
        if name == "measure" and self._calibrated and places is not None:
            return self._measure(qargs)
        for place, values in self._calibration.get(name, {}).items():
            qargs = {} if qargs is None else qargs
            if self._faulty.intersection(place) or not values.get("operational", 1):
                qargs.pop(place, None)
            else:
                qargs[place] = InstructionProperties(
                    error=values.get("gate_error"), duration=values.get("gate_length")
                )
        if qargs is None and name in NON_UNITARY and places is not None and not self._ideal:
            return {(qubit,): None for qubit in self._operational()}
        return qargs

    def _measure(self, qargs: _Qargs) -> _Qargs:
        qubits = self._operational() if qargs is None else [qubit for (qubit,) in qargs]
        return {
            (qubit,): InstructionProperties(
                error=self._qubits[qubit].get("readout_error"),
                duration=self._qubits[qubit].get("readout_length"),
            )
            for qubit in qubits
            if qubit not in self._faulty
        }

    def _operational(self) -> list[int]:
        return [qubit for qubit in range(self._num_qubits) if qubit not in self._faulty]


def _values(entries: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Name to value in SI units."""
    return {entry["name"]: entry["value"] * _unit(entry.get("unit") or "") for entry in entries}


def _unit(unit: str) -> float:
    if unit not in UNITS:
        raise UnexpectedAnswerError(f"unknown unit {unit!r} in the properties")
    return UNITS[unit]
