"""Find the ground-state energy of a hydrogen molecule with Qiskit's estimator and SciPy.

Run it as it is: without any configuration it runs on the embedded simulator. Inside a scheduler's
job the same lines run on the QPU that the job was given.
"""

import numpy as np
from qiskit import generate_preset_pass_manager
from qiskit.circuit.library import real_amplitudes
from qiskit.quantum_info import SparsePauliOp
from scipy.optimize import minimize

from qrmi.qiskit import EstimatorV2, backend

# H2 at 0.735 angstrom, parity mapping, two qubits; energies in hartree
hamiltonian = SparsePauliOp.from_list(
    [("II", -1.05237), ("IZ", 0.39794), ("ZI", -0.39794), ("ZZ", -0.01128), ("XX", 0.18093)]
)
exact = np.linalg.eigvalsh(hamiltonian.to_matrix())[0]

device = backend()
ansatz = real_amplitudes(hamiltonian.num_qubits, reps=1)
isa_ansatz = generate_preset_pass_manager(backend=device, optimization_level=1).run(ansatz)
isa_hamiltonian = hamiltonian.apply_layout(isa_ansatz.layout)

# about a million shots a step: nothing on a simulator; on hardware ask for less
estimator = EstimatorV2(device, options={"default_precision": 0.001})


def energy(parameters: np.ndarray) -> float:
    """Measure the energy of the ansatz with these parameters."""
    result = estimator.run([(isa_ansatz, isa_hamiltonian, parameters)]).result()
    return float(result[0].data.evs)


start = np.random.default_rng(7).uniform(-np.pi, np.pi, isa_ansatz.num_parameters)
found = minimize(energy, start, method="COBYLA", options={"maxiter": 150, "rhobeg": 1.0})
print(f"energy found: {found.fun:.3f} hartree after {found.nfev} evaluations")
print(f"exact energy: {exact:.3f} hartree")
