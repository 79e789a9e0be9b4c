"""Programs so small that any resource can run them, made for the resource that is to run them."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from qrmi.errors import InvalidInputError, MissingExtraError, UnsupportedPayloadError
from qrmi.payloads import PasqalCloud, Payload
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from qiskit import QuantumCircuit
    from qiskit.transpiler import Target

__all__ = ["tiny_program"]

_ATOMS = 2
_SPACING_UM = 8.0
_PULSE_NS = 400
_CHANNEL = "rydberg_global"


def tiny_program(resource: QuantumResource, shots: int = 10) -> Payload:
    """A program of two qubits or atoms that fits the resource; asks it for its target.

    Raises:
        UnsupportedPayloadError: the resource takes neither circuits nor pulse sequences.
        MissingExtraError: the SDK that writes the program is not installed.
    """
    from qrmi.codecs.interface import gate_codec

    try:
        codec = gate_codec(resource)
    except UnsupportedPayloadError:
        if PasqalCloud.FORMAT not in resource.payloads:
            raise
        return _pulses(resource, shots)
    try:
        from qiskit.primitives.containers.sampler_pub import SamplerPub
    except ImportError as error:
        raise _missing("qiskit") from error
    device = _Asked(resource)
    circuit = _fitted(_bell(), codec.read_target(device.target_text))
    pub = SamplerPub.coerce((circuit, None, shots))
    return codec.encode_sampler([pub], device=device, options={}).payloads[0]


class _Asked:
    """A `qrmi.codecs.interface.Device`."""

    def __init__(self, resource: QuantumResource) -> None:
        self.resource = resource

    @cached_property
    def target_text(self) -> str:
        return self.resource.target().value


def _bell() -> QuantumCircuit:
    from qiskit import QuantumCircuit

    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    return circuit


def _fitted(circuit: QuantumCircuit, target: Target) -> QuantumCircuit:
    from qiskit.transpiler import generate_preset_pass_manager

    manager = generate_preset_pass_manager(optimization_level=1, target=target, seed_transpiler=1)
    fitted: QuantumCircuit = manager.run(circuit)
    return fitted


def _pulses(resource: QuantumResource, shots: int) -> Payload:
    from qrmi.codecs import analog

    devices = analog.read_devices(resource.target().value)
    device = devices.get(resource.resource_id()) or next(iter(devices.values()))
    return analog.encode_single(_short_pulse(device), shots)


def _short_pulse(device: Any) -> Any:
    """One short pulse on two atoms."""
    try:
        from pulser import Pulse, Register, Sequence
    except ImportError as error:
        raise _missing("pulser") from error
    if _CHANNEL not in device.channels:
        raise InvalidInputError(f"{device.name} has no channel {_CHANNEL}")
    places = [(_SPACING_UM * place, 0.0) for place in range(_ATOMS)]
    register = Register.from_coordinates(places, prefix="q")
    if device.requires_layout:
        register = register.with_automatic_layout(device)
    sequence = Sequence(register, device)
    sequence.declare_channel("global", _CHANNEL)
    sequence.add(Pulse.ConstantPulse(_PULSE_NS, 3.0, 0.0, 0.0), "global")
    sequence.measure("ground-rydberg")
    return sequence


def _missing(extra: str) -> MissingExtraError:
    return MissingExtraError(f"{extra} is not installed", hint=f"pip install 'openqrmi[{extra}]'")
