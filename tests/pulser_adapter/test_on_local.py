"""Pulser's backends on the embedded simulator: what a Pulser user does."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from pasqal_cloud.backends import RemoteEmuFreeBackend, RemoteMPSBackend, RemoteSVBackend
from pulser import NoiseModel, QPUBackend, Register, Sequence
from pulser.backend import BackendConfig, BitStrings, EmulationConfig, Energy, Occupation
from pulser.backend.remote import BatchStatus, JobStatus, RemoteResults, RemoteResultsError
from pulser.channels import Rydberg
from pulser.devices import AnalogDevice, DigitalAnalogDevice, MockDevice, VirtualDevice
from pulser.register.special_layouts import TriangularLatticeLayout

import qrmi_local
from qrmi import QuantumResource
from qrmi.errors import InvalidInputError, IsaError
from qrmi.pulser import PulserQRMIConnection, QRMIConnection, QRMIEmulatorBackend

LAYOUT = TriangularLatticeLayout(61, 5.0)
EMULATORS = [RemoteMPSBackend, RemoteSVBackend, RemoteEmuFreeBackend, QRMIEmulatorBackend]

Drive = Callable[..., Sequence]


@pytest.fixture
def connection(local: QuantumResource) -> QRMIConnection:
    return QRMIConnection(local)


def in_another_process(code: str) -> Any:
    """What ``code`` prints last, as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_run_on_a_qpu(connection: QRMIConnection, sequence: Sequence) -> None:
    """A sequence without a measurement runs as on a QPU: as many shots as asked, atoms by name."""
    results = QPUBackend(sequence, connection).run([{"runs": 120}], wait=True)
    assert results.get_batch_status() is BatchStatus.DONE
    assert results[0].atom_order == ("x", "y", "z")
    assert results[0].total_duration == 400
    assert sum(results[0].final_bitstrings.values()) == 120
    assert not sequence.is_measured()


def test_default_resource_and_shots(sequence: Sequence) -> None:
    """Without a resource or job parameters, the simulator and the configuration's shots serve."""
    backend = QPUBackend(sequence, QRMIConnection(), config=BackendConfig(default_num_shots=7))
    assert sum(backend.run(wait=True)[0].final_bitstrings.values()) == 7


def test_a_parametrised_batch(connection: QRMIConnection, sweep: Sequence) -> None:
    """Each job has its variables' values, numpy's too; results come in the order of the jobs."""
    jobs = [{"runs": 20, "variables": {"t": numpy.int64(t)}} for t in (500, 1000)]
    results = QPUBackend(sweep, connection).run(jobs, wait=True)
    assert [each.final_bitstrings for each in results] == [{"1": 20}, {"0": 20}]
    assert [each.total_duration for each in results] == [500, 1000]
    second = connection.get_results(results.batch_id, [results.job_ids[1]])
    assert [each.final_bitstrings for each in second] == [{"0": 20}]


def test_a_mappable_register(connection: QRMIConnection, drive: Drive) -> None:
    """A job's qubits choose the atoms; the bit strings have those alone."""
    mappable = drive(LAYOUT.make_mappable_register(4), 400)
    job = {"runs": 9, "variables": {"qubits": {"q0": 3, "q1": 40}}}
    results = QPUBackend(mappable, connection).run([job], wait=True)
    assert results[0].atom_order == ("q0", "q1")
    assert {len(bits) for bits in results[0].final_bitstrings} == {2}


def test_results_in_a_new_process(connection: QRMIConnection, sequence: Sequence) -> None:
    """The batch's id is enough for another process, by Pulser's own class."""
    results = QPUBackend(sequence, connection).run([{"runs": 30}, {"runs": 40}])
    code = f"""
import json
from pulser.backend.remote import RemoteResults
from qrmi.pulser import QRMIConnection
connection = QRMIConnection()
results = RemoteResults({results.batch_id!r}, connection)
connection.resource.task_wait(results.batch_id)
print(json.dumps([results.get_batch_status().name, results.job_ids, results[1].atom_order,
                  [each.final_bitstrings for each in results]]))
"""
    status, job_ids, atoms, counters = in_another_process(code)
    assert (status, job_ids, atoms) == ("DONE", results.job_ids, ["x", "y", "z"])
    assert counters == [each.final_bitstrings for each in results]
    assert [sum(counter.values()) for counter in counters] == [30, 40]


