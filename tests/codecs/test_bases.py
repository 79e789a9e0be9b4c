"""Expectation values by sampling in other bases."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Measure, Parameter
from qiskit.circuit.library import CZGate, RGate
from qiskit.primitives import PrimitiveResult, StatevectorSampler
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import SparseObservable, SparsePauliOp, Statevector
from qiskit.transpiler import Target

from qrmi.codecs import bases, isa
from qrmi.codecs.basis_plan import Term, grouped
from qrmi.errors import InvalidInputError, IsaError, UnexpectedAnswerError

_LETTERS = "IXYZ01+-rl"
_observable = st.dictionaries(
    st.text(_LETTERS, min_size=2, max_size=2), st.floats(0.25, 2), min_size=1, max_size=4
)


def _circuit() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rx(Parameter("b"), 1)
    circuit.s(0)
    return circuit


def _estimated(pubs, seed=5, **options):
    """The result by way of the sampler, with notes that went through JSON."""
    made, notes = bases.plan([EstimatorPub.coerce(pub) for pub in pubs], **options)
    sampled = StatevectorSampler(seed=seed).run(made).result()
    return bases.combine(sampled, json.loads(json.dumps(notes)))


def _exact(circuit, observable, values):
    state = Statevector(circuit.assign_parameters(dict(zip("ab", values, strict=True))))
    sparse = SparseObservable.from_list(list(observable.items()))
    return state.expectation_value(SparsePauliOp.from_sparse_observable(sparse)).real


@settings(max_examples=25, deadline=None)
@given(
    observables=st.one_of(
        st.lists(_observable, min_size=1, max_size=3),
        st.lists(st.lists(_observable, min_size=2, max_size=2), min_size=1, max_size=2),
    ),
    shape=st.sampled_from([(), (1,), (2, 1, 1)]),
    seed=st.integers(0, 9),
)
def test_values_are_those_of_the_state(observables, shape, seed):
    """Each element of the broadcast shape is near the exact value of its own observable and angles.

    Near is six times the standard error that a term may have, times the sum of coefficients.
    """
    angles = np.random.default_rng(seed).uniform(0, 6, (*shape, 2))
    pub = EstimatorPub.coerce((_circuit(), observables, angles), 0.02)
    [found] = _estimated([pub])
    assert found.data.evs.shape == found.data.stds.shape == pub.shape
    for place in np.ndindex(pub.shape):
        observable = np.broadcast_to(np.array(pub.observables.tolist()), pub.shape)[place]
        values = np.broadcast_to(angles, (*pub.shape, 2))[place]
        room = 6 * 0.02 * sum(map(abs, observable.values())) + 1e-9
        assert abs(found.data.evs[place] - _exact(_circuit(), observable, values)) <= room


def test_standard_errors_count_correlations():
    """On a Bell pair Z1 - Z0 is always zero, and so is its error; one Z alone has 1/sqrt(shots)."""
    bell = QuantumCircuit(2)
    bell.h(0)
    bell.cx(0, 1)
    [found] = _estimated([(bell, [{"ZI": 1.0, "IZ": -1.0}, {"ZI": 1.0}], None, 0.05)])
    assert found.data.evs[0] == 0
    assert found.data.stds[0] == 0
    assert found.data.stds[1] == pytest.approx(0.05, rel=0.1)
    assert found.metadata == {"target_precision": 0.05, "shots": 400}


def test_shots_follow_the_precision():
    """Each basis has ceil(1 / precision**2) shots; 0.1 means 100."""
    made, _ = bases.plan([EstimatorPub.coerce((QuantumCircuit(2), ["XX", "ZZ"], None, 0.1))])
    assert [pub.shots for pub in made] == [100, 100]
    made, _ = bases.plan([EstimatorPub.coerce((QuantumCircuit(1), "Z", None, 0.3))])
    assert [pub.shots for pub in made] == [math.ceil(1 / 0.09)]


@pytest.mark.parametrize("precision", [0.0, 1e-6])
def test_exact_values_cannot_be_measured(precision):
    """Neither precision zero nor one that needs more than 10**9 shots is tried."""
    with pytest.raises(InvalidInputError, match="pub 0 asks"):
        bases.plan([EstimatorPub.coerce((QuantumCircuit(1), "Z", None, precision))])


def test_the_identity_alone_still_makes_a_task():
    """Its value is exact, and there is a task to wait for."""
    made, _ = bases.plan([EstimatorPub.coerce((QuantumCircuit(2), "II", None, 0.1))])
    assert len(made) == 1
    [found] = _estimated([(QuantumCircuit(2), {"II": 2.5}, None, 0.1)])
    assert (found.data.evs, found.data.stds) == (2.5, 0)


def test_only_needed_pairs_are_measured():
    """Observables and angles that belong together one by one are not measured crosswise."""
    pub = EstimatorPub.coerce((_circuit(), ["XX", "ZZ"], np.zeros((2, 2)), 0.1))
    made, _ = bases.plan([pub])
    assert [sampled.shape for sampled in made] == [(1,), (1,)]


_terms = st.lists(st.text(_LETTERS, min_size=4, max_size=4), max_size=30).map(
    lambda texts: list(
        {
            Term("".join(c for c in text if c != "I"), tuple(i for i in range(4) if text[i] != "I"))
            for text in texts
        }
    )
)


@given(_terms)
def test_a_group_has_one_axis_for_each_qubit(terms):
    """Each term is in one group, and the group's basis has the axis of each of its letters."""
    groups = grouped(terms)
    assert sorted(map(str, terms)) == sorted(str(term) for _, held in groups for term in held)
    for basis, held in groups:
        axes = dict(zip(basis.qubits, basis.axes, strict=True))
        for term in held:
            for qubit, letter in zip(term.qubits, term.letters, strict=True):
                wanted = {"X": "X+-", "Y": "Yrl", "Z": "Z01"}
                assert letter in wanted[axes[qubit]]


