"""Tasks on Pasqal Cloud from start to end: batches, jobs, CUDA-Q jobs, results."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qrmi import QuantumResource
from qrmi.codecs.analog import decode_batch, decode_counter, decode_result
from qrmi.errors import (
    InvalidInputError,
    TaskCancelledError,
    TaskFailedError,
    TaskNotFoundError,
    TaskNotReadyError,
    UnsupportedPayloadError,
)
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.tasks import ResourceStatusCode, TaskStatus
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer

On = Callable[..., QuantumResource]
Asked = Callable[[], list[str]]


def jobs(*durations: int, runs: int = 10) -> list[AnalogJob]:
    """A job for each duration of the sweep."""
    return [AnalogJob(runs=runs, variables={"t": [duration]}) for duration in durations]


def broken(text: str) -> str:
    """A sequence that the service takes and its emulator cannot read."""
    data = json.loads(text)
    data["operations"][0]["op"] = "no such operation"
    return json.dumps(data)


# --- one job --------------------------------------------------------------------------------------


def test_one_job_is_a_batch_by_its_own_id(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str, asked: Asked
) -> None:
    """The task id is the service's id of the batch; start, status and result are a request each."""
    task_id = resource.task_start(PasqalCloud(flip_text, 50), key="mine")
    assert list(server.batches) == [task_id]
    assert asked() == ["POST /oauth/token", "POST v1/batches"]
    assert resource.task_wait(task_id, 60) is TaskStatus.COMPLETED
    assert set(asked()) == {f"GET v1/batches/{task_id}/status"}
    text = resource.task_result(task_id).value
    assert asked() == [f"GET v1/batches/{task_id}/full_results"]
    assert decode_counter(text) == {"11": 50}
    assert server.executions["mine"] == server.executions[task_id] == 1


def test_the_result_is_that_of_local(
    resource: QuantumResource, local: QuantumResource, flip_text: str
) -> None:
    """Keys, counts and Pulser's own results are those of the embedded simulator."""
    found = {}
    for handle in (resource, local):
        task_id = handle.task_start(PasqalCloud(flip_text, 30))
        handle.task_wait(task_id, 60)
        found[handle.type_name] = handle.task_result(task_id).value
    ours, theirs = (json.loads(text) for text in found.values())
    assert ours.keys() == theirs.keys() == {"counter", "serialised_results"}
    results = [decode_result(text) for text in found.values()]
    assert results[0].atom_order == results[1].atom_order == ("left", "right")
    assert results[0].final_bitstrings == results[1].final_bitstrings == {"11": 30}


def test_the_first_atom_is_the_leftmost_bit(on: On, sweep: Any) -> None:
    """Only the second atom is driven: it is the right bit."""
    import pulser
    from pulser.devices import MockDevice

    made = pulser.Sequence(pulser.Register({"a": (0, 0), "b": (0, 40)}), MockDevice)
    made.declare_channel("local", "rydberg_local", initial_target="b")
    made.add(pulser.Pulse.ConstantPulse(300, 3.14159265 / 0.3, 0, 0), "local")
    made.measure("ground-rydberg")
    resource = on("EMU_SV")
    task_id = resource.task_start(PasqalCloud(made.to_abstract_repr(), 20))
    resource.task_wait(task_id, 60)
    assert decode_counter(resource.task_result(task_id).value) == {"01": 20}


def test_a_failed_task_has_the_services_reason(resource: QuantumResource, flip_text: str) -> None:
    """The job's errors are the reason, and stand in the log."""
    task_id = resource.task_start(PasqalCloud(broken(flip_text), 5))
    assert resource.task_wait(task_id, 60) is TaskStatus.FAILED
    with pytest.raises(TaskFailedError, match="Pulser refuses the pulse sequence"):
        resource.task_result(task_id)
    log = resource.task_logs(task_id)
    assert ": ERROR, created " in log
    assert "\n  Pulser refuses the pulse sequence" in log


def test_a_stopped_task_is_cancelled(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str
) -> None:
    """Stopping a running task ends it; stopping it again is no error."""
    server.run_seconds = 30.0
    task_id = resource.task_start(PasqalCloud(flip_text, 5))
    with pytest.raises(TaskNotReadyError):
        resource.task_result(task_id)
    resource.task_stop(task_id)
    resource.task_stop(task_id)
    assert resource.task_status(task_id) is TaskStatus.CANCELLED
    with pytest.raises(TaskCancelledError):
        resource.task_result(task_id)


