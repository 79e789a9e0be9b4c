"""The upstream library's module for IQM devices under Qiskit: thin names over `qrmi.qiskit`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from qiskit import QuantumCircuit

from qrmi import config, qiskit
from qrmi.errors import ResourceNotFoundError
from qrmi.qiskit import QRMIJob
from qrmi.qiskit import run as runs
from qrmi.qiskit_iqm.options import merged
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceType

__all__ = ["IQMProvider", "QRMIBackend", "RunRequest"]


class QRMIBackend(qiskit.QRMIBackend):
    """An IQM device as a Qiskit backend, with the arguments of IQM's own.

    Args:
        qrmi: the handle.
        calibration_set_id: what jobs ask for, when that is not the handle's own calibration set.
        use_metrics: no effect: the target has whatever metrics the server gives.
        **options: as for `qrmi.qiskit.QRMIBackend`.
    """

    def __init__(
        self,
        qrmi: QuantumResource,
        *,
        calibration_set_id: object = None,
        use_metrics: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(qrmi, **options)
        self.qrmi = qrmi
        self._calibration_set_id = None if calibration_set_id is None else str(calibration_set_id)
        self._max_circuits: int | None = None

    def run(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        *,
        use_timeslot: bool = False,
        shots: int | None = None,
        circuit_compilation_options: Any = None,
        circuit_callback: Callable[[list[QuantumCircuit]], Any] | None = None,
        qubit_index_to_name: Mapping[int, str] | None = None,
        **options: Any,
    ) -> QRMIJob:
        """Start one job that runs the circuits; do not wait for it.

        Args:
            run_input: a circuit or several, in the device's instructions; ``x``, ``y``, ``rx`` and
                ``ry`` are taken too, and so is any other gate on one qubit.
            use_timeslot: whether to use a reserved time slot.
            shots: of each circuit; 1024 unless the backend's options say otherwise.
            circuit_compilation_options: iqm-client's ``CircuitCompilationOptions``, or a mapping
                of its fields.
            circuit_callback: called with the list of circuits before they are sent.
            qubit_index_to_name: names of the device's qubits by number, instead of its own order.
            **options: fields of the compilation options; any other is warned of and ignored.

        Raises:
            InvalidInputError: no circuits, zero shots, unbound parameters.
            IsaError: a circuit does not fit the device.
        """
        circuits = _listed(run_input, circuit_callback)
        more = merged(circuit_compilation_options, options, self.name)
        more |= {
            "use_timeslot": use_timeslot,
            "qubit_index_to_name": qubit_index_to_name,
            "calibration_set_id": self._calibration_set_id,
        }
        given = {} if shots is None else {"shots": shots}
        # The codec refuses what the device lacks; it takes gates beyond the target's names.
        return self._started(circuits, {**self.options, **given, "isa_check": False}, more)

    def create_run_request(
        self,
        run_input: QuantumCircuit | Sequence[QuantumCircuit],
        shots: int = 1024,
        circuit_compilation_options: Any = None,
        circuit_callback: Callable[[list[QuantumCircuit]], Any] | None = None,
        qubit_index_to_name: Mapping[int, str] | None = None,
        **options: Any,
    ) -> RunRequest:
        """What `run` would send; arguments and errors as there."""
        circuits = _listed(run_input, circuit_callback)
        more = merged(circuit_compilation_options, options, self.name)
        more |= {
            "qubit_index_to_name": qubit_index_to_name,
            "calibration_set_id": self._calibration_set_id,
        }
        program = runs.prepare(self, circuits, shots, None, more)
        return RunRequest(json.loads(program.encoded.payloads[0].iqmjson))  # type: ignore[attr-defined]

    @property
    def max_circuits(self) -> int | None:
        """The most circuits that one `run` takes; ``None`` for no limit. It may be set."""
        return self._max_circuits

    @max_circuits.setter
    def max_circuits(self, value: int | None) -> None:
        self._max_circuits = value

    @property
    def physical_qubits(self) -> list[str]:
        """Names of the device's qubits and then resonators: the i-th is number i."""
        return list(self.codec.component_names(self.target_text))  # type: ignore[attr-defined]

    def qubit_name_to_index(self, name: str) -> int:
        """The number of a qubit by its name. Raises `ValueError` for an unknown name."""
        return self.physical_qubits.index(name)

    def index_to_qubit_name(self, index: int) -> str:
        """The name of a qubit by its number. Raises `ValueError` for an unknown number."""
        names = dict(enumerate(self.physical_qubits))
        if index not in names:
            raise ValueError(f"{self.name} has no qubit {index}")
        return names[index]


@attrs.frozen
class RunRequest:
    """IQM's run request, as `QRMIBackend.create_run_request` gives it."""

    _body: Mapping[str, Any] = attrs.field(repr=False)

    @property
    def circuits(self) -> list[dict[str, Any]]:
        """The circuits, as plain values."""
        return list(self._body["circuits"])

    @property
    def shots(self) -> int:
        """Of each circuit."""
        return int(self._body["shots"])

    def model_dump(self) -> dict[str, Any]:
        """The request as plain values."""
        return dict(self._body)

    def model_dump_json(self) -> str:
        """The request as JSON, as ``Payload.IQMServer`` takes it."""
        return json.dumps(self._body, separators=(",", ":"))


class IQMProvider:
    """The IQM devices that the scheduler gave this job, as Qiskit backends."""

    def __init__(self, **_ignored: object) -> None:
        """Take and ignore what IQM's own provider is made with: the job's variables say it."""

    def get_backend(
        self,
        name: str | None = None,
        calibration_set_id: object = None,
        *,
        use_metrics: bool = False,
    ) -> QRMIBackend:
        """The backend of an IQM resource of this job.

        Args:
            name: the resource's name, with ``_`` for ``:``; ``None`` for the job's first one.
            calibration_set_id: a calibration set other than the default one.
            use_metrics: no effect: the target has whatever metrics the server gives.

        Raises:
            ResourceNotFoundError: the job has no such IQM resource.
        """
        chosen = _chosen(name)
        resource_id = f"{chosen},{calibration_set_id}" if calibration_set_id else chosen
        return QRMIBackend(QuantumResource(resource_id, ResourceType.IQM_SERVER))


def _listed(
    run_input: QuantumCircuit | Sequence[QuantumCircuit],
    callback: Callable[[list[QuantumCircuit]], Any] | None,
) -> list[QuantumCircuit]:
    """The circuits, after the caller has seen them."""
    circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
    if callback is not None:
        callback(circuits)
    return circuits


def _chosen(name: str | None) -> str:
    granted = [
        resource.name
        for resource in config.job_resources()
        if resource.resource_type is ResourceType.IQM_SERVER
    ]
    wanted = None if name is None else name.replace(":", "_")
    matching = [r for r in granted if wanted is None or r.replace(":", "_") == wanted]
    if not matching:
        raise ResourceNotFoundError(
            "this job has no IQM resource" + (f" called {name!r}" if name is not None else ""),
            hint="its IQM resources: " + (", ".join(granted) or "none"),
        )
    if len(matching) > 1 and name is None:
        warnings.warn(
            f"this job has several IQM resources; {matching[0]} is taken", UserWarning, stacklevel=3
        )
    return matching[0]
