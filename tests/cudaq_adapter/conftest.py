"""A resource in memory: kernels run on Aer in this process, nothing else is pretended."""

from __future__ import annotations

import importlib.util
import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.transpiler import Target as QiskitTarget
from qiskit_aer import AerSimulator
from qiskit_aer.primitives import EstimatorV2, SamplerV2

from qrmi.codecs import gate
from qrmi.codecs.target import write_target
from qrmi.driver import Driver
from qrmi.errors import TaskFailedError, TaskNotFoundError
from qrmi.payloads import Payload, QiskitPrimitive
from qrmi.resource import QuantumResource
from qrmi.settings import Settings
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus

if importlib.util.find_spec("cudaq") is None:  # a CPU-only CUDA-Q is in README's test command
    collect_ignore_glob = ["test_*.py"]


def everything(num_qubits: int) -> QiskitTarget:
    """A device with every standard gate that Aer knows, between any qubits."""
    target = QiskitTarget(num_qubits=num_qubits)
    known = set(AerSimulator().operation_names)
    for name, instruction in get_standard_gate_name_mapping().items():
        if name in known - {"delay", "global_phase"}:
            target.add_instruction(instruction, {None: None})
    return target


class MemoryDriver(Driver):
    """Runs each task while it is started. ``lost`` shots are left out of every result."""

    PAYLOADS = frozenset({QiskitPrimitive.FORMAT})

    def __init__(
        self, resource_id: str = "memory", *, target: QiskitTarget | None = None, lost: int = 0
    ) -> None:
        super().__init__(resource_id, Settings())
        self._target = target or everything(100)
        self._lost = lost
        self._lock = threading.Lock()
        self.payloads_seen: list[Payload] = []
        self._results: dict[str, str | Exception] = {}
        self._numbers = itertools.count()

    def is_accessible(self) -> bool:
        return True

    def target(self) -> Target:
        described = write_target(self._target, "memory")
        described["configuration"]["simulator"] = True
        return Target(json.dumps(described))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        assert isinstance(payload, QiskitPrimitive)
        self.payloads_seen.append(payload)
        task_id = TaskId(f"task-{next(self._numbers)}")
        with self._lock:
            try:
                self._results[task_id] = gate.encode_result(self._run(payload))
            except Exception as error:  # it becomes the task's reason
                self._results[task_id] = error
        return task_id

    def _run(self, payload: QiskitPrimitive) -> PrimitiveResult:
        pubs: Any = gate.decode_pubs(payload)
        if payload.program_id == "estimator":
            result = EstimatorV2().run(pubs).result()
        else:
            result = SamplerV2(seed=7).run(pubs).result()
            result = PrimitiveResult([self._shortened(pub) for pub in result], result.metadata)
        for pub, source in zip(result, pubs, strict=True):
            pub.metadata["circuit_metadata"] = source.circuit.metadata
            pub.metadata.pop("simulator_metadata", None)
        return result

    def _shortened(self, pub: Any) -> SamplerPubResult:
        fields = {
            name: BitArray(bits.array[: bits.num_shots - self._lost], bits.num_bits)
            for name, bits in pub.data.items()
        }
        return SamplerPubResult(DataBin(**fields, shape=()), dict(pub.metadata))

    def task_status(self, task_id: TaskId) -> TaskStatus:
        if task_id not in self._results:
            raise TaskNotFoundError(f"no task {task_id}")
        failed = isinstance(self._results[task_id], Exception)
        return TaskStatus.FAILED if failed else TaskStatus.COMPLETED

    def task_result(self, task_id: TaskId) -> TaskResult:
        result = self._results[task_id]
        if isinstance(result, Exception):
            raise TaskFailedError(str(result), task_id=task_id) from result
        return TaskResult(result)

    def task_stop(self, task_id: TaskId) -> bool:
        return True


@pytest.fixture
def driver() -> MemoryDriver:
    return MemoryDriver()


@pytest.fixture
def on() -> Iterator[Callable[[Driver], QuantumResource]]:
    """Makes a driver's resource the target ``qrmi``; CUDA-Q's default is back afterwards."""
    import cudaq

    def select(driver: Driver) -> QuantumResource:
        resource = QuantumResource.from_driver(driver, resource_type="memory")
        cudaq.set_target("qrmi", resource=resource)
        return resource

    yield select
    cudaq.reset_target()


@pytest.fixture
def memory(driver: MemoryDriver, on: Callable[[Driver], QuantumResource]) -> QuantumResource:
    """The target is ``qrmi`` on a resource in memory."""
    return on(driver)


@pytest.fixture
def memory_driver() -> type[MemoryDriver]:
    return MemoryDriver


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a program in a process of its own (CUDA-Q wants kernels in a file)."""

    def run(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = tmp_path / f"program{len(list(tmp_path.iterdir()))}.py"
        path.write_text(text)
        command = [sys.executable, "-W", "ignore", str(path), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    return run
