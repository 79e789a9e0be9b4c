"""The energy of the deuteron with CUDA-Q: a sweep, all its points at once, then the best one."""

import cudaq
import numpy as np
from cudaq import spin


@cudaq.kernel
def ansatz(theta: float):
    qubits = cudaq.qvector(2)
    x(qubits[0])
    ry(theta, qubits[1])
    x.ctrl(qubits[1], qubits[0])


hamiltonian = (
    5.907
    - 2.1433 * spin.x(0) * spin.x(1)
    - 2.1433 * spin.y(0) * spin.y(1)
    + 0.21829 * spin.z(0)
    - 6.125 * spin.z(1)
)

cudaq.set_target("qrmi")

angles = np.linspace(0.0, 1.2, 13)
futures = [cudaq.observe_async(ansatz, hamiltonian, angle) for angle in angles]
energies = [future.get().expectation() for future in futures]
best = angles[int(np.argmin(energies))]
print(f"lowest energy {min(energies):.4f} at theta = {best:.1f}")

sampled = cudaq.observe(ansatz, hamiltonian, best, shots_count=2000)
print(f"with 2000 shots a term: {sampled.expectation():.4f}")
