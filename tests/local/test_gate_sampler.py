"""The embedded simulator's sampler: every bit in its place, for every kind of circuit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, Gate, Parameter, ParameterVector
from qiskit.circuit.classical import expr
from qiskit.circuit.library import DCXGate, efficient_su2, quantum_volume
from qiskit.circuit.random import random_circuit
from qiskit.primitives import PrimitiveResult, StatevectorSampler
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import primitive, primitive_results
from qrmi.errors import InvalidInputError
from qrmi.payloads import QiskitPrimitive
from qrmi_local.gates.run import run


def _sample(*pubs: object, shots: int = 100, options: dict | None = None, **run_options):
    coerced = [SamplerPub.coerce(pub, shots) for pub in pubs]
    payload = primitive.encode_sampler(coerced, options=options)
    return primitive_results.decode_result(run(payload, **{"seed": 7, **run_options}))


def _assert_alike(result: PrimitiveResult, pubs: list, shots: int) -> None:
    """Distributions over each register agree with Qiskit's own sampler within sampling error."""
    expected = StatevectorSampler(seed=11).run(pubs, shots=shots).result()
    for mine, other in zip(result, expected, strict=True):
        assert list(mine.data) == list(other.data)
        assert mine.data.shape == other.data.shape
        assert mine.metadata == other.metadata
        for name in mine.data:
            assert mine.data[name].array.shape == other.data[name].array.shape
            for index in np.ndindex(mine.data.shape):
                one = mine.data[name].get_int_counts(index)
                two = other.data[name].get_int_counts(index)
                for key in one.keys() | two.keys():
                    p, q = one.get(key, 0) / shots, two.get(key, 0) / shots
                    spread = np.sqrt((p * (1 - p) + q * (1 - q) + 1e-3) / shots)
                    assert abs(p - q) < 6 * spread, (name, index, key, p, q)


@st.composite
def _register_layouts(draw) -> QuantumCircuit:
    """A random circuit with registers that overlap, leave gaps, are empty or unused."""
    qubits = draw(st.integers(1, 4))
    seed = draw(st.integers(0, 1000))
    loose = [Clbit() for _ in range(draw(st.integers(1, 11)))]
    circuit = QuantumCircuit(QuantumRegister(qubits, "q"), loose)
    for number in range(draw(st.integers(1, 3))):
        chosen = draw(st.lists(st.sampled_from(range(len(loose))), max_size=10, unique=True))
        circuit.add_register(ClassicalRegister(bits=[loose[i] for i in chosen], name=f"r{number}"))
    circuit.compose(random_circuit(qubits, 3, max_operands=2, seed=seed), inplace=True)
    order = draw(st.permutations(range(len(loose))))
    for qubit, clbit in zip(range(qubits), order, strict=False):
        circuit.measure(qubit, clbit)
    return circuit


