"""Sequences, and a service without batches that hands out counts alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
import numpy
import pytest
from pulser import Pulse, Sequence
from pulser.devices import AnalogDevice
from pulser.register.special_layouts import TriangularLatticeLayout

from qrmi import QuantumResource
from qrmi.driver import Capabilities, Driver
from qrmi.errors import (
    ResourceUnavailableError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
)
from qrmi.payloads import Payload
from qrmi.settings import Settings
from qrmi.tasks import Target, TaskId, TaskResult, TaskStatus

LAYOUT = TriangularLatticeLayout(61, 5.0)


@pytest.fixture
def sequence() -> Sequence:
    """Three atoms on the analog device, driven for 400 ns, not measured."""
    return drive(LAYOUT.define_register(20, 21, 22, qubit_ids=["x", "y", "z"]), 400)


@pytest.fixture
def sweep() -> Sequence:
    """One atom, driven for as long as the variable ``t`` (ns) says."""
    made = Sequence(LAYOUT.define_register(30), AnalogDevice)
    made.declare_channel("global", "rydberg_global")
    duration = made.declare_variable("t", dtype=int)
    made.add(Pulse.ConstantPulse(duration, 2 * numpy.pi, 0, 0), "global")
    return made


@pytest.fixture(name="drive")
def drive_fixture() -> Callable[..., Sequence]:
    """Makes a sequence of one constant pulse."""
    return drive


def drive(register: Any, duration: int, device: Any = AnalogDevice, rabi: float = 5.0) -> Sequence:
    made = Sequence(register, device)
    made.declare_channel("global", "rydberg_global")
    made.add(Pulse.ConstantPulse(duration, rabi, 0, 0), "global")
    return made


class CountingService(Driver):
    """Takes one sequence a task and answers at once; ``fail_at`` is the start that is refused.

    When ``interrupted``, the user presses Ctrl-C while we wait.
    """

    PAYLOADS = frozenset({"pulser-sequence"})

    def __init__(
        self,
        device: Any = AnalogDevice,
        *,
        fail_at: int | None = None,
        unstoppable: bool = False,
        ending: TaskStatus = TaskStatus.COMPLETED,
        interrupted: bool = False,
    ) -> None:
        super().__init__("counting", Settings())
        self.device = device
        self.fail_at = fail_at
        self.unstoppable = unstoppable
        self.ending = ending
        self.interrupted = interrupted
        self.payloads: dict[str, Any] = {}
        self.stopped: list[str] = []

    def is_accessible(self) -> bool:
        return True

    def target(self) -> Target:
        specs = {"device_type": "QPU1", "specs": self.device.to_abstract_repr()}
        return Target(json.dumps([specs]))

    def task_start(self, payload: Payload, key: str) -> TaskId:
        if len(self.payloads) == self.fail_at:
            raise ResourceUnavailableError("no more today", hint="come back tomorrow")
        task_id = TaskId(f"task-{key}")
        self.payloads[task_id] = payload
        return task_id

    def task_status(self, task_id: TaskId) -> TaskStatus:
        if task_id not in self.payloads:
            raise TaskNotFoundError(f"no task {task_id}")
        if self.interrupted:
            raise KeyboardInterrupt
        return self.ending

    def task_result(self, task_id: TaskId) -> TaskResult:
        if self.ending is TaskStatus.FAILED:
            raise TaskFailedError("the laser is unlocked", task_id=task_id)
        if self.ending is not TaskStatus.COMPLETED:
            raise TaskNotReadyError("not yet", task_id=task_id)
        return TaskResult(str({"counter": {"100": self.payloads[task_id].job_runs}}))

    def task_stop(self, task_id: TaskId) -> bool:
        if self.unstoppable:
            raise ResourceUnavailableError("it does not answer")
        self.stopped.append(task_id)
        return True


@attrs.frozen
class Counting:
    """The service and a handle on it."""

    service: CountingService
    resource: QuantumResource


@pytest.fixture
def counting() -> Any:
    """Makes a `Counting`; the arguments are those of `CountingService`."""

    def make(*arguments: Any, **settings: Any) -> Counting:
        service = CountingService(*arguments, **settings)
        handle = QuantumResource.from_driver(service, resource_type="counting-service")
        return Counting(service, handle)

    return make


@pytest.fixture
def gates_only() -> QuantumResource:
    """A resource that takes circuits alone."""

    class Gates(CountingService):
        PAYLOADS = frozenset({"qiskit-primitive"})
        CAPABILITIES = Capabilities()

    return QuantumResource.from_driver(Gates(), resource_type="gates")
