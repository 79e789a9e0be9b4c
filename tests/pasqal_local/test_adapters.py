"""Pulser, Qiskit and CUDA-Q on a QPU behind Warden, in a job whose prolog opened the session."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pulser
import pytest
from pulser.backend import QPUBackend
from pulser.backend.remote import BatchStatus, RemoteResults, RemoteResultsError
from pulser.register.special_layouts import TriangularLatticeLayout

from qrmi.config import child_environment
from qrmi.pulser import PulserQRMIConnection, QRMIConnection
from qrmi.resource import QuantumResource
from qrmi_sandbox.warden import WardenServer

TOKEN = "QRMI_JOB_ACQUISITION_TOKEN"
Opened = Callable[..., QuantumResource]


@pytest.fixture
def job(warden: WardenServer, opened: Opened) -> QuantumResource:
    """A handle as a program in a scheduler's job has it: a user's, with a session."""
    token = warden.open_session("4242")
    warden.admins = set()
    return opened(warden, **{TOKEN: token})


def two_atoms() -> pulser.Sequence:
    """Two atoms with names of their own, too far apart to feel each other; no measurement."""
    layout = TriangularLatticeLayout(61, 5.0)
    register = layout.define_register(0, 60, qubit_ids=["left", "right"])
    sequence = pulser.Sequence(register, pulser.AnalogDevice)
    sequence.declare_channel("ising", "rydberg_global")
    amplitude = sequence.declare_variable("amplitude", dtype=float)
    sequence.add(pulser.Pulse.ConstantPulse(500, amplitude, 0.0, 0.0), "ising")
    return sequence


def test_a_qpu_backend_of_pulsers(job: QuantumResource, warden: WardenServer) -> None:
    """Two jobs of a sequence with a variable: a task each, in order, with the atoms' names."""
    backend = QPUBackend(two_atoms(), QRMIConnection(job))
    params = [
        {"runs": 40, "variables": {"amplitude": 6.2832}},
        {"runs": 20, "variables": {"amplitude": 0.5}},
    ]
    results = backend.run(params, wait=True)
    assert results.get_batch_status() is BatchStatus.DONE
    assert results[0].atom_order == ("left", "right")
    assert results[0].total_duration == 500
    assert results[0].final_bitstrings.get("11", 0) > 30
    assert sum(results[1].final_bitstrings.values()) == 20
    assert results[1].final_bitstrings.get("00", 0) > 10
    assert warden.tasks_made() == 2


def test_upstreams_connection_waits_and_comes_back(job: QuantumResource) -> None:
    """`PulserQRMIConnection` waits; its id suffices to fetch the results with another one."""
    sequence = two_atoms().build(amplitude=6.2832)
    results = PulserQRMIConnection(job).submit(sequence, job_params=[{"runs": 10}])
    again = RemoteResults(results.batch_id, QRMIConnection(job))
    assert again.results[0].final_bitstrings == results[0].final_bitstrings


def test_batches_stay_closed(job: QuantumResource) -> None:
    """Warden has no open batches, and Pulser is told."""
    backend = QPUBackend(two_atoms(), QRMIConnection(job))
    with pytest.raises(NotImplementedError, match="open_batch"), backend.open_batch():
        pass


def test_a_failed_job_says_why(job: QuantumResource, warden: WardenServer) -> None:
    """Pulser's error has the job's id, status and, where there is a log, the reason."""
    connection = QRMIConnection(job)
    warden.run_seconds = 0.2
    sequence = two_atoms().build(amplitude=1.0)
    results = connection.submit(sequence, wait=False, job_params=[{"runs": 5}])
    warden.qpu.jobs[0].sequence = "broken on the way"
    job.task_wait(results.batch_id, 30)
    with pytest.raises(RemoteResultsError, match="its status is ERROR") as caught:
        results.results  # noqa: B018
    assert ("refused" in str(caught.value)) is not warden.is_old


def test_an_analog_circuit_of_qiskits(job: QuantumResource) -> None:
    """Counts are in Pulser's order, bits in Qiskit's; the lone first atom is excited."""
    qiskit = pytest.importorskip("qiskit_pasqal_provider.providers.gate")
    from qiskit import QuantumCircuit

    from qrmi.primitives.pasqal import SamplerV2

    layout = TriangularLatticeLayout(61, 5.0).sorted_coords
    sites = [list(map(float, layout[trap])) for trap in (0, 30, 34)]  # the last two: neighbours
    gate = qiskit.HamiltonianGate(
        amplitude=qiskit.InterpolatePoints(values=[6.2832] * 3, duration=500),
        detuning=qiskit.InterpolatePoints(values=[0.0] * 3, duration=500),
        phase=0.0,
        coords=sites,
    )
    circuit = QuantumCircuit(3)
    circuit.append(gate, range(3))
    data = SamplerV2(job).run([circuit], shots=60).result()[0].data
    assert sum(data.counts.values()) == 60
    assert sum(n for bits, n in data.counts.items() if bits[0] == "1") > 50
    assert sum(n for bits, n in data.counts.items() if bits[1:] == "11") < 10
    assert data.meas.get_counts() == {bits[::-1]: n for bits, n in data.counts.items()}


_EVOLVE = """
import json, sys
import cudaq
import numpy as np
from cudaq.operators import RydbergHamiltonian, ScalarOperator
cudaq.set_target("qrmi")
amplitude = ScalarOperator(lambda t: 3.1415927e6)
result = cudaq.evolve(
    RydbergHamiltonian([(0.0, 0.0)], amplitude=amplitude, phase=ScalarOperator.const(0.0),
                       delta_global=ScalarOperator.const(0.0)),
    schedule=cudaq.Schedule(np.linspace(0.0, 1e-6, 11), ["t"]), shots_count=30)
print(json.dumps(dict(result.items())))
"""


def test_an_evolution_of_cudaqs(warden: WardenServer, tmp_path: Path) -> None:
    """CUDA-Q's evolution runs on both generations."""
    pytest.importorskip("cudaq")
    entry = warden.resource("qpu")
    file = tmp_path / "qrmi_config.json"
    file.write_text(json.dumps({"default": "qpu", "resources": [entry]}))
    done = subprocess.run(
        [sys.executable, "-c", _EVOLVE],
        env=child_environment(QRMI_CONFIG=str(file)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    counts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert sum(counts.values()) == 30
    assert counts.get("1", 0) > 25
