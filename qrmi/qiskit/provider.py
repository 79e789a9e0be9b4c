"""The resources that can be reached from here, as Qiskit's providers list their backends."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any

from qrmi import journal, registry
from qrmi.codecs import group
from qrmi.codecs.interface import gate_codec
from qrmi.errors import (
    InvalidInputError,
    QrmiError,
    ResourceNotFoundError,
    UnsupportedPayloadError,
)
from qrmi.qiskit.backends import QRMIBackend
from qrmi.qiskit.errors import BackendNotFoundError
from qrmi.qiskit.jobs import TaskJob
from qrmi.qiskit.reopening import job
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatus, ResourceStatusCode

__all__ = ["QRMIProvider"]

_log = logging.getLogger(__name__)


class QRMIProvider:
    """Backends of this job's QPUs, of the configuration file, and the embedded simulator.

    Resources that take no gate programs are not listed.
    """

    def __repr__(self) -> str:
        return "<QRMIProvider>"

    def backends(
        self,
        name: str | None = None,
        *,
        min_num_qubits: int | None = None,
        filters: Callable[[QRMIBackend], bool] | None = None,
        **attributes: Any,
    ) -> list[QRMIBackend]:
        """The backends that meet all conditions; one that cannot be asked is left out.

        Args:
            name: the resource's name.
            min_num_qubits: the fewest qubits.
            filters: a test of one's own.
            **attributes: values that the backend's attributes must have, as ``simulator=True``.

        Raises:
            InvalidInputError: a backend has no such attribute.
        """
        for attribute in attributes:
            if not hasattr(QRMIBackend, attribute):
                raise InvalidInputError(f"backends have no attribute {attribute!r} to filter by")

        def passes(backend: QRMIBackend) -> bool:
            return (
                (min_num_qubits is None or backend.num_qubits >= min_num_qubits)
                and all(getattr(backend, key) == value for key, value in attributes.items())
                and (filters is None or filters(backend))
            )

        return [backend for backend in self._all(name) if _attempt(backend.name, passes, backend)]

    def backend(self, name: str | None = None) -> QRMIBackend:
        """The backend of that name; without one, what `qrmi.open` chooses.

        Raises:
            BackendNotFoundError: no such resource (it is a ``QiskitBackendNotFoundError`` too).
            UnsupportedPayloadError: the resource takes no gate programs.
        """
        try:
            made = QRMIBackend(registry.open(name), provider=self)
        except ResourceNotFoundError as error:
            raise BackendNotFoundError(error.message, hint=error.hint) from error
        made.require_gates()
        return made

    def get_backend(self, name: str | None = None) -> QRMIBackend:
        """The same as `backend`."""
        return self.backend(name)

    def least_busy(
        self,
        *,
        min_num_qubits: int | None = None,
        filters: Callable[[QRMIBackend], bool] | None = None,
        **attributes: Any,
    ) -> QRMIBackend:
        """The online backend with the fewest pending jobs; those that report none come last.

        Raises:
            BackendNotFoundError: no backend is online and meets the conditions.
        """
        chosen = self.backends(min_num_qubits=min_num_qubits, filters=filters, **attributes)
        looked = [(backend, _attempt(backend.name, backend.status)) for backend in chosen]
        online = [(_pending(status), backend) for backend, status in looked if _is_online(status)]
        if not online:
            raise BackendNotFoundError(
                "no backend is online and meets the conditions",
                hint="loosen the conditions; `qrmi resources` shows what is online",
            )
        return min(online, key=lambda pair: pair[0])[1]

    def job(self, job_id: str) -> TaskJob:
        """A job by its id, whichever process started it. Raises `TaskNotFoundError`."""
        return job(job_id)

    def jobs(self, limit: int | None = 10, *, backend_name: str | None = None) -> list[TaskJob]:
        """This user's Qiskit jobs by the journal, newest first.

        Args:
            limit: the most jobs; ``None`` for no limit.
            backend_name: only jobs of this resource.

        Raises:
            InvalidInputError: a negative limit.
        """
        if limit is not None and limit < 0:
            raise InvalidInputError(f"limit must be at least 0, not {limit}")
        found = (_attempt(task_id, job, task_id) for task_id in _journalled(backend_name))
        return list(itertools.islice((made for made in found if made is not None), limit))

    def _all(self, name: str | None) -> Iterator[QRMIBackend]:
        for available in registry.resources():
            if name in (None, available.name):
                resource = _attempt(available.name, available.open)
                if resource is not None and _attempt(available.name, _takes_gates, resource):
                    yield QRMIBackend(resource, provider=self)


def _attempt(name: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """What a call gives, or ``None`` with a warning when it fails."""
    try:
        return call(*arguments)
    except QrmiError as error:
        _log.warning("%s is left out: %s", name, error)
        return None


def _takes_gates(resource: QuantumResource) -> bool:
    try:
        gate_codec(resource)
    except UnsupportedPayloadError:
        return False
    return True


def _is_online(status: ResourceStatus | None) -> bool:
    return status is not None and status.status is ResourceStatusCode.ONLINE


def _pending(status: ResourceStatus) -> float:
    return float("inf") if status.pending_job_count is None else status.pending_job_count


def _journalled(backend_name: str | None) -> Iterator[str]:
    for job_id, record in group.programs(journal.default().tasks()):
        if record.context.get("sdk") == "qiskit" and backend_name in (None, record.resource_id):
            yield job_id
