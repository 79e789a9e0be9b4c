"""Qiskit's primitives on an IBM device."""

import json

from dotenv import load_dotenv
from qiskit import QuantumCircuit
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from qrmi.primitives import QRMIService
from qrmi.primitives.ibm import EstimatorV2, SamplerV2, get_backend

load_dotenv()
(qrmi,) = QRMIService().resources()
target = get_backend(qrmi).target
manager = generate_preset_pass_manager(optimization_level=1, target=target)
circuit = QuantumCircuit(2)
circuit.x(0)
measured = circuit.copy()
measured.measure_all()

job = SamplerV2(qrmi, options={"default_shots": 50}).run([(manager.run(measured), [])])
result = job.result()
said = {
    "ids": type(job.job_id()).__name__,
    "status": str(job.status()),
    "counts": result[0].data.meas.get_counts(),
    "ends": [job.done(), job.running(), job.cancelled(), job.errored(), job.in_final_state()],
}
isa = manager.run(circuit)
observable = SparsePauliOp(["ZI", "IZ"], [1.0, 0.5]).apply_layout(isa.layout)
job = EstimatorV2(qrmi, options={}).run([(isa, observable, [])])
said["value"] = float(job.result()[0].data.evs)
print(json.dumps(said))
