"""The embedded simulator's estimator: exact where it can be, honest errors where it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ParameterVector
from qiskit.circuit.library import efficient_su2
from qiskit.circuit.random import random_circuit
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import Operator, SparseObservable, SparsePauliOp, Statevector

from qrmi.codecs import primitive, primitive_results
from qrmi.errors import InvalidInputError
from qrmi_local.gates.run import run


def _estimate(*pubs: object, precision: float | None = None, **options: object):
    coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
    return primitive_results.decode_result(
        run(primitive.encode_estimator(coerced), **{"seed": 7, **options})
    )


def _exact(circuit: QuantumCircuit, observable: SparseObservable) -> float:
    """By matrices, projectors and all."""
    operator = Operator(SparsePauliOp.from_sparse_observable(observable))
    return float(Statevector(circuit).expectation_value(operator).real)


@given(
    st.integers(0, 1000),
    st.lists(
        st.tuples(st.text("IXYZ01+-rl", min_size=3, max_size=3), st.floats(-2, 2)),
        min_size=1,
        max_size=5,
    ),
)
@example(0, [("001", 6e-8)])  # the Pauli operators of a projector may be tiny
@settings(max_examples=40, deadline=None)
def test_values_are_exact(seed, terms):
    """Any circuit, any Paulis and projectors: the value is that of the matrices."""
    circuit = random_circuit(3, 4, max_operands=3, seed=seed)
    observable = SparseObservable.from_list([("XYZ", 1.25), *terms])
    (pub,) = _estimate((circuit, observable))
    assert float(pub.data.evs) == pytest.approx(_exact(circuit, observable), abs=1e-9)
    assert float(pub.data.stds) == 0.0


_SHAPES = [
    ((), ()),
    ((3,), ()),
    ((), (4,)),
    ((3, 1), (4,)),
    ((5,), (5,)),
    ((2, 1, 2), (3, 1)),
    ((0,), ()),
    ((1,), (0,)),
]


@pytest.mark.parametrize(("observables_shape", "values_shape"), _SHAPES)
def test_shapes_are_broadcast(observables_shape, values_shape):
    """Observables and values broadcast as in Qiskit's estimator, cell by cell."""
    rng = np.random.default_rng(5)
    angles = ParameterVector("t", 3)
    circuit = QuantumCircuit(2, metadata={"a": 1})
    for index, angle in enumerate(angles):
        circuit.ry(angle, index % 2)
        circuit.cx(0, 1)
    observables = np.empty(observables_shape, dtype=object)
    for index in np.ndindex(observables_shape):
        observables[index] = {"ZZ": rng.normal(), "XI": rng.normal(), "IY": rng.normal()}
    if not observables.size:
        observables = ObservablesArray(observables.tolist(), num_qubits=2)
    elif not observables_shape:
        observables = observables.item()
    pub = EstimatorPub.coerce((circuit, observables, rng.uniform(0, 6, (*values_shape, 3))))
    (mine,) = _estimate(pub)
    (other,) = StatevectorEstimator().run([pub]).result()
    assert mine.data.shape == other.data.shape
    assert mine.data.evs.shape == other.data.evs.shape
    np.testing.assert_allclose(mine.data.evs, other.data.evs, atol=1e-9)
    assert (
        mine.metadata
        == other.metadata
        == {
            "target_precision": 0.0,
            "circuit_metadata": {"a": 1},
        }
    )


def test_several_pubs_share_a_task():
    """Pubs of different circuits come back in order, with the result's version."""
    plus, one = QuantumCircuit(1), QuantumCircuit(2)
    plus.h(0)
    one.x(1)
    result = _estimate((plus, "X"), (one, ["ZI", "IZ"]), (plus, {"I": 2.5}))
    assert result.metadata == {"version": 2}
    assert float(result[0].data.evs) == pytest.approx(1)
    assert result[1].data.evs.tolist() == pytest.approx([-1, 1])
    assert float(result[2].data.evs) == pytest.approx(2.5)


