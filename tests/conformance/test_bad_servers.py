"""The table of bad servers, on a driver without a fault: it says what such a driver does."""

from __future__ import annotations

import pytest
from barn import Barn, BarnDriver, BarnSettings
from meadow import Program

from qrmi.resource import QuantumResource
from qrmi.settings import MappingSource
from qrmi.tasks import TaskStatus
from qrmi_sandbox.bad import CASES, IMPATIENT


@pytest.fixture(scope="module")
def barn():
    with Barn() as server:
        yield server


@pytest.fixture(params=["requests", "curl"])
def resource(request, barn, private_state):
    values = {
        **barn.resource()["environment"],
        **IMPATIENT,
        "QRMI_HTTP_TRANSPORT": request.param,
    }
    settings = BarnSettings.load(MappingSource(values))
    return QuantumResource.from_driver(BarnDriver("barn", settings), resource_type="barn")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_looking(case, barn, resource):
    """A look at a task ends as the table says, and the next one succeeds."""
    task = resource.task_start(Program(seconds=60.0))
    case.check_read(barn, lambda: resource.task_status(task), match="GET /tasks")
    assert resource.task_status(task) in (TaskStatus.QUEUED, TaskStatus.RUNNING)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_starting(case, barn, resource):
    """A start ends as the table says, and the next one makes one task."""
    case.check_start(
        barn,
        lambda: resource.task_start(Program()),
        match="POST /tasks",
        made=lambda: len(barn.tasks),
    )
    before = len(barn.tasks)
    resource.task_start(Program())
    assert len(barn.tasks) == before + 1
