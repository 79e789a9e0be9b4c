"""Run requests of the IQM sandbox: checked as strictly as the device would, and run on Aer.

Qiskit is imported with this module, by the thread that makes the server: where the thread that
imported it first has ended, Qiskit 2.6 crashes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator

from qrmi_sandbox.iqm_devices import Machine
from qrmi_sandbox.server import Refusal

__all__ = ["check_request", "delayed_seconds", "run_request", "too_long"]

_OPTIONS: Mapping[str, Callable[[Any], bool]] = {
    "qubit_mapping": lambda value: value is None,
    "max_circuit_duration_over_t2": lambda value: value is None or value >= 0,
    "heralding_mode": lambda value: value in ("none", "zeros"),
    "move_gate_validation": lambda value: value in ("strict", "allow_prx", "none"),
    "move_validation_mode": lambda value: value in ("strict", "allow_prx", "none"),
    "move_gate_frame_tracking": lambda v: v in ("full", "no_detuning_correction", "none"),
    "move_gate_frame_tracking_mode": lambda v: v in ("full", "no_detuning_correction", "none"),
    "active_reset_cycles": lambda value: value is None or isinstance(value, int),
    "dd_mode": lambda value: value in ("disabled", "enabled"),
    "dd_strategy": lambda value: value is None or isinstance(value, dict),
}
_ARGUMENTS: Mapping[str, Mapping[str, type]] = {
    "prx": {"angle": float, "phase": float},
    "cc_prx": {"angle": float, "phase": float, "feedback_qubit": str, "feedback_key": str},
    "measure": {"key": str},
    "delay": {"duration": float},
    "cz": {},
    "move": {},
    "barrier": {},
    "reset": {},
}
_SYMMETRIC = frozenset({"cz"})
_ANYWHERE = frozenset({"barrier", "delay"})
_GATE_SECONDS = 4e-8
_SHORTEST_T2_SECONDS = 2.2e-5


def _no(message: str) -> Refusal:
    return Refusal(422, {"error_code": "validation_error", "message": message, "request_id": "r1"})


# --- checks ---------------------------------------------------------------------------------------


def check_request(request: Any, machine: Machine) -> None:
    """Refuse what the service would refuse.

    Raises:
        Refusal: with the status that the service gives.
    """
    if not isinstance(request, dict):
        raise _no("the body is not an object")
    unknown = set(request) - set(_OPTIONS) - {"circuits", "shots", "calibration_set_id"}
    if unknown:
        raise _no(f"unknown field {sorted(unknown)[0]}")
    bad = [name for name, fine in _OPTIONS.items() if name in request and not fine(request[name])]
    if bad:
        raise _no(f"bad value of {bad[0]}")
    if request.get("calibration_set_id") not in (None, machine.calibration_id):
        raise _no("no such calibration set")
    shots, circuits = request.get("shots", 1), request.get("circuits")
    if isinstance(shots, bool) or not isinstance(shots, int) or not 1 <= shots <= 100_000:
        raise _no("shots is a number from 1 to 100000")
    if not isinstance(circuits, list) or not 1 <= len(circuits) <= 200:
        raise _no("a job has 1 to 200 circuits")
    for circuit in circuits:
        _check_circuit(circuit, machine)


def _check_circuit(circuit: Any, machine: Machine) -> None:
    if not isinstance(circuit, dict) or not {"name", "instructions"} <= set(circuit):
        raise _no("a circuit has a name and instructions")
    if set(circuit) - {"name", "instructions", "metadata"} or not circuit["name"]:
        raise _no("a circuit has a name, instructions and metadata, nothing else")
    keys: set[str] = set()
    feedback: set[tuple[str, str]] = set()
    inside: dict[str, str] = {}
    for operation in circuit["instructions"]:
        _check_operation(operation, machine)
        name, locus, args = operation["name"], operation["locus"], operation["args"]
        if name == "measure":
            if args["key"] in keys:
                raise _no(f"measurement key {args['key']} is used twice")
            keys.add(args["key"])
            feedback |= {(args["feedback_key"], q) for q in locus if "feedback_key" in args}
        if name == "cc_prx" and (args["feedback_key"], args["feedback_qubit"]) not in feedback:
            raise _no("a conditional gate without its measurement")
        _check_moves(name, locus, inside)
    if inside:
        raise _no("a state is left in the resonator")


def _check_operation(operation: Any, machine: Machine) -> None:
    if not isinstance(operation, dict) or not {"name", "locus", "args"} <= set(operation):
        raise _no("an instruction has a name, a locus and args")
    if set(operation) - {"name", "locus", "args", "implementation"}:
        raise _no("an instruction has an unknown field")
    name, locus, args = operation["name"], tuple(operation["locus"]), operation["args"]
    if name not in _ARGUMENTS:
        raise _no(f"unknown operation {name}")
    wanted = dict(_ARGUMENTS[name])
    if name == "measure" and "feedback_key" in args:
        wanted["feedback_key"] = str
    if set(args) != set(wanted) or not all(_is_a(args[key], kind) for key, kind in wanted.items()):
        raise _no(f"bad arguments of {name}")
    loci = machine.loci.get("cc_prx" if name == "reset" else name, [])
    known = locus in loci or (name in _SYMMETRIC and locus[::-1] in loci)
    components = {*machine.qubits, *machine.resonators}
    if name in _ANYWHERE:
        known = components.issuperset(locus) and len(locus) > 0
    if name == "measure":
        known = len(locus) > 0 and all((qubit,) in loci for qubit in locus)
    if not known:
        raise _no(f"{name} is not calibrated on {', '.join(locus)}")


def _is_a(value: Any, kind: type) -> bool:
    if kind is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and math.isfinite(value)
    return isinstance(value, kind)


def _check_moves(name: str, locus: list[str], inside: dict[str, str]) -> None:
    """A state goes into a resonator and comes back; its qubit rests meanwhile."""
    if name == "move":
        qubit, resonator = locus
        if inside.get(resonator, qubit) != qubit:
            raise _no("the resonator is taken")
        if inside.pop(resonator, None) is None:
            inside[resonator] = qubit
    elif name != "barrier" and set(locus) & set(inside.values()):
        raise _no("a gate on a qubit whose state is in the resonator")


def too_long(request: Mapping[str, Any]) -> bool:
    """Whether a circuit takes longer than the request allows; then the job fails."""
    allowed = request.get("max_circuit_duration_over_t2")
    if not allowed:
        return False
    longest = max(len(circuit["instructions"]) for circuit in request["circuits"])
    return bool(longest * _GATE_SECONDS > allowed * _SHORTEST_T2_SECONDS)


def delayed_seconds(request: Any) -> float:
    """How long the delays of a request take in all its shots."""
    circuits = request.get("circuits") or () if isinstance(request, dict) else ()
    delays = [
        operation["args"]["duration"]
        for circuit in circuits
        for operation in circuit["instructions"]
        if operation["name"] == "delay"
    ]
    return float(sum(delays) * request.get("shots", 1)) if delays else 0.0


# --- execution ------------------------------------------------------------------------------------


def run_request(request: Mapping[str, Any]) -> tuple[list[Any], list[Any]]:
    """Run the circuits; their measurements and measurement counts."""
    measured = [_run(circuit, request.get("shots", 1)) for circuit in request["circuits"]]
    if request.get("heralding_mode") == "zeros":  # some shots began in another state
        measured = [{key: rows[: len(rows) - len(rows) // 20] for key, rows in found.items()}
                    for found in measured]  # fmt: skip
    return measured, [_counts(found) for found in measured]


def _counts(found: Mapping[str, list[list[int]]]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for shot in zip(*found.values(), strict=True):
        text = "".join(str(bit) for row in shot for bit in row)
        counts[text] = counts.get(text, 0) + 1
    return {"measurement_keys": list(found), "counts": counts}


def _run(circuit: Mapping[str, Any], shots: int) -> dict[str, list[list[int]]]:
    made, widths = _to_qiskit(circuit)
    total = sum(widths.values())
    if not total:
        return {}
    job = AerSimulator().run(made, shots=shots, memory=True)
    memory = [text.replace(" ", "")[::-1] for text in job.result().get_memory()]
    found, start = {}, 0
    for key, width in widths.items():
        found[key] = [[int(text[start + i]) for i in range(width)] for text in memory]
        start += width
    return found


def _to_qiskit(circuit: Mapping[str, Any]) -> tuple[QuantumCircuit, dict[str, int]]:
    """A Qiskit circuit on the components in use, and the number of bits of each key."""
    operations = circuit["instructions"]
    used = list(dict.fromkeys(_components(operations)))
    index = {name: number for number, name in enumerate(used)}
    widths = {op["args"]["key"]: len(op["locus"]) for op in operations if op["name"] == "measure"}
    made = QuantumCircuit(max(len(used), 1), sum(widths.values()))
    feedback: dict[tuple[str, str], int] = {}
    bit = 0
    for operation in operations:
        name, args = operation["name"], operation["args"]
        places = [index[component] for component in operation["locus"] if component in index]
        if name == "measure":
            for component, place in zip(operation["locus"], places, strict=True):
                made.measure(place, bit)
                feedback[args.get("feedback_key", ""), component] = bit
                bit += 1
        elif name == "cc_prx":
            source = feedback[args["feedback_key"], args["feedback_qubit"]]
            with made.if_test((made.clbits[source], 1)):
                made.r(args["angle"], args["phase"], places[0])
        else:
            _GATES[name](made, args, places)
    return made, widths


def _components(operations: list[dict[str, Any]]) -> Iterator[str]:
    for operation in operations:
        if operation["name"] not in _ANYWHERE:
            yield from operation["locus"]


_GATES: Mapping[str, Callable[[Any, Mapping[str, Any], list[int]], Any]] = {
    "prx": lambda made, args, at: made.r(args["angle"], args["phase"], at[0]),
    "cz": lambda made, _args, at: made.cz(*at),
    "move": lambda made, _args, at: made.swap(*at),
    "reset": lambda made, _args, at: made.reset(at),
    "barrier": lambda made, _args, _at: made.barrier(),
    "delay": lambda _made, _args, _at: None,
}
