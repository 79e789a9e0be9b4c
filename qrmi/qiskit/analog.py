"""Analog circuits on resources that take pulse sequences.

An analog circuit is one ``HamiltonianGate`` of qiskit-pasqal-provider, with or without
measurements after it. It becomes a Pulser sequence for the resource's device; atom ``k`` is the
``k``-th qubit that the gate acts on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives import (
    BasePrimitiveJob,
    BaseSamplerV2,
    BitArray,
    DataBin,
    PrimitiveResult,
    SamplerPubLike,
    SamplerPubResult,
)
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import analog, bits
from qrmi.errors import MissingExtraError
from qrmi.payloads import PasqalCloud
from qrmi.qiskit.errors import InvalidPubError, pub_errors
from qrmi.qiskit.handles import handle_of
from qrmi.qiskit.jobs import TaskJob
from qrmi.qiskit.options import SamplerOptions
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from pulser import Sequence
    from pulser.devices import Device

__all__ = ["AnalogJob", "AnalogSamplerV2", "device_of"]


@attrs.frozen(kw_only=True)
class _Readout:
    """Where measured atoms go.

    Attributes:
        registers: for each classical register, by name, the atom of each of its bits; ``None``
            for a bit that nothing is measured into.
        metadata: what Qiskit puts into the pub's result metadata.
    """

    registers: Mapping[str, list[int | None]]
    metadata: Mapping[str, Any] = attrs.field(factory=dict)


class AnalogSamplerV2(BaseSamplerV2):  # type: ignore[misc]  # Qiskit is untyped
    """Samples an analog circuit.

    Args:
        resource: a handle or the name of a resource; ``None`` for what `qrmi.open` chooses.
        options: a mapping with keys of `SamplerOptions`. Of ``run_options``, ``timeout_seconds``
            limits ``result()``.

    Raises:
        UnsupportedPayloadError: the resource takes no pulse sequences.
        MissingExtraError: qiskit-pasqal-provider is not installed.
    """

    _made_job: ClassVar[Callable[..., AnalogJob]]

    def __init__(
        self,
        resource: QuantumResource | str | None = None,
        *,
        options: SamplerOptions | Mapping[str, Any] | None = None,
    ) -> None:
        self._options = SamplerOptions.coerce(options)
        self._resource = handle_of(resource)
        self._resource.require(PasqalCloud.FORMAT, "pulse sequences")
        self._device: Device | None = None

    @property
    def options(self) -> SamplerOptions:
        """The options; they can be changed and are read at each `run`."""
        return self._options

    @property
    def device(self) -> Device:
        """The Pulser device that sequences are made for; read at first use."""
        if self._device is None:
            self._device = device_of(self._resource)
        return self._device

    def run(
        self, pubs: QuantumCircuit | Iterable[SamplerPubLike], *, shots: int | None = None
    ) -> AnalogJob:
        """Start one task for one pub; do not wait for it.

        Args:
            pubs: one circuit, or a list with one pub that has one set of parameter values.
            shots: for a pub that names none; the option ``default_shots`` when absent.

        Raises:
            InvalidPubError: several pubs or sets of values, or no analog circuit.
        """
        default = self._options.default_shots if shots is None else shots
        with pub_errors():
            listed = [pubs] if isinstance(pubs, QuantumCircuit) else list(pubs)
            if len(listed) != 1:
                raise InvalidPubError("an analog sampler takes exactly one pub a run")
            pub = SamplerPub.coerce(listed[0], default)
            sequence = self._sequence(pub)
        readout = _readout(pub)
        context = {"sdk": "qiskit", "kind": "analog", "registers": readout.registers}
        payload = analog.encode_single(sequence, int(pub.shots))
        task_id = self._resource.task_start(payload, context=context)
        timeout = self._options.run_options.get("timeout_seconds")
        return self._made_job(self._resource, task_id, readout=readout, timeout_seconds=timeout)

    def _sequence(self, pub: SamplerPub) -> Sequence:
        if pub.shape != ():
            raise InvalidPubError("an analog sampler takes one set of parameter values a run")
        pulses = _pulse_utils()
        bare = QuantumCircuit(pub.circuit.qubits)
        for item in pub.circuit.data:
            if item.name not in ("measure", "barrier"):
                bare.append(item.operation, item.qubits)
        register = pulses.place_register(pulses.get_register_from_circuit(bare), self.device)
        sequence = pulses.gen_seq(analog_register=register, device=self.device, circuit=bare)
        if not sequence.is_parametrized():
            return sequence
        parameters = pub.circuit.parameters
        values = {
            parameter.name: value
            for parameter, value in zip(
                parameters, pub.parameter_values.as_array(parameters).tolist(), strict=True
            )
        }
        # A parameter that stands for all points of a waveform is a variable of several values.
        sizes = {name: variable.size for name, variable in sequence.declared_variables.items()}
        return sequence.build(**{name: [values[name]] * size for name, size in sizes.items()})


class AnalogJob(TaskJob, BasePrimitiveJob):  # type: ignore[misc]  # Qiskit is untyped
    """A job of `AnalogSamplerV2`.

    Its result has one pub, whose data are a ``BitArray`` for each classical register (``meas``
    when the circuit measures nothing by name), in Qiskit's bit order, and ``counts``, a dictionary
    in Pulser's: the first atom leftmost. The order of shots is not known.

    Args:
        resource: the handle.
        task_id: the task.
        readout: where measured atoms go; without it, what the journal tells.
        timeout_seconds: the longest wait of ``result()``; ``None`` for no limit.
    """

    def __init__(
        self,
        resource: QuantumResource,
        task_id: str,
        *,
        readout: _Readout | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        super().__init__(resource, task_id)
        self._readout = readout
        self._timeout_seconds = timeout_seconds

    def result(self, timeout: float | None = None) -> PrimitiveResult:
        """Wait for the end of the job and give its result; errors as for every job."""
        return super().result(self._timeout_seconds if timeout is None else timeout)

    def _read(self) -> PrimitiveResult:
        counts = analog.decode_counter(self._resource.task_result(self._job_id).value)
        atoms = len(next(iter(counts), ""))
        readout = self._readout
        if readout is None:
            context = self._resource.task_context(self._job_id)
            readout = _Readout(registers=context.get("registers") or {"meas": list(range(atoms))})
        samples = _samples(counts, atoms)
        arrays = {name: _register(samples, held) for name, held in readout.registers.items()}
        shots = sum(counts.values())
        pub = SamplerPubResult(
            DataBin(**{"counts": counts, **arrays}),
            metadata={"circuit_metadata": {}, **readout.metadata, "shots": shots},
        )
        metadata = {
            "version": 2,
            "status": "DONE",
            "success": True,
            "backend_name": self._resource.resource_id(),
            "job_id": self._job_id,
        }
        return PrimitiveResult([pub], metadata=metadata)


AnalogSamplerV2._made_job = AnalogJob


def device_of(resource: QuantumResource) -> Device:
    """The Pulser device of a resource: the one of the resource's name, else its first.

    Raises:
        UnsupportedPayloadError: the resource describes no device for pulse sequences.
    """
    devices = analog.read_devices(resource.target().value)
    return devices.get(resource.resource_id()) or next(iter(devices.values()))


def _pulse_utils() -> ModuleType:
    try:
        from qiskit_pasqal_provider.providers import pulse_utils
    except ImportError as error:
        raise MissingExtraError(
            "analog circuits need qiskit-pasqal-provider, which is not installed",
            hint="pip install 'openqrmi[pasqal]'",
        ) from error
    module: ModuleType = pulse_utils
    return module


def _readout(pub: SamplerPub) -> _Readout:
    """Which atom each classical bit holds, by the circuit's last measurement into it."""
    circuit = pub.circuit
    gate = next(item for item in circuit.data if item.name not in ("measure", "barrier"))
    atom_of = {qubit: atom for atom, qubit in enumerate(gate.qubits)}
    source: dict[Any, int | None] = {
        item.clbits[0]: atom_of.get(item.qubits[0])
        for item in circuit.data
        if item.name == "measure"
    }
    registers = {
        register.name: [source.get(bit) for bit in register] for register in circuit.cregs
    } or {"meas": [atom_of.get(qubit) for qubit in circuit.qubits]}
    metadata = {"circuit_metadata": circuit.metadata}
    return _Readout(registers=registers, metadata=metadata)


def _samples(counts: Mapping[str, int], atoms: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """One row a shot, one column an atom, and a last column of zeros."""
    outcomes = np.array([[*map(int, text), 0] for text in counts], dtype=np.uint8)
    return np.repeat(outcomes.reshape(len(counts), atoms + 1), list(counts.values()), axis=0)


def _register(samples: np.ndarray[Any, np.dtype[np.uint8]], held: list[int | None]) -> BitArray:
    columns = [-1 if atom is None else atom for atom in held]
    return BitArray(bits.pack(samples[:, columns]), len(held))
