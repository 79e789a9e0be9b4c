"""Watch blockaded atoms oscillate: one batch of a parametrised sequence, with observables.

Two atoms within each other's blockade share one excitation, and oscillate sqrt(2) times faster
than one atom alone. Run it as it is: it needs no configuration.
"""

import numpy as np
from pulser import Pulse, Register, Sequence
from pulser.backend import BitStrings, EmulationConfig, Occupation
from pulser.devices import MockDevice

from qrmi.pulser import QRMIConnection, QRMIEmulatorBackend

rabi = 2 * np.pi  # rad/µs: one atom alone has a period of 1000 ns

sequence = Sequence(Register({"left": (0, 0), "right": (5, 0)}), MockDevice)
sequence.declare_channel("rydberg", "rydberg_global")
duration = sequence.declare_variable("duration", dtype=int)
sequence.add(Pulse.ConstantPulse(duration, rabi, 0, 0), "rydberg")
sequence.measure("ground-rydberg")

durations = [60, 180, 300, 420, 540, 660]  # ns
config = EmulationConfig(observables=[BitStrings(num_shots=500), Occupation()])
backend = QRMIEmulatorBackend(sequence, QRMIConnection(), config=config)
results = backend.run([{"variables": {"duration": t}} for t in durations], wait=True)

print("duration  one excitation: measured  expected   both")
for t, result in zip(durations, results, strict=True):
    occupation = sum(result.occupation[-1])
    expected = np.sin(np.sqrt(2) * rabi * t / 2000) ** 2
    both = result.final_bitstrings.get("11", 0)
    print(f"{t:5d} ns {occupation:24.2f} {expected:9.2f} {both:6d}")
