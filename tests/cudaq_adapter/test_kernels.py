"""Kernels as circuits: every gate, state and measurement against CUDA-Q's own simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cudaq
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qiskit.circuit import QuantumCircuit
from qiskit.quantum_info import Statevector

from qrmi.codecs import gate

pauli_word = cudaq.pauli_word
CAPTURED = np.array([1, 0, 0, 1j]) / np.sqrt(2)
STATE = cudaq.State.from_data(np.array([0.6, 0, 0, 0.8j], dtype=complex))

cudaq.register_operation(
    "test_two", np.kron(np.array([[0, 1], [1, 0]]), np.array([[1, 0], [0, 1j]]))
)
cudaq.register_operation("test_three", np.eye(8)[[0, 1, 2, 4, 3, 5, 6, 7]])
cudaq.register_operation("test_phase", np.exp(0.3j) * np.array([[0, 1j], [1, 0]]))


@cudaq.kernel
def gates():
    q = cudaq.qvector(4)
    h(q)
    t(q[0])
    ry(0.3, q[0])
    rx(0.7, q[1])
    s(q[1])
    y(q[2])
    z(q[3])
    r1(0.4, q[2])
    u3(0.4, 0.5, 0.6, q[3])
    rx.adj(0.2, q[0])
    rz.adj(0.2, q[1])
    r1.adj(0.1, q[2])
    u3.adj(0.1, 0.2, 0.3, q[3])
    s.adj(q[0])
    t.adj(q[1])
    swap(q[0], q[3])


@cudaq.kernel
def controls():
    q = cudaq.qvector(4)
    h(q)
    ry(0.3, q[0])
    rx(0.5, q[3])
    x.ctrl(q[0], q[1])
    y.ctrl(q[1], q[0])
    z.ctrl(q[0], q[1])
    h.ctrl(q[0], q[2])
    s.ctrl(q.back(), q.front())
    t.ctrl([q[0], q[1], q[2]], q[3])
    swap.ctrl(q[0], q[1], q[2])
    rx.ctrl(0.3, q[0:2], q[2])
    rz.ctrl(0.4, [q[0], q[2]], q[1])
    r1.ctrl(0.5, q[0], q[1])
    u3.ctrl(0.1, 0.2, 0.3, q[0], q[1])
    u3.ctrl(0.4, 0.5, 0.6, [q[0], q[1]], q[3])


@cudaq.kernel
def part(q: cudaq.qview, angle: float):
    ry(angle, q[0])
    t.adj(q[1])
    exp_pauli(angle, q, "XY")
    s(q[0])


@cudaq.kernel
def layers(q: cudaq.qview, angles: list[float]):
    for i in range(q.size()):
        ry(angles[i], q[i])
    for i in range(q.size() - 1):
        x.ctrl(q[i], q[i + 1])


@cudaq.kernel
def calls(angle: float, angles: list[float]):
    q = cudaq.qvector(4)
    h(q)
    rx(0.2, q[3])
    cudaq.control(part, [q[0], q[1]], q[2:4], angle)
    cudaq.adjoint(part, q[2:4], angle)
    layers(q, angles)
    cudaq.adjoint(layers, q, angles)
    cudaq.control(layers, q[0], q[1:4], angles)


@cudaq.kernel
def custom():
    q = cudaq.qvector(3)
    h(q)
    ry(0.2, q[0])
    test_two(q[0], q[1])
    test_three(q[0], q[1], q[2])
    test_phase(q[1])
    test_phase.ctrl(q[0], q[2])
    test_phase.ctrl([q[0], q[1]], q[2])


@cudaq.kernel
def words(angles: list[float], paulis: list[cudaq.pauli_word]):
    q = cudaq.qvector(3)
    h(q[0])
    rx(0.3, q[1])
    ry(0.5, q[2])
    for i in range(len(paulis)):
        exp_pauli(angles[i], q, paulis[i])


@cudaq.kernel
def branches(bits: list[bool], kinds: list[int], angles: list[list[float]]):
    q = cudaq.qvector(3)
    for i in range(3):
        if bits[i]:
            x(q[i])
        if kinds[i] == 1:
            h(q[i])
        elif kinds[i] == 2:
            y(q[i])
        rx(angles[i][0], q[i])
        rz(angles[i][1], q[i])


@cudaq.kernel
def arithmetic(angle: float, n: int):
    q = cudaq.qvector(n)
    for i in range(n):
        rx(angle * 2.0**i / (i + 1), q[i])
        if i % 2 == 0:
            ry(np.pi / (i + 1) + np.sin(angle), q[i])
    i = 0
    while i < n - 1:
        r1.ctrl(np.pi / 2.0 ** (i + 1), q[i], q[i + 1])
        i += 1
    for j in range(n - 1, -1, -1):
        h(q[j])


@cudaq.kernel
def prepared(amplitudes: list[complex]):
    q = cudaq.qvector(amplitudes)
    rx(0.3, q[0])


@cudaq.kernel
def prepared_inside():
    q = cudaq.qvector([0.5 + 0j, 0.5, 0.5, 0.5j])
    h(q[1])


@cudaq.kernel
def prepared_captured():
    q = cudaq.qvector(CAPTURED)
    ry(0.3, q[1])


@cudaq.kernel
def prepared_state(state: cudaq.State):
    q = cudaq.qvector(state)
    ry(0.3, q[1])


@cudaq.kernel
def several_registers(angle: float):
    first = cudaq.qubit()
    q = cudaq.qvector(2)
    rx(angle, first)
    x.ctrl(first, q[1])
    last = cudaq.qubit()
    ry(angle, last)


@cudaq.kernel
def lists(n: int):
    q = cudaq.qvector(n)
    angles = [0.1 * i for i in range(n)]
    count = 0
    for angle in angles:
        if angle > 0.15:
            count += 1
    places = [1, 0, 2]
    for i in range(3):
        rx(angles[i], q[places[i]])
    ry(angles[count], q[n - 1 - count // 2])


CASES: list[tuple[Any, tuple[Any, ...]]] = [
    (gates, ()),
    (controls, ()),
    (calls, (0.5, [0.1, 0.2, 0.3, 0.4])),
    (custom, ()),
    (words, ([0.1, 0.2, -0.7], [pauli_word("XYZ"), pauli_word("IYX"), pauli_word("III")])),
    (branches, ([True, False, True], [1, 2, 0], [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]])),
    (arithmetic, (0.3, 4)),
    (prepared, ([0.5, 0.5j, -0.5, 0.5],)),
    (prepared_inside, ()),
    (prepared_captured, ()),
    (prepared_state, (STATE,)),
    (several_registers, (0.3,)),
    (lists, (4,)),
]


def sent_circuit(driver: Any) -> QuantumCircuit:
    return gate.decode_pubs(driver.payloads_seen[-1])[0].circuit


def overlap(kernel: Any, *args: Any, on: Callable[[Any], Any], driver: Any) -> float:
    """|<state of the circuit that was sent | state of CUDA-Q's simulator>|."""
    cudaq.reset_target()
    expected = np.array(cudaq.get_state(kernel, *args))
    on(driver)
    cudaq.sample(kernel, *args, shots_count=1)
    circuit = sent_circuit(driver)
    circuit.remove_final_measurements()
    return float(abs(np.vdot(Statevector(circuit).data, expected)))