def test_an_open_batch_takes_several_runs(connection: QRMIConnection, sweep: Sequence) -> None:
    """Runs inside `open_batch` go to one batch, which ends when it is closed."""
    backend = QPUBackend(sweep, connection)
    with backend.open_batch():
        first = backend.run([{"runs": 5, "variables": {"t": 500}}], wait=True)
        assert first[0].final_bitstrings == {"1": 5}
        assert first.get_batch_status() is BatchStatus.RUNNING
        second = backend.run([{"runs": 6, "variables": {"t": 1000}}])
    assert first.batch_id == second.batch_id
    assert connection.resource.task_wait(first.batch_id).name == "COMPLETED"
    assert second[0].final_bitstrings == {"0": 6}
    everything = RemoteResults(first.batch_id, connection)
    assert everything.job_ids == first.job_ids + second.job_ids
    with pytest.raises(InvalidInputError, match="closed"):
        connection.submit(
            sweep, batch_id=first.batch_id, job_params=[{"runs": 1, "variables": {"t": 500}}]
        )


def test_waiting_does_not_wait_for_an_open_batch(local: QuantumResource, sweep: Sequence) -> None:
    """Jobs that an open batch starts with are waited for; the batch goes on, and may be empty."""
    connection = QRMIConnection(local, timeout_seconds=30)
    jobs = [{"runs": 5, "variables": {"t": 500}}]
    for first, expected in ((jobs, [{"1": 5}]), ([], [])):
        results = connection.submit(sweep, wait=True, open=True, job_params=first)
        available = results.get_available_results().values()
        assert [each.final_bitstrings for each in available] == expected
        assert results.get_batch_status() is BatchStatus.RUNNING
        connection._close_batch(results.batch_id)


def test_open_batches_of_emulators(connection: QRMIConnection, drive: Drive) -> None:
    """The configuration of an open batch holds for each run that is added to it."""
    made = drive(Register({"a": (0, 0)}), 500, MockDevice, 2 * numpy.pi)
    config = EmulationConfig(observables=[Occupation()])
    backend = QRMIEmulatorBackend(made, connection, config=config)
    with backend.open_batch():
        runs = [backend.run() for _ in range(2)]
    connection.resource.task_wait(runs[0].batch_id)
    assert [run[0].occupation[0][0] for run in runs] == pytest.approx([1, 1], abs=0.01)


@pytest.mark.parametrize("backend", EMULATORS)
def test_emulator_configurations_arrive(
    connection: QRMIConnection, drive: Drive, backend: Any
) -> None:
    """Observables, times, shots and noise of an emulator backend come through, on any device."""
    mine = VirtualDevice(
        name="mine", dimensions=2, rydberg_level=60, channel_objects=(Rydberg.Global(None, None),)
    )
    made = drive(Register({"a": (0, 0), "b": (30, 0)}), 500, mine, 2 * numpy.pi)
    config = EmulationConfig(
        observables=[BitStrings(num_shots=9), Occupation(evaluation_times=[0.5, 1.0]), Energy()],
        noise_model=NoiseModel(p_false_neg=1.0),
    )
    results = backend(made, connection, config=config).run(wait=True)[0]
    assert set(results.get_result_tags()) == {"bitstrings", "occupation", "energy"}
    assert results.final_bitstrings == {"00": 9}
    assert results.get_result_times("occupation") == [0.5, 1.0]
    assert results.occupation[1] == pytest.approx([1, 1], abs=0.01)
    assert results.get_result(config.observables[1], 0.5) == pytest.approx([0.5, 0.5], abs=0.01)


def test_emulators_need_no_job_parameters(connection: QRMIConnection, drive: Drive) -> None:
    """An emulator's jobs may leave out runs; where given they replace the configuration's."""
    made = drive(Register({"a": (0, 0)}), 500, MockDevice, 2 * numpy.pi)
    backend = QRMIEmulatorBackend(made, connection)
    alone = backend.run(wait=True)[0].final_bitstrings
    both = [each.final_bitstrings for each in backend.run([{"runs": 3}, {}], wait=True)]
    assert [sum(counts.values()) for counts in (alone, *both)] == [1000, 3, 1000]
    assert min(alone["1"], both[1]["1"]) >= 998  # each shot fails once in a million


