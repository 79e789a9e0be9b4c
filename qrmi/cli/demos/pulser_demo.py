"""Pulser: seven atoms in a row, swept into the antiferromagnetic order."""

from __future__ import annotations

from typing import Any

from qrmi.cli.demos.program import Outcome, Steps
from qrmi.resource import QuantumResource

__all__ = ["run"]

_ATOMS = 7
_SPACING_UM = 5.5
_PREFERRED = ("AnalogDevice", "FRESNEL", "FRESNEL_CAN1")


def run(resource: QuantumResource, shots: int, steps: Steps) -> Outcome:
    """Run the sequence on the resource through `qrmi.pulser`."""
    with steps.step("import"):
        from pulser.backend import QPUBackend

        from qrmi.pulser import QRMIConnection

    with steps.step("build"):
        connection = QRMIConnection(resource)
        sequence = _sweep(_device(connection.fetch_available_devices()))

    with steps.step("run"):
        results = QPUBackend(sequence, connection).run([{"runs": shots}], wait=True)
        counts = dict(results.results[0].final_bitstrings)

    return Outcome(counts=counts, task_id=results.batch_id)


def _device(devices: dict[str, Any]) -> Any:
    """The device to write the sequence for: a physical one where there is a choice."""
    names = [*(name for name in _PREFERRED if name in devices), *devices]
    return devices[names[0]]


def _sweep(device: Any) -> Any:
    """Raise the drive, sweep the detuning through the transition, lower the drive.

    Neighbours within the Rydberg blockade radius are not excited together, so every second atom
    ends excited, beginning and ending with an excited one.
    """
    import numpy as np
    from pulser import Pulse, Register, Sequence
    from pulser.waveforms import ConstantWaveform, RampWaveform

    register = Register.from_coordinates(
        [(_SPACING_UM * place, 0.0) for place in range(_ATOMS)], prefix="q"
    )
    if device.requires_layout:
        register = register.with_automatic_layout(device)

    rabi, detuning = 2 * np.pi * 1.0, 2 * np.pi * 2.5  # rad/us
    sequence = Sequence(register, device)
    sequence.declare_channel("rydberg", "rydberg_global")
    sequence.add(Pulse.ConstantDetuning(RampWaveform(500, 0, rabi), -detuning, 0), "rydberg")
    sequence.add(
        Pulse(ConstantWaveform(3000, rabi), RampWaveform(3000, -detuning, detuning), 0), "rydberg"
    )
    sequence.add(Pulse.ConstantDetuning(RampWaveform(500, rabi, 0), detuning, 0), "rydberg")
    sequence.measure("ground-rydberg")
    return sequence
