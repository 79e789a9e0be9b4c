"""`cudaq.sample` and `cudaq.observe` in all their forms, against CUDA-Q's own simulator."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import cudaq
import numpy as np
import pytest
from cudaq import observe as early_observe
from cudaq import sample_async as early_sample_async
from cudaq import spin
from qiskit.circuit.library import CXGate, Measure, RZGate, SXGate, XGate
from qiskit.transpiler import InstructionProperties, Target

from qrmi.codecs import gate
from qrmi.cudaq import results
from qrmi.errors import InvalidInputError, IsaError, QrmiError, TaskFailedError

OPERATOR = (
    0.5
    + 1.5 * spin.z(0) * spin.z(1)
    + 2.0 * spin.x(0)
    - 0.25 * spin.y(1) * spin.x(2)
    + 0.7 * spin.y(0) * spin.y(1)
)


@cudaq.kernel
def ansatz(a: float, b: float):
    q = cudaq.qvector(3)
    rx(a, q[0])
    ry(b, q[1])
    x.ctrl(q[0], q[2])
    rz(0.3, q[2])
    h(q[2])
    x.ctrl(q[1], q[0])


@cudaq.kernel
def turn(angle: float):
    q = cudaq.qvector(2)
    rx(angle, q[0])


@cudaq.kernel
def ghz(n: int):
    q = cudaq.qvector(n)
    h(q[0])
    for i in range(n - 1):
        x.ctrl(q[i], q[i + 1])


@cudaq.kernel
def vector(angles: list[float]):
    q = cudaq.qvector(2)
    rx(angles[0], q[0])
    rx(angles[1], q[1])


@cudaq.kernel
def wide(n: int):
    q = cudaq.qvector(n)
    x(q[0])
    front = mz(q[0])
    rest = mz(q[1:n])


def exactly(call: Callable[[], Any]) -> Any:
    """The same on CUDA-Q's simulator; the target ``qrmi`` is selected again afterwards."""
    from qrmi.cudaq import target

    session = target.active()
    cudaq.reset_target()
    try:
        return call()
    finally:
        cudaq.set_target("qrmi", resource=session.resource)


def test_sample_gives_cudaqs_result(memory: Any) -> None:
    """A genuine `SampleResult`, with the task's id in its annotations."""
    result = cudaq.sample(ghz, 3, shots_count=200)
    assert type(result) is cudaq.SampleResult
    assert set(result) == {"000", "111"}
    assert result.get_total_shots() == 200
    assert result.annotations["task_id"].startswith("task-")
    assert cudaq.sample(ghz, 2).get_total_shots() == 1000


def test_sample_broadcasts(memory: Any) -> None:
    """Lists and arrays of arguments give a list of results, in order."""
    for values in ([0.0, np.pi], np.array([0.0, np.pi])):
        first, second = cudaq.sample(turn, values, shots_count=10)
        assert dict(first.items()) == {"00": 10}
        assert dict(second.items()) == {"10": 10}
    rows = np.array([[0.0, np.pi], [np.pi, 0.0]])
    found = cudaq.sample(vector, rows, shots_count=10)
    assert [dict(result.items()) for result in found] == [{"01": 10}, {"10": 10}]


def test_a_builder_kernel_and_its_parameters(memory: Any) -> None:
    kernel, angle = cudaq.make_kernel(float)
    q = kernel.qalloc(2)
    kernel.rx(angle, q[0])
    kernel.cx(q[0], q[1])
    kernel.mz(q[1])
    assert dict(cudaq.sample(kernel, np.pi, shots_count=10).items()) == {"1": 10}


def test_more_than_63_bits(memory: Any) -> None:
    """A wide global register is whole; named registers are left out then, and only then."""
    result = cudaq.sample(wide, 70, shots_count=10)
    assert dict(result.items()) == {"1" + "0" * 69: 10}
    assert result.register_names == ["__global__"]
    narrow = cudaq.sample(wide, 63, shots_count=10)
    assert sorted(narrow.register_names) == ["__global__", "front", "rest"]


