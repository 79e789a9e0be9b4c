"""Gate programs for OQTOPUS Cloud, format ``oqtopus``: OpenQASM 3 programs, counts and estimates.

A job has one circuit without parameters, so a pub becomes one job for each set of its values; an
estimator pub one for each value and observable, of the job type ``estimation``, whose expectation
value the service computes. Circuits fit the device, so the service's transpiler is switched off
unless the options say otherwise. Outcomes have bit 0 rightmost, as in Qiskit. Counts do not keep
the order of shots: they come grouped by outcome.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.primitives import DataBin, PrimitiveResult, PubResult, SamplerPubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparseObservable
from qiskit.transpiler import Target

from qrmi.codecs import binding, circuits, notes, tagged
from qrmi.codecs.interface import GATE, Device, Encoded, Limits
from qrmi.errors import InvalidInputError, Owner, UnexpectedAnswerError, UnsupportedPayloadError
from qrmi.payloads import Oqtopus
from qrmi.transport import reading
from qrmi_oqtopus.discovery import MOST_SHOTS
from qrmi_oqtopus.target import target_of

__all__ = [
    "KIND",
    "decode_result",
    "encode_estimator",
    "encode_sampler",
    "read_limits",
    "read_target",
]

KIND = GATE

_VERSION = 1
_DEFAULT_PRECISION = 0.015625
_OPTIONS = frozenset(
    {"description", "mitigation_info", "name", "simulator_info", "transpiler_info"}
)
_AS_IT_IS = {"transpiler_info": {"transpiler_lib": None}}
"""No transpilation by the service."""


def read_target(text: str) -> Target:
    """What circuits have to fit: the basis gates, on the couplings of the topology."""
    device = _device(text)
    with reading("GET device"):
        return target_of(device)


def read_limits(text: str) -> Limits:
    """A job has at most 10 million shots (oqtopus-client 1.3). Simulators sample, too."""
    _device(text)
    return Limits(max_shots=MOST_SHOTS)


def encode_sampler(
    pubs: Sequence[SamplerPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write sampler pubs as jobs of the type ``sampling``; options are fields of the job."""
    common = _common("sampling", options)
    payloads: list[Oqtopus] = []
    described = []
    for pub in map(binding.measuring, pubs):
        if pub.shots is None:
            raise InvalidInputError("a sampler pub needs its number of shots")
        job = {**common, "shots": int(pub.shots)}
        payloads += [_payload({**job, "program": [program]}) for program in _programs(pub)]
        described.append(
            {
                "shape": list(pub.parameter_values.shape),
                "shots": int(pub.shots),
                "bits": pub.circuit.num_clbits,
                "registers": binding.registers(pub.circuit),
            }
        )
    kept = {"oqtopus": _VERSION, "kind": "sampler", "pubs": described}
    return Encoded(payloads=payloads, notes=notes.pack(kept))


def encode_estimator(
    pubs: Sequence[EstimatorPub], *, device: Device, options: Mapping[str, Any]
) -> Encoded:
    """Write estimator pubs as jobs of the type ``estimation``.

    A job has ``ceil(1 / precision**2)`` shots for each basis that the service measures in.
    """
    common = _common("estimation", options)
    payloads: list[Oqtopus] = []
    described = []
    for pub in pubs:
        precision = _DEFAULT_PRECISION if pub.precision is None else float(pub.precision)
        shots = _shots(precision)
        for program, operator in _estimations(pub):
            job = {**common, "program": [program], "operator": operator, "shots": shots}
            payloads.append(_payload(job))
        described.append({"shape": list(pub.shape), "precision": precision, "shots": shots})
    kept = {"oqtopus": _VERSION, "kind": "estimator", "pubs": described}
    return Encoded(payloads=payloads, notes=notes.pack(kept))


def decode_result(texts: Sequence[str], notes_: Mapping[str, Any]) -> PrimitiveResult:
    """Read the results of all jobs."""
    kept = notes.unpack(notes_)
    if kept.get("oqtopus") != _VERSION:
        raise UnexpectedAnswerError(
            f"the notes of the task have version {kept.get('oqtopus')!r}, not {_VERSION}",
            owner=Owner.USER,
            hint="read the result with the version of openqrmi that started the task",
        )
    read = _sampled if kept["kind"] == "sampler" else _estimated
    remaining = list(texts)
    results = []
    for pub in kept["pubs"]:
        count = int(np.prod(pub["shape"]))
        results.append(read(remaining[:count], pub))
        del remaining[:count]
    return PrimitiveResult(results, metadata={"version": 2})


# --- writing --------------------------------------------------------------------------------------


def _device(text: str) -> dict[str, Any]:
    try:
        device = json.loads(text)
    except (ValueError, RecursionError):
        raise UnexpectedAnswerError("the target is not JSON") from None
    if not isinstance(device, dict) or "basis_gates" not in device:
        raise UnsupportedPayloadError("this resource's target lists no gates for circuits")
    return device


