"""Qiskit programs on a vendor that takes one circuit without parameters a task."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import ClassicalRegister, Parameter
from qiskit.primitives import StatevectorEstimator
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.providers import JobStatus

from qrmi import QuantumResource
from qrmi.codecs.group import TaskGroup, summary
from qrmi.errors import (
    InvalidInputError,
    ResourceUnavailableError,
    TaskFailedError,
    UnsupportedPayloadError,
    WaitTimeoutError,
)
from qrmi.qiskit import EstimatorV2, QRMIProvider, SamplerV2, backend, job
from qrmi.tasks import TaskStatus

OTHER_PROCESS = """
import sys
from qrmi.qiskit import job
result = job(sys.argv[1]).result()
{show}
"""


def flips(*, angle: bool = False) -> QuantumCircuit:
    """Qubit 1 is flipped, in register ``b``; with ``angle`` qubit 0 is turned by a parameter."""
    circuit = QuantumCircuit(2)
    circuit.add_register(ClassicalRegister(1, "a"), ClassicalRegister(1, "b"))
    circuit.sx(1)
    circuit.sx(1)
    if angle:
        circuit.sx(0)
        circuit.rz(Parameter("t"), 0)
        circuit.sx(0)
    circuit.measure([0, 1], [0, 1])
    return circuit


def test_a_pub_becomes_a_task_for_each_binding(one: QuantumResource, service: Any) -> None:
    """Pubs, bindings and registers come back in their places from as many tasks as bindings."""
    pubs = [(flips(angle=True), [[0.0], [np.pi]], 50), (flips(), None, 20)]
    made = SamplerV2(one).run(pubs)
    assert made.job_id() == "task-0|task-1|task-2"
    assert made.task_ids() == ["task-0", "task-1", "task-2"]
    first, second = made.result()
    assert first.data.shape == (2,)
    assert first.data.a[0].get_counts() == {"1": 50}
    assert first.data.a[1].get_counts() == {"0": 50}
    assert first.data.b[0].get_counts() == {"1": 50}
    assert second.data.b.get_counts() == {"1": 20}
    assert second.metadata["shots"] == 20
    assert made.status() is JobStatus.DONE
    assert len(service.tasks()) == 3


def test_expectation_values_are_measured_in_bases(one: QuantumResource, service: Any) -> None:
    """The estimator gives values of the pub's shape near the exact ones."""
    device = backend(one)
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("t"), 0)
    circuit.cx(0, 1)
    fitted = generate_preset_pass_manager(optimization_level=1, backend=device).run(circuit)
    observables = [["ZZ", "XX"], ["IY", {"ZI": 0.5, "XX": 2.0}]]
    laid = ObservablesArray(observables).apply_layout(fitted.layout)
    angles = [[0.3], [1.1]]
    made = EstimatorV2(device).run([(fitted, laid, angles)], precision=0.02)
    [found] = made.result()
    exact = StatevectorEstimator().run([(circuit, observables, angles)], precision=0).result()[0]
    assert found.data.evs.shape == (2, 2)
    assert np.abs(found.data.evs - exact.data.evs).max() < 0.2
    assert found.metadata["target_precision"] == 0.02
    assert len(service.tasks()) > 1


def test_backend_run_gives_one_result_for_all_circuits(one: QuantumResource) -> None:
    """Each circuit has its own counts, name and registers."""
    named = flips()
    named.name = "second"
    bell = QuantumCircuit(1, 1, name="first")
    bell.measure(0, 0)
    result = backend(one).run([bell, named], shots=30).result()
    assert result.get_counts("first") == {"0": 30}
    assert result.get_counts("second") == {"1 0": 30}


