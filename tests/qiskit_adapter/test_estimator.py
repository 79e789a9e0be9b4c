"""`EstimatorV2` keeps the contract of Qiskit's own estimators."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.primitives import BaseEstimatorV2, PrimitiveResult, PubResult, StatevectorEstimator
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import Pauli, SparseObservable, SparsePauliOp

from qrmi import QuantumResource
from qrmi.errors import InvalidInputError, IsaError, UnsupportedPayloadError
from qrmi.qiskit import EstimatorOptions, EstimatorV2, InvalidPubError

Pubs = Callable[[], Any]


def plus() -> QuantumCircuit:
    circuit = QuantumCircuit(2, metadata={"which": "plus"})
    circuit.h(0)
    circuit.t(0)
    circuit.ry(0.4, 1)
    return circuit


def ansatz() -> QuantumCircuit:
    return efficient_su2(2, reps=1)


NAMES = tuple(f"θ[{number}]" for number in range(8))
SETS = np.linspace(0, 2, 40).reshape(5, 8)
ENERGY = SparsePauliOp(["XX", "IY", "ZZ"], [0.5, -0.25, 2.0])
GOOD: OrderedDict[str, Pubs] = OrderedDict(
    text=lambda: [(plus(), "ZZ")],
    pauli=lambda: [(plus(), Pauli("XY"))],
    operator=lambda: [(plus(), ENERGY)],
    sparse_observable=lambda: [(plus(), SparseObservable.from_list([("XY", 1.5), ("II", 2)]))],
    mapping=lambda: [(plus(), {"IX": 2.0, "ZZ": -1})],
    identity=lambda: [(plus(), "II")],
    several=lambda: [(plus(), ["XX", "ZI", "YY"])],
    grid=lambda: [(plus(), [["XX", "ZI"], ["YY", "IX"], ["ZZ", "II"]])],
    one_in_list=lambda: [(plus(), [ENERGY])],
    several_pubs=lambda: [(plus(), "ZZ"), (ansatz(), "XX", SETS[0])],
    iterator=lambda: iter([(plus(), "ZZ")]),
    no_pubs=list,
    values=lambda: [(ansatz(), ENERGY, SETS[0])],
    value_sets=lambda: [(ansatz(), ENERGY, SETS)],
    zipped=lambda: [(ansatz(), ["XX", "ZI", "YY", "IX", "ZZ"], SETS)],
    outer=lambda: [(ansatz(), [["XX"], ["ZI"], ["YY"]], SETS)],
    by_name=lambda: [(ansatz(), "ZZ", {NAMES: SETS[1]})],
    pub_precision=lambda: [(plus(), "ZZ", None, 0.125)],
    estimator_pub=lambda: [EstimatorPub.coerce((plus(), "ZZ"), 0.25)],
    no_sets=lambda: [(ansatz(), "ZZ", np.zeros((0, 8)))],
)


def described(result: PrimitiveResult) -> list[Any]:
    """All of a result but the values themselves."""
    return [
        type(result),
        result.metadata,
        [
            (
                type(pub),
                type(pub.data),
                pub.data.shape,
                pub.metadata,
                [(name, type(v), v.shape, v.dtype) for name, v in pub.data.items()],
            )
            for pub in result
        ],
    ]


@pytest.mark.parametrize("case", GOOD)
@pytest.mark.parametrize("precision", [None, 0.5], ids=["default", "precision=0.5"])
def test_good_pubs_give_what_qiskit_gives(
    local: QuantumResource, case: str, precision: float | None
) -> None:
    """Shapes, fields, types, precision and metadata equal those of StatevectorEstimator."""
    theirs = StatevectorEstimator(default_precision=0.25).run(GOOD[case](), precision=precision)
    ours = EstimatorV2(local, options={"default_precision": 0.25}).run(
        GOOD[case](), precision=precision
    )
    assert described(ours.result()) == described(theirs.result())


@pytest.mark.parametrize("case", GOOD)
def test_precision_zero_is_exact(local: QuantumResource, case: str) -> None:
    """The embedded simulator gives Qiskit's own exact values."""

    def exact(pubs: Any) -> list[EstimatorPub]:
        pubs = [EstimatorPub.coerce(pub) for pub in pubs]
        return [EstimatorPub(p.circuit, p.observables, p.parameter_values, 0.0) for p in pubs]

    theirs = StatevectorEstimator().run(exact(GOOD[case]())).result()
    ours = EstimatorV2(local).run(exact(GOOD[case]())).result()
    for our_pub, their_pub in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our_pub.data.evs, their_pub.data.evs, atol=1e-9)
        np.testing.assert_allclose(our_pub.data.stds, 0, atol=1e-9)


def test_precision_is_the_standard_error(local: QuantumResource) -> None:
    """Repeated estimates scatter by about the precision asked for."""
    circuit = QuantumCircuit(1)
    circuit.ry(1.1, 0)
    pubs = [(circuit, ["Z"] * 200, None, 0.05)]
    data = EstimatorV2(local).run(pubs).result()[0].data
    assert np.std(data.evs) == pytest.approx(0.05 * np.sin(1.1), rel=0.4)
    assert np.mean(data.evs) == pytest.approx(np.cos(1.1), abs=0.02)


def test_default_precision_is_1_in_64(local: QuantumResource) -> None:
    result = EstimatorV2(local).run([(plus(), "ZZ")]).result()
    assert result[0].metadata["target_precision"] == 0.015625


