"""The upstream library's module for Pasqal devices: analog circuits through a handle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qrmi.qiskit import analog
from qrmi.qiskit.analog import AnalogJob, AnalogSamplerV2
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from pulser.devices import Device
    from qiskit import QuantumCircuit

__all__ = [
    "QPPSamplerV2",
    "QRMIPasqalBackend",
    "QRMIPasqalJob",
    "SamplerV2",
    "get_device",
    "get_target",
]

QRMIPasqalJob = AnalogJob


class SamplerV2(AnalogSamplerV2):
    """Samples one analog circuit.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_shots`` and ``run_options``.
    """

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)


QPPSamplerV2 = SamplerV2


class QRMIPasqalBackend:
    """Runs analog circuits one by one.

    Args:
        qrmi: the handle.
    """

    def __init__(self, qrmi: QuantumResource) -> None:
        self._sampler = AnalogSamplerV2(qrmi)
        self.name = qrmi.resource_id()

    @property
    def device(self) -> Device:
        """The Pulser device that sequences are made for."""
        return self._sampler.device

    def run(
        self,
        run_input: QuantumCircuit,
        shots: int | None = None,
        values: Mapping[str, float] | None = None,
    ) -> AnalogJob:
        """Start one task; do not wait for it.

        Args:
            run_input: an analog circuit.
            shots: 1024 when absent.
            values: values of the circuit's parameters, by name.
        """
        return self._sampler.run([(run_input, dict(values) if values else None)], shots=shots)


def get_device(qrmi: QuantumResource) -> Device:
    """The Pulser device of a handle.

    Raises:
        UnsupportedPayloadError: the resource describes no device for pulse sequences.
    """
    return analog.device_of(qrmi)


def get_target(qrmi: QuantumResource) -> Any:
    """The device as qiskit-pasqal-provider's ``PasqalTarget``.

    Raises:
        UnsupportedPayloadError: the resource describes no device for pulse sequences.
    """
    from qiskit_pasqal_provider.providers.target import PasqalTarget

    return PasqalTarget(device=analog.device_of(qrmi))
