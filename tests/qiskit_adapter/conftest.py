"""A small device in memory: a real driver whose tasks are computed by Qiskit's own primitives."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from qiskit.primitives import PrimitiveResult, StatevectorEstimator, StatevectorSampler

from qrmi import Capabilities, Driver, QuantumResource, Settings, TaskResult, TaskStatus
from qrmi.codecs import gate
from qrmi.errors import TaskCancelledError, TaskFailedError, TaskNotFoundError
from qrmi.payloads import Payload
from qrmi.tasks import ResourceStatus, ResourceStatusCode, Target, TaskId

_PAIRS = [[0, 1], [1, 0], [1, 2], [2, 1]]
CONFIGURATION = {
    "backend_name": "tiny",
    "backend_version": "1.2.3",
    "n_qubits": 3,
    "basis_gates": ["cz", "id", "rx", "rz", "rzz", "sx", "x"],
    "supported_instructions": ["cz", "rx", "rz", "rzz", "sx", "x", "measure", "reset", "delay"],
    "coupling_map": _PAIRS,
    "gates": [
        {"name": "cz", "parameters": [], "qasm_def": "", "coupling_map": _PAIRS},
        {"name": "rzz", "parameters": ["t"], "qasm_def": "", "coupling_map": _PAIRS},
    ],
    "max_shots": 5000,
    "max_experiments": 7,
    "simulator": False,
}


class TinyDriver(Driver):
    """Three qubits in a row. Tests set its attributes."""

    PAYLOADS: ClassVar[frozenset[str]] = frozenset({"qiskit-primitive"})
    CAPABILITIES: ClassVar[Capabilities] = Capabilities(min_poll_seconds=0.001)

    def __init__(self, resource_id: str = "tiny", settings: Settings | None = None) -> None:
        super().__init__(resource_id, settings or Settings())
        self.configuration: dict[str, Any] = dict(CONFIGURATION)
        self.payloads: dict[str, Payload] = {}
        self.statuses: list[TaskStatus | Exception] = [TaskStatus.COMPLETED]
        self.reason = "the cryostat is warm"
        self.alter: Callable[[PrimitiveResult], PrimitiveResult] = lambda result: result
        self.encode: Callable[[PrimitiveResult], str] = gate.encode_result
        self.stopped: list[str] = []
        self.targets_read = 0
        self.pending: int | None = None

    def is_accessible(self) -> bool:
        return True

    def status(self) -> ResourceStatus:
        return ResourceStatus(ResourceStatusCode.ONLINE, pending_job_count=self.pending)

    def target(self) -> Target:
        self.targets_read += 1
        return Target(json.dumps({"configuration": self.configuration, "properties": None}))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        task_id = str(uuid.uuid4())
        self.payloads[task_id] = payload
        return TaskId(task_id)

    def task_status(self, task_id: TaskId) -> TaskStatus:
        if task_id not in self.payloads:
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if isinstance(status, Exception):
            raise status
        return status

    def task_result(self, task_id: TaskId) -> TaskResult:
        if self.statuses[0] is TaskStatus.FAILED:
            raise TaskFailedError(self.reason, task_id=task_id)
        if self.statuses[0] is TaskStatus.CANCELLED:
            raise TaskCancelledError(f"task {task_id} was stopped", task_id=task_id)
        return TaskResult(self.encode(self.alter(self.computed(task_id))))

    def computed(self, task_id: str) -> PrimitiveResult:
        payload = self.payloads[task_id]
        pubs = gate.decode_pubs(payload)
        primitive = StatevectorSampler if payload.program_id == "sampler" else StatevectorEstimator
        return primitive(seed=7).run(pubs).result()

    def task_stop(self, task_id: TaskId) -> bool:
        self.stopped.append(task_id)
        self.statuses = [TaskStatus.CANCELLED]
        return True


class PulsesOnly(TinyDriver):
    """A device that takes pulse sequences alone."""

    PAYLOADS: ClassVar[frozenset[str]] = frozenset({"pulser-sequence"})


@pytest.fixture
def driver() -> TinyDriver:
    return TinyDriver()


@pytest.fixture
def tiny(driver: TinyDriver) -> QuantumResource:
    """A handle on the device in memory."""
    return QuantumResource.from_driver(driver, resource_type="tiny")


@pytest.fixture
def pulses_only() -> QuantumResource:
    return QuantumResource.from_driver(PulsesOnly("neutral"), resource_type="tiny")