@given(_register_layouts())
@settings(max_examples=30, deadline=None)
def test_registers_get_their_own_bits(circuit):
    """Bit i of a register is the clbit at place i, whatever the register shares or skips."""
    result = _sample(circuit, shots=200)
    _, memory = _reference(circuit, 200)
    for register in circuit.cregs:
        bits = result[0].data[register.name]
        assert bits.num_bits == register.size
        assert bits.array.shape == (200, -(-register.size // 8))
        if register.size:
            wanted = [circuit.find_bit(bit).index for bit in register]
            found = np.unpackbits(bits.array, axis=-1)[:, ::-1][:, : register.size]
            frequency = memory[:, wanted].mean(axis=0)
            assert np.abs(found.mean(axis=0) - frequency).max() < 0.2


def _reference(circuit: QuantumCircuit, shots: int) -> tuple[QuantumCircuit, np.ndarray]:
    """The exact probability of each clbit being 1, repeated for every shot."""
    from qiskit.quantum_info import Statevector

    mapping = {
        circuit.find_bit(item.clbits[0]).index: circuit.find_bit(item.qubits[0]).index
        for item in circuit.data
        if item.name == "measure"
    }
    bare = circuit.remove_final_measurements(inplace=False)
    state = Statevector(bare)
    columns = np.zeros((1, circuit.num_clbits))
    for clbit, qubit in mapping.items():
        columns[0, clbit] = state.probabilities([qubit])[1]
    return bare, np.repeat(columns, shots, axis=0)


def test_overlapping_registers_agree_exactly():
    """The case that BackendSamplerV2 gets wrong: two registers share bits in another order."""
    a, b, c = (Clbit() for _ in range(3))
    circuit = QuantumCircuit(QuantumRegister(3, "q"), [a, b, c])
    circuit.add_register(ClassicalRegister(bits=[c, a], name="x"))
    circuit.add_register(ClassicalRegister(bits=[a, b], name="y"))
    circuit.x(0)
    circuit.measure([0, 1, 2], [a, b, c])
    data = _sample(circuit)[0].data
    assert data.x.get_counts() == {"10": 100}
    assert data.y.get_counts() == {"01": 100}


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_distributions_are_qiskits(seed):
    """Random circuits over two registers: the distributions are StatevectorSampler's."""
    circuit = random_circuit(3, 4, max_operands=3, seed=seed)
    circuit.add_register(ClassicalRegister(1, "a"), ClassicalRegister(2, "b"))
    circuit.measure([2, 0, 1], [0, 1, 2])
    _assert_alike(_sample(circuit, shots=2000), [circuit], 2000)


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 3), (5, 1), (0,)])
def test_parameters_are_broadcast(shape):
    """Every shape of bindings, bound by Aer (many) or before (few), gives the right cell."""
    angles = ParameterVector("t", 12)
    circuit = QuantumCircuit(3, global_phase=angles[11])
    for index, angle in enumerate(angles):
        circuit.ry(angle * 0.5 + angles[0], index % 3)
        circuit.cx(index % 3, (index + 1) % 3)
    circuit.measure_all()
    values = np.random.default_rng(3).uniform(0, 6, (*shape, 12))
    result = _sample((circuit, values), shots=1000)
    assert result[0].data.shape == shape
    if values.size:
        _assert_alike(result, [(circuit, values)], 1000)
    else:
        assert result[0].data.meas.array.shape == (0, 1000, 1)


def test_bindings_without_parameters_are_separate_runs():
    """A shape without parameters runs the circuit anew for each cell."""
    circuit = QuantumCircuit(1)
    circuit.h(0)
    circuit.measure_all()
    pub = SamplerPub(circuit, BindingsArray(shape=(2, 2)), 64)
    array = _sample(pub)[0].data.meas.array.reshape(4, -1)
    assert len({row.tobytes() for row in array}) == 4


def test_each_pub_has_its_shots_and_metadata():
    """Pubs with different shots, in one task, come back in order."""
    circuits = []
    for number in range(4):
        circuit = QuantumCircuit(2, metadata={"number": number})
        if number % 2:
            circuit.x(0)
        circuit.measure_all()
        circuits.append(circuit)
    result = _sample(*((circuit, None, 10 + n % 3) for n, circuit in enumerate(circuits)))
    assert result.metadata == {"version": 2}
    for number, pub in enumerate(result):
        shots = 10 + number % 3
        assert pub.metadata == {"shots": shots, "circuit_metadata": {"number": number}}
        assert pub.data.meas.get_counts() == {"01" if number % 2 else "00": shots}


def test_circuits_without_bits_give_no_data():
    """No classical bits, no registers, or a register of no bits: empty data, right shapes."""
    bare = QuantumCircuit(2)
    bare.h(0)
    loose = QuantumCircuit(QuantumRegister(1), [Clbit()])
    loose.measure(0, 0)
    empty = QuantumCircuit(QuantumRegister(1, "q"), ClassicalRegister(0, "e"))
    unmeasured = QuantumCircuit(1, 9)
    nothing = QuantumCircuit(QuantumRegister(0, "q"), ClassicalRegister(2, "c"))
    result = _sample(bare, loose, empty, unmeasured, nothing)
    assert [list(pub.data) for pub in result] == [[], [], ["e"], ["c"], ["c"]]
    assert result[2].data.e.array.shape == (100, 0)
    assert result[3].data.c.get_counts() == {"0" * 9: 100}
    assert result[4].data.c.get_counts() == {"00": 100}


