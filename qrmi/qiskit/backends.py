"""A resource as a ``BackendV2``."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target

from qrmi.codecs import isa
from qrmi.codecs.group import TaskGroup
from qrmi.codecs.interface import GateCodec, Limits, gate_codec
from qrmi.codecs.target import configuration_in, without_gates
from qrmi.errors import InvalidInputError, UnexpectedAnswerError
from qrmi.qiskit import run as runs
from qrmi.qiskit.errors import InvalidPubTypeError, pub_errors
from qrmi.qiskit.handles import handle_of
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

    @property
    def codec(self) -> GateCodec:
        """What turns circuits into payloads of the resource, and results back.

        Raises:
            UnsupportedPayloadError: the resource runs no gate programs.
        """
        return gate_codec(self._resource)

    @cached_property
    def target_text(self) -> str:
        """What the resource can do, in its service's own words."""
        self.require_gates()
        return self._resource.target().value

    @cached_property
    def _target(self) -> Target:
        text = self.target_text
        if not self._fractional_gates and not self.simulator:
            text = without_gates(text, _FRACTIONAL_GATES)
        return self.codec.read_target(text)

    @cached_property
    def _limits(self) -> Limits:
        return self.codec.read_limits(self.target_text)

    @cached_property
    def configuration_data(self) -> Mapping[str, Any]:
        """The device's configuration as an IBM service gives it; empty when there is none."""
        try:
            return configuration_in(self.target_text)
        except UnexpectedAnswerError:  # `target` says what is wrong
            return {}

    @property
    def target(self) -> Target:
        """Instructions, qubits, couplings, errors and durations.

        Raises:
            UnsupportedPayloadError: the resource runs no gate programs.
        """
        return self._target

    @property
    def max_circuits(self) -> int | None:
        """The most circuits of a job by the device's own account; ``None`` when it names none.

        Not checked: a service that takes fewer refuses the task.
        """
        return self._limits.max_circuits

    @property
    def max_shots(self) -> int | None:
        """The most shots of one circuit; ``None`` for no limit."""
        return self._limits.max_shots

    @property
    def simulator(self) -> bool:
        """Whether the device is a simulator by its own account."""
        return self._limits.simulator

    def status(self) -> ResourceStatus:
        """What the resource says of itself now."""
        return self._resource.status()

    def refresh(self) -> None:
        """Forget the target, so that the next use reads it again."""
        for name in ("target_text", "_target", "_limits", "configuration_data"):
            self.__dict__.pop(name, None)
        self._coupling_map = None

    # --- checks before anything is sent -------------------------------------------------------

    def require_gates(self) -> None:
        """Raise `UnsupportedPayloadError` when the resource takes no gate programs."""
        _ = self.codec

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
        return self._started(run_input, self._merged(options))

    def _started(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        chosen: Mapping[str, Any],
        more: Mapping[str, Any] | None = None,
    ) -> QRMIJob:
        """Start a task with these options, and `more` that the resource's service has."""
        circuits = _circuits(run_input)
        program = runs.prepare(self, circuits, chosen["shots"], chosen["seed_simulator"], more)
        if chosen["isa_check"]:
            self.check_shots(chosen["shots"])
            for circuit in circuits:
                self.check(circuit)
        group = TaskGroup.start(self._resource, program.encoded, program.context)
        return QRMIJob(
            self._resource,
            group.id,
            headers=program.headers,
            notes=program.encoded.notes,
            backend=self,
        )

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


def _circuits(run_input: QuantumCircuit | Iterable[QuantumCircuit]) -> list[QuantumCircuit]:
    with pub_errors():
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
    for circuit in circuits:
        if not isinstance(circuit, QuantumCircuit):
            raise InvalidPubTypeError(f"expected a QuantumCircuit, not {type(circuit).__name__}")
    return circuits
