"""A resource as a ``BackendV2``."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from qrmi.codecs import isa
from qrmi.codecs.target import from_configuration, read_target
from qrmi.errors import InvalidInputError
from qrmi.payloads import QiskitPrimitive
from qrmi.qiskit import run as runs
from qrmi.qiskit.errors import InvalidPubTypeError, pub_errors
from qrmi.qiskit.handles import handle_of, require
from qrmi.qiskit.jobs import QRMIJob
from qrmi.resource import QuantumResource
from qrmi.tasks import ResourceStatus

__all__ = ["QRMIBackend", "backend"]

_FRACTIONAL_GATES = frozenset({"rx", "rzz"})


class QRMIBackend(BackendV2):  # type: ignore[misc]  # Qiskit is untyped
    """What a resource can do, as Qiskit's transpiler wants to know it, and a way to run circuits.

    Making one asks the resource nothing; ``target`` and what derives from it is read at first
    use and kept. `refresh` makes the next use read it again, after a calibration.

    Args:
        resource: the handle.
        provider: what `provider` returns.
        fractional_gates: whether a device's target has its ``rx`` and ``rzz``, which IBM's devices
            cannot use together with dynamic circuits. A simulator has them always.
        **options: initial values of the options ``shots``, ``memory``, ``seed_simulator`` and
            ``isa_check``.
    """

    def __init__(
        self,
        resource: QuantumResource,
        provider: object = None,
        *,
        fractional_gates: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(provider=provider, name=resource.resource_id(), **options)
        self._resource = resource
        self._fractional_gates = fractional_gates

    def __repr__(self) -> str:
        return f"<{type(self).__name__}({self.name!r})>"

    @property
    def resource(self) -> QuantumResource:
        """The handle that everything goes through."""
        return self._resource

    # --- what the device is -------------------------------------------------------------------

    @cached_property
    def _described(self) -> str:
        self.require_gates()
        return self._resource.target().value

    @cached_property
    def _target(self) -> Target:
        configuration = self.configuration_data
        if self._fractional_gates or self.simulator or not configuration:
            return read_target(self._described)
        properties = json.loads(self._described).get("properties")
        return from_configuration(_without_fractional_gates(configuration), properties)

    @cached_property
    def configuration_data(self) -> Mapping[str, Any]:
        """The device's configuration as its service gives it; empty when it gives none."""
        try:
            configuration = json.loads(self._described)["configuration"]
        except (ValueError, LookupError, TypeError):  # `target` says what is wrong
            return {}
        return configuration if isinstance(configuration, dict) else {}

    @property
    def target(self) -> Target:
        """Instructions, qubits, couplings, errors and durations.

        Raises:
            UnsupportedPayloadError: the resource runs no gate programs.
        """
        return self._target

    @property
    def max_circuits(self) -> int | None:
        """The most circuits that one `run` takes; ``None`` for no limit."""
        limit = self.configuration_data.get("max_experiments")
        return int(limit) if limit else None

    @property
    def max_shots(self) -> int | None:
        """The most shots of one circuit; ``None`` for no limit."""
        limit = self.configuration_data.get("max_shots")
        return int(limit) if limit else None

    @property
    def simulator(self) -> bool:
        """Whether the device is a simulator by its own account."""
        return bool(self.configuration_data.get("simulator", False))

    def status(self) -> ResourceStatus:
        """What the resource says of itself now."""
        return self._resource.status()

    def refresh(self) -> None:
        """Forget the target, so that the next use reads it again."""
        for name in ("_described", "_target", "configuration_data"):
            self.__dict__.pop(name, None)
        self._coupling_map = None

    # --- checks before anything is sent -------------------------------------------------------

    def require_gates(self) -> None:
        """Raise `UnsupportedPayloadError` when the resource takes no gate programs."""
        require(self._resource, QiskitPrimitive.FORMAT, "gate programs")

    def check(self, circuit: QuantumCircuit, values: BindingsArray | None = None) -> None:
        """Raise `IsaError` when the device lacks something that the circuit uses.

        Args:
            circuit: the circuit.
            values: of its parameters, for devices that take some angles only.
        """
        isa.check(circuit, self.target, values)

    def check_shots(self, shots: int) -> None:
        """Raise `InvalidInputError` when the device does not take that many shots at once."""
        if self.max_shots is not None and shots > self.max_shots:
            raise InvalidInputError(
                f"{self.name} takes at most {self.max_shots} shots, not {shots}",
                hint="split the shots over several pubs",
                resource_id=self.name,
            )

    # --- running ------------------------------------------------------------------------------

    @classmethod
    def _default_options(cls) -> Options:
        options = Options(shots=1024, memory=False, seed_simulator=None, isa_check=True)
        options.set_validator("shots", int)
        return options

    def run(self, run_input: QuantumCircuit | Iterable[QuantumCircuit], **options: Any) -> QRMIJob:
        """Start one task that runs the circuits; do not wait for it.

        The primitives are the better way to run circuits; this is for programs that were written
        for ``backend.run``.

        Args:
            run_input: a circuit or several, without unbound parameters.
            **options: ``shots``; ``seed_simulator``, for simulators; ``isa_check``; ``memory`` is
                accepted and needless, as every result has both counts and memory. Any other
                option is warned of and ignored.

        Raises:
            InvalidInputError: zero shots, unbound parameters, something other than circuits.
            IsaError: a circuit does not fit the device.
            UnsupportedPayloadError: the resource takes no gate programs.
        """
        self.require_gates()
        circuits = _circuits(run_input)
        chosen = self._merged(options)
        program = runs.prepare(circuits, chosen["shots"], chosen["seed_simulator"])
        if chosen["isa_check"]:
            self.check_shots(chosen["shots"])
            for circuit in circuits:
                self.check(circuit)
        task_id = self._resource.task_start(program.payload, context=program.context)
        return QRMIJob(self._resource, task_id, headers=program.headers, backend=self)

    def _merged(self, options: Mapping[str, Any]) -> dict[str, Any]:
        merged = dict(self.options)
        for name, value in options.items():
            if name not in merged:
                warnings.warn(
                    f"option {name} is not used by {self.name}", UserWarning, stacklevel=3
                )
            elif value is not None:
                merged[name] = value
        return merged


def backend(resource: QuantumResource | QRMIBackend | str | None = None) -> QRMIBackend:
    """The backend of a resource.

    Args:
        resource: a handle, the name of a resource, a backend (returned as it is), or ``None`` for
            what `qrmi.open` chooses: the job's QPU, else the configured default, else the
            embedded simulator.

    Raises:
        ResourceNotFoundError: no resource of that name.
        UnsupportedPayloadError: the resource takes no gate programs.
    """
    if isinstance(resource, QRMIBackend):
        return resource
    made = QRMIBackend(handle_of(resource))
    made.require_gates()
    return made


def _without_fractional_gates(configuration: Mapping[str, Any]) -> dict[str, Any]:
    kept = [name for name in configuration["basis_gates"] if name not in _FRACTIONAL_GATES]
    return {**configuration, "basis_gates": kept}


def _circuits(run_input: QuantumCircuit | Iterable[QuantumCircuit]) -> list[QuantumCircuit]:
    with pub_errors():
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
    for circuit in circuits:
        if not isinstance(circuit, QuantumCircuit):
            raise InvalidPubTypeError(f"expected a QuantumCircuit, not {type(circuit).__name__}")
    return circuits
