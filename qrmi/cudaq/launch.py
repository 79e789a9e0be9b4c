"""Kernels as tasks: a captured kernel is fitted to the resource and sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qiskit.circuit import ClassicalRegister, QuantumCircuit
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import Pauli

from qrmi.codecs import notes
from qrmi.codecs.group import TaskGroup
from qrmi.codecs.interface import Encoded, gate_codec
from qrmi.cudaq import operators, results
from qrmi.cudaq.endpoint import Launch
from qrmi.cudaq.futures import SDK, Done, Future
from qrmi.cudaq.kernels import MEASURED, Program
from qrmi.cudaq.session import Session
from qrmi.cudaq.shots import check_wanted
from qrmi.errors import InvalidInputError, TaskNotReadyError

__all__ = ["observe", "observe_list", "read", "sample", "start"]

_METADATA = "cudaq"
_LAYOUTS = "layouts"
_LARGEST_LAYOUTS = 4000  # characters
_DEFAULT_SHOTS = 1000


def start(session: Session, launch: Launch) -> Future | Done:
    """Send what CUDA-Q wants to run, and return without waiting."""
    return sample(session, launch) if launch.operator is None else observe(session, launch)


def sample(session: Session, launch: Launch) -> Future:
    """Send a kernel to be sampled.

    Raises:
        UnsupportedPayloadError: the resource does not take circuits.
        IsaError: it has too many qubits.
        InvalidInputError: there is nothing to measure, or no shot is wanted.
    """
    check_wanted(launch.shots)
    if launch.explicit and not launch.program.measurements:
        raise InvalidInputError("explicit_measurements: the kernel has no measurement")
    program: Program = launch.program.measured()
    layout: dict[str, Any] = {
        "shots": launch.shots,
        "outcome": program.outcome(),
        "registers": program.registers(),
    }
    if launch.explicit:
        layout |= {"outcome": list(range(len(program.measurements))), "registers": {}}
    pub = SamplerPub.coerce(_fitted(session, program.circuit, layout), launch.shots)
    return _send(
        session,
        session.codec.encode_sampler([pub], device=session, options={}),
        {"kind": "sampler", "call": "sample", "shots": launch.shots},
        [layout],
        lambda result, task_id: results.sample(result, layout, task_id),
    )


def observe(session: Session, launch: Launch) -> Future | Done:
    """Send a kernel whose operator is to be measured.

    Without shots, a simulator computes the expectation value without sampling noise; other
    resources measure with 1000 shots, as CUDA-Q's hardware targets do.

    Raises:
        UnsupportedPayloadError: the resource does not take circuits.
        IsaError: it has too many qubits.
        InvalidInputError: the operator has parameters, or acts on a qubit that is not there.
    """
    if launch.program.measurements:
        raise InvalidInputError("cudaq.observe: the kernel must not measure its qubits")
    terms = operators.read_terms(launch.operator)
    constant = sum(term.coefficient for term in terms if not term.paulis)
    terms = [term for term in terms if term.paulis]
    for term in terms:
        term.check(launch.program.outputs)
    if not terms:
        return Done(results.ExactObserveResult(constant, launch.operator, {"": 1.0}, ""))
    session.require_gates()
    if launch.shots < 1 and session.exact:
        return _observe_exact(session, launch, terms, constant)
    return _observe_shots(session, launch, terms, constant)


def observe_list(
    original: Callable[..., Any], kernel: Any, spin_operators: list[Any], *args: Any, **options: Any
) -> Any:
    """`cudaq.observe` of a list of operators: one task for all, then a result for each.

    CUDA-Q 0.16 would leave the coefficients out of each operator's value.
    """
    copies = [operator.copy() for operator in spin_operators]
    for operator in copies:
        operator.canonicalize()
    found = original(kernel, operators.single_terms(copies), *args, **options)
    if isinstance(found, list):
        return [[_one_of(result, operator) for operator in copies] for result in found]
    return [_one_of(found, operator) for operator in copies]


def read(tasks: TaskGroup) -> Any:
    """CUDA-Q's result of a program that another process started.

    What belongs to which bit comes back with the result, as metadata of the circuits, or is in the
    journal when it is not long.

    Raises:
        TaskNotReadyError: it is in neither place.
    """
    context = tasks.context()
    result = tasks.result(gate_codec(tasks.resource))
    metadata = [(pub.metadata or {}).get("circuit_metadata") or {} for pub in result]
    if all(_METADATA in entry for entry in metadata):
        layouts = [entry[_METADATA] for entry in metadata]
    elif _LAYOUTS in context:
        layouts = notes.unpack(context[_LAYOUTS])["pubs"]
    else:
        raise TaskNotReadyError(
            "the resource did not keep the circuit's metadata, so that only the process that "
            "started the task can read its result",
            retryable=False,
            hint=f"read it there; `qrmi result {tasks.id}` shows what the resource kept",
            task_id=tasks.id,
        )
    if context["call"] == "sample":
        return results.sample(result, layouts[0], tasks.id)
    if "shots" in layouts[0]:
        return results.observe_shots(result, layouts, tasks.id)
    return results.observe_exact(result, layouts[0], tasks.id)


def _one_of(found: Any, operator: Any) -> Any:
    """The result for one operator out of that for all terms."""
    expectations = {"": 1.0}
    value = 0.0
    for term in operators.read_terms(operator):
        if term.paulis:
            product = next(iter(operators.rebuild([[term.name, 1.0]])))
            expectations[term.name] = found.expectation(product)
        value += term.coefficient * expectations["" if not term.paulis else term.name]
    if isinstance(found, results.ExactObserveResult):
        return results.ExactObserveResult(value, operator, expectations, found.task_id)
    return type(found)(value, operator, found.counts())


def _observe_exact(
    session: Session, launch: Launch, terms: list[operators.Term], constant: float
) -> Future:
    program: Program = launch.program
    paulis = [term.pauli(program.circuit.num_qubits) for term in terms]
    layout = {"terms": [[term.name, term.coefficient] for term in terms], "constant": constant}
    circuit = _fitted(session, program.circuit, layout)
    if circuit.layout is not None:
        paulis = [pauli.apply_layout(circuit.layout) for pauli in paulis]
    pub = EstimatorPub.coerce((circuit, paulis, None, 0.0))
    return _send(
        session,
        session.codec.encode_estimator([pub], device=session, options={}),
        {"kind": "estimator", "call": "observe"},
        [layout],
        lambda result, task_id: results.observe_exact(result, layout, task_id, launch.operator),
    )


def _observe_shots(
    session: Session, launch: Launch, terms: list[operators.Term], constant: float
) -> Future:
    shots = launch.shots if launch.shots > 0 else _DEFAULT_SHOTS
    circuit = launch.program.circuit
    pubs, layouts = [], []
    for basis, members in operators.grouped(terms, circuit.num_qubits):
        measured, place = _measure_in(circuit, basis)
        layout = {
            "shots": shots,
            "constant": constant,
            "terms": [
                [term.name, term.coefficient, [place[qubit] for qubit, _letter in term.paulis]]
                for term in members
            ],
        }
        layouts.append(layout)
        pubs.append(SamplerPub.coerce(_fitted(session, measured, layout), shots))
    return _send(
        session,
        session.codec.encode_sampler(pubs, device=session, options={}),
        {"kind": "sampler", "call": "observe", "shots": shots},
        layouts,
        lambda result, task_id: results.observe_shots(result, layouts, task_id, launch.operator),
    )


def _measure_in(circuit: QuantumCircuit, basis: Pauli) -> tuple[QuantumCircuit, dict[int, int]]:
    """The circuit followed by a measurement, and the classical bit of each measured qubit."""
    letters = dict(enumerate(reversed(basis.to_label())))
    qubits = [qubit for qubit, letter in letters.items() if letter != "I"]
    measured = circuit.copy_empty_like()
    register = ClassicalRegister(len(qubits), MEASURED)
    measured.add_register(register)
    measured.compose(circuit, inplace=True)
    for qubit in qubits:
        if letters[qubit] == "Y":
            measured.sdg(qubit)
        if letters[qubit] in "XY":
            measured.h(qubit)
    measured.measure(qubits, register)
    return measured, {qubit: bit for bit, qubit in enumerate(qubits)}


def _fitted(session: Session, circuit: QuantumCircuit, layout: Mapping[str, Any]) -> QuantumCircuit:
    fitted = session.fit(circuit)
    fitted.metadata = {_METADATA: dict(layout)}
    return fitted


def _send(
    session: Session,
    encoded: Encoded,
    context: Mapping[str, Any],
    layouts: Sequence[Mapping[str, Any]],
    decode: Callable[[Any, str], Any],
) -> Future:
    codec = session.codec
    kept = notes.pack({"pubs": layouts})
    if len(json.dumps(kept)) <= _LARGEST_LAYOUTS:
        context = {**context, _LAYOUTS: kept}
    tasks = TaskGroup.start(session.resource, encoded, {"sdk": SDK, **context})
    return Future(tasks, lambda tasks: decode(tasks.result(codec, encoded.notes), tasks.id))
