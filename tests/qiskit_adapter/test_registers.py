"""Bits go where the circuit says, whichever registers share them and in whatever order."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit import ClassicalRegister, QuantumCircuit
from qiskit.circuit import Clbit, Qubit

from qrmi import QuantumResource
from qrmi.qiskit import QRMIBackend, SamplerV2

_MODEST = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@attrs.frozen
class Wiring:
    """A circuit that writes known bits: those of `ones`, through `measured` pairs."""

    qubits: int
    clbits: int
    ones: tuple[int, ...]
    measured: tuple[tuple[int, int], ...]
    registers: tuple[tuple[int, ...], ...]

    def circuit(self) -> QuantumCircuit:
        bits = [Clbit() for _ in range(self.clbits)]
        circuit = QuantumCircuit([Qubit() for _ in range(self.qubits)], bits)
        for number, held in enumerate(self.registers):
            circuit.add_register(ClassicalRegister(bits=[bits[i] for i in held], name=f"r{number}"))
        for qubit in self.ones:
            circuit.x(qubit)
        for qubit, clbit in self.measured:
            circuit.measure(qubit, clbit)
        return circuit

    def value(self) -> list[int]:
        """The value of each classical bit; a later measurement overwrites an earlier one."""
        values = [0] * self.clbits
        for qubit, clbit in self.measured:
            values[clbit] = int(qubit in self.ones)
        return values


@st.composite
def wirings(draw: Any) -> Wiring:
    """Registers that overlap, skip bits, or list them in any order; bits in no register."""
    qubits = draw(st.integers(1, 5))
    clbits = draw(st.integers(1, 12))
    bit = st.integers(0, clbits - 1)
    return Wiring(
        qubits=qubits,
        clbits=clbits,
        ones=tuple(draw(st.sets(st.integers(0, qubits - 1)))),
        measured=tuple(draw(st.lists(st.tuples(st.integers(0, qubits - 1), bit), max_size=8))),
        registers=tuple(
            tuple(draw(st.lists(bit, min_size=1, max_size=12, unique=True)))
            for _ in range(draw(st.integers(1, 4)))
        ),
    )


def text(bits: list[int]) -> str:
    """Bits as Qiskit spells them: bit 0 rightmost."""
    return "".join(map(str, reversed(bits)))


@_MODEST
@given(wiring=wirings())
def test_sampler_bits_by_register(local: QuantumResource, wiring: Wiring) -> None:
    """Bit i of a register's BitArray is the value of the register's i-th bit."""
    data = SamplerV2(local).run([wiring.circuit()], shots=3).result()[0].data
    values = wiring.value()
    for number, held in enumerate(wiring.registers):
        expected = text([values[bit] for bit in held])
        assert data[f"r{number}"].get_counts() == {expected: 3}


@_MODEST
@given(wiring=wirings())
def test_run_gives_all_bits(local: QuantumResource, wiring: Wiring) -> None:
    """Counts and memory of `run` spell all of the circuit's bits, also those in no register."""
    circuit = wiring.circuit()
    result = QRMIBackend(local).run(circuit, shots=2).result()
    expected = text(wiring.value())
    assert {key.replace(" ", ""): n for key, n in result.get_counts(circuit).items()} == {
        expected: 2
    }
    assert [shot.replace(" ", "") for shot in result.get_memory(circuit)] == [expected] * 2


def test_spaces_stand_between_registers_that_share_nothing(local: QuantumResource) -> None:
    """As with Qiskit's own simulators; without such registers the text has no spaces."""
    apart = Wiring(3, 3, (0,), ((0, 0), (1, 1), (2, 2)), ((0,), (1, 2))).circuit()
    swapped = Wiring(3, 3, (0,), ((0, 0), (1, 1), (2, 2)), ((2,), (0, 1))).circuit()
    shared = Wiring(3, 3, (0,), ((0, 0), (1, 1), (2, 2)), ((0, 1), (1, 2))).circuit()
    result = QRMIBackend(local).run([apart, swapped, shared], shots=2).result()
    assert [set(counts) for counts in result.get_counts()] == [{"00 1"}, {"001"}, {"001"}]


def test_wide_registers_stay_packed(local: QuantumResource) -> None:
    """A register of 70 bits, the highest and lowest set."""
    circuit = QuantumCircuit(2, 70)
    circuit.x(0)
    circuit.measure(0, 69)
    circuit.measure(0, 0)
    data = SamplerV2(local).run([circuit], shots=4).result()[0].data
    assert data.c.array.shape == (4, 9)
    assert data.c.get_int_counts() == {2**69 + 1: 4}