def test_a_failed_job_says_why(connection: QRMIConnection, drive: Drive) -> None:
    """The reason of a failed job is in the message that the user sees, by either way to it."""
    made = drive(Register({"a": (0, 0), "b": (8, 0)}), 100, MockDevice)
    config = EmulationConfig(observables=[BitStrings()], interaction_matrix=numpy.zeros((2, 2)))
    results = QRMIEmulatorBackend(made, connection, config=config).run(wait=True)
    assert results.get_batch_status() is BatchStatus.ERROR
    assert results.get_available_results() == {}
    with pytest.raises(RemoteResultsError, match="interaction matrix") as caught:
        results.results  # noqa: B018 (the property is the call)
    assert results.job_ids[0] in str(caught.value)
    with pytest.raises(RemoteResultsError) as plain:
        RemoteResults(results.batch_id, connection).results  # noqa: B018
    assert "interaction matrix" in str(plain.value.__cause__)


def test_too_many_atoms(connection: QRMIConnection, drive: Drive) -> None:
    """More atoms than the emulators hold are refused; no task is left behind."""
    made = drive(Register.rectangle(5, 5, spacing=6, prefix="q"), 100, MockDevice)
    before = connection.resource.list_tasks()
    with pytest.raises(IsaError, match="25 atoms"):
        QRMIEmulatorBackend(made, connection).run()
    assert connection.resource.list_tasks() == before


def test_a_device_that_is_not_there(drive: Drive) -> None:
    """A resource that imitates one device refuses sequences for others, and names the remedy."""
    connection = QRMIConnection(qrmi_local.resource(device=DigitalAnalogDevice))
    assert list(connection.fetch_available_devices()) == ["DigitalAnalogDevice"]
    made = drive(LAYOUT.define_register(30), 100)
    with pytest.raises(ValueError, match="fetch_available_devices") as caught:
        QPUBackend(made, connection).run([{"runs": 1}])
    assert isinstance(caught.value, IsaError)


def test_the_newest_device_is_used(drive: Drive) -> None:
    """A sequence for an older version of the device is checked against the resource's own."""
    newest = dataclasses.replace(AnalogDevice, max_runs=10, max_sequence_duration=500)
    connection = QRMIConnection(qrmi_local.resource(device=newest, noise=False, seed=1))
    made = drive(LAYOUT.define_register(30), 400)
    assert sum(connection.submit(made, True, job_params=[{"runs": 10}])[0].bitstrings[0].values())
    with pytest.raises(ValueError, match="maximum allowed"):
        connection.submit(made, job_params=[{"runs": 11}])
    with pytest.raises(ValueError, match="not compatible"):
        connection.submit(drive(LAYOUT.define_register(30), 600), job_params=[{"runs": 1}])


def test_progress_and_cancelling(connection: QRMIConnection, drive: Drive) -> None:
    """A batch's unended jobs can be stopped; looking at them raises nothing."""
    made = drive(Register.rectangle(3, 4, spacing=6, prefix="q"), 3000, MockDevice)
    results = QRMIEmulatorBackend(made, connection).run([{}, {}])
    connection.cancel_batch_jobs()
    progress = connection._query_job_progress(results.batch_id)
    assert list(progress) == results.job_ids
    assert set(progress.values()) == {(JobStatus.CANCELED, None)}
    assert results.get_batch_status() is BatchStatus.CANCELED
    with pytest.raises(RemoteResultsError, match="CANCELED"):
        results.results  # noqa: B018


def test_single_tasks_are_batches_too(connection: QRMIConnection, sequence: Sequence) -> None:
    """A task that was started by other means can be read by its id."""
    from qrmi.codecs.analog import encode_single

    sequence.measure()
    task_id = connection.resource.task_start(encode_single(sequence, 8))
    connection.resource.task_wait(task_id)
    results = connection.get_results(task_id)
    assert sum(results[0].final_bitstrings.values()) == 8
    assert results.job_ids == [task_id]


def test_logs(connection: QRMIConnection, sequence: Sequence) -> None:
    """Each job's log can be read; before a first batch that is an error, not a crash."""
    with pytest.raises(InvalidInputError, match="no batch"):
        connection.get_batch_logs()
    QPUBackend(sequence, connection).run([{"runs": 3}, {"runs": 3}], wait=True)
    logs = connection.get_batch_logs()
    assert len(logs) == 2
    assert all("3 atoms" in log for log in logs)


def test_the_upstream_name_waits(local: QuantumResource, sequence: Sequence) -> None:
    """Upstream's class takes ``qrmi=`` and waits in `submit` unless told not to."""
    results = PulserQRMIConnection(qrmi=local).submit(sequence, job_params=[{"runs": 4}])
    assert sum(results[0].final_bitstrings.values()) == 4
