"""The analog sampler, its backend and its jobs with the constructors of the upstream library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from qrmi.qiskit.analog import AnalogJob, AnalogSamplerV2
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from pulser.devices import Device
    from qiskit import QuantumCircuit

__all__ = ["QPPSamplerV2", "QRMIPasqalBackend", "QRMIPasqalJob", "SamplerV2"]


class QRMIPasqalJob(AnalogJob):
    """A job of an analog circuit.

    Args:
        qrmi: the handle.
        job_id: the task.
        backend_name: no effect: results name the handle.
        poll_interval_seconds: no effect: the handle asks when it is worth while.
        timeout_seconds: the longest wait of ``result()``; ``None`` for no limit.
        delete_job: no effect: a task is never stopped because its job is dropped.
        **kwargs: as for `AnalogJob`.
    """

    def __init__(
        self,
        qrmi: QuantumResource,
        job_id: str,
        backend_name: str | None = None,
        *,
        poll_interval_seconds: float = 1.0,
        timeout_seconds: float | None = None,
        delete_job: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(qrmi, job_id, timeout_seconds=timeout_seconds, **kwargs)


class SamplerV2(AnalogSamplerV2):
    """Samples one analog circuit.

    Args:
        qrmi: the handle.
        options: a mapping with ``default_shots`` and ``run_options``.
    """

    _made_job = QRMIPasqalJob

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(qrmi, options=options)


QPPSamplerV2 = SamplerV2


class QRMIPasqalBackend:
    """Runs analog circuits one by one.

    Args:
        qrmi: the handle.
        options: as for `SamplerV2`.
    """

    def __init__(self, qrmi: QuantumResource, *, options: Mapping[str, Any] | None = None) -> None:
        self._sampler = SamplerV2(qrmi, options=options)
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
        **_ignored: object,
    ) -> AnalogJob:
        """Start one task; do not wait for it.

        Args:
            run_input: an analog circuit.
            shots: the option ``default_shots``, which is 1024, when absent.
            values: values of the circuit's parameters, by name.
        """
        return self._sampler.run([(run_input, dict(values) if values else None)], shots=shots)