@pytest.mark.parametrize(("kernel", "args"), CASES, ids=[case[0].name for case in CASES])
def test_the_circuit_has_the_kernels_state(
    kernel: Any, args: tuple[Any, ...], on: Callable[[Any], Any], driver: Any
) -> None:
    """Qubit i of the kernel is qubit i of the circuit; states agree to rounding."""
    assert overlap(kernel, *args, on=on, driver=driver) == pytest.approx(1, abs=1e-9)


angles = st.floats(-7, 7)
NAMES = [
    "h", "x", "y", "z", "s", "t", "sdg", "tdg", "rx", "ry", "rz", "r1", "u3", "swap",
    "cx", "cy", "cz", "ch", "cs", "ct", "crx", "cry", "crz", "cr1", "ccx", "cswap",
]  # fmt: skip
instructions = st.lists(
    st.tuples(st.sampled_from(NAMES), st.permutations(range(4)), st.tuples(angles, angles, angles)),
    max_size=12,
)


def built(steps: list[Any]) -> Any:
    """A kernel of CUDA-Q's builder, whose first qubits are turned so that no two are alike."""
    kernel = cudaq.make_kernel()
    q = kernel.qalloc(4)
    for i in range(4):
        kernel.ry(0.3 + 0.5 * i, q[i])
    for name, order, (a, b, c) in steps:
        first, second, third = (q[i] for i in order[:3])
        if name == "ccx":
            kernel.cx([first, second], third)
        elif name == "cswap":
            kernel.cswap(first, second, third)
        elif name == "u3":
            kernel.u3(a, b, c, first)
        elif name in ("rx", "ry", "rz", "r1"):
            getattr(kernel, name)(a, first)
        elif name in ("crx", "cry", "crz", "cr1"):
            getattr(kernel, name)(a, first, second)
        elif name == "swap" or name.startswith("c"):
            getattr(kernel, name)(first, second)
        else:
            getattr(kernel, name)(first)
    return kernel


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=instructions)
def test_any_kernel_has_its_state(
    steps: list[Any], on: Callable[[Any], Any], memory_driver: Any
) -> None:
    """Random kernels of the builder: the circuit's state is CUDA-Q's."""
    found = overlap(built(steps), on=on, driver=memory_driver())
    assert found == pytest.approx(1, abs=1e-9)


