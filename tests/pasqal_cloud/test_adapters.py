"""Pulser and Qiskit on Pasqal Cloud, through their own interfaces."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pulser
import pytest
from pulser import QPUBackend
from pulser.backend import BitStrings, EmulationConfig, Occupation
from pulser.backend.remote import BatchStatus, RemoteResults, RemoteResultsError
from pulser.devices import MockDevice

from qrmi import QuantumResource
from qrmi.pulser import QRMIConnection, QRMIEmulatorBackend
from qrmi.pulser.connection import PulserQRMIConnection
from qrmi.tasks import TaskStatus
from qrmi_sandbox.pasqal_cloud import PasqalCloudServer

On = Callable[..., QuantumResource]
TWO_JOBS = [{"runs": 5, "variables": {"t": [16]}}, {"runs": 20, "variables": {"t": [300]}}]


@pytest.fixture
def qpu(on: On) -> QuantumResource:
    """A handle on a device."""
    return on("FRESNEL")


def test_a_run_of_several_jobs_is_one_batch(
    server: PasqalCloudServer, qpu: QuantumResource, sweep: pulser.Sequence
) -> None:
    """Two jobs, one batch, results in order and with the atoms' names."""
    results = QPUBackend(sweep, QRMIConnection(qpu)).run(TWO_JOBS, wait=True)
    assert len(server.batches) == 1
    assert results.get_batch_status() is BatchStatus.DONE
    assert results[1].final_bitstrings == {"11": 20}
    assert results[0].atom_order == ("left", "right")


@pytest.mark.parametrize("serialised", [True, False])
def test_another_process_has_the_results(
    server: PasqalCloudServer,
    qpu: QuantumResource,
    on: On,
    sweep: pulser.Sequence,
    serialised: bool,
) -> None:
    """The batch's id is all that is needed; the journal has the names where only counts come."""
    server.serialised = serialised
    started = PulserQRMIConnection(qpu).submit(sweep, job_params=TWO_JOBS[1:])
    assert started.batch_id in server.batches  # of one job: the service's own id
    found = RemoteResults(started.batch_id, QRMIConnection(on("FRESNEL")))
    assert found.results[0].final_bitstrings == {"11": 20}
    assert found.results[0].atom_order == ("left", "right")
    assert set(found.get_available_results()) == {
        f"job:{job.id}" for job in server.batches[started.batch_id].jobs
    }


def test_an_open_batch_is_one_of_the_service(
    server: PasqalCloudServer, qpu: QuantumResource, sweep: pulser.Sequence
) -> None:
    """Jobs of two runs share a batch, which is closed at the end of the block."""
    backend = QPUBackend(sweep, QRMIConnection(qpu))
    with backend.open_batch():
        first = backend.run(TWO_JOBS[:1], wait=True)
        second = backend.run(TWO_JOBS[1:])
        assert first.batch_id == second.batch_id
    (batch,) = server.batches.values()
    assert not batch.open
    assert qpu.task_wait(first.batch_id, 60) is TaskStatus.COMPLETED
    assert second.results[0].final_bitstrings == {"11": 20}
    assert len(second.job_ids) == 1


def test_emulators_get_their_configuration(on: On, sweep: pulser.Sequence) -> None:
    """Observables come back; a virtual device is taken."""
    virtual = pulser.Sequence(pulser.Register({"a": (0, 0)}), MockDevice)
    virtual.declare_channel("global", "rydberg_global")
    virtual.add(pulser.Pulse.ConstantPulse(300, np.pi / 0.3, 0, 0), "global")
    wanted = EmulationConfig(observables=[BitStrings(num_shots=7), Occupation()])
    results = QRMIEmulatorBackend(virtual, QRMIConnection(on()), config=wanted).run(wait=True)
    assert results[0].final_bitstrings == {"1": 7}
    assert results[0].occupation[-1] == pytest.approx([1.0], abs=0.01)


def test_pasqals_own_emulator_backends_work(
    server: PasqalCloudServer, qpu: QuantumResource, sweep: pulser.Sequence
) -> None:
    """A backend of pasqal-cloud's asks for its emulator, whatever the resource is."""
    clouds = pytest.importorskip("pasqal_cloud")
    results = clouds.RemoteMPSBackend(sweep.build(t=300), QRMIConnection(qpu)).run(wait=True)
    assert set(results[0].final_bitstrings) == {"11"}
    assert next(iter(server.batches.values())).device_type == "EMU_MPS"


def test_a_cancelled_job_says_so(
    server: PasqalCloudServer, qpu: QuantumResource, sweep: pulser.Sequence
) -> None:
    """Pulser's error has the job and its status."""
    server.run_seconds = 30.0
    connection = QRMIConnection(qpu)
    results = QPUBackend(sweep, connection).run(TWO_JOBS[:1])
    connection.cancel_batch_jobs()
    assert results.get_batch_status() is BatchStatus.CANCELED
    with pytest.raises(RemoteResultsError, match="its status is CANCELED"):
        _ = results.results


def test_a_failed_job_says_why(
    server: PasqalCloudServer, qpu: QuantumResource, sweep: pulser.Sequence
) -> None:
    """The service's reason is in Pulser's error; the job that was done keeps its result."""
    results = QPUBackend(sweep, QRMIConnection(qpu)).run(TWO_JOBS, wait=True)
    failed = server.batches[results.batch_id.removeprefix("batch:")].jobs[0]
    failed.status, failed.result, failed.errors = "ERROR", None, ["the laser is out of order"]
    assert results.get_batch_status() is BatchStatus.DONE
    with pytest.raises(RemoteResultsError, match="Reason: the laser is out of order"):
        _ = results.results
    (available,) = results.get_available_results().values()
    assert available.final_bitstrings == {"11": 20}


# --- Qiskit ---------------------------------------------------------------------------------------


@pytest.fixture
def circuit() -> Any:
    """Three atoms, two of them close to each other, driven for a while."""
    qpp = pytest.importorskip("qiskit_pasqal_provider.providers.gate")
    from qiskit import QuantumCircuit

    coords = np.array([[0.0, 0.0], [0.0, 6.0], [0.0, 30.0]])
    amplitude = qpp.InterpolatePoints(values=[0.0, 6.0, 6.0, 0.0], duration=800)
    detuning = qpp.InterpolatePoints(values=[0.0] * 4, duration=800)
    gate = qpp.HamiltonianGate(amplitude, detuning, 0.0, coords, grid_transform="triangular")
    made = QuantumCircuit(3)
    made.append(gate, [0, 1, 2])
    return made


@pytest.mark.parametrize("name", ["FRESNEL", "EMU_FREE"])
def test_an_analog_circuit_has_counts_in_both_orders(on: On, circuit: Any, name: str) -> None:
    """``counts`` is upstream's dictionary, the first atom leftmost; ``meas`` is Qiskit's."""
    from qrmi.primitives.pasqal import SamplerV2

    job = SamplerV2(on(name)).run([circuit], shots=100)
    result = job.result()
    data = result[0].data
    assert sum(data.counts.values()) == 100
    assert data.meas.get_counts() == {bits[::-1]: count for bits, count in data.counts.items()}
    assert len(set(data.counts)) > 1  # so that the order can be told
    assert result.metadata["job_id"] == job.job_id()
    assert (result.metadata["status"], result.metadata["backend_name"]) == ("DONE", name)