def test_older_services_are_asked_the_older_way(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str, asked: Asked
) -> None:
    """Without the short status routes the longer ones are used: still one request each time."""
    server.legacy = True
    server.run_seconds = 0.5
    task_id = resource.task_start(PasqalCloud(flip_text, 5))
    asked()
    resource.task_status(task_id)
    assert asked() == [f"GET v1/batches/{task_id}/status", f"GET v2/batches/{task_id}"]
    resource.task_status(task_id)
    assert asked() == [f"GET v2/batches/{task_id}"]
    assert resource.task_wait(task_id, 60) is TaskStatus.COMPLETED
    failed = resource.task_start(PasqalCloud(broken(flip_text), 5))
    assert resource.task_wait(failed, 60) is TaskStatus.FAILED


def test_large_results_come_from_the_storage(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str, asked: Asked
) -> None:
    """A result that the service does not send itself is behind a link, which gets no token."""
    server.large_results = True
    task_id = resource.task_start(PasqalCloud(flip_text, 7))
    resource.task_wait(task_id, 60)
    assert decode_counter(resource.task_result(task_id).value) == {"11": 7}
    stored = [r for r in server.requests if r.path.startswith("/storage/")]
    assert len(stored) == 1
    assert "authorization" not in stored[0].headers


def test_services_that_give_counts_alone(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str
) -> None:
    """Without Pulser's serialised results the text is upstream's, to the letter."""
    server.serialised = False
    task_id = resource.task_start(PasqalCloud(flip_text, 7))
    resource.task_wait(task_id, 60)
    assert json.loads(resource.task_result(task_id).value) == {"counter": {"11": 7}}


# --- batches --------------------------------------------------------------------------------------


