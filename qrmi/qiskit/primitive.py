"""What the sampler and the estimator share: a backend, options, and how a task is started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from qrmi.codecs.group import TaskGroup
from qrmi.codecs.interface import Encoded
from qrmi.qiskit.backends import QRMIBackend, backend
from qrmi.qiskit.jobs import QRMIPrimitiveJob
from qrmi.qiskit.options import EstimatorOptions, SamplerOptions
from qrmi.qiskit.records import context, records_of
from qrmi.resource import QuantumResource

__all__ = ["Primitive"]

_Options = TypeVar("_Options", SamplerOptions, EstimatorOptions)


class Primitive(Generic[_Options]):
    """A primitive on a resource that takes gate programs.

    Args:
        mode: a handle, a resource's name, a `QRMIBackend`, or ``None`` for what `qrmi.open`
            chooses.
        options: a mapping with keys of the primitive's options, or such an object (it is copied).

    Raises:
        TypeError: an unknown option, or one of the wrong type.
        UnsupportedPayloadError: the resource takes no gate programs.
    """

    _options_class: ClassVar[Any]
    _made_job: ClassVar[Callable[..., QRMIPrimitiveJob]] = QRMIPrimitiveJob

    def __init__(
        self,
        mode: QuantumResource | QRMIBackend | str | None = None,
        *,
        options: _Options | Mapping[str, Any] | None = None,
    ) -> None:
        self._options: _Options = self._options_class.coerce(options)
        self._backend = backend(mode)

    @property
    def backend(self) -> QRMIBackend:
        """The backend that circuits are run on."""
        return self._backend

    @property
    def options(self) -> _Options:
        """The options; they can be changed and are read at each `run`."""
        return self._options

    def _start(self, kind: str, encoded: Encoded, pubs: Sequence[Any]) -> QRMIPrimitiveJob:
        records = records_of(pubs)
        resource = self._backend.resource
        group = TaskGroup.start(resource, encoded, context(kind, records))
        return self._made_job(
            resource, group.id, pubs=records, notes=encoded.notes, backend=self._backend
        )
