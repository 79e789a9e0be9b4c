"""Qiskit on an IQM computer."""

import json

from dotenv import load_dotenv
from qiskit import QuantumCircuit, transpile

from qrmi.qiskit_iqm import IQMProvider

load_dotenv()
backend = IQMProvider().get_backend()
circuit = QuantumCircuit(3)
circuit.h(0)
circuit.cx(0, 1)
circuit.cx(0, 2)
circuit.barrier()
circuit.measure_all()
job = backend.run(transpile(circuit, backend), shots=100)
counts = job.result().get_counts()
print(json.dumps({"outcomes": sorted(counts), "shots": sum(counts.values())}))
