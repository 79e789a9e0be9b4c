"""Expectation values for services that only sample: measure in other bases, then average.

An estimator pub becomes a few sampler pubs, one for each basis in which many of its observables'
terms can be measured at once (they commute qubit by qubit). Values and standard errors come out of
the same shots, correlations between terms included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import Target

from qrmi.codecs import bits, notes
from qrmi.codecs.basis_change import BasisChange
from qrmi.codecs.basis_plan import Basis, Part, PubPlan, Term
from qrmi.errors import InvalidInputError, Owner, UnexpectedAnswerError

__all__ = ["combine", "plan"]

_VERSION = 1
_DEFAULT_PRECISION = 0.015625
_MOST_SHOTS = 10**9


def plan(
    pubs: Sequence[EstimatorPub], *, target: Target | None = None
) -> tuple[list[SamplerPub], dict[str, Any]]:
    """The sampler pubs that estimate these pubs.

    Each basis is measured with ``ceil(1 / precision**2)`` shots for each set of parameter values,
    so that a single Pauli term has at most the standard error that was asked for.

    Args:
        pubs: circuits with qubit i being the observables' qubit i. A precision of ``None`` is
            taken as 1/64. Observables may have the projectors ``0 1 + - r l``.
        target: the device, so that changes of basis are written in its own instructions; without
            it, they are ``rx`` and ``ry``.

    Returns:
        The sampler pubs, with one axis of parameter values each, whose circuits have one register
        more; and the notes that `combine` needs: small JSON values.

    Raises:
        InvalidInputError: a precision of zero, or so small that nobody would wait for it; a
            coefficient that is not finite.
        IsaError: the device's instructions cannot change to a basis.
    """
    made: list[SamplerPub] = []
    described = []
    change = BasisChange(target)
    for number, pub in enumerate(pubs):
        precision = _DEFAULT_PRECISION if pub.precision is None else float(pub.precision)
        shots = _shots(precision, number)
        entry = {
            "observables": [_terms(element) for element in _elements(pub.observables)],
            "shapes": [list(pub.observables.shape), list(pub.parameter_values.shape)],
            "precision": precision,
            "register": _unused_name(pub.circuit),
        }
        described.append(entry)
        made += _sampler_pubs(pub, entry, shots, change)
    return made, notes.pack({"bases": _VERSION, "pubs": described})


def combine(result: PrimitiveResult, kept: Mapping[str, Any]) -> PrimitiveResult:
    """The estimator's result, out of that of the sampler pubs which `plan` made.

    Args:
        result: one pub result for each sampler pub, in their order; their values may have any
            shape of the right size.
        kept: the notes.

    Returns:
        For each estimator pub ``evs`` and ``stds`` of the pub's shape, with the metadata
        ``target_precision`` and ``shots`` (of each basis).

    Raises:
        UnexpectedAnswerError: the result, or the notes, have another form.
    """
    described = notes.unpack(kept)
    if described.get("bases") != _VERSION:
        raise UnexpectedAnswerError(
            f"the notes of the task have version {described.get('bases')!r}, not {_VERSION}",
            owner=Owner.USER,
            hint="read the result with the version of openqrmi that started the task",
        )
    plans = [PubPlan.of(entry["observables"], entry["shapes"]) for entry in described["pubs"]]
    wanted = sum(len(planned.parts) for planned in plans)
    if len(result) != wanted:
        raise UnexpectedAnswerError(f"malformed result: {len(result)} of {wanted} measured bases")
    sampled = iter(result)
    return PrimitiveResult(
        [
            _estimated(planned, entry, [next(sampled) for _ in planned.parts])
            for planned, entry in zip(plans, described["pubs"], strict=True)
        ],
        metadata={"version": 2},
    )


# --- to sampler pubs ------------------------------------------------------------------------------


def _shots(precision: float, number: int) -> int:
    # Rounded, because 1 / 0.1**2 is a little more than 100.
    shots = math.inf if precision <= 0 else math.ceil(round(1.0 / precision**2, 6))
    if shots > _MOST_SHOTS:
        raise InvalidInputError(
            f"pub {number} asks a device that measures for precision {precision:g}",
            hint="shots grow as 1 / precision**2: ask for a larger precision",
        )
    return int(shots)


def _unused_name(circuit: QuantumCircuit) -> str:
    taken = {register.name for register in (*circuit.cregs, *circuit.qregs)}
    return next(name for n in range(len(taken) + 1) if (name := f"basis{n}") not in taken)


def _elements(observables: ObservablesArray) -> list[Mapping[str, float]]:
    listed = observables.ravel().tolist()
    elements: list[Mapping[str, float]] = [listed] if isinstance(listed, Mapping) else listed
    return elements


def _terms(observable: Mapping[str, float]) -> list[list[Any]]:
    """Each term as letters, their qubits and its coefficient; the identity has no letters."""
    found = []
    for text, factor in observable.items():
        acting = [(q, letter) for q, letter in enumerate(reversed(text)) if letter != "I"]
        letters = "".join(letter for _, letter in acting)
        if not math.isfinite(factor):
            raise InvalidInputError("the coefficients of observables must be finite numbers")
        found.append([letters, [qubit for qubit, _ in acting], float(factor)])
    return found


def _sampler_pubs(
    pub: EstimatorPub, entry: Mapping[str, Any], shots: int, change: BasisChange
) -> Iterator[SamplerPub]:
    parameters = tuple(pub.circuit.parameters)
    values = pub.parameter_values
    table = values.as_array(parameters).reshape(values.size, len(parameters))
    measured: dict[Basis, QuantumCircuit] = {}
    for part in PubPlan.of(entry["observables"], entry["shapes"]).parts:
        if part.basis not in measured:
            measured[part.basis] = _measured(pub.circuit, part.basis, change, entry["register"])
        rows = list(part.rows)
        data = {parameters: table[rows]} if parameters else None
        yield SamplerPub(
            measured[part.basis], BindingsArray(data, shape=(len(rows),)), shots, validate=False
        )


def _measured(
    circuit: QuantumCircuit, basis: Basis, change: BasisChange, name: str
) -> QuantumCircuit:
    made = circuit.copy()
    register = ClassicalRegister(len(basis.qubits), name)
    made.add_register(register)
    change.append(made, basis)
    made.measure(basis.qubits, register)
    return made


# --- from their results ---------------------------------------------------------------------------


def _estimated(
    planned: PubPlan, entry: Mapping[str, Any], sampled: Sequence[PubResult]
) -> PubResult:
    values, variances = planned.constants.copy(), np.zeros(len(planned.constants))
    shots = 0
    for part, pub in zip(planned.parts, sampled, strict=True):
        packed = _outcomes(pub, entry["register"], part)
        shots = packed.shape[1]
        for row, outcomes in zip(part.rows, packed, strict=True):
            _add(planned, part, row, outcomes, values, variances)
    metadata = {"target_precision": entry["precision"], "shots": shots}
    shape = planned.shape
    stds = np.sqrt(variances)
    data = DataBin(evs=values.reshape(shape), stds=stds.reshape(shape), shape=shape)
    return PubResult(data, metadata=metadata)


def _add(
    planned: PubPlan,
    part: Part,
    row: int,
    outcomes: NDArray[np.uint8],
    values: NDArray[np.float64],
    variances: NDArray[np.float64],
) -> None:
    """Add what one measured basis tells of all values that belong to a row of parameters."""
    distinct, counts = np.unique(outcomes, axis=0, return_counts=True)
    columns, weights = bits.unpack(distinct, len(part.basis.qubits)), counts / len(outcomes)
    factors = np.array([_factors(term, part.basis, columns) for term in part.terms])
    for place, observable in planned.places[row]:
        if observable in part.members:
            using, coefficients = part.members[observable]
            signal = coefficients @ factors[using]
            mean = signal @ weights
            values[place] += mean
            variances[place] += max(((signal - mean) ** 2) @ weights, 0.0) / len(outcomes)


def _outcomes(pub: PubResult, name: str, part: Part) -> NDArray[np.uint8]:
    """Packed shots, one more axis for the rows of parameters."""
    array = dict(pub.data.items()).get(name)
    width, rows = len(part.basis.qubits), len(part.rows)
    if not isinstance(array, BitArray) or (array.num_bits, array.size) != (width, rows):
        raise UnexpectedAnswerError("malformed result: it does not have the bits of a basis")
    if not array.num_shots:
        raise UnexpectedAnswerError("malformed result: it has no shots")
    packed: NDArray[np.uint8] = array.array.reshape(rows, array.num_shots, -1)
    return packed


def _factors(term: Term, basis: Basis, columns: NDArray[np.uint8]) -> NDArray[np.float64]:
    """A term's value, without its coefficient, for each outcome."""
    found = np.ones(len(columns))
    for letter, qubit in zip(term.letters, term.qubits, strict=True):
        zero, one = _EIGENVALUES[letter]
        found *= np.where(columns[:, basis.qubits.index(qubit)], one, zero)
    return found


_EIGENVALUES = {
    **dict.fromkeys("XYZ", (1.0, -1.0)),
    **dict.fromkeys("0+r", (1.0, 0.0)),
    **dict.fromkeys("1-l", (0.0, 1.0)),
}
"""What a letter of an observable is worth when its qubit was measured 0, and when 1."""
