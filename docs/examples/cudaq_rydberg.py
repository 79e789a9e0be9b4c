"""Three Rydberg atoms with CUDA-Q: a sweep of the detuning that ends in an ordered state."""

import cudaq
import numpy as np
from cudaq.operators import RydbergHamiltonian, ScalarOperator

spacing = 6e-6  # metres
sites = [(0.0, 0.0), (spacing, 0.0), (2 * spacing, 0.0)]

duration = 2e-6  # seconds
steps = np.linspace(0.0, duration, 21)

amplitude = ScalarOperator(lambda t: 8e6 if 0.0 < t.real < duration else 0.0)  # rad/s
detuning = ScalarOperator(lambda t: -1e7 + 2e7 * t.real / duration)
phase = ScalarOperator.const(0.0)

cudaq.set_target("qrmi")

result = cudaq.evolve(
    RydbergHamiltonian(sites, amplitude=amplitude, phase=phase, delta_global=detuning),
    schedule=cudaq.Schedule(steps, ["t"]),
    shots_count=500,
)
print(result)
print(f"most probable: {result.most_probable()}")
