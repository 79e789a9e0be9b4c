"""A vendor whose tasks are one circuit without parameters; its service is a folder.

Each task is a file: the program, how it goes on, and its counts, computed when it is started.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import attrs

from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi.payloads import Payload
from qrmi.settings import Settings, setting
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus

FORMAT = "one-circuit"


@attrs.frozen
class OneCircuit(Payload):
    """One circuit: OpenQASM 3 text, and how often it runs."""

    FORMAT: ClassVar[str] = FORMAT

    program: str
    shots: int


@attrs.frozen(kw_only=True)
class OneCircuitSettings(Settings):
    """Where the service keeps its tasks."""

    folder: str = setting("ONE_CIRCUIT_FOLDER")


class OneCircuitDriver(Driver):
    """Tests steer it with files: ``refuse`` names the start that fails, ``script`` the statuses."""

    PAYLOADS = frozenset({FORMAT})
    CAPABILITIES = Capabilities(stop_running=True, logs=True, min_poll_seconds=0.001)
    SETTINGS = OneCircuitSettings

    @property
    def folder(self) -> Path:
        """The service."""
        assert isinstance(self.settings, OneCircuitSettings)
        return Path(self.settings.folder)

    def is_accessible(self) -> bool:
        return True

    def target(self) -> Target:
        return Target(json.dumps({"qubits": 3, "most": 20000}))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        assert isinstance(payload, OneCircuit)
        number = len(list(self.folder.glob("task-*.json")))
        refused = self.folder / "refuse"
        if refused.exists() and number == int(refused.read_text()):
            raise ResourceUnavailableError("the queue is full", hint="come back later")
        task_id = TaskId(f"task-{number}")
        script = self.folder / "script"
        self._write(
            task_id,
            {
                "program": payload.program,
                "counts": _counts(payload),
                "statuses": script.read_text().split() if script.exists() else ["COMPLETED"],
            },
        )
        return task_id

    def task_status(self, task_id: TaskId) -> TaskStatus:
        task = self._read(task_id)
        now, *later = task["statuses"]
        if later:
            self._write(task_id, {**task, "statuses": later})
        return TaskStatus[now]

    def task_result(self, task_id: TaskId) -> TaskResult:
        task = self._read(task_id)
        status = TaskStatus[task["statuses"][0]]
        if status is TaskStatus.FAILED:
            raise TaskFailedError("the cryostat is warm", task_id=task_id)
        if status is TaskStatus.CANCELLED:
            raise TaskCancelledError("stopped", task_id=task_id)
        if status is not TaskStatus.COMPLETED:
            raise TaskNotReadyError("not yet", task_id=task_id)
        return TaskResult(json.dumps({"counts": task["counts"]}))

    def task_stop(self, task_id: TaskId) -> bool:
        task = self._read(task_id)
        if not TaskStatus[task["statuses"][0]].is_final:
            task["statuses"] = ["CANCELLED"]
        self._write(task_id, {**task, "stopped": True})
        return True

    def task_logs(self, task_id: TaskId) -> str:
        self._read(task_id)
        return f"log of {task_id}"

    def _read(self, task_id: TaskId) -> dict:
        path = self.folder / f"{task_id}.json"
        if not path.exists():
            raise TaskNotFoundError(f"no task {task_id}", task_id=task_id)
        return json.loads(path.read_text())

    def _write(self, task_id: TaskId, task: dict) -> None:
        (self.folder / f"{task_id}.json").write_text(json.dumps(task))


def _counts(payload: OneCircuit) -> dict[str, int]:
    """Counts over all classical bits, the first bit rightmost."""
    from qiskit import QuantumCircuit, qasm3
    from qiskit.primitives import StatevectorSampler

    circuit = qasm3.loads(payload.program)
    assert not circuit.parameters
    flat = QuantumCircuit(circuit.num_qubits, circuit.num_clbits)
    flat.compose(circuit, flat.qubits, flat.clbits, inplace=True)
    sampled = StatevectorSampler(seed=11).run([flat], shots=payload.shots).result()
    return sampled[0].data.c.get_counts()