@cudaq.kernel
def negated():
    q = cudaq.qvector(3)
    x(q[1])
    x.ctrl(~q[0], q[1], q[2])


def test_negated_controls(memory: Any) -> None:
    """A control with ``~`` acts on 0."""
    assert dict(cudaq.sample(negated).items()) == {"011": 1000}


@cudaq.kernel
def controlled_many():
    q = cudaq.qvector(4)
    h(q[3])
    x(q[0])
    x(q[1])
    x(q[2])
    s.ctrl(q[0:3], q[3])
    s.adj(q[3])
    t.ctrl(q[0:3], q[3])
    t.ctrl(q[0:3], q[3])
    cudaq.adjoint(part_s, q)
    h(q[3])


@cudaq.kernel
def part_s(q: cudaq.qview):
    s.ctrl(q[0:3], q[3])


def test_the_adjoint_of_a_phase_under_many_controls(memory: Any) -> None:
    """CUDA-Q's hardware pipelines lose it; here all phases cancel."""
    assert dict(cudaq.sample(controlled_many).items()) == {"1110": 1000}


@cudaq.kernel
def on_outcome():
    q = cudaq.qvector(2)
    h(q[0])
    if mz(q[0]):
        x(q[1])
    mz(q)


@cudaq.kernel
def noisy():
    q = cudaq.qvector(1)
    cudaq.apply_noise(cudaq.XError, 0.1, q[0])


def test_what_no_circuit_holds_is_refused(memory: Any, driver: Any) -> None:
    """A branch on a measurement, and noise inside a kernel, are errors; nothing is sent."""
    with pytest.raises(RuntimeError, match="branch on measurement"):
        cudaq.sample(on_outcome)
    with pytest.raises(RuntimeError, match="apply_noise"):
        cudaq.sample(noisy)
    assert driver.payloads_seen == []


@cudaq.kernel
def with_ancilla(q: cudaq.qview):
    ancilla = cudaq.qubit()
    x(ancilla)
    x.ctrl(ancilla, q[0])


@cudaq.kernel
def helped():
    q = cudaq.qvector(2)
    with_ancilla(q)
    last = cudaq.qubit()
    ry(0.4, last)