def test_more_than_64_bits_stay_exact():
    """A hundred qubits, each other one flipped, across a byte-odd split of registers."""
    first, second = ClassicalRegister(33, "first"), ClassicalRegister(67, "second")
    circuit = QuantumCircuit(QuantumRegister(100, "q"), first, second)
    circuit.x(range(0, 100, 3))
    circuit.measure(range(100), range(100))
    data = _sample(circuit, shots=3)[0].data
    bits = "".join("1" if index % 3 == 0 else "0" for index in range(100))
    assert data.first.get_counts() == {bits[:33][::-1]: 3}
    assert data.second.get_counts() == {bits[33:][::-1]: 3}


def test_large_clifford_circuits_run():
    """A GHZ state of 120 qubits is either all zeros or all ones."""
    circuit = QuantumCircuit(120)
    circuit.h(0)
    for qubit in range(119):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    counts = _sample(circuit, shots=50)[0].data.meas.get_counts()
    assert counts.keys() == {"0" * 120, "1" * 120}


def test_too_many_qubits_are_explained():
    """What does not fit into memory is refused with the number of qubits."""
    circuit = quantum_volume(60, 60, seed=1).decompose()
    circuit.measure_all()
    with pytest.raises(InvalidInputError, match="60 qubits"):
        _sample(circuit)


def test_unknown_gates_are_translated():
    """Gates that Aer lacks, custom ones and controlled ones on zero are translated."""
    flip = QuantumCircuit(1, name="flip")
    flip.x(0)
    circuit = QuantumCircuit(3)
    circuit.append(flip.to_gate(), [0])
    circuit.append(DCXGate(), [0, 1])
    circuit.append(flip.to_gate().control(1, ctrl_state=0), [0, 2])
    circuit.measure_all()
    _assert_alike(_sample(circuit), [circuit], 100)


@pytest.mark.parametrize("name", ["h", "u", "swap", "measure"])
def test_names_do_not_deceive(name):
    """A custom gate called like one of Aer's does what its definition says."""
    body = QuantumCircuit(2)
    body.x(1)
    posing = Gate(name, 2, [])
    posing.definition = body
    circuit = QuantumCircuit(2)
    circuit.append(posing, [0, 1])
    circuit.measure_all()
    assert _sample(circuit)[0].data.meas.get_counts() == {"10": 100}


def test_gates_without_definition_are_refused():
    """An opaque gate is named in the error."""
    circuit = QuantumCircuit(1)
    circuit.append(Gate("mystery", 1, []), [0])
    circuit.measure_all()
    with pytest.raises(InvalidInputError, match="mystery"):
        _sample(circuit)


def test_measurements_and_resets_on_the_way():
    """A qubit is measured, reset and used again; both outcomes stay."""
    circuit = QuantumCircuit(QuantumRegister(1, "q"), *(ClassicalRegister(1, n) for n in "abc"))
    circuit.h(0)
    circuit.measure(0, 0)
    circuit.reset(0)
    circuit.measure(0, 1)
    circuit.x(0)
    circuit.measure(0, 2)
    data = _sample(circuit, shots=200)[0].data
    assert 50 < data.a.get_counts()["1"] < 150
    assert data.b.get_counts() == {"0": 200}
    assert data.c.get_counts() == {"1": 200}