def test_async_results_come_later(memory: Any, driver: Any) -> None:
    """Many tasks at once; `get` may be called twice; `str` is the task's id, which reopens it."""
    futures = [early_sample_async(turn, angle, shots_count=10) for angle in (0.0, np.pi)]
    assert len(driver.payloads_seen) == 2
    assert [dict(f.get().items()) for f in futures] == [{"00": 10}, {"10": 10}]
    assert futures[0].get().count("00") == 10
    assert str(futures[1]) == futures[1].get().annotations["task_id"]
    observed = [cudaq.observe_async(turn, spin.z(0), angle) for angle in (0.0, np.pi)]
    assert [f.get().expectation() for f in observed] == pytest.approx([1, -1])


def test_observe_is_exact_without_shots(memory: Any, driver: Any) -> None:
    """Value and terms are those of CUDA-Q's simulator, to rounding; one task, precision 0."""
    expected = exactly(lambda: cudaq.observe(ansatz, OPERATOR, 0.4, 0.9))
    result = cudaq.observe(ansatz, OPERATOR, 0.4, 0.9)
    assert isinstance(result, cudaq.ObserveResult)
    assert result.expectation() == pytest.approx(expected.expectation(), abs=1e-12)
    for term in OPERATOR:
        if not term.is_identity():
            assert result.expectation(term) == pytest.approx(expected.expectation(term), abs=1e-12)
    assert len(driver.payloads_seen) == 1
    assert gate.decode_pubs(driver.payloads_seen[0])[0].precision == 0
    assert str(result.get_spin()) == str(expected.get_spin())


def test_observe_with_shots(memory: Any) -> None:
    """Every term has its counts, and the value is the mean over them."""
    expected = exactly(lambda: cudaq.observe(ansatz, OPERATOR, 0.4, 0.9)).expectation()
    result = cudaq.observe(ansatz, OPERATOR, 0.4, 0.9, shots_count=4000)
    assert type(result) is cudaq.ObserveResult
    assert result.expectation() == pytest.approx(expected, abs=0.3)
    total = 0.0
    for term in OPERATOR:
        if term.is_identity():
            total += 0.5
            continue
        counts = result.counts(term)
        assert counts.get_total_shots() == 4000
        assert {len(bits) for bits in counts} == {term.ops_count}
        assert result.expectation(term) == pytest.approx(counts.expectation())
        total += term.evaluate_coefficient().real * result.expectation(term)
    assert result.expectation() == pytest.approx(total)
    assert result.counts().annotations["task_id"].startswith("task-")


def test_observe_lists_and_broadcasts(memory: Any, driver: Any) -> None:
    """A list of operators takes one task for all, and each value has its coefficients."""
    operators = [OPERATOR, 2.0 * spin.z(0), spin.z(0) - spin.x(2), 3.0 * spin.i(0)]
    angles = [0.4, 0.7]
    expected = exactly(
        lambda: [
            [cudaq.observe(ansatz, op, a, 0.9).expectation() for op in operators] for a in angles
        ]
    )
    driver.payloads_seen.clear()
    found = early_observe(ansatz, operators, 0.4, 0.9)
    assert len(driver.payloads_seen) == 1
    assert [result.expectation() for result in found] == pytest.approx(expected[0])
    rows = early_observe(ansatz, operators, angles, [0.9, 0.9])
    assert np.allclose([[result.expectation() for result in row] for row in rows], expected)
    column = cudaq.observe(ansatz, OPERATOR, angles, [0.9, 0.9])
    assert np.allclose([r.expectation() for r in column], [row[0] for row in expected])
    shots = cudaq.observe(ansatz, operators, 0.4, 0.9, shots_count=4000)
    assert np.allclose([r.expectation() for r in shots], expected[0], atol=0.3)


def test_an_identity_needs_no_task(memory: Any, driver: Any) -> None:
    assert cudaq.observe(turn, 3.0 * spin.i(0), 0.1).expectation() == 3.0
    assert driver.payloads_seen == []


def test_what_cannot_be_observed(memory: Any, driver: Any) -> None:
    """A qubit that is not there, and a complex coefficient, are errors before anything is sent."""
    with pytest.raises(InvalidInputError, match="qubit 5"):
        cudaq.observe(turn, spin.z(5), 0.1)
    with pytest.raises(InvalidInputError, match="Hermitian"):
        cudaq.observe(turn, 1j * spin.z(0), 0.1)
    with pytest.raises(InvalidInputError, match="one operator"):
        cudaq.observe_async(turn, [spin.z(0)], 0.1)
    assert driver.payloads_seen == []