def test_precision_of_a_pub_beats_that_of_run_beats_the_default(local: QuantumResource) -> None:
    estimator = EstimatorV2(local, options=EstimatorOptions(default_precision=0.5))
    result = estimator.run([(plus(), "ZZ", None, 0.25), (plus(), "ZZ")], precision=0.125).result()
    assert [pub.metadata["target_precision"] for pub in result] == [0.25, 0.125]
    result = estimator.run([(plus(), "ZZ")]).result()
    assert result[0].metadata["target_precision"] == 0.5


BAD: OrderedDict[str, Pubs] = OrderedDict(
    bare_circuit=lambda: [plus()],
    bare_pub=lambda: (plus(), "ZZ"),
    no_observable=lambda: [(plus(),)],
    long_pub=lambda: [(plus(), "ZZ", None, 0.1, 2)],
    narrow_observable=lambda: [(plus(), "Z")],
    wide_observable=lambda: [(plus(), "ZZZ")],
    not_a_pauli=lambda: [(plus(), "ZQ")],
    imaginary=lambda: [(plus(), SparsePauliOp(["ZZ"], [1j]))],
    unbound=lambda: [(ansatz(), "ZZ")],
    too_many_values=lambda: [(plus(), "ZZ", [0.1])],
    not_broadcastable=lambda: [(ansatz(), ["ZZ", "XX"], SETS)],
    negative_precision=lambda: [(plus(), "ZZ", None, -0.1)],
    text_precision=lambda: [(plus(), "ZZ", None, "high")],
    not_a_circuit=lambda: [("plus", "ZZ")],
    number=lambda: [3],
    none=lambda: None,
)


@pytest.mark.parametrize("case", BAD)
def test_what_qiskit_refuses_is_refused_alike(
    tiny: QuantumResource, driver: Any, case: str
) -> None:
    """The exception is one of the same kind with the same text, and nothing is sent."""
    with pytest.raises(Exception) as theirs:  # noqa: PT011 (the peer's choice is the point)
        StatevectorEstimator().run(BAD[case]()).result()
    with pytest.raises(theirs.type) as ours:
        EstimatorV2(tiny).run(BAD[case]())
    assert str(ours.value.args[0]) == str(theirs.value.args[0])
    assert not driver.payloads


@pytest.mark.parametrize("precision", [-0.5, "high", 1j])
def test_wrong_precision_of_run(tiny: QuantumResource, driver: Any, precision: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as theirs:
        StatevectorEstimator().run([(plus(), "ZZ")], precision=precision)
    with pytest.raises(InvalidInputError) as ours:
        EstimatorV2(tiny).run([(plus(), "ZZ")], precision=precision)
    assert isinstance(ours.value, theirs.type)
    assert not driver.payloads


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite(tiny: QuantumResource, driver: Any, bad: float) -> None:
    """Qiskit lets them pass; no service can do anything with them."""
    estimator = EstimatorV2(tiny, options={"isa_check": False})
    for pub in [(plus(), "ZZ", None, bad), (plus(), {"ZZ": bad}), (ansatz(), "ZZ", [bad, bad])]:
        with pytest.raises(InvalidInputError):
            estimator.run([pub])
    assert not driver.payloads


def test_exact_values_only_where_the_device_is_a_simulator(
    tiny: QuantumResource, driver: Any
) -> None:
    with pytest.raises(InvalidPubError, match="precision 0"):
        EstimatorV2(tiny).run([(QuantumCircuit(1), "Z")], precision=0)
    assert not driver.payloads


def test_circuits_off_the_isa_are_not_sent(tiny: QuantumResource, driver: Any) -> None:
    with pytest.raises(IsaError):
        EstimatorV2(tiny).run([(plus(), "ZZ")])
    assert not driver.payloads


def test_a_circuit_without_qubits_is_not_sent(tiny: QuantumResource, driver: Any) -> None:
    """There is nothing to observe; no service takes it."""
    with pytest.raises(InvalidPubError, match="pub 0 has no qubits"):
        EstimatorV2(tiny).run([(QuantumCircuit(0), {"": 1.0})])
    assert not driver.payloads


def test_resources_without_gate_programs(pulses_only: QuantumResource) -> None:
    with pytest.raises(UnsupportedPayloadError, match="neutral"):
        EstimatorV2(pulses_only)


def test_flattened_results_get_their_shape_back(tiny: QuantumResource, driver: Any) -> None:
    """Services that know one axis of observables give flat arrays."""

    def flat(result: PrimitiveResult) -> PrimitiveResult:
        data = result[0].data
        bins = type(data)(evs=data.evs.ravel(), stds=data.stds.ravel(), shape=(data.size,))
        return PrimitiveResult([PubResult(bins, result[0].metadata)])

    driver.alter = flat
    circuit = QuantumCircuit(1)
    result = EstimatorV2(tiny).run([(circuit, [["Z", "X"], ["Y", "I"]])]).result()
    assert result[0].data.shape == (2, 2)
    assert np.allclose(result[0].data.evs, [[1, 0], [0, 1]], atol=0.2)


@pytest.mark.parametrize("options", [{"default_shots": 3}, {"default_precision": "low"}, 7])
def test_unknown_options_are_type_errors(local: QuantumResource, options: Any) -> None:
    with pytest.raises(TypeError):
        EstimatorV2(local, options=options)


def test_types(local: QuantumResource) -> None:
    estimator = EstimatorV2("local")
    assert isinstance(estimator, BaseEstimatorV2)
    assert estimator.backend.name == local.resource_id()
    assert isinstance(estimator.run([(plus(), "ZZ")]).result()[0], PubResult)