def _native() -> Target:
    target = Target(num_qubits=2)
    target.add_instruction(
        RGate(Parameter("t"), Parameter("p")), {(qubit,): None for qubit in range(2)}
    )
    target.add_instruction(CZGate(), {(0, 1): None})
    target.add_instruction(Measure(), {(qubit,): None for qubit in range(2)})
    return target


def test_bases_are_changed_in_the_devices_instructions():
    """What is made for a device fits it, and measures the same."""
    circuit = QuantumCircuit(2)
    circuit.r(0.7, 0.4, 0)
    circuit.r(1.1, 2.0, 1)
    circuit.cz(0, 1)
    pub = (circuit, ["XY", "YX", "ZZ", "l+"], None, 0.02)
    made, _ = bases.plan([EstimatorPub.coerce(pub)], target=_native())
    for sampled in made:
        isa.check(sampled.circuit, _native())
    [found] = _estimated([pub], target=_native())
    [other] = _estimated([pub], seed=6)
    assert found.data.evs == pytest.approx(other.data.evs, abs=0.12)


def test_a_device_without_rotations_says_so():
    """What the instructions cannot do is refused before anything is sent; Z is no trouble."""
    target = Target(num_qubits=1)
    target.add_instruction(Measure(), {(0,): None})
    bases.plan([EstimatorPub.coerce((QuantumCircuit(1), "Z", None, 0.1))], target=target)
    with pytest.raises(IsaError, match="cannot measure along X"):
        bases.plan([EstimatorPub.coerce((QuantumCircuit(1), "X", None, 0.1))], target=target)


def test_notes_are_small():
    """A hundred terms on twenty qubits fit into the journal's room for a context."""
    generator = np.random.default_rng(1)
    texts = ["".join(generator.choice(list("IXYZ"), 20, p=[0.85, 0.05, 0.05, 0.05]))] * 1
    texts += [
        "".join(generator.choice(list("IXYZ"), 20, p=[0.85, 0.05, 0.05, 0.05])) for _ in range(99)
    ]
    observable = SparsePauliOp(texts, generator.integers(1, 9, 100) / 8).simplify()
    _, notes = bases.plan([EstimatorPub.coerce((QuantumCircuit(20), observable, None, 0.1))])
    assert len(json.dumps(notes)) < 1500


@pytest.mark.parametrize("notes", [{}, {"zlib": "?"}, {"zlib": 5}, {"bases": 2, "pubs": []}])
def test_foreign_notes_are_refused(notes):
    """Notes of another version, or damaged ones, are named as such."""
    with pytest.raises(UnexpectedAnswerError, match="the notes of the task"):
        bases.combine(PrimitiveResult([]), notes)


def test_a_result_of_another_form_is_refused():
    """Too few bases, or other registers than were measured."""
    made, notes = bases.plan([EstimatorPub.coerce((QuantumCircuit(2), ["XX", "ZZ"], None, 0.1))])
    sampled = StatevectorSampler(seed=1).run(made).result()
    with pytest.raises(UnexpectedAnswerError, match="1 of 2"):
        bases.combine(PrimitiveResult([sampled[0]]), notes)
    other = QuantumCircuit(2)
    other.measure_all()
    wrong = StatevectorSampler().run([other, other]).result()
    with pytest.raises(UnexpectedAnswerError, match="bits of a basis"):
        bases.combine(wrong, notes)


def test_coefficients_that_are_not_finite_are_refused():
    """They would make every value of the pub a NaN, after the device has done its work."""
    pub = EstimatorPub.coerce((QuantumCircuit(1), {"Z": math.nan}), 0.1)
    with pytest.raises(InvalidInputError, match="finite"):
        bases.plan([pub])
