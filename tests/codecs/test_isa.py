"""Circuits that a device does not take are refused with the first instruction it lacks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.circuit.random import random_circuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.transpiler import Target, generate_preset_pass_manager

from qrmi.codecs import isa
from qrmi.codecs.target import from_configuration
from qrmi.errors import IsaError

_PAIRS = [[0, 1], [1, 2], [2, 3]]


def _target(*, control_flow: bool = True) -> Target:
    flow = ["if_else", "while_loop", "for_loop", "switch_case"] if control_flow else []
    return from_configuration(
        {
            "n_qubits": 4,
            "basis_gates": ["rz", "sx", "x", "cz", "rzz"],
            "gates": [
                *({"name": name, "coupling_map": [[0], [1], [2], [3]]} for name in ("sx", "x")),
                *({"name": name, "coupling_map": _PAIRS} for name in ("cz", "rzz")),
            ],
            "coupling_map": _PAIRS,
            "supported_instructions": ["measure", "reset", "delay", *flow],
        }
    )


def _valid() -> QuantumCircuit:
    circuit = QuantumCircuit(4, 4)
    circuit.sx(0)
    circuit.barrier()
    circuit.cz(1, 2)
    circuit.delay(10, 3)
    circuit.reset(3)
    circuit.measure([0, 3], [0, 3])
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.cz(2, 3)
        with circuit.for_loop(range(2)):
            circuit.x(1)
            circuit.break_loop()
    return circuit


def test_what_the_device_has_is_taken():
    """Barriers, delays and nested control flow in the device's own gates pass."""
    isa.check(_valid(), _target())


def test_the_first_offence_is_named():
    """The message has the instruction, its qubits and what there is; the hint how to go on."""
    circuit = QuantumCircuit(3)
    circuit.sx(0)
    circuit.h(2)
    circuit.cx(0, 1)
    with pytest.raises(IsaError, match=r"no h .*qubit 2.*cz, delay") as caught:
        isa.check(circuit, _target())
    assert "generate_preset_pass_manager" in caught.value.hint


def test_the_place_matters():
    """A gate that the device has elsewhere is refused, in the wrong direction too."""
    for pair in ((0, 2), (1, 0)):
        circuit = QuantumCircuit(3)
        circuit.cz(*pair)
        with pytest.raises(IsaError, match=f"no cz on qubits {pair[0]}, {pair[1]}"):
            isa.check(circuit, _target())


def test_bodies_are_checked_on_the_outer_qubits():
    """A gate in a loop in a branch is checked on the qubits it finally acts on."""
    circuit = QuantumCircuit(4, 1)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)), circuit.for_loop(range(2)):
        circuit.cz(3, 1)
    with pytest.raises(IsaError, match="no cz on qubits 3, 1"):
        isa.check(circuit, _target())


def test_control_flow_must_be_offered():
    """A device without control flow refuses it."""
    with pytest.raises(IsaError, match="no if_else"):
        isa.check(_valid(), _target(control_flow=False))


def test_too_many_qubits_are_refused():
    """A circuit wider than the device is refused before anything else."""
    with pytest.raises(IsaError, match="5 qubits, the device 4"):
        isa.check(QuantumCircuit(5), _target())


@pytest.mark.parametrize(
    ("angle", "taken"),
    [(0.0, True), (math.pi / 2, True), (math.pi / 2 + 1e-12, True), (-0.1, False), (1.6, False)],
)
def test_angles_have_bounds(angle, taken):
    """A fractional rzz takes 0 to pi/2, bound or as a parameter's value."""
    target = _target()
    if not hasattr(target, "gate_has_angle_bounds"):
        pytest.skip("Qiskit before 2.2 has no bounds on angles")
    plain, parametric = QuantumCircuit(2), QuantumCircuit(2)
    plain.rzz(angle, 0, 1)
    half = Parameter("half")
    parametric.rzz(2 * half, 0, 1)
    isa.check(parametric, target)
    values = BindingsArray({("half",): np.array([[0.1], [angle / 2]])})
    for check in (
        lambda: isa.check(plain, target),
        lambda: isa.check(parametric, target, values),
    ):
        if taken:
            check()
        else:
            with pytest.raises(IsaError, match="rzz"):
                check()


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_translated_circuits_are_taken(seed):
    """What the preset pass manager makes for a target passes; the hint is true."""
    circuit = random_circuit(4, 3, max_operands=2, measure=True, seed=seed)
    target = _target()
    passes = generate_preset_pass_manager(optimization_level=1, target=target, seed_transpiler=1)
    isa.check(passes.run(circuit), target)
