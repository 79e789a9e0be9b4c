"""Every way for a server to be bad ends in the right error, and nothing runs twice."""

from __future__ import annotations

import pytest

from qrmi_sandbox.bad import CASES, IMPATIENT


@pytest.fixture
def resource(open_iqm):
    return open_iqm(**{**IMPATIENT, "QRMI_HTTP_BUDGET_SECONDS": "1.5"})


@pytest.mark.parametrize("case", CASES, ids=str)
def test_waiting(case, server, resource, program) -> None:
    """A request that the server holds; other reads are the contract's to test."""
    task = resource.task_start(program)
    case.check_read(server, lambda: resource.task_wait(task, 2), match="GET /api/v1/jobs")


@pytest.mark.parametrize("case", [case for case in CASES if case.status != 404], ids=str)
def test_reading_a_result(case, server, resource, program) -> None:
    """A 404 means here that there is no such artifact."""
    task = resource.task_start(program)
    resource.task_wait(task)
    case.check_read(server, lambda: resource.task_result(task), match="GET /api/v1/jobs")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_starting(case, server, resource, program) -> None:
    case.check_start(
        server,
        lambda: resource.task_start(program),
        match="POST /api/v1/jobs",
        made=lambda: len(server.job_ids()),
    )