@pytest.mark.parametrize("kind", ["sampler", "estimator", "run"])
def test_another_process_finds_all_tasks_by_the_jobs_id(
    one: QuantumResource, elsewhere: Callable[..., str], kind: str
) -> None:
    """The joined id, and the journal, are enough to read the whole result."""
    if kind == "sampler":
        made: Any = SamplerV2(one).run([(flips(angle=True), [[0.0], [np.pi]])], shots=10)
        show = "print(result[0].data.shape, result[0].data.a[1].get_counts())"
        wanted = "(2,) {'0': 10}"
    elif kind == "estimator":
        made = EstimatorV2(one).run([(QuantumCircuit(2), [["ZZ"], ["ZI"]])], precision=0.1)
        show, wanted = "print(result[0].data.evs.tolist())", "[[1.0], [1.0]]"
    else:
        made = backend(one).run([flips(), flips()], shots=7)
        show, wanted = (
            "print(result.get_counts(1), result.results[0].header)",
            "{'1 0': 7}",
        )
    printed = elsewhere("-c", OTHER_PROCESS.format(show=show), made.job_id())
    assert printed.startswith(wanted)


def test_the_id_of_one_task_leads_to_the_whole_job(one: QuantumResource) -> None:
    """`qrmi tasks` shows tasks: each of them opens the job that it belongs to."""
    made = SamplerV2(one).run([flips(), flips()], shots=5)
    assert made.job_id() == "task-0|task-1"
    again = job("task-1")
    assert again.job_id() == made.job_id()
    assert again.result()[1].data.b.get_counts() == {"1": 5}


def test_the_provider_lists_jobs_not_tasks(one: QuantumResource) -> None:
    """A job of three tasks is one job, newest first."""
    older = SamplerV2(one).run([flips()] * 3, shots=1)
    newer = SamplerV2(one).run([flips()], shots=1)
    listed = QRMIProvider().jobs()
    assert [made.job_id() for made in listed] == [newer.job_id(), older.job_id()]
    assert QRMIProvider().backends("one")[0].max_shots == 20000


