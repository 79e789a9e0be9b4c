"""CUDA-Q kernels on vendors that are not ``local``: one circuit a task, and OpenQASM 3."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import cudaq
import pytest
from cudaq import spin
from qiskit import QuantumCircuit
from qiskit.primitives import StatevectorSampler

import qrmi.cudaq
from qrmi import Capabilities, Driver, QuantumResource, Settings
from qrmi.codecs import gate
from qrmi.codecs.target import write_target
from qrmi.errors import InvalidInputError, TaskNotFoundError
from qrmi.payloads import Payload, QiskitPrimitive
from qrmi.qiskit import SamplerV2
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus


@cudaq.kernel
def bell() -> None:
    qubits = cudaq.qvector(2)
    h(qubits[0])  # noqa: F821
    x.ctrl(qubits[0], qubits[1])  # noqa: F821


@cudaq.kernel
def flipped() -> None:
    qubits = cudaq.qvector(2)
    x(qubits[1])  # noqa: F821


@pytest.fixture
def selected() -> Iterator[Callable[[QuantumResource], None]]:
    yield lambda resource: cudaq.set_target("qrmi", resource=resource)
    cudaq.reset_target()


def test_sample_on_a_vendor_of_its_own_format(
    one: QuantumResource, service: Any, selected: Callable[[QuantumResource], None]
) -> None:
    """The kernel is compiled for the vendor's device, and its leftmost bit is qubit 0."""
    selected(one)
    assert dict(cudaq.sample(flipped, shots_count=20).items()) == {"01": 20}
    assert len(service.tasks()) == 1


def test_observe_measures_each_basis_in_a_task(
    one: QuantumResource, service: Any, selected: Callable[[QuantumResource], None]
) -> None:
    """Two bases are two tasks of one future; the joined id gives the same value again."""
    selected(one)
    operator = 2.0 * spin.x(0) * spin.x(1) + spin.z(0) * spin.z(1) + 0.5
    result = cudaq.observe(bell, operator, shots_count=40)
    assert result.expectation() == pytest.approx(3.5)
    assert len(service.tasks()) == 2
    task_id = result.counts().annotations["task_id"]
    assert task_id == "task-0|task-1"
    for same in (task_id, "task-1"):
        assert qrmi.cudaq.result(same).expectation() == pytest.approx(3.5)


def test_observe_without_shots_measures_on_a_device(
    one: QuantumResource, service: Any, selected: Callable[[QuantumResource], None]
) -> None:
    """No device computes exact values: it measures with CUDA-Q's number of shots."""
    selected(one)
    result = cudaq.observe(flipped, spin.z(1))
    assert result.expectation() == pytest.approx(-1.0)
    assert len(service.tasks()) == 1


def test_another_process_has_the_counts(
    one: QuantumResource,
    elsewhere: Callable[..., str],
    selected: Callable[[QuantumResource], None],
) -> None:
    """What each bit means is in the journal, as the vendor's results cannot tell."""
    selected(one)
    task_id = cudaq.sample(flipped, shots_count=20).annotations["task_id"]
    code = "import sys, qrmi.cudaq; print(dict(qrmi.cudaq.result(sys.argv[1]).items()))"
    assert elsewhere("-c", code, task_id).strip() == "{'01': 20}"


class TextDriver(Driver):
    """An IBM-like device that takes OpenQASM 3 and gives no metadata back."""

    PAYLOADS = frozenset({QiskitPrimitive.FORMAT})
    CAPABILITIES = Capabilities(dialect="qasm3")

    def __init__(self) -> None:
        super().__init__("text", Settings())
        self.payloads: dict[str, Any] = {}

    def is_accessible(self) -> bool:
        return True

    def target(self) -> Target:
        from one_circuit_codec import read_target

        described = write_target(read_target('{"qubits": 3}'), "text")
        described["configuration"]["simulator"] = False
        return Target(json.dumps(described))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        self.payloads[f"task-{len(self.payloads)}"] = payload
        return TaskId(f"task-{len(self.payloads) - 1}")

    def task_status(self, task_id: TaskId) -> TaskStatus:
        if task_id not in self.payloads:
            raise TaskNotFoundError(f"no task {task_id}")
        return TaskStatus.COMPLETED

    def task_result(self, task_id: TaskId) -> TaskResult:
        pubs: Any = gate.decode_pubs(self.payloads[task_id])
        return TaskResult(gate.encode_result(StatevectorSampler(seed=5).run(pubs).result()))

    def task_stop(self, task_id: TaskId) -> bool:
        return True


def test_kernels_travel_as_openqasm_3(
    private_state: Any, selected: Callable[[QuantumResource], None]
) -> None:
    """Sampling and observing work where circuits are OpenQASM 3 and metadata is not kept."""
    driver = TextDriver()
    resource = QuantumResource.from_driver(driver, resource_type="text")
    selected(resource)
    result = cudaq.sample(flipped, shots_count=20)
    assert dict(result.items()) == {"01": 20}
    operator = spin.x(0) * spin.x(1) + spin.z(0) * spin.z(1)
    assert cudaq.observe(bell, operator, shots_count=40).expectation() == pytest.approx(2.0)
    for payload in driver.payloads.values():
        [circuit, *_], *_ = json.loads(payload.input)["pubs"]
        assert circuit.startswith("OPENQASM 3")


def test_an_unknown_dialect_is_the_drivers_fault(private_state: Any) -> None:
    """A driver that declares a dialect nobody knows is told which there are."""

    class Odd(TextDriver):
        CAPABILITIES = Capabilities(dialect="quil")

    resource = QuantumResource.from_driver(Odd(), resource_type="text")
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.raises(InvalidInputError, match=r"'quil'.*'qasm3'"):
        SamplerV2(resource).run([circuit])
