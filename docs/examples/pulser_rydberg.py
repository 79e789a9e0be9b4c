"""Prepare an ordered state of Rydberg atoms with Pulser: the four corners of a square.

Run it as it is: without any configuration it runs on the embedded simulator. Inside a scheduler's
job the same lines run on the QPU that the job was given.
"""

import numpy as np
from pulser import Pulse, QPUBackend, Sequence
from pulser.register.special_layouts import SquareLatticeLayout
from pulser.waveforms import RampWaveform

from qrmi.pulser import QRMIConnection

connection = QRMIConnection()
device = connection.fetch_available_devices()["AnalogDevice"]

# Eight atoms, the border of a 3 x 3 square, clockwise from a corner. Neighbours cannot both be
# excited; of the two ways to excite every other atom, the corners repel each other least.
layout = SquareLatticeLayout(7, 7, 6.5)
register = layout.define_register(16, 17, 18, 25, 32, 31, 30, 23)

# Sweep the detuning from below to above resonance while the drive is on.
rabi, detuning = 2 * np.pi * 1.0, 2 * np.pi * 1.5  # rad/µs
rise = Pulse.ConstantDetuning(RampWaveform(400, 0, rabi), -detuning, 0)
sweep = Pulse.ConstantAmplitude(rabi, RampWaveform(2400, -detuning, detuning), 0)
fall = Pulse.ConstantDetuning(RampWaveform(400, rabi, 0), detuning, 0)

sequence = Sequence(register, device)
sequence.declare_channel("rydberg", "rydberg_global")
for pulse in (rise, sweep, fall):
    sequence.add(pulse, "rydberg")
sequence.measure("ground-rydberg")

results = QPUBackend(sequence, connection).run([{"runs": 500}], wait=True)
counts = results[0].final_bitstrings
print(f"batch {results.batch_id}: {results.get_batch_status().name}")
print("the most frequent outcomes, first atom leftmost:")
for bits in sorted(counts, key=counts.get, reverse=True)[:4]:
    print(bits, counts[bits])