def test_a_bit_that_is_measured_twice_keeps_the_last():
    """The second measurement into the same bit overwrites the first."""
    circuit = QuantumCircuit(2, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    circuit.measure(1, 0)
    assert _sample(circuit)[0].data.c.get_counts() == {"0": 100}


def _branching() -> QuantumCircuit:
    """Copies qubit 0's outcome to qubit 1 by a branch, and flips qubit 2 otherwise."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "m"))
    circuit.add_register(ClassicalRegister(3, "c"))
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.x(2)
    circuit.measure([0, 1, 2], [1, 2, 3])
    return circuit


def test_branches():
    """If and else act on the qubits they name."""
    data = _sample(_branching())[0].data
    for outcome, bits in zip(data.m.get_bitstrings(), data.c.get_bitstrings(), strict=True):
        assert bits == ("011" if outcome == "1" else "100")


def test_loops_and_switches():
    """While ends when its bit says so, for counts, switch picks its case, expressions hold."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(2, "a"))
    circuit.add_register(ClassicalRegister(3, "c"))
    a = circuit.cregs[0]
    circuit.h(0)
    circuit.measure(0, a[0])
    with circuit.while_loop((a[0], 0)):
        circuit.h(0)
        circuit.measure(0, a[0])
    with circuit.for_loop(range(3)):
        circuit.x(1)
    circuit.measure(1, a[1])
    with circuit.switch(a) as case:
        with case(3):
            circuit.x(2)
        with case(case.DEFAULT):
            circuit.x(0)
    with circuit.if_test(expr.logic_and(a[0], expr.logic_not(a[1]))):
        circuit.x(1)
    circuit.measure([0, 1, 2], circuit.cregs[1])
    data = _sample(circuit)[0].data
    assert data.a.get_counts() == {"11": 100}
    assert data.c.get_counts() == {"111": 100}


def test_parameters_inside_of_control_flow():
    """Values reach the bodies of branches and loops, for few and for many of them."""
    angle = Parameter("t")
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 0)):
        circuit.rx(angle, 0)
    circuit.measure(0, 0)
    values = np.array([0.0, np.pi] * 3)
    data = _sample((circuit, values))[0].data
    counts = [data.c.get_counts(index) for index in range(6)]
    assert counts == [{"0": 100}, {"1": 100}] * 3


def test_a_seed_makes_results_repeatable():
    """The same seed the same shots; another seed or none, others; the option has priority."""
    circuit = efficient_su2(4, reps=1)
    values = np.random.default_rng(1).random((5, circuit.num_parameters))
    circuit.measure_all()

    def bits(**options: object) -> bytes:
        return _sample((circuit, values), **options)[0].data.meas.array.tobytes()

    assert bits(seed=5) == bits(seed=5)
    assert bits(seed=5) != bits(seed=6)
    assert bits(seed=None) != bits(seed=None)
    option = {"simulator": {"seed_simulator": 5}}
    assert bits(seed=9, options=option) == bits(seed=5)


def test_one_seed_does_not_repeat_itself():
    """Equal pubs and equal bindings of one task are sampled independently."""
    circuit = QuantumCircuit(8)
    circuit.h(range(8))
    circuit.measure_all()
    result = _sample(circuit, circuit, (circuit, None, 99))
    rows = {pub.data.meas.array[:99].tobytes() for pub in result}
    assert len(rows) == 3
    angle = Parameter("t")
    turned = QuantumCircuit(8)
    turned.rx(angle, range(8))
    turned.measure_all()
    for count in (2, 8):
        data = _sample((turned, np.full(count, 1.5)))[0].data
        assert len({row.tobytes() for row in data.meas.array}) == count


def test_openqasm_is_taken():
    """A circuit may be OpenQASM 3, with inputs, as the upstream library sends it."""
    text = (
        'OPENQASM 3.0;\ninclude "stdgates.inc";\ninput float[64] b;\ninput float[64] a;\n'
        "bit[2] c;\nqubit[2] q;\nrx(a) q[0];\nrx(b) q[1];\n"
        "c[0] = measure q[0];\nc[1] = measure q[1];\n"
    )
    body = {"pubs": [[text, [np.pi, 0.0], 10]], "version": 2, "options": {}}
    result = primitive_results.decode_result(
        run(QiskitPrimitive(json.dumps(body), "sampler"), seed=1)
    )
    assert result[0].data.c.get_counts() == {"10": 10}


def test_registers_that_clash_with_the_result_are_our_error():
    """A register that `DataBin` cannot hold is refused."""
    circuit = QuantumCircuit(QuantumRegister(1), ClassicalRegister(1, "shape"))
    with pytest.raises(InvalidInputError, match="shape"):
        _sample(circuit)


def test_options_without_effect_are_logged():
    """Options of the services that the simulator does not follow are named."""
    circuit = QuantumCircuit(1)
    circuit.measure_all()
    lines: list[str] = []
    _sample(circuit, options={"twirling": {}, "default_shots": 5}, log=lines.append)
    assert lines == ["options without effect here: twirling"]