def test_a_failed_start_leaves_nothing_behind(
    one: QuantumResource, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """When a later task is refused, the earlier ones are stopped and the reason is raised."""
    service.script("QUEUED")
    service.refuse(2)
    with pytest.raises(ResourceUnavailableError, match=r"task 3 of 4 .*queue is full.*2 before it"):
        SamplerV2(one).run([flips()] * 4)
    assert [task["statuses"] for task in service.tasks()] == [["CANCELLED"]] * 2
    assert QRMIProvider().jobs() == []


def test_cancelling_stops_every_task(one: QuantumResource, service: Any) -> None:
    """Those that go on are stopped; one that has ended keeps its result."""
    service.script("RUNNING")
    made = SamplerV2(one).run([flips()] * 3)
    service.change(0, statuses=["COMPLETED"])
    assert made.status() is JobStatus.RUNNING
    made.cancel()
    assert [task["statuses"][0] for task in service.tasks()] == [
        "COMPLETED",
        "CANCELLED",
        "CANCELLED",
    ]
    assert made.status() is JobStatus.CANCELLED


def test_one_failed_task_fails_the_job(one: QuantumResource, service: Any) -> None:
    """The job has failed as soon as a task has, with that task's reason."""
    service.script("RUNNING")
    made = SamplerV2(one).run([flips()] * 3)
    service.change(0, statuses=["COMPLETED"])
    service.change(1, statuses=["FAILED"])
    assert made.errored()
    assert made.error_message() == "the cryostat is warm"
    with pytest.raises(TaskFailedError, match="cryostat") as caught:
        made.result()
    assert caught.value.task_id == "task-1"


def test_waiting_reports_each_status_once(one: QuantumResource, service: Any) -> None:
    """Queued, running, done: a job never goes back, whatever its tasks do one by one."""
    service.script("QUEUED", "RUNNING", "COMPLETED")
    made = SamplerV2(one).run([flips()] * 3)
    seen: list[JobStatus] = []
    made.wait_for_final_state(10, callback=lambda _id, status, _job: seen.append(status))
    assert seen == [JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE]


def test_waiting_has_one_time_limit_for_all_tasks(one: QuantumResource, service: Any) -> None:
    """The limit is the job's; the tasks go on."""
    service.script("RUNNING")
    made = SamplerV2(one).run([flips()] * 2)
    with pytest.raises(WaitTimeoutError):
        made.result(timeout=0.02)
    assert made.running()


def test_logs_say_which_task_they_are_of(one: QuantumResource) -> None:
    """Several logs are told apart by the tasks' ids; one is as the service wrote it."""
    assert SamplerV2(one).run([flips()]).logs() == "log of task-0"
    assert SamplerV2(one).run([flips()] * 2).logs().splitlines() == [
        "== task-1 ==",
        "log of task-1",
        "== task-2 ==",
        "log of task-2",
    ]


@pytest.mark.parametrize(
    ("run", "match"),
    [
        (lambda one: SamplerV2(one, options={"run_options": {"x": 1}}).run([flips()]), "label"),
        (lambda one: SamplerV2(one).run([flips()], shots=30000), "at most 20000"),
        (lambda one: EstimatorV2(one).run([(QuantumCircuit(1), "Z")], precision=0), "precision 0"),
        (lambda one: SamplerV2(one).run([(flips(angle=True), np.zeros((0, 1)))]), "nothing"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_is_sent(
    one: QuantumResource, service: Any, run: Callable[[Any], Any], match: str
) -> None:
    """Unknown options, too many shots, exact values of a device that measures, no circuit."""
    with pytest.raises(InvalidInputError, match=match):
        run(one)
    assert service.tasks() == []


def test_a_resource_without_gates_says_what_it_takes(one: QuantumResource) -> None:
    """Formats without a codec of gate programs are none."""

    class Neither(type(one._driver)):  # type: ignore[misc]
        PAYLOADS = frozenset({"pulser-sequence", "tea-leaves"})

    neither = QuantumResource.from_driver(
        Neither("two", one._driver.settings), resource_type="one-circuit"
    )
    with pytest.raises(UnsupportedPayloadError, match=r"two .*pulser-sequence, tea-leaves"):
        SamplerV2(neither)


def test_the_command_line_takes_a_jobs_id(
    one: QuantumResource, elsewhere: Callable[..., str]
) -> None:
    """`qrmi result` shows the parts of the whole job, and what the resource wrote as a list."""
    made = SamplerV2(one).run([flips(), flips()], shots=6)
    for task_id in (made.job_id(), "task-0"):
        shown = json.loads(elsewhere("-m", "qrmi", "result", task_id, "--json"))
        assert shown["task_id"] == made.job_id()
        assert [part["counts"] for part in shown["parts"]] == [{"1 0": 6}] * 2
        assert shown["result"] == [{"counts": {"10": 6}}] * 2
    status = elsewhere("-m", "qrmi", "status", made.job_id())
    assert status.startswith("completed")


QUEUED, RUNNING, COMPLETED, FAILED, CANCELLED = TaskStatus


@pytest.mark.parametrize(
    ("statuses", "whole"),
    [
        ([QUEUED, QUEUED], QUEUED),
        ([COMPLETED, QUEUED], RUNNING),
        ([RUNNING, QUEUED], RUNNING),
        ([COMPLETED, COMPLETED], COMPLETED),
        ([COMPLETED, FAILED, RUNNING], FAILED),
        ([CANCELLED, FAILED], CANCELLED),
    ],
)
def test_a_programs_status_is_that_of_its_tasks(
    statuses: list[TaskStatus], whole: TaskStatus
) -> None:
    """Completed only when all are, queued only while all are; the first bad end decides."""
    assert summary(statuses) is whole


def test_a_task_that_cannot_be_stopped_does_not_keep_the_others_running(
    one: QuantumResource, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """All are asked to stop; then the failure is raised."""
    service.script("RUNNING")
    made = SamplerV2(one).run([flips()] * 2)
    (service.folder / "task-0.json").unlink()
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="task-0"):
        TaskGroup(one, made.job_id()).stop()
    assert json.loads((service.folder / "task-1.json").read_text())["statuses"] == ["CANCELLED"]
