"""Spin operators of CUDA-Q, term by term, and how their terms are measured."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import attrs
import cudaq
from cudaq import spin
from qiskit.quantum_info import Pauli, PauliList

from qrmi.errors import InvalidInputError

__all__ = ["Term", "grouped", "read_terms", "rebuild", "single_terms"]

_FACTOR = re.compile(r"([XYZ])(\d+)")


@attrs.frozen(kw_only=True)
class Term:
    """A product of Pauli operators with its coefficient.

    Attributes:
        name: CUDA-Q's name of the product, such as ``X0Z3``; ``""`` for the identity.
        coefficient: the real factor.
        paulis: the letter (X, Y or Z) on each qubit that has one, by qubit, ascending.
    """

    name: str
    coefficient: float
    paulis: tuple[tuple[int, str], ...]

    def check(self, num_qubits: int) -> None:
        """Make sure that it acts on the first ``num_qubits`` qubits only.

        Raises:
            InvalidInputError: it does not.
        """
        last = self.paulis[-1][0] if self.paulis else -1
        if last >= num_qubits:
            raise InvalidInputError(
                f"the operator acts on qubit {last}, the kernel has qubits 0 to {num_qubits - 1}"
            )

    def pauli(self, num_qubits: int) -> Pauli:
        """The product as Qiskit's Pauli on so many qubits, qubit 0 rightmost."""
        letters = ["I"] * num_qubits
        for qubit, letter in self.paulis:
            letters[qubit] = letter
        return Pauli("".join(reversed(letters)))


def read_terms(operator: Any) -> list[Term]:
    """The terms of a ``SpinOperator`` or ``SpinOperatorTerm``.

    Raises:
        InvalidInputError: it has parameters, or is not Hermitian.
    """
    terms = [operator] if hasattr(operator, "term_id") else list(operator)
    return [_term(term) for term in terms]


def _term(term: Any) -> Term:
    name = str(term.term_id)
    try:
        coefficient = complex(term.evaluate_coefficient())
    except RuntimeError as error:
        raise InvalidInputError(f"the coefficient of {name or 'I'} is not a number") from error
    if abs(coefficient.imag) > 1e-12 * max(1.0, abs(coefficient)):
        raise InvalidInputError(f"the operator is not Hermitian: {coefficient} * {name or 'I'}")
    letters = sorted(
        (factor.target, factor.as_pauli().name) for factor in term if factor.as_pauli().name != "I"
    )
    return Term(name=name, coefficient=coefficient.real, paulis=tuple(letters))


def single_terms(operators: Sequence[Any]) -> Any:
    """The sum of all distinct products in a list of operators, each with the factor 1.

    Raises:
        InvalidInputError: the list is empty.
    """
    distinct = {}
    for operator in operators:
        for term in [operator] if hasattr(operator, "term_id") else operator:
            name = str(term.term_id)
            if name not in distinct:
                distinct[name] = _unit(term)
    if not distinct:
        raise InvalidInputError("the list of operators is empty")
    total = cudaq.SpinOperator.empty()
    for product in distinct.values():
        total += product
    return total


def _unit(term: Any) -> Any:
    """The product without its coefficient."""
    product = spin.identity()
    for factor in term:
        letter = factor.as_pauli().name
        if letter != "I":
            product = product * getattr(spin, letter.lower())(factor.target)
    return product


def rebuild(terms: Sequence[Sequence[Any]]) -> Any:
    """The ``SpinOperator`` of ``[name, coefficient]`` pairs; what else an entry has is ignored."""
    total = cudaq.SpinOperator.empty()
    for name, coefficient, *_rest in terms:
        product = spin.identity()
        for letter, qubit in _FACTOR.findall(name):
            product = product * getattr(spin, letter.lower())(int(qubit))
        total += float(coefficient) * product
    return total


def grouped(terms: Sequence[Term], num_qubits: int) -> list[tuple[Pauli, list[Term]]]:
    """Split terms (no identities) into groups that one measurement basis serves.

    Each group comes with its basis: the letter to measure on each qubit that it needs.
    """
    if not terms:
        return []
    paulis = PauliList([term.pauli(num_qubits) for term in terms])
    by_label: dict[str, list[Term]] = {}
    for term, pauli in zip(terms, paulis, strict=True):
        by_label.setdefault(pauli.to_label(), []).append(term)
    groups = []
    for group in paulis.group_commuting(qubit_wise=True):
        labels = list(dict.fromkeys(group.to_labels()))
        members = [term for label in labels for term in by_label[label]]
        groups.append((_basis(labels), members))
    return groups


def _basis(labels: Sequence[str]) -> Pauli:
    letters = [next((c for c in column if c != "I"), "I") for column in zip(*labels, strict=True)]
    return Pauli("".join(letters))
