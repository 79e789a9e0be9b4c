"""Circuits are written once, as long as they stay as they are."""

from __future__ import annotations

import gc

import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, qasm3
from qiskit.circuit import Parameter

from qrmi.codecs import circuits
from qrmi.codecs.circuit_cache import CircuitCache


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of each circuit that was exported, as it happens."""
    names: list[str] = []
    original = qasm3.dumps

    def dumps(circuit: QuantumCircuit, **options: object) -> str:
        names.append(circuit.name)
        return original(circuit, **options)

    monkeypatch.setattr(circuits.qasm3, "dumps", dumps)
    return names


def _text(circuit: QuantumCircuit) -> object:
    return circuits.encode(circuit, form="qasm3", qpy_version=15)


def _ansatz(name: str) -> QuantumCircuit:
    circuit = QuantumCircuit(2, name=name)
    circuit.rx(Parameter("a"), 0)
    circuit.measure_all()
    return circuit


def test_many_circuits_of_a_loop_are_exported_once(exported: list[str]) -> None:
    """A step with forty circuits exports none of them again in the next step."""
    group = [_ansatz(f"c{number}") for number in range(40)]
    first = [_text(circuit) for circuit in group]
    assert [_text(circuit) for circuit in group] == first
    assert exported == [circuit.name for circuit in group]


def _dynamic() -> QuantumCircuit:
    circuit = QuantumCircuit(QuantumRegister(2, "q"), ClassicalRegister(2, "c"))
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)) as otherwise:
        circuit.x(1)
    with otherwise:
        circuit.z(1)
    with circuit.switch(circuit.cregs[0]) as case, case(0, 3):
        circuit.x(0)
    with circuit.for_loop(range(3)):
        circuit.h(0)
    with circuit.while_loop((circuit.clbits[1], 0)):
        circuit.measure(1, 1)
    return circuit


def test_control_flow_is_exported_once(exported: list[str]) -> None:
    """Branches and loops are compared with their blocks and conditions."""
    circuit = _dynamic()
    before = _text(circuit)
    assert _text(circuit) == before
    assert len(exported) == 1


@pytest.mark.parametrize("position", range(1, 5))
def test_a_change_inside_of_control_flow_is_seen(position: int) -> None:
    """A block that is edited in place makes another text."""
    circuit = _dynamic()
    before = _text(circuit)
    circuit.data[position].operation.blocks[0].s(0)
    after = str(_text(circuit))
    assert after != before
    assert after.count(" s q[") == 1


def test_what_is_kept_goes_with_its_circuit() -> None:
    """Nothing is kept for circuits that nobody has any more, nor beyond the limit."""
    cache = CircuitCache(most_characters=10)
    written: list[str] = []

    def get(circuit: QuantumCircuit) -> str:
        def write() -> str:
            written.append(circuit.name)
            return "abcd"

        return cache.get(circuit, "form", write)

    group = [_ansatz(name) for name in "xyz"]
    for circuit in (*group, *reversed(group)):
        get(circuit)
    assert written == ["x", "y", "z", "x"]  # two fit: y and z were still there, x was not
    del group, circuit
    gc.collect()
    assert not cache._entries
    assert cache._size == 0


def test_a_loop_does_not_pay_for_the_export() -> None:
    """Writing an unchanged circuit of 20 qubits again takes a fifth of exporting it, or less."""
    import time

    circuit = QuantumCircuit(20)
    for layer in range(20):
        for qubit in range(20):
            circuit.rx(Parameter(f"p{layer}_{qubit}"), qubit)
        for qubit in range(19):
            circuit.cz(qubit, qubit + 1)

    def seconds() -> float:
        begun = time.perf_counter()
        _text(circuit)
        return time.perf_counter() - begun

    first = seconds()
    assert min(seconds() for _ in range(5)) < first / 5
