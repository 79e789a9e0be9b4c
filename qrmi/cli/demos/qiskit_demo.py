"""Qiskit: a GHZ state of five qubits."""

from __future__ import annotations

from qrmi.cli.demos.program import Outcome, Steps
from qrmi.resource import QuantumResource

__all__ = ["run"]


def run(resource: QuantumResource, shots: int, steps: Steps) -> Outcome:
    """Sample the circuit on the resource through `qrmi.qiskit`."""
    with steps.step("import"):
        from qiskit import QuantumCircuit, generate_preset_pass_manager

        from qrmi.qiskit import SamplerV2, backend

    with steps.step("build"):
        circuit = QuantumCircuit(5)
        circuit.h(0)
        for qubit in range(4):
            circuit.cx(qubit, qubit + 1)
        circuit.measure_all()

        device = backend(resource)
        isa_circuit = generate_preset_pass_manager(backend=device).run(circuit)

    with steps.step("run"):
        job = SamplerV2(device).run([isa_circuit], shots=shots)
        counts = job.result()[0].data.meas.get_counts()

    return Outcome(counts=counts, task_id=job.job_id())
