"""Sample a three-qubit GHZ state with Qiskit.

Run it as it is: without any configuration it runs on the embedded simulator. Inside a scheduler's
job the same lines run on the QPU that the job was given.
"""

from qiskit import QuantumCircuit, generate_preset_pass_manager

from qrmi.qiskit import SamplerV2, backend

device = backend()

circuit = QuantumCircuit(3)
circuit.h(0)
circuit.cx(0, 1)
circuit.cx(1, 2)
circuit.measure_all()

pass_manager = generate_preset_pass_manager(backend=device, optimization_level=1)
isa_circuit = pass_manager.run(circuit)

sampler = SamplerV2(device)
job = sampler.run([isa_circuit], shots=1000)
print(f"job {job.job_id()} on {device.name}")

counts = job.result()[0].data.meas.get_counts()
print(counts)
