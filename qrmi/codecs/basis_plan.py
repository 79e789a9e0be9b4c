"""Which terms of observables are measured together, and for which parameter values.

Pure and deterministic: the process that reads a result makes the same plan from the same
description as the one that sent the program.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

__all__ = ["Basis", "Part", "PubPlan", "Term", "grouped"]

_AXES = {**dict.fromkeys("X+-", "X"), **dict.fromkeys("Yrl", "Y"), **dict.fromkeys("Z01", "Z")}
"""The axis along which a qubit is measured for each letter of an observable."""


@attrs.frozen
class Term:
    """A product of operators on single qubits, without its coefficient.

    Attributes:
        letters: of ``X Y Z 0 1 + - r l``; empty for the identity.
        qubits: the qubit of each letter, ascending.
    """

    letters: str
    qubits: tuple[int, ...]


@attrs.frozen
class Basis:
    """Along which axis which qubits are measured.

    Attributes:
        axes: ``X``, ``Y`` or ``Z`` of each qubit.
        qubits: ascending; the i-th is measured into bit i.
    """

    axes: str
    qubits: tuple[int, ...]


@attrs.frozen(kw_only=True, eq=False)
class Part:
    """One measurement: a basis, for some of the pub's parameter values.

    Attributes:
        basis: the basis.
        rows: the parameter values, as indices into the flattened ``parameter_values``.
        terms: what it measures.
        members: for each observable that has some of these terms, which ones and with which
            coefficients.
    """

    basis: Basis
    rows: tuple[int, ...]
    terms: tuple[Term, ...]
    members: Mapping[int, tuple[NDArray[np.intp], NDArray[np.float64]]]


@attrs.frozen(kw_only=True, eq=False)
class PubPlan:
    """How one estimator pub is measured.

    Attributes:
        shape: of the pub.
        constants: for each value of the pub, flattened, what needs no measurement.
        places: for each row of parameter values, pairs of a value of the pub (flattened) and its
            observable (flattened).
        parts: the measurements, in order.
    """

    shape: tuple[int, ...]
    constants: NDArray[np.float64]
    places: Mapping[int, Sequence[tuple[int, int]]]
    parts: tuple[Part, ...]

    @staticmethod
    def of(observables: Sequence[Any], shapes: Sequence[Sequence[int]]) -> PubPlan:
        """The plan of a pub; those made last are kept.

        Args:
            observables: of each element, flattened, the terms: letters, qubits and coefficient.
            shapes: of the observables, and of the parameter values.
        """
        return _plan(json.dumps(observables), json.dumps(shapes))


def grouped(terms: Iterable[Term]) -> list[tuple[Basis, list[Term]]]:
    """Few bases for all terms: each term goes to the first group that it commutes with by qubit.

    Terms on many qubits go first, others in the order given.
    """
    found: list[tuple[dict[int, str], list[Term]]] = []
    for term in sorted(terms, key=lambda term: -len(term.qubits)):
        axes = {q: _AXES[letter] for q, letter in zip(term.qubits, term.letters, strict=True)}
        for basis, members in found:
            if all(basis.get(qubit, axis) == axis for qubit, axis in axes.items()):
                basis.update(axes)
                members.append(term)
                break
        else:
            found.append((axes, [term]))
    return [(_basis(basis), members) for basis, members in found]


def _basis(axes: Mapping[int, str]) -> Basis:
    qubits = tuple(sorted(axes))
    return Basis("".join(axes[qubit] for qubit in qubits), qubits)


@functools.lru_cache(maxsize=16)
def _plan(observables_text: str, shapes_text: str) -> PubPlan:
    observables = [_summed(element) for element in json.loads(observables_text)]
    observed, valued = (tuple(shape) for shape in json.loads(shapes_text))
    shape = np.broadcast_shapes(observed, valued)
    pairs = list(zip(_flat(valued, shape), _flat(observed, shape), strict=True))
    places: dict[int, list[tuple[int, int]]] = {}
    for place, (row, observable) in enumerate(pairs):
        places.setdefault(row, []).append((place, observable))
    alike: dict[tuple[int, ...], list[int]] = {}
    for row, held in places.items():
        alike.setdefault(tuple(sorted({observable for _, observable in held})), []).append(row)
    constants = [observables[observable].get(Term("", ()), 0.0) for _, observable in pairs]
    return PubPlan(
        shape=shape,
        constants=np.array(constants, dtype=float),
        places=places,
        parts=tuple(
            part
            for chosen, rows in alike.items()
            for part in _parts({index: observables[index] for index in chosen}, tuple(rows))
        ),
    )


def _summed(terms: Iterable[Sequence[Any]]) -> dict[Term, float]:
    total: dict[Term, float] = {}
    for letters, qubits, factor in terms:
        term = Term(letters, tuple(qubits))
        total[term] = total.get(term, 0.0) + factor
    return total


def _flat(own: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """For each element of the broadcast shape, the flat index of the element it comes from."""
    size = int(np.prod(own))
    indices: list[int] = np.broadcast_to(np.arange(size).reshape(own), shape).ravel().tolist()
    return indices


def _parts(observables: Mapping[int, Mapping[Term, float]], rows: tuple[int, ...]) -> list[Part]:
    terms = dict.fromkeys(
        term for summed in observables.values() for term in summed if term.letters
    )
    # Even the identity alone is measured, so that there is a task to wait for.
    groups = grouped(terms) or [(Basis("Z", (0,)), [])]
    return [
        Part(basis=basis, rows=rows, terms=tuple(members), members=_members(observables, members))
        for basis, members in groups
    ]


def _members(
    observables: Mapping[int, Mapping[Term, float]], terms: Sequence[Term]
) -> dict[int, tuple[NDArray[np.intp], NDArray[np.float64]]]:
    position = {term: index for index, term in enumerate(terms)}
    found = {}
    for index, summed in observables.items():
        held = [(position[term], factor) for term, factor in summed.items() if term in position]
        if held:
            using, factors = zip(*held, strict=True)
            found[index] = (np.array(using, dtype=np.intp), np.array(factors, dtype=float))
    return found
