"""Programs of all three SDKs, recorded on a service and replayed when it is gone."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

QISKIT = """
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qrmi.qiskit import EstimatorV2, SamplerV2, backend

def qiskit_program(resource):
    device = backend(resource)
    passes = generate_preset_pass_manager(1, backend=device)
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("angle"), 0)
    circuit.cx(0, 1)
    isa = passes.run(circuit)
    observable = SparsePauliOp("ZZ").apply_layout(isa.layout)
    energy = EstimatorV2(device).run([(isa, observable, [1.0])], precision=0.1).result()
    print(repr(energy[0].data.evs), repr(energy[0].data.stds))
    circuit.measure_all()
    job = SamplerV2(device).run([(passes.run(circuit), [[0.5], [1.5]])], shots=60)
    counts = job.result()[0].data.meas
    print(job.job_id(), [sorted(counts.get_counts(n).items()) for n in range(2)])
"""

CUDAQ = """
import cudaq
from cudaq import spin

@cudaq.kernel
def bell(angle: float):
    qubits = cudaq.qvector(2)
    ry(angle, qubits[0])
    x.ctrl(qubits[0], qubits[1])

def cudaq_program(resource):
    cudaq.set_target("qrmi", resource=resource)
    print(sorted(cudaq.sample(bell, 1.1, shots_count=70).items()))
    print(repr(cudaq.observe(bell, spin.z(0) * spin.z(1), 0.4, shots_count=80).expectation()))
"""

PULSER = """
import pulser
from pulser.register.special_layouts import TriangularLatticeLayout
from qrmi.pulser import QRMIConnection

def pulser_program(resource):
    connection = QRMIConnection(resource)
    device = next(iter(connection.fetch_available_devices().values()))
    layout = TriangularLatticeLayout(61, 5.0)
    if device.requires_layout and not device.accepts_new_layouts:
        layout = next(iter(device.calibrated_register_layouts.values()))
    register = layout.define_register(0, 60, qubit_ids=["left", "right"])
    sequence = pulser.Sequence(register, device)
    sequence.declare_channel("ising", "rydberg_global")
    amplitude = sequence.declare_variable("amplitude", dtype=float)
    sequence.add(pulser.Pulse.ConstantPulse(500, amplitude, 0.0, 0.0), "ising")
    backend = pulser.QPUBackend(sequence, connection)
    params = [{"runs": 40, "variables": {"amplitude": a}} for a in (6.2832, 3.1416)]
    results = backend.run(params, wait=True)
    print(results.batch_id, results.get_batch_status())
    print([sorted(each.final_bitstrings.items()) for each in results])
"""

START = """
import qrmi
resource = qrmi.open()
print(resource, resource.is_accessible(), sorted(resource.metadata().items()))
"""

needs_cudaq = pytest.mark.skipif(
    importlib.util.find_spec("cudaq") is None, reason="CUDA-Q is not installed"
)
Vendor = Callable[[str], tuple[Any, dict[str, str]]]


@needs_cudaq
def test_on_the_embedded_simulator(bench):
    """Qiskit, CUDA-Q and Pulser in one program: what a replay prints is the same to the byte."""
    calls = "qiskit_program(resource); cudaq_program(resource); pulser_program(resource)"
    command = bench.program(QISKIT + CUDAQ + PULSER + START + calls)
    recorded = bench.record(command)
    assert recorded.returncode == 0, recorded.stderr
    replayed = bench.replay(command, QRMI_STATE_DIR="/nonexistent")
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout
    assert len(recorded.stdout.splitlines()) == 7


@needs_cudaq
@pytest.mark.parametrize("resource_type", ["alice-bob-felis", "ibm-quantum-compute-service"])
def test_gate_programs_on_a_vendor(bench, vendor: Vendor, resource_type: str):
    """A vendor with a start in two steps, one with sessions: the server is gone at the replay."""
    server, environment = vendor(resource_type)
    calls = "with resource.acquired(): qiskit_program(resource); cudaq_program(resource)"
    command = bench.program(QISKIT + CUDAQ + START + calls)
    recorded = bench.record(command, **environment)
    assert recorded.returncode == 0, recorded.stderr
    server.stop()
    asked = len(server.requests)
    replayed = bench.replay(command)  # without the configuration
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout
    assert len(server.requests) == asked
    file = bench.file.read_text()
    for secret in secrets_of(server):
        assert secret not in file


@pytest.mark.parametrize("resource_type", ["pasqal-local", "pasqal-cloud"])
def test_pulses_on_a_vendor(bench, vendor: Vendor, resource_type: str):
    """A session of Warden's, a batch of Pasqal's cloud."""
    server, environment = vendor(resource_type)
    calls = "with resource.acquired(): pulser_program(resource)"
    command = bench.program(PULSER + START + calls)
    recorded = bench.record(command, **environment)
    assert recorded.returncode == 0, recorded.stderr
    server.stop()
    replayed = bench.replay(command)
    assert replayed.returncode == 0, replayed.stderr
    assert replayed.stdout == recorded.stdout
    file = bench.file.read_text()
    for secret in secrets_of(server):
        assert secret not in file


def secrets_of(server: Any) -> set[str]:
    """What every request carried that grants access: values of credential headers and settings."""
    named = ("authorization", "token", "secret", "munge", "cookie")
    headers = {
        value
        for request in server.requests
        for name, value in request.headers.items()
        if any(part in name for part in named)
    }
    words = {word for value in headers for word in value.split() if len(word) >= 8}
    settings = server.resource(None)["environment"]
    words |= {
        text
        for key, text in settings.items()
        if any(part in key for part in ("TOKEN", "SECRET", "KEY", "PASSWORD")) and len(text) >= 8
    }
    assert words
    return words
