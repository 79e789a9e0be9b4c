"""An emulator backend for users who have no vendor's client installed."""

from __future__ import annotations

from typing import Any

import pulser
from pulser.backend import BitStrings, EmulationConfig, EmulatorBackend
from pulser.backend.remote import RemoteBackend, RemoteConnection, RemoteResults

from qrmi.pulser.connection import PulserQRMIConnection, QRMIConnection

__all__ = ["PulserQRMIConnection", "QRMIEmulatorBackend"]  # the former for older upstream code


class QRMIEmulatorBackend(RemoteBackend, EmulatorBackend):  # type: ignore[misc]
    """Emulates a sequence on a resource, with Pulser's observables and noise models.

    The same as the remote emulator backends of ``pasqal_cloud`` (which work on a `QRMIConnection`
    as well), but the resource chooses the emulator.

    Args:
        sequence: the sequence, on any device, virtual ones too.
        connection: where to run it; ``None`` for ``QRMIConnection()``.
        config: observables, shots, noise and so on; ``None`` for bit strings at the end.
        mimic_qpu: whether to check the sequence as for a QPU.
    """

    default_config = EmulationConfig(observables=[BitStrings()])

    def __init__(
        self,
        sequence: pulser.Sequence,
        connection: RemoteConnection | None = None,
        *,
        config: EmulationConfig | None = None,
        mimic_qpu: bool = False,
    ) -> None:
        chosen = QRMIConnection() if connection is None else connection
        RemoteBackend.__init__(self, sequence, chosen, mimic_qpu=mimic_qpu)
        EmulatorBackend.__init__(self, sequence, config=config, mimic_qpu=mimic_qpu)

    def run(
        self, job_params: list[dict[str, Any]] | None = None, wait: bool = False
    ) -> RemoteResults:
        """Run the jobs; without any, one job with the configuration's shots."""
        return super().run(job_params=[{}] if job_params is None else job_params, wait=wait)

    def _submit_kwargs(self) -> dict[str, Any]:
        return {"batch_id": self._batch_id, "backend_configuration": self._config}
