"""Jobs are views of tasks: they tell the truth, never hang, and change nothing by going away."""

from __future__ import annotations

import gc
import pickle
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.primitives import BasePrimitiveJob, PrimitiveResult, SamplerPubResult
from qiskit.providers import JobStatus, JobV1

from qrmi import QuantumResource, TaskStatus
from qrmi.errors import (
    AuthenticationFailedError,
    QrmiError,
    ResourceUnavailableError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    UnsupportedFunctionError,
    WaitTimeoutError,
)
from qrmi.qiskit import EstimatorV2, QRMIBackend, QRMIJob, QRMIPrimitiveJob, SamplerV2, job

STATUSES = {
    TaskStatus.QUEUED: (JobStatus.QUEUED, None),
    TaskStatus.RUNNING: (JobStatus.RUNNING, "running"),
    TaskStatus.COMPLETED: (JobStatus.DONE, "done"),
    TaskStatus.FAILED: (JobStatus.ERROR, "errored"),
    TaskStatus.CANCELLED: (JobStatus.CANCELLED, "cancelled"),
}


def flip() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1, name="flip", metadata={"kept": True})
    circuit.x(0)
    circuit.measure(0, 0)
    return circuit


def started(resource: QuantumResource, kind: str) -> QRMIPrimitiveJob | QRMIJob:
    if kind == "sampler":
        return SamplerV2(resource).run([flip()], shots=5)
    if kind == "estimator":
        return EstimatorV2(resource).run([(QuantumCircuit(1), "Z")])
    return QRMIBackend(resource).run(flip(), shots=5)


KINDS = pytest.mark.parametrize("kind", ["sampler", "estimator", "run"])


@KINDS
@pytest.mark.parametrize("status", STATUSES)
def test_status(tiny: QuantumResource, driver: Any, kind: str, status: TaskStatus) -> None:
    """The enum of Qiskit, and of the predicates exactly the one that fits."""
    made = started(tiny, kind)
    driver.statuses = [status]
    expected, true = STATUSES[status]
    assert made.status() is expected
    for predicate in ("done", "running", "cancelled", "errored"):
        assert getattr(made, predicate)() is (predicate == true)
    assert made.in_final_state() is status.is_final


@KINDS
def test_kinds_of_jobs(tiny: QuantumResource, driver: Any, kind: str) -> None:
    """The id is the task's, the classes are Qiskit's, the backend is the resource's."""
    made = started(tiny, kind)
    assert [made.job_id()] == list(driver.payloads)
    assert isinstance(made, JobV1 if kind == "run" else BasePrimitiveJob)
    assert made.backend().name == "tiny"
    assert made.metrics() == {
        "task_id": made.job_id(),
        "resource_id": "tiny",
        "resource_type": "tiny",
        "status": "COMPLETED",
    }


@KINDS
def test_starting_does_not_wait(tiny: QuantumResource, driver: Any, kind: str) -> None:
    """The job is there while its task still queues, without a single look at it."""
    driver.statuses = [TaskStatus.QUEUED, AssertionError("asked for the status")]
    started(tiny, kind)
    assert driver.statuses[0] is TaskStatus.QUEUED


def test_a_final_status_is_not_asked_for_again(tiny: QuantumResource, driver: Any) -> None:
    made = started(tiny, "sampler")
    assert made.done()
    driver.statuses = [ResourceUnavailableError("gone")]
    assert made.done()
    assert made.status() is JobStatus.DONE


def test_predicates_survive_a_network_that_does_not(tiny: QuantumResource, driver: Any) -> None:
    """They answer by the last status seen; `status` raises."""
    made = started(tiny, "sampler")
    driver.statuses = [TaskStatus.RUNNING, ResourceUnavailableError("no route to host")]
    assert made.running()
    assert made.running()
    assert not made.in_final_state()
    with pytest.raises(ResourceUnavailableError):
        made.status()


def test_predicates_do_not_hide_what_will_not_pass(tiny: QuantumResource, driver: Any) -> None:
    made = started(tiny, "sampler")
    driver.statuses = [AuthenticationFailedError("the key is void")]
    with pytest.raises(AuthenticationFailedError):
        made.done()


@KINDS
def test_result_of_a_failed_job_gives_the_reason(
    tiny: QuantumResource, driver: Any, kind: str
) -> None:
    made = started(tiny, kind)
    driver.statuses = [TaskStatus.FAILED]
    with pytest.raises(TaskFailedError, match="the cryostat is warm"):
        made.result()
    assert made.error_message() == "the cryostat is warm"


@KINDS
def test_result_of_a_stopped_job(tiny: QuantumResource, driver: Any, kind: str) -> None:
    made = started(tiny, kind)
    driver.statuses = [TaskStatus.QUEUED]
    made.cancel()
    assert driver.stopped == [made.job_id()]
    with pytest.raises(TaskCancelledError):
        made.result()
    assert made.error_message() is None


@KINDS
def test_waiting_has_a_limit(tiny: QuantumResource, driver: Any, kind: str) -> None:
    """A TimeoutError that says that the job goes on; a later wait succeeds."""
    made = started(tiny, kind)
    driver.statuses = [TaskStatus.RUNNING]
    for wait in (made.result, made.wait_for_final_state):
        with pytest.raises(TimeoutError) as error:
            wait(timeout=0.01)
        assert isinstance(error.value, WaitTimeoutError)
    driver.statuses = [TaskStatus.COMPLETED]
    assert made.result(timeout=5) is made.result()


