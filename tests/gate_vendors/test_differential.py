"""Random programs on every sandbox, against exact probabilities that this file computes itself.

Seeds are fixed; the limit of each check is a chance of one in ten million, so that a right program
passes with a large margin and wrong bits, which give impossible outcomes, fail at once.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, generate_preset_pass_manager
from qiskit.circuit import Clbit, Parameter, ParameterVector
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.quantum_info import SparsePauliOp, Statevector
from scipy.stats import chi2

from qrmi import QuantumResource
from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2
from qrmi_sandbox import make_server

DEVICES = [
    ("local", "local"),
    ("ibm-quantum-system", "test_heron"),
    ("ibm-quantum-compute-service", "test_eagle"),
    ("iqm-server", "garnet"),
    ("iqm-server", "sirius"),
    ("alice-bob-felis", "EMU:6Q:ROTATIONS"),
    ("oqtopus", "ring"),
]
NAMES = ["c", "U", "a-b", "in", "cé", "q", "x1 y", "r[0]", "ß_0", "measure", "register_0", "A" * 40]
UNLIKELY = 1e-7
SHOTS = 800

Outcomes = Mapping[tuple[int, ...], float]


@pytest.fixture(params=DEVICES, ids=[f"{kind}-{name}" for kind, name in DEVICES])
def backend(request: Any, private_state: Any) -> Iterator[QRMIBackend]:
    """The devices of all sandboxes, one after the other."""
    kind, name = request.param
    with ExitStack() as stack:
        settings: dict[str, str] = {}
        if kind != "local":
            entry = stack.enter_context(make_server(kind)).resource(name)
            settings = dict(entry["environment"])
        if kind == "iqm-server":
            settings["QRMI_IQM_QC_ALIAS"] = name
        yield QRMIBackend(QuantumResource.from_config(name, kind, settings))


# --- random programs ------------------------------------------------------------------------------


def _with_bits(rng: np.random.Generator, circuit: QuantumCircuit) -> None:
    """Registers of any size and name: side by side, interleaved, sharing bits; loose bits."""
    bits = [Clbit() for _ in range(int(rng.integers(1, 6)))]
    circuit.add_bits(bits)
    names, shared = list(rng.permutation(NAMES)), rng.random() < 0.5
    left = list(rng.permutation(len(bits)))
    for _ in range(int(rng.integers(1, 4))):
        chosen = list(rng.permutation(len(bits))) if shared else left
        held = chosen[: int(rng.integers(1, len(chosen) + 1))]
        left = [bit for bit in left if bit not in held]
        register = ClassicalRegister(bits=[bits[bit] for bit in held], name=str(names.pop()))
        circuit.add_register(register)
        if not left:
            break


def _random(rng: np.random.Generator, backend: QRMIBackend) -> QuantumCircuit:
    qubits = int(rng.integers(1, 4))
    circuit = QuantumCircuit(QuantumRegister(qubits, "q"), metadata={"seed": str(rng.integers(9))})
    _with_bits(rng, circuit)
    vector = (
        list(ParameterVector("p", 12)) if rng.random() < 0.5 else [Parameter("θ"), Parameter("a")]
    )
    offered, measured = set(backend.target.operation_names), False
    for _ in range(int(rng.integers(3, 14))):
        kind, qubit = rng.random(), int(rng.integers(qubits))
        bit = circuit.clbits[int(rng.integers(circuit.num_clbits))]
        if kind < 0.3:
            getattr(circuit, str(rng.choice(["h", "x", "s", "y"])))(qubit)
        elif kind < 0.6:
            angle = (
                vector[int(rng.integers(len(vector)))] if rng.random() < 0.6 else rng.uniform(-7, 7)
            )
            getattr(circuit, str(rng.choice(["rx", "ry", "rz"])))(angle, qubit)
        elif kind < 0.75 and qubits > 1:
            circuit.cx(qubit, (qubit + 1) % qubits)
        elif kind < 0.9:
            circuit.measure(qubit, bit)
            measured = True
        elif kind < 0.95 and "reset" in offered:
            circuit.reset(qubit)
        elif measured and "if_else" in offered and (bit := _last_measured(circuit)) is not None:
            with circuit.if_test((bit, 1)):
                circuit.x(qubit)
    for qubit in rng.permutation(qubits)[: int(rng.integers(0, qubits + 1))]:
        circuit.measure(int(qubit), int(rng.integers(circuit.num_clbits)))
    return circuit


def _last_measured(circuit: QuantumCircuit) -> Clbit | None:
    return next((i.clbits[0] for i in reversed(circuit.data) if i.name == "measure"), None)


# --- exact probabilities --------------------------------------------------------------------------

_ZERO, _ONE = np.diag([1.0, 0.0]), np.diag([0.0, 1.0])
_FLIP = np.array([[0.0, 1.0], [1.0, 0.0]])


def _applied(state: np.ndarray, matrix: np.ndarray, qubits: list[int]) -> np.ndarray:
    total, axes = state.ndim, range(len(qubits))
    places = [total - 1 - qubit for qubit in reversed(qubits)]
    moved = np.moveaxis(state, places, axes)
    turned = (matrix @ moved.reshape(2 ** len(qubits), -1)).reshape(moved.shape)
    return np.moveaxis(turned, axes, places)


def _branches(item: Any, bits: tuple[int, ...], state: np.ndarray, at: Any) -> Iterator[Any]:
    qubits = [at(bit) for bit in item.qubits]
    if item.name == "measure":
        place = at(item.clbits[0])
        for value, kept in enumerate((_ZERO, _ONE)):
            yield (*bits[:place], value, *bits[place + 1 :]), _applied(state, kept, qubits)
    elif item.name == "reset":
        for kept in (_ZERO, _FLIP @ _ONE):
            yield bits, _applied(state, kept, qubits)
    elif item.name == "if_else":  # here always an x on one bit
        told, value = item.operation.condition
        yield bits, _applied(state, _FLIP, qubits) if bits[at(told)] == value else state
    else:
        yield bits, _applied(state, item.operation.to_matrix(), qubits)


def _exact(circuit: QuantumCircuit) -> Outcomes:
    """The probability of each outcome: one number for each register."""
    start = np.zeros([2] * circuit.num_qubits, dtype=complex)
    start[(0,) * circuit.num_qubits] = 1.0
    found = [((0,) * circuit.num_clbits, start)]
    for item in circuit.data:
        followed = (
            branch
            for bits, state in found
            for branch in _branches(item, bits, state, lambda bit: circuit.find_bit(bit).index)
        )
        found = [(bits, state) for bits, state in followed if np.linalg.norm(state) > 1e-7]
    total: Counter[tuple[int, ...]] = Counter()
    for bits, state in found:
        outcome = tuple(
            sum(bits[circuit.find_bit(bit).index] << i for i, bit in enumerate(register))
            for register in circuit.cregs
        )
        total[outcome] += float(np.linalg.norm(state) ** 2)
    return total


def _chance(seen: Mapping[tuple[int, ...], int], probabilities: Outcomes) -> float:
    """How likely counts are at least as far from these probabilities; 0 for what cannot be."""
    if set(seen) - set(probabilities):
        return 0.0
    shots = sum(seen.values())
    common = {outcome: p * shots for outcome, p in probabilities.items() if p * shots >= 5}
    statistic = sum((seen.get(o, 0) - wanted) ** 2 / wanted for o, wanted in common.items())
    return float(chi2.sf(statistic, max(len(common), 1)))


# --- the checks -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_samples_have_the_exact_distribution(backend: QRMIBackend, seed: int) -> None:
    """Over all registers at once, for each set of values, under the names and shape asked for."""
    rng = np.random.default_rng([seed, 5])
    plain = [_random(rng, backend) for _ in range(3)]
    pubs = []
    for level, circuit in enumerate(plain):
        passes = generate_preset_pass_manager(level, backend=backend, seed_transpiler=seed)
        shape = [(), (1,), (2, 1)][int(rng.integers(3))] if circuit.parameters else ()
        values = {p.name: rng.uniform(-4, 4, (*shape, 1)) for p in circuit.parameters}
        isa = passes.run(circuit)
        kept = {p.name for p in isa.parameters}  # a reset makes some needless
        values = {name: value for name, value in values.items() if name in kept}
        pubs.append(SamplerPub.coerce((isa, values or None, SHOTS + level)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        results = SamplerV2(backend).run(pubs).result(timeout=60)
    for circuit, pub, result in zip(plain, pubs, results, strict=True):
        assert list(result.data.keys()) == [register.name for register in circuit.cregs]
        assert result.data.shape == pub.shape
        assert result.metadata["circuit_metadata"] == circuit.metadata
        for place in np.ndindex(pub.shape):
            arrays = [array[place] if place else array for array in result.data.values()]
            columns = [[int(bits, 2) for bits in array.get_bitstrings()] for array in arrays]
            bound = circuit.assign_parameters(_values(pub, circuit, place))
            seen = Counter(zip(*columns, strict=True))
            assert sum(seen.values()) == pub.shots
            assert _chance(seen, _exact(bound)) > UNLIKELY


def _values(pub: SamplerPub, circuit: QuantumCircuit, place: tuple[int, ...]) -> dict[str, float]:
    names = [parameter.name for parameter in pub.circuit.parameters]
    given = dict(zip(names, pub.parameter_values.as_array(names)[place], strict=True))
    return {p.name: given.get(p.name, 0.0) for p in circuit.parameters}


def test_expectation_values_are_the_exact_ones(backend: QRMIBackend) -> None:
    """Arrays of observables, identities and idle qubits among them, against arrays of values."""
    rng = np.random.default_rng(6)
    circuit = QuantumCircuit(3)
    for number, parameter in enumerate(ParameterVector("p", 11)):
        circuit.ry(parameter, 0) if number % 2 else circuit.rx(parameter, 1)
    circuit.cx(0, 1)
    words = [["".join(rng.choice(list("IXYZ"), 3)) for _ in range(3)] for _ in range(2)]
    words[0][0], words[1][0] = "III", "ZII"
    observables = ObservablesArray([[{word: 0.5, "ZZZ": 1.0} for word in row] for row in words])
    values = rng.uniform(-3, 3, (2, 2, 1, 11))
    passes = generate_preset_pass_manager(2, backend=backend, seed_transpiler=6)
    isa = passes.run(circuit)
    fixed = passes.run(circuit.assign_parameters(values[0, 0, 0]))
    pubs = [
        (isa, observables.apply_layout(isa.layout), values),
        (fixed, observables.apply_layout(fixed.layout)),
    ]
    first, second = EstimatorV2(backend).run(pubs, precision=0.05).result(timeout=60)
    for result, angles in ((first, values), (second, values[0, 0, 0])):
        shape = np.broadcast_shapes(angles.shape[:-1], observables.shape)
        wanted = np.empty(shape)
        for place in np.ndindex(shape):
            row = np.broadcast_to(angles, (*shape, 11))[place]
            wanted[place] = _expected(circuit.assign_parameters(row), observables[place[-2:]])
        assert result.data.evs.shape == shape
        assert np.abs(result.data.evs - wanted).max() < 0.5


def _expected(circuit: QuantumCircuit, observable: Mapping[str, float]) -> float:
    state = Statevector(circuit)
    operator = SparsePauliOp.from_list(list(observable.items()))
    return float(state.expectation_value(operator).real)