def _common(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if unknown := set(options) - _OPTIONS:
        raise InvalidInputError(
            f"a job has no option {sorted(unknown)[0]!r}",
            hint=f"it has: {', '.join(sorted(_OPTIONS))}",
        )
    return {"job_type": kind, **_AS_IT_IS, **options}


def _payload(job: Mapping[str, Any]) -> Oqtopus:
    try:
        return Oqtopus(json.dumps(job, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the job cannot be written as JSON: {error}") from error


def _programs(pub: SamplerPub | EstimatorPub) -> Iterator[str]:
    if not pub.parameter_values.num_parameters:
        program = _qasm(pub.circuit)
        for _ in range(pub.parameter_values.size):
            yield program
        return
    for circuit in binding.bound(pub):
        yield _qasm(circuit)


def _qasm(circuit: QuantumCircuit) -> str:
    """OpenQASM 3, whose classical bits are declared in the circuit's order."""
    declared = [bit for register in circuit.cregs for bit in register]
    if declared != list(circuit.clbits):
        flat = QuantumCircuit(
            QuantumRegister(circuit.num_qubits, "q"), ClassicalRegister(circuit.num_clbits, "c")
        )
        circuit = flat.compose(circuit, flat.qubits, flat.clbits)
    program: str = circuits.encode(circuit, form="qasm3", qpy_version=tagged.QPY_DEFAULT)
    return program


def _shots(precision: float) -> int:
    # Rounded, because 1 / 0.1**2 is a little more than 100.
    shots = math.inf if precision <= 0 else math.ceil(round(1.0 / precision**2, 6))
    if shots > MOST_SHOTS:
        raise InvalidInputError(
            f"precision {precision:g} needs more than the {MOST_SHOTS} shots that a job can have",
            hint="shots grow as 1 / precision**2: ask for a larger precision",
        )
    return int(shots)


def _estimations(pub: EstimatorPub) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Program and operator for each value of a pub, in C order."""
    observables = pub.observables.sparse_observables_array().ravel()
    programs = np.empty(pub.parameter_values.size, dtype=object)
    programs[:] = list(_programs(_naming(pub, observables)))
    operators = np.empty(pub.observables.size, dtype=object)
    operators[:] = [_operator(observable) for observable in observables]
    placed = np.broadcast_arrays(
        programs.reshape(pub.parameter_values.shape), operators.reshape(pub.observables.shape)
    )
    yield from zip(placed[0].ravel(), placed[1].ravel(), strict=True)


def _naming(pub: EstimatorPub, observables: Iterable[SparseObservable]) -> EstimatorPub:
    """The pub, with a circuit whose program names all qubits that the observables act on.

    A program in a device's own qubits declares none: it has those that it names.
    """
    acting = {int(qubit) for observable in observables for qubit in observable.indices}
    idle = acting - {
        pub.circuit.find_bit(qubit).index for item in pub.circuit.data for qubit in item.qubits
    }
    if not idle:
        return pub
    circuit = pub.circuit.copy()
    circuit.barrier(sorted(idle))
    return EstimatorPub(
        circuit, pub.observables, pub.parameter_values, pub.precision, validate=False
    )


def _operator(observable: SparseObservable) -> list[dict[str, Any]]:
    """An observable as the service takes it: ``X 0 Z 1``, ``I`` for the identity."""
    terms = []
    for letters, qubits, coefficient in observable.as_paulis().simplify().to_sparse_list():
        acting = [f"{letter} {qubit}" for letter, qubit in zip(letters, qubits, strict=True)]
        terms.append({"pauli": " ".join(acting) or "I", "coeff": float(coefficient.real)})
    return terms or [{"pauli": "I", "coeff": 0.0}]


# --- reading --------------------------------------------------------------------------------------


def _outcome(text: str, kind: str) -> dict[str, Any]:
    with reading("GET job"):
        found: dict[str, Any] = json.loads(text)["job_info"]["result"][kind]
        return dict(found)


def _sampled(texts: Sequence[str], pub: Mapping[str, Any]) -> SamplerPubResult:
    measured = [_columns(_outcome(text, "sampling"), pub["bits"]) for text in texts]
    data = binding.assemble(measured, pub["registers"], pub["shape"], pub["shots"])
    return SamplerPubResult(data, metadata={"shots": pub["shots"]})


def _columns(sampling: Mapping[str, Any], num_bits: int) -> NDArray[np.uint8]:
    with reading("GET job"):
        return binding.columns(dict(sampling["counts"]), num_bits)


def _estimated(texts: Sequence[str], pub: Mapping[str, Any]) -> PubResult:
    estimates = [_outcome(text, "estimation") for text in texts]
    with reading("GET job"):
        values = np.array([float(estimate["exp_value"]) for estimate in estimates])
        errors = np.array([float(estimate["stds"]) for estimate in estimates])
        shape = tuple(pub["shape"])
        data = DataBin(evs=values.reshape(shape), stds=errors.reshape(shape), shape=shape)
    metadata = {"target_precision": pub["precision"], "shots": pub["shots"]}
    return PubResult(data, metadata=metadata)
