"""The upstream library's module for IQM devices under Qiskit: thin names over `qrmi.qiskit`."""

from __future__ import annotations

from qrmi import config
from qrmi.errors import ResourceNotFoundError
from qrmi.qiskit import QRMIBackend, backend
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceType

__all__ = ["IQMProvider", "QRMIBackend"]


class IQMProvider:
    """The IQM devices that the scheduler gave this job, as Qiskit backends."""

    def __init__(self, **_ignored: object) -> None:
        """Take and ignore what IQM's own provider is made with: the job's variables say it."""

    def get_backend(
        self,
        name: str | None = None,
        calibration_set_id: str | None = None,
        *,
        use_metrics: bool = False,
    ) -> QRMIBackend:
        """The backend of an IQM resource of this job.

        Args:
            name: the resource's name, with ``_`` for ``:``; ``None`` for the job's only one.
            calibration_set_id: a calibration set other than the default one.
            use_metrics: no effect: the target has whatever metrics the server gives.

        Raises:
            ResourceNotFoundError: the job has no such IQM resource, or several and no name
                was given.
            UnsupportedResourceTypeError: no driver for ``iqm-server`` is installed.
        """
        chosen = _chosen(name)
        resource_id = f"{chosen},{calibration_set_id}" if calibration_set_id else chosen
        return backend(QuantumResource(resource_id, ResourceType.IQM_SERVER))


def _chosen(name: str | None) -> str:
    granted = [
        resource.name
        for resource in config.job_resources()
        if resource.resource_type is ResourceType.IQM_SERVER
    ]
    matching = [r for r in granted if name is None or r.replace(":", "_") == name.replace(":", "_")]
    if len(matching) != 1:
        raise ResourceNotFoundError(
            f"this job has {len(matching)} IQM resources"
            + (f" called {name!r}" if name is not None else ""),
            hint="its IQM resources: " + (", ".join(granted) or "none"),
        )
    return matching[0]