def test_each_new_status_is_called_back(tiny: QuantumResource, driver: Any) -> None:
    made = started(tiny, "run")
    driver.statuses = [TaskStatus.QUEUED, TaskStatus.RUNNING, TaskStatus.COMPLETED]
    seen: list[Any] = []
    made.wait_for_final_state(callback=lambda *arguments: seen.append(arguments))
    assert seen == [
        (made.job_id(), status, made)
        for status in (JobStatus.QUEUED, JobStatus.RUNNING, JobStatus.DONE)
    ]


@KINDS
def test_dropping_a_job_changes_nothing(tiny: QuantumResource, driver: Any, kind: str) -> None:
    """No job object ever stops or deletes a task by being collected."""
    made = started(tiny, kind)
    task_id = made.job_id()
    del made
    gc.collect()
    assert not driver.stopped
    assert job(task_id, tiny).result() is not None


@KINDS
def test_jobs_can_be_pickled(local: QuantumResource, kind: str) -> None:
    made = started(local, kind)
    again = pickle.loads(pickle.dumps(made))
    assert again.job_id() == made.job_id()
    assert again.metrics()["resource_id"] == "local"
    assert type(again.result()) is type(made.result())


def test_submitting_twice_is_refused(tiny: QuantumResource) -> None:
    with pytest.raises(UnsupportedFunctionError, match="was submitted"):
        started(tiny, "run").submit()  # type: ignore[union-attr]


def test_a_wrong_number_of_results_is_the_resources_fault(
    tiny: QuantumResource, driver: Any
) -> None:
    driver.alter = lambda result: PrimitiveResult([result[0], result[0]])
    for kind in ("sampler", "run"):
        with pytest.raises(QrmiError, match="2 results for 1") as error:
            started(tiny, kind).result()
        assert error.value.owner == "vendor"


def test_what_a_resource_adds_to_metadata_is_kept(tiny: QuantumResource, driver: Any) -> None:
    """And what it leaves out is filled in."""
    driver.alter = lambda result: PrimitiveResult(
        [SamplerPubResult(result[0].data, {"span": 3})], {"execution": "spans"}
    )
    result = started(tiny, "sampler").result()
    assert result.metadata == {"version": 2, "execution": "spans"}
    assert result[0].metadata == {"span": 3, "shots": 5, "circuit_metadata": {"kept": True}}


@KINDS
def test_reopening_by_id(tiny: QuantumResource, kind: str) -> None:
    """A job found by its id alone has the kind and the result of the one that was started."""
    made = started(tiny, kind)
    again = job(made.job_id(), tiny)
    assert type(again) is type(made)
    if kind == "run":
        assert again.result().to_dict() == made.result().to_dict()
    else:
        assert again.result()[0].metadata == made.result()[0].metadata
        assert repr(again.result()) == repr(made.result())


def test_reopening_a_run_whose_metadata_was_lost(tiny: QuantumResource, driver: Any) -> None:
    """A service that drops circuit metadata: the journal still has names and registers."""
    made = started(tiny, "run")
    driver.alter = lambda result: PrimitiveResult(
        [SamplerPubResult(pub.data, {"shots": 5}) for pub in result]
    )
    header = job(made.job_id(), tiny).result().results[0].header
    assert (header["name"], header["creg_sizes"], header["n_qubits"]) == ("flip", [["c", 1]], 1)


def test_reopening_a_big_run_whose_metadata_was_lost(tiny: QuantumResource, driver: Any) -> None:
    """Too many circuits for the journal: registers are laid side by side as they come."""
    made = QRMIBackend(tiny).run([flip() for _ in range(50)], shots=2)
    driver.alter = lambda result: PrimitiveResult(
        [SamplerPubResult(pub.data, {"shots": 2}) for pub in result]
    )
    result = job(made.job_id(), tiny).result()
    assert result.results[49].header["name"] == "circuit-49"
    assert result.get_counts(49) == {"1": 2}


def test_unknown_ids(tiny: QuantumResource) -> None:
    with pytest.raises(TaskNotFoundError):
        job("nobody-started-this")
    with pytest.raises(TaskNotFoundError):
        job("nobody-started-this", tiny).result()


def test_pulse_sequences_are_no_qiskit_jobs(tiny: QuantumResource) -> None:
    from qrmi.errors import InvalidInputError
    from qrmi.payloads import QiskitPrimitive

    task_id = tiny.task_start(
        QiskitPrimitive("{}", "sampler"), context={"sdk": "pulser", "kind": "analog"}
    )
    with pytest.raises(InvalidInputError, match="pulse sequence"):
        job(task_id, tiny)


def test_contexts_are_small(tiny: QuantumResource) -> None:
    """However many pubs or circuits: the journal keeps less than 1.5 kB of each task."""
    import json

    pubs = [(flip(), None, 2)] * 700
    estimates = [(QuantumCircuit(1), [["Z"], ["X"]])] * 300
    for made in (
        SamplerV2(tiny).run(pubs),
        EstimatorV2(tiny).run(estimates),
        QRMIBackend(tiny).run([flip()] * 100),
    ):
        assert len(json.dumps(tiny.task_context(made.job_id()))) < 1500
