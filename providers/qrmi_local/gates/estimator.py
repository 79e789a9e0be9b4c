"""Estimators without noise: exact expectation values, and the error that sampling would add."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import attrs
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit.primitives import DataBin, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.quantum_info import PauliList, SparseObservable, SparsePauliOp
from qiskit_aer.library import SaveExpectationValue

from qrmi.errors import InvalidInputError
from qrmi_local.gates.aer import Experiment, simulate
from qrmi_local.gates.circuits import Prepared, prepare

__all__ = ["Pairs", "estimate_exactly", "pair_up", "pub_result"]

_KEPT = 32
_MOST_TERMS = 1 << 16
_FIRST_PROJECTOR = 4  # codes of SparseObservable.BitTerm: Z, X, Y are 1 to 3, projectors above


@attrs.frozen(kw_only=True, eq=False)
class Pairs:
    """Which observables a pub asks for with which parameter values.

    Attributes:
        values: all parameter values, shape (runs, parameters).
        observables: all observables.
        run: for each element of the flat result the row of `values`.
        observable: for each element of the flat result the position in `observables`.
    """

    values: NDArray[np.float64]
    observables: list[SparseObservable]
    run: NDArray[np.intp]
    observable: NDArray[np.intp]

    def groups(self) -> dict[tuple[int, ...], list[int]]:
        """Runs that need the same observables: positions of observables to rows of values."""
        needed: dict[int, set[int]] = {}
        for run, observable in zip(self.run.tolist(), self.observable.tolist(), strict=True):
            needed.setdefault(run, set()).add(observable)
        groups: dict[tuple[int, ...], list[int]] = {}
        for run, positions in needed.items():
            groups.setdefault(tuple(sorted(positions)), []).append(run)
        return groups


def pair_up(pub: EstimatorPub) -> Pairs:
    """Broadcast a pub's parameter values against its observables."""
    bindings, array = pub.parameter_values, pub.observables
    rows = np.arange(bindings.size).reshape(bindings.shape)
    columns = np.arange(array.size).reshape(array.shape)
    run, observable = np.broadcast_arrays(rows, columns)
    values = bindings.as_array(pub.circuit.parameters)
    return Pairs(
        values=values.reshape(bindings.size, pub.circuit.num_parameters),
        observables=list(array.sparse_observables_array().ravel()),
        run=run.ravel(),
        observable=observable.ravel(),
    )


def pub_result(
    pub: EstimatorPub,
    evs: NDArray[np.float64],
    stds: NDArray[np.float64],
    precision: float,
) -> PubResult:
    """A pub's result from its flat values."""
    data = DataBin(evs=evs.reshape(pub.shape), stds=stds.reshape(pub.shape), shape=pub.shape)
    metadata = {"target_precision": precision, "circuit_metadata": pub.circuit.metadata}
    return PubResult(data, metadata)


def estimate_exactly(pubs: Sequence[EstimatorPub], rng: np.random.Generator) -> list[PubResult]:
    """Run pubs whose circuits evolve the state without chance.

    With a precision above zero, values are drawn from a normal distribution of that width
    around the exact ones, as Qiskit's own simulator does.

    Raises:
        InvalidInputError: Aer cannot run a circuit, or an observable has too many terms.
    """
    paired = [pair_up(pub) for pub in pubs]
    experiments: list[Experiment] = []
    owners: list[tuple[int, tuple[int, ...], list[int]]] = []
    for index, (pub, pairs) in enumerate(zip(pubs, paired, strict=True)):
        prepared = prepare(pub.circuit)
        for positions, runs in pairs.groups().items():
            circuit = _saving(prepared, [pairs.observables[item] for item in positions])
            values = pairs.values[runs]
            experiments.append(Experiment(prepared=prepared, circuit=circuit, values=values))
            owners.append((index, positions, runs))
    data = simulate(experiments, rng=rng, shots=1)
    tables = [np.zeros((len(pairs.values), len(pairs.observables))) for pairs in paired]
    for (index, positions, runs), results in zip(owners, data, strict=True):
        for run, result in zip(runs, results, strict=True):
            tables[index][run, positions] = [
                getattr(result, _label(k)) for k in range(len(positions))
            ]
    return [
        _result(pub, table[pairs.run, pairs.observable], rng)
        for pub, pairs, table in zip(pubs, paired, tables, strict=True)
    ]


def _result(pub: EstimatorPub, evs: NDArray[np.float64], rng: np.random.Generator) -> PubResult:
    precision = float(pub.precision or 0.0)
    if precision:
        evs = rng.normal(evs, precision)
    return pub_result(pub, evs, np.full(evs.shape, precision), precision)


_saved: OrderedDict[tuple[object, ...], tuple[Prepared, QuantumCircuit]] = OrderedDict()


def _saving(prepared: Prepared, observables: Sequence[SparseObservable]) -> QuantumCircuit:
    """The circuit with an instruction that saves each observable's value."""
    key = (id(prepared), *map(_key, observables))
    known = _saved.get(key)
    if known is None or known[0] is not prepared:
        circuit = prepared.circuit.copy()
        for position, observable in enumerate(observables):
            _save(circuit, observable, _label(position))
        known = _saved[key] = (prepared, circuit)
        while len(_saved) > _KEPT:
            _saved.popitem(last=False)
    return known[1]


def _key(observable: SparseObservable) -> tuple[object, ...]:
    parts = (observable.coeffs, observable.bit_terms, observable.indices, observable.boundaries)
    return (observable.num_qubits, *(np.asarray(part).tobytes() for part in parts))


def _label(position: int) -> str:
    return f"v{position}"


def _save(circuit: QuantumCircuit, observable: SparseObservable, label: str) -> None:
    operator = _paulis(observable)
    acts = (operator.paulis.x | operator.paulis.z).any(axis=0)
    # Aer leaves out qubits that nothing acts on, so name as few as possible.
    qubits = np.flatnonzero(acts).tolist() or [0]
    z, x = operator.paulis.z[:, qubits], operator.paulis.x[:, qubits]
    restricted = SparsePauliOp(PauliList.from_symplectic(z, x), operator.coeffs)
    circuit.append(SaveExpectationValue(restricted, label=label), qubits, copy=False)


def _paulis(observable: SparseObservable) -> SparsePauliOp:
    """The observable in Pauli operators; each projector doubles the number of terms."""
    projectors = np.asarray(observable.bit_terms) >= _FIRST_PROJECTOR
    edges = zip(observable.boundaries[:-1], observable.boundaries[1:], strict=True)
    terms = sum(1 << int(projectors[start:stop].sum()) for start, stop in edges)
    if terms > _MOST_TERMS:
        raise InvalidInputError(
            f"an observable stands for {terms} Pauli operators; the most is {_MOST_TERMS}",
            hint="use fewer projectors (0 1 + - r l) in a term",
        )
    return SparsePauliOp.from_sparse_observable(observable).simplify(atol=0, rtol=0)