def test_a_helpers_qubits_are_not_the_users(on: Callable[[Any], Any], driver: Any) -> None:
    """Qubits that a called kernel gives back are neither sampled nor counted in operators."""
    operator = cudaq.spin.z(2) + 2.0 * cudaq.spin.z(0)
    cudaq.reset_target()
    expected = cudaq.observe(helped, operator).expectation()
    on(driver)
    assert cudaq.observe(helped, operator).expectation() == pytest.approx(expected)
    assert {bits[:2] for bits in cudaq.sample(helped)} == {"10"}


# --- measurements ----------------------------------------------------------------------------


@cudaq.kernel
def everything():
    a = cudaq.qvector(2)
    b = cudaq.qubit()
    c = cudaq.qvector(1)
    x(b)
    x(a[0])


@cudaq.kernel
def some():
    q = cudaq.qvector(3)
    x(q[2])
    mz(q[2])
    mz(q[0])


@cudaq.kernel
def named():
    a = cudaq.qvector(2)
    b = cudaq.qubit()
    x(a[1])
    second = mz(b)
    first = mz(a)


@cudaq.kernel
def named_views():
    q = cudaq.qvector(4)
    x(q[2])
    out = mz([q[2], q[0]])
    rest = mz(q[2:4])


@cudaq.kernel
def again():
    q = cudaq.qvector(2)
    x(q[0])
    early = mz(q[0])
    reset(q[0])
    x.ctrl(q[0], q[1])
    late = mz(q)


@cudaq.kernel
def looped():
    q = cudaq.qvector(2)
    for _ in range(2):
        x(q[0])
        r = mz(q[0])


@cudaq.kernel
def other_bases():
    q = cudaq.qvector(2)
    h(q[0])
    rx(-np.pi / 2, q[1])
    along_x = mx(q[0])
    along_y = my(q[1])


MEASURED = [everything, some, named, named_views, again, looped, other_bases]


@pytest.mark.parametrize("kernel", MEASURED, ids=[kernel.name for kernel in MEASURED])
def test_registers_are_those_of_cudaqs_simulator(
    kernel: Any, on: Callable[[Any], Any], driver: Any
) -> None:
    """Names, order of bits and counts agree for kernels whose outcome is certain."""
    cudaq.reset_target()
    expected = cudaq.sample(kernel, shots_count=50)
    on(driver)
    found = cudaq.sample(kernel, shots_count=50)
    assert sorted(found.register_names) == sorted(expected.register_names)
    for name in expected.register_names:
        counts = dict(found.get_register_counts(name).items())
        assert counts == dict(expected.get_register_counts(name).items()), name
    assert found.get_total_shots() == 50


@pytest.mark.parametrize("kernel", [some, named, again, looped], ids=lambda kernel: kernel.name)
def test_explicit_measurements(kernel: Any, on: Callable[[Any], Any], driver: Any) -> None:
    """All measurements in order of execution, as CUDA-Q's simulator gives them."""
    cudaq.reset_target()
    expected = cudaq.sample(kernel, shots_count=50, explicit_measurements=True)
    on(driver)
    found = cudaq.sample(kernel, shots_count=50, explicit_measurements=True)
    assert dict(found.items()) == dict(expected.items())
    assert found.register_names == expected.register_names


def test_explicit_measurements_need_one(memory: Any) -> None:
    with pytest.raises(RuntimeError, match="no measurement"):
        cudaq.sample(everything, explicit_measurements=True)


@cudaq.kernel
def measured_twice():
    q = cudaq.qvector(1)
    h(q[0])
    mz(q[0])
    h(q[0])
    mz(q[0])


def test_a_measurement_collapses(memory: Any) -> None:
    """h, mz, h, mz is a fair coin: the first measurement is not put off."""
    counts = cudaq.sample(measured_twice, shots_count=2000)
    assert 800 < counts.count("0") < 1200