@pytest.mark.parametrize("shots", [0, -3, 1.5, True])
def test_shots_are_a_positive_integer(memory: Any, driver: Any, shots: Any) -> None:
    for call in (
        lambda: cudaq.sample(turn, 0.1, shots_count=shots),
        lambda: cudaq.observe(turn, spin.z(0), 0.1, shots_count=shots),
    ):
        with pytest.raises(InvalidInputError, match="at least 1"):
            call()
    assert driver.payloads_seen == []


def test_missing_shots_are_not_asked_for_again(on: Any, memory_driver: Any) -> None:
    """CUDA-Q would launch until it has all shots; one launch, then an error."""
    driver = memory_driver(lost=60)
    on(driver)
    with pytest.raises(TaskFailedError, match="40 of 100 shots"):
        cudaq.sample(turn, 0.1, shots_count=100)
    with pytest.raises(TaskFailedError, match="40 of 100 shots"):
        cudaq.observe(turn, spin.z(0), 0.1, shots_count=100)
    assert len(driver.payloads_seen) == 2


def test_a_failed_task_gives_its_reason(memory: Any, driver: Any) -> None:
    """The resource's error reaches the user as ours."""
    future = cudaq.sample_async(turn, 0.1)
    driver._results[str(future)] = ValueError("the fridge is warm")
    with pytest.raises(TaskFailedError, match="the fridge is warm"):
        future.get()


def test_calls_from_eight_threads(memory: Any) -> None:
    """Each thread gets the result of its own kernel."""
    found: dict[int, Any] = {}

    def work(index: int) -> None:
        angle = np.pi * (index % 2)
        counts = cudaq.sample(turn, angle, shots_count=10 + index)
        value = cudaq.observe(turn, spin.z(0), angle).expectation()
        found[index] = (dict(counts.items()), round(value))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert found == {i: ({"10" if i % 2 else "00": 10 + i}, -1 if i % 2 else 1) for i in range(8)}


def line(num_qubits: int) -> Target:
    """A device whose qubits stand in a line and know few gates."""
    target = Target(num_qubits=num_qubits)
    for instruction in (RZGate(0.1), SXGate(), XGate(), Measure()):
        places = {(i,): InstructionProperties() for i in range(num_qubits)}
        if isinstance(instruction, RZGate):
            from qiskit.circuit import Parameter

            target.add_instruction(RZGate(Parameter("t")), places)
        else:
            target.add_instruction(instruction, places)
    couplings = [(i, i + 1) for i in range(num_qubits - 1)]
    target.add_instruction(CXGate(), {pair: InstructionProperties() for pair in couplings})
    return target


def test_kernels_are_compiled_for_the_device(on: Any, memory_driver: Any) -> None:
    """A CUDA-Q user cannot transpile: gates and couplings are the device's, results are right."""
    driver = memory_driver(target=line(5))
    on(driver)
    expected = exactly(lambda: cudaq.observe(ansatz, OPERATOR, 0.4, 0.9)).expectation()
    exact = cudaq.observe(ansatz, OPERATOR, 0.4, 0.9).expectation()
    assert exact == pytest.approx(expected, abs=1e-9)
    sampled = cudaq.observe(ansatz, OPERATOR, 0.4, 0.9, shots_count=4000).expectation()
    assert sampled == pytest.approx(expected, abs=0.3)
    assert set(cudaq.sample(ghz, 5)) == {"00000", "11111"}
    for payload in driver.payloads_seen:
        for pub in gate.decode_pubs(payload):
            assert {item.name for item in pub.circuit.data} <= {"rz", "sx", "x", "cx", "measure"}
    with pytest.raises(IsaError, match="6 qubits"):
        cudaq.sample(ghz, 6)


def test_every_error_is_ours(memory: Any) -> None:
    assert issubclass(TaskFailedError, QrmiError)
    assert issubclass(QrmiError, RuntimeError)
    assert issubclass(results.ExactObserveResult, cudaq.ObserveResult)