def test_several_jobs_are_one_batch(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """The jobs keep their order; each can be followed by its own id, in a new handle too."""
    task_id = resource.task_start(PulserBatch(sequence=sweep_text, jobs=jobs(16, 300)), key="k")
    assert task_id == f"batch:{next(iter(server.batches))}"
    assert resource.task_wait(task_id, 60) is TaskStatus.COMPLETED
    found = decode_batch(resource.task_result(task_id).value)
    assert [job.status for job in found] == [TaskStatus.COMPLETED] * 2
    assert decode_counter(found[1].result or "") == {"11": 10}
    listed = resource.batch_jobs(task_id)
    assert [job.id for job in listed] == [job.id for job in found]
    last = listed[1].id
    assert resource.task_status(last) is TaskStatus.COMPLETED
    assert decode_counter(resource.task_result(last).value) == {"11": 10}
    assert resource.task_logs(last).count("\n") == 1
    assert server.executions["k"] == 2


def test_an_open_batch_takes_jobs_until_it_is_closed(
    server: PasqalCloudServer, on: On, sweep_text: str
) -> None:
    """It runs until it is closed, whoever adds and closes; closing it twice is no error."""
    batch_id = on().batch_start(PulserBatch(sequence=sweep_text))
    assert on().task_status(batch_id) is TaskStatus.QUEUED
    resource = on()
    first = resource.batch_add(batch_id, jobs(300))
    second = resource.batch_add(batch_id, jobs(300, 16))
    assert len({*first, *second}) == 3
    assert [job.id for job in on().batch_jobs(batch_id)] == [*first, *second]
    for job_id in second:
        assert resource.task_wait(job_id, 60) is TaskStatus.COMPLETED
    assert resource.task_status(batch_id) is TaskStatus.RUNNING
    with pytest.raises(TaskNotReadyError):
        resource.task_result(batch_id)
    resource.batch_close(batch_id)
    resource.batch_close(batch_id)
    assert resource.task_status(batch_id) is TaskStatus.COMPLETED
    with pytest.raises(InvalidInputError, match="closed"):
        resource.batch_add(batch_id, jobs(16))
    assert len(decode_batch(resource.task_result(batch_id).value)) == 3


def test_a_batch_that_the_service_gave_up_keeps_its_results(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """An open batch that was forgotten is timed out by the service; what was done is there."""
    batch_id = resource.batch_start(PulserBatch(sequence=sweep_text, jobs=jobs(300)))
    (job,) = resource.batch_jobs(batch_id)
    resource.task_wait(job.id, 60)
    server.time_out(batch_id.removeprefix("batch:"))
    assert resource.task_wait(batch_id, 60) is TaskStatus.COMPLETED
    assert resource.batch_jobs(batch_id)[0].result is not None


def test_stopping_a_batch_keeps_what_was_done(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """The batch is cancelled, its unended jobs with it; an ended job keeps its result."""
    batch_id = resource.batch_start(PulserBatch(sequence=sweep_text, jobs=jobs(300)))
    (first,) = resource.batch_jobs(batch_id)
    resource.task_wait(first.id, 60)
    server.run_seconds = 30.0
    (second,) = resource.batch_add(batch_id, jobs(16))
    resource.task_stop(batch_id)
    assert resource.task_status(batch_id) is TaskStatus.CANCELLED
    assert resource.task_status(second) is TaskStatus.CANCELLED
    assert decode_counter(resource.task_result(first.id).value) == {"11": 10}
    with pytest.raises(TaskCancelledError):
        resource.task_result(second)


def test_one_job_of_a_batch_can_be_stopped(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """The other one goes on, and the batch completes."""
    server.run_seconds = 1.0
    task_id = resource.task_start(PulserBatch(sequence=sweep_text, jobs=jobs(300, 16)))
    _, second = resource.batch_jobs(task_id)
    resource.task_stop(second.id)
    assert resource.task_wait(task_id, 60) is TaskStatus.COMPLETED
    statuses = [job.status for job in resource.batch_jobs(task_id)]
    assert statuses == [TaskStatus.COMPLETED, TaskStatus.CANCELLED]


def test_many_jobs_are_read_page_by_page(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """More jobs than a page holds keep their order."""
    server.run_seconds = 30.0
    task_id = resource.task_start(PulserBatch(sequence=sweep_text, jobs=jobs(*[16] * 205)))
    found = [job.id.removeprefix("job:") for job in resource.batch_jobs(task_id)]
    (batch,) = server.batches.values()
    assert found == [job.id for job in batch.jobs]


def test_an_emulators_configuration_travels(
    server: PasqalCloudServer, on: On, flip_text: str
) -> None:
    """Observables are computed where the batch runs; a job may leave its shots to them."""
    from pulser.backend import BitStrings, EmulationConfig, Occupation

    wanted = EmulationConfig(observables=[BitStrings(num_shots=9), Occupation()])
    payload = PulserBatch(
        sequence=flip_text,
        jobs=[AnalogJob()],
        configuration=wanted.to_abstract_repr(),
        device_type="EMU_MPS",
    )
    resource = on("FRESNEL")
    task_id = resource.task_start(payload)
    (batch,) = server.batches.values()
    assert batch.device_type == "EMU_MPS"
    assert resource.task_wait(task_id, 60) is TaskStatus.COMPLETED
    results = decode_result(resource.task_result(task_id).value)
    assert sum(results.final_bitstrings.values()) == 9
    assert results.occupation[-1] == pytest.approx([1.0, 1.0], abs=0.01)


def test_a_device_gets_no_emulators_configuration(
    server: PasqalCloudServer, on: On, flip_text: str
) -> None:
    """It would ignore what was asked for, and cost: refused before anything is sent."""
    payload = PulserBatch(sequence=flip_text, jobs=[AnalogJob(runs=1)], configuration="{}")
    with pytest.raises(UnsupportedPayloadError, match="FRESNEL is no emulator"):
        on("FRESNEL").task_start(payload)
    assert server.requests == []


def test_a_batch_without_jobs_is_refused(resource: QuantumResource, sweep_text: str) -> None:
    """Only an open batch may have none."""
    with pytest.raises(InvalidInputError, match="no jobs"):
        resource.task_start(PulserBatch(sequence=sweep_text))


# --- CUDA-Q ---------------------------------------------------------------------------------------


def test_an_ahs_program_takes_the_cudaq_route(
    server: PasqalCloudServer, on: On, ahs_text: str, asked: Asked
) -> None:
    """It travels as an object; the task's kind is in its id, so that any process can follow it."""
    task_id = on().task_start(PasqalCloud(ahs_text, 40))
    assert task_id.startswith("cudaq:")
    sent = json.loads(server.requests[-1].body)
    assert sent["sequence"] == json.loads(ahs_text)
    assert (sent["machine"], sent["shots"]) == ("EMU_FREE", 40)
    other = on()
    asked()
    assert other.task_wait(task_id, 60) is TaskStatus.COMPLETED
    own_id = task_id.removeprefix("cudaq:")
    assert set(asked()) == {"POST /oauth/token", f"GET v1/cudaq/job/{own_id}"}
    assert json.loads(other.task_result(task_id).value) == {"counter": {"11": 40}}
    assert other.task_logs(task_id) == f"job {own_id}: DONE\n"


def test_a_cudaq_job_can_be_stopped(
    server: PasqalCloudServer, resource: QuantumResource, ahs_text: str
) -> None:
    """It is cancelled as a batch is."""
    server.run_seconds = 30.0
    task_id = resource.task_start(PasqalCloud(ahs_text, 40))
    with pytest.raises(TaskNotReadyError):
        resource.task_result(task_id)
    resource.task_stop(task_id)
    assert resource.task_status(task_id) is TaskStatus.CANCELLED


def test_an_ahs_program_has_shots_alone(resource: QuantumResource, ahs_text: str) -> None:
    """Several jobs, variables, or an open batch of one: refused, nothing is sent."""
    for payload in (
        PulserBatch(sequence=ahs_text, jobs=[AnalogJob(runs=1)] * 2),
        PulserBatch(sequence=ahs_text, jobs=[AnalogJob(runs=1, variables={"t": 1})]),
        PulserBatch(sequence=ahs_text, jobs=[AnalogJob()]),
    ):
        with pytest.raises(UnsupportedPayloadError):
            resource.task_start(payload)
    with pytest.raises(UnsupportedPayloadError):
        resource.batch_start(PulserBatch(sequence=ahs_text))
    with pytest.raises(InvalidInputError, match="not a batch"):
        resource.batch_jobs("cudaq:x")


# --- looking --------------------------------------------------------------------------------------


def test_tasks_are_found_by_their_key(
    resource: QuantumResource, on: On, flip_text: str, sweep_text: str
) -> None:
    """The key is a tag of the batch; what is found is the id that the start gave."""
    one = resource.task_start(PasqalCloud(flip_text, 1), key="one")
    two = resource.task_start(PulserBatch(sequence=sweep_text, jobs=jobs(16, 16)), key="two / &ü")
    still_open = resource.batch_start(PulserBatch(sequence=sweep_text, jobs=jobs(16)), key="open")
    other = on()
    found = [other.find_task(key) for key in ("one", "two / &ü", "open", "on")]
    assert found == [one, two, still_open, None]
    assert other.list_tasks() == [still_open, two, one]
    assert on("EMU_MPS").list_tasks() == []


def test_more_tasks_than_a_page_are_listed(
    server: PasqalCloudServer, resource: QuantumResource, sweep_text: str
) -> None:
    """The newest first, page by page."""
    started = [resource.batch_start(PulserBatch(sequence=sweep_text)) for _ in range(120)]
    assert resource.list_tasks() == started[::-1]


def test_kinds_do_not_mix(resource: QuantumResource, flip_text: str) -> None:
    """An id of one kind is not found as another."""
    task_id = resource.task_start(PasqalCloud(flip_text, 1))
    for other in (f"job:{task_id}", f"cudaq:{task_id}", "batch:", "batch:none"):
        with pytest.raises(TaskNotFoundError):
            resource.task_status(other)


def test_status_tells_what_the_service_tells(server: PasqalCloudServer, on: On) -> None:
    """A device that is down still queues tasks; one that is not available is offline."""
    server.devices["FRESNEL"] = {"status": "DOWN", "availability": "ACTIVE"}
    status = on("FRESNEL").status()
    assert (status.status, status.healthy) == (ResourceStatusCode.ONLINE, False)
    assert status.pending_job_count is None
    server.devices["FRESNEL"] = {"status": "UP", "availability": "INACTIVE"}
    assert not on("FRESNEL").is_accessible()
    assert "INACTIVE" in (on("FRESNEL").status().status_reason or "")


def test_private_devices_show_with_a_token(server: PasqalCloudServer, on: On, asked: Asked) -> None:
    """What is not public is asked for once more with the credentials, if there are any."""
    server.private = {"FRESNEL_CAN1"}
    assert on("FRESNEL_CAN1").is_accessible()
    assert asked() == ["GET v1/devices", "POST /oauth/token", "GET v1/devices"]
    assert on("FRESNEL").is_accessible()
    assert asked() == ["GET v1/devices"]


def test_targets_are_upstreams(on: On, asked: Asked) -> None:
    """A device's own description, with a token; for an emulator the public ones, without."""
    own = json.loads(on("FRESNEL").target().value)
    assert [entry["device_type"] for entry in own] == ["FRESNEL"]
    assert json.loads(own[0]["specs"])["name"] == "FRESNEL"
    assert asked() == ["POST /oauth/token", "GET v1/devices/specs/FRESNEL"]
    public = json.loads(on("EMU_FREE").target().value)
    assert {entry["device_type"] for entry in public} == {"FRESNEL", "FRESNEL_CAN1"}
    assert asked() == ["GET v1/devices/public-specs"]


def test_stopping_what_is_being_cancelled_is_no_error(
    server: PasqalCloudServer, resource: QuantumResource, flip_text: str
) -> None:
    """The service refuses to cancel a job twice, which is not told as the user's mistake."""
    server.run_seconds = 30.0
    task_id = resource.task_start(PasqalCloud(flip_text, 5))
    (job,) = server.batches[task_id].jobs
    refused = Fault(kind="status", status=400, match="PATCH", times=2)
    server.faults.add(refused)
    with pytest.raises(InvalidInputError):
        resource.task_stop(task_id)
    job.status = "CANCELING"
    resource.task_stop(task_id)
    assert refused.hits == 2
    assert resource.task_status(task_id) is TaskStatus.RUNNING
    job.cancelled.set()
