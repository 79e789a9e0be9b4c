"""Pulser, and Qiskit's analog circuits, on a Pasqal device."""

import json

from dotenv import load_dotenv
from pulser import Pulse, QPUBackend, Sequence
from pulser.backend.remote import JobParams
from pulser.register import Register
from qiskit.circuit import QuantumCircuit
from qiskit_pasqal_provider.providers.gate import HamiltonianGate, InterpolatePoints
from qiskit_pasqal_provider.providers.sampler import SamplerV2

from qrmi import QRMIService
from qrmi.primitives.pasqal.sampler import QRMIPasqalBackend
from qrmi.pulser.connection import PulserQRMIConnection

load_dotenv()
connection = PulserQRMIConnection()
name, device = next(iter(connection.fetch_available_devices().items()))
corners = {"q0": (-2.5, -2.5), "q1": (2.5, -2.5), "q2": (-2.5, 2.5)}
sequence = Sequence(Register(corners).with_automatic_layout(device), device)
sequence.declare_channel("rydberg", "rydberg_global")
sequence.add(Pulse.ConstantPulse(100, 0.0, 0.0, 0.0), "rydberg")
sequence.measure("ground-rydberg")
results = QPUBackend(sequence, connection).run([JobParams(runs=20, variables=[])], wait=True)
found = results.get_available_results()[results.batch_id]
said = {
    "tagged": {tag: [dict(c) for c in kept] for tag, kept in found.get_tagged_results().items()},
    "logs": len(connection.get_batch_logs(batch_id=results.batch_id)),
}

flat = InterpolatePoints(values=[0.0, 0.0, 0.0], times=[0, 0.5, 1])
gate = HamiltonianGate(flat, flat, 0.0, [[0, 0], [6, 0]], grid_transform="triangular")
circuit = QuantumCircuit(2)
circuit.append(gate, circuit.qubits)
(qrmi,) = QRMIService().resources()
job = SamplerV2(QRMIPasqalBackend(qrmi=qrmi)).run([circuit], shots=20)
said["counts"] = job.result()[0].data.counts
print(json.dumps(said))
