"""Pubs as circuits without parameters, and the data of a pub out of measured bits."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister, Parameter, QuantumRegister
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import binding
from qrmi.errors import InvalidInputError, UnexpectedAnswerError


@given(st.lists(st.integers(0, 3), max_size=3))
def test_bound_circuits_come_in_c_order(shape):
    """Circuit number n has the values at flat index n, and no parameter is left."""
    angle = Parameter("a")
    circuit = QuantumCircuit(1, 1)
    circuit.rx(angle, 0)
    circuit.measure(0, 0)
    values = np.arange(int(np.prod(shape)), dtype=float).reshape(shape)
    pub = SamplerPub.coerce((circuit, {"a": values}), 10)
    circuits = list(binding.bound(pub))
    assert [float(made.data[0].params[0]) for made in circuits] == values.ravel().tolist()
    assert all(not made.parameters for made in circuits)


def test_a_circuit_without_parameters_is_not_copied():
    """It is the very object, so what is kept for a circuit can be found again."""
    circuit = QuantumCircuit(1)
    assert [made is circuit for made in binding.bound(SamplerPub.coerce(circuit, 1))] == [True]


@pytest.mark.parametrize(
    ("values", "match"),
    [({"a": np.nan}, "finite"), ({"a": np.inf}, "finite"), ({"b": 1.0}, "do not fit")],
)
def test_values_that_cannot_be_bound_are_the_users_mistake(values, match):
    """Not a number, too large a number, a number for a parameter that is not there."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("a"), 0)
    pub = SamplerPub(circuit, BindingsArray(values), 1, validate=False)
    with pytest.raises(InvalidInputError, match=match):
        list(binding.bound(pub))


def test_a_circuit_that_measures_nothing_gets_a_measurement_that_no_register_shows():
    """Its registers stay as they were; a circuit that measures is left alone."""
    circuit = QuantumCircuit(2, 2)
    pub = SamplerPub.coerce(circuit, 4)
    made = binding.measuring(pub)
    assert binding.registers(made.circuit) == binding.registers(circuit)
    assert (circuit.num_clbits, made.circuit.num_clbits, made.shots) == (2, 3, 4)
    assert [item.name for item in made.circuit.data] == ["measure"]
    assert binding.measuring(made) is made
    with pytest.raises(InvalidInputError, match="no qubits"):
        binding.measuring(SamplerPub.coerce(QuantumCircuit(0, 1), 4))


@st.composite
def _circuits(draw):
    """A circuit whose registers share bits, in any order, some bits in none."""
    loose = draw(st.integers(1, 12))
    circuit = QuantumCircuit(QuantumRegister(1, "q"))
    bits = ClassicalRegister(loose, "unused")
    circuit.add_bits(list(bits))
    for number in range(draw(st.integers(0, 3))):
        chosen = draw(st.lists(st.sampled_from(list(bits)), unique=True, min_size=1))
        circuit.add_register(ClassicalRegister(bits=chosen, name=f"c{number}"))
    return circuit


@given(
    circuit=_circuits(),
    shape=st.lists(st.integers(0, 2), max_size=2),
    shots=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_each_bit_of_a_register_is_the_bit_that_was_measured(circuit, shape, shots, seed):
    """Bit i of a register, in shot s of binding n, is what circuit n measured for it in shot s."""
    generator = np.random.default_rng(seed)
    size = int(np.prod(shape))
    measured = [
        generator.integers(0, 2, (shots, circuit.num_clbits), dtype=np.uint8) for _ in range(size)
    ]
    held = json.loads(json.dumps(binding.registers(circuit)))
    data = binding.assemble(measured, held, shape, shots)
    assert data.shape == tuple(shape)
    for register in circuit.cregs:
        array = data[register.name]
        assert (array.shape, array.num_shots, array.num_bits) == (
            tuple(shape),
            shots,
            register.size,
        )
        for number, place in enumerate(np.ndindex(*shape)):
            for shot, text in enumerate(array[place].get_bitstrings()):
                wanted = [measured[number][shot, circuit.find_bit(bit).index] for bit in register]
                assert [int(character) for character in reversed(text)] == wanted


@given(st.dictionaries(st.text("01", min_size=3, max_size=3), st.integers(0, 4)))
def test_counts_become_shots(counts):
    """Each outcome has as many rows as it was seen; column 0 is the rightmost character."""
    rows = binding.columns(counts, 3)
    texts = ["".join(map(str, row[::-1])) for row in rows.tolist()]
    assert {text: texts.count(text) for text in counts} == counts
    assert rows.shape == (sum(counts.values()), 3)


@pytest.mark.parametrize("counts", [{"01": 1}, {"0x1": 1}, {"001": -1}])
def test_malformed_counts_are_the_vendors_fault(counts):
    """A string of another length or alphabet, or a negative number, is no result."""
    with pytest.raises(UnexpectedAnswerError):
        binding.columns(counts, 3)


@pytest.mark.parametrize("measured", [[], [np.zeros((4, 2))] * 2, [np.zeros((5, 1))]])
def test_missing_circuits_shots_or_bits_are_refused(measured):
    """What is not there is never made up."""
    with pytest.raises(UnexpectedAnswerError):
        binding.assemble(measured, [["c", 2, [0, 1]]], (), 5)