def test_wide_circuits_with_few_active_qubits():
    """A circuit laid out on a hundred qubits costs what its active qubits cost."""
    circuit = QuantumCircuit(100)
    circuit.ry(0.3, 17)
    circuit.cx(17, 80)
    label = ["I"] * 100
    label[99 - 17] = label[99 - 80] = "Z"
    (pub,) = _estimate((circuit, ["".join(label), "I" * 100, "Z" + "I" * 99]))
    assert pub.data.evs.tolist() == pytest.approx([1, 1, 1])


def test_projectors_without_end_are_refused():
    """A projector on 30 qubits would be a thousand million Paulis."""
    with pytest.raises(InvalidInputError, match="Pauli operators"):
        _estimate((QuantumCircuit(30), SparseObservable("0" * 30)))


def test_precision_adds_sampling_error():
    """With a precision values scatter by it, independently, and say so; zero is exact."""
    circuit = QuantumCircuit(1)
    pub = EstimatorPub(circuit, ObservablesArray("Z"), BindingsArray(shape=(400,)), precision=0.1)
    first, second = _estimate(pub, pub)
    for result in (first, second):
        assert result.data.stds.tolist() == [0.1] * 400
        assert result.metadata["target_precision"] == 0.1
        assert abs(result.data.evs.mean() - 1) < 0.03
        assert 0.08 < result.data.evs.std() < 0.12
    assert not np.allclose(first.data.evs, second.data.evs)


def test_a_seed_makes_values_repeatable():
    """The same seed gives the same values."""
    circuit = QuantumCircuit(1)

    def value(seed: int | None) -> float:
        return float(_estimate((circuit, "Z"), precision=0.1, seed=seed)[0].data.evs)

    assert value(1) == value(1)
    assert value(1) != value(2)
    assert value(None) != value(None)


def test_new_values_are_not_mixed_up_with_old_ones():
    """A loop that changes values, observables and circuits never sees a stale one."""
    circuit = efficient_su2(2, reps=1)
    rng = np.random.default_rng(2)
    for step in range(6):
        values = rng.random(circuit.num_parameters)
        observable = SparseObservable.from_list([("ZX", 1.0), ("YY", float(step % 2))])
        bound = circuit.assign_parameters(values)
        (pub,) = _estimate((circuit, observable, values))
        assert float(pub.data.evs) == pytest.approx(_exact(bound, observable), abs=1e-9)
        if step == 3:
            circuit.h(0)


def test_resets_of_fresh_qubits_keep_values_exact():
    """A reset at the beginning and a prepared state are no reason to sample."""
    circuit = QuantumCircuit(2)
    circuit.reset([0, 1])
    circuit.initialize([0.6, 0, 0, 0.8])
    (pub,) = _estimate((circuit, ["ZI", "XX"]))
    assert pub.data.evs.tolist() == pytest.approx([0.36 - 0.64, 0.96])
    assert pub.data.stds.tolist() == [0, 0]


def _teleported(angle: float) -> QuantumCircuit:
    circuit = QuantumCircuit(3, 2)
    circuit.ry(angle, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [0, 1])
    with circuit.if_test((circuit.clbits[1], 1)):
        circuit.x(2)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.z(2)
    return circuit


def test_circuits_that_measure_are_sampled():
    """Values of a circuit with feedback come from shots, with their true standard error."""
    observables = ["ZII", "XII", {"0II": 1.0, "ZII": 0.5, "XII": 2.0}]
    (pub,) = _estimate((_teleported(1.0), observables), precision=0.02)
    z, x = np.cos(1.0), np.sin(1.0)
    expected = np.array([z, x, (1 + z) / 2 + 0.5 * z + 2 * x])
    spread = np.array([np.sqrt(1 - z**2), np.sqrt(1 - x**2), np.hypot(x, 2 * z)]) * 0.02
    assert pub.data.stds == pytest.approx(spread, rel=0.1)
    assert (np.abs(pub.data.evs - expected) < 5 * spread).all()
    assert pub.metadata["target_precision"] == 0.02


def test_sampled_values_have_a_default_precision_and_refuse_zero():
    """Without a precision it is 1/64; zero cannot be had by measuring."""
    (pub,) = _estimate((_teleported(0.2), "ZII"))
    assert pub.metadata["target_precision"] == 1 / 64
    with pytest.raises(InvalidInputError, match="precision of 0"):
        _estimate((_teleported(0.2), "ZII"), precision=0.0)
