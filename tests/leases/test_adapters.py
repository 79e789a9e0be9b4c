"""An SDK's own way to cancel stops the task, and raises when that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from qrmi import QuantumResource, TaskStatus
from qrmi.errors import QrmiError, ResourceUnavailableError
from qrmi.tasks import TaskId
from qrmi.testing import ScriptedDriver


class Stubborn(ScriptedDriver):
    """Stops nothing as long as it is told so."""

    refuses = True

    def task_stop(self, task_id: TaskId) -> bool:
        if self.refuses:
            raise ResourceUnavailableError("it does not answer", hint="try again later")
        return super().task_stop(task_id)


@pytest.fixture
def driver(private_state: Path) -> Stubborn:
    return Stubborn(statuses=[TaskStatus.RUNNING])


def test_a_qiskit_job(driver: Stubborn) -> None:
    pytest.importorskip("qiskit")
    from qrmi import Payload
    from qrmi.codecs.group import TaskGroup
    from qrmi.qiskit import job

    handle = QuantumResource.from_driver(driver, resource_type="local")
    tasks = [handle.task_start(Payload.QiskitPrimitive("{}", "sampler")) for _ in range(2)]
    group = TaskGroup(handle, "|".join(tasks))
    with pytest.raises(QrmiError, match="may still run"):
        group.stop()
    cancelled = job(group.id, handle)
    with pytest.raises(QrmiError, match="may still run"):
        cancelled.cancel()
    driver.refuses = False
    cancelled.cancel()
    assert {handle.task_status(task) for task in tasks} == {TaskStatus.CANCELLED}


def test_a_pulser_batch(driver: Stubborn) -> None:
    pytest.importorskip("pulser")
    from qrmi import Payload
    from qrmi.pulser import QRMIConnection

    handle = QuantumResource.from_driver(driver, resource_type="pasqal-cloud")
    task = handle.task_start(Payload.PasqalCloud("{}", 10))
    connection = QRMIConnection(handle)
    with pytest.raises(QrmiError, match="may still run"):
        connection.cancel_batch_jobs(task)
    driver.refuses = False
    connection.cancel_batch_jobs(task)
    assert handle.task_status(task) is TaskStatus.CANCELLED
