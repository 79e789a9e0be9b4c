"""One resource as CUDA-Q's target: what it takes, and how circuits are fitted to it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from qrmi.codecs.interface import GateCodec, gate_codec
from qrmi.cudaq.extras import needs_qiskit
from qrmi.errors import IsaError
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource

if TYPE_CHECKING:
    from pulser.devices import Device
    from qiskit.circuit import QuantumCircuit
    from qiskit.transpiler import Target

    from qrmi.cudaq.endpoint import Endpoint

__all__ = ["Session"]


class Session:
    """A resource, with what is read of its target once for as long as it is selected.

    Attributes:
        resource: the handle.
    """

    def __init__(self, resource: QuantumResource) -> None:
        self.resource = resource

    @functools.cached_property
    def endpoint(self) -> Endpoint:
        """Where CUDA-Q hands kernels over."""
        from qrmi.cudaq.endpoint import Endpoint

        return Endpoint()

    @functools.cached_property
    def target_text(self) -> str:
        """What the resource can do, in its service's own words."""
        return self.resource.target().value

    @property
    def codec(self) -> GateCodec:
        """What turns circuits into payloads of the resource, and results back.

        Raises:
            UnsupportedPayloadError: the resource runs no gate programs; the hint names what it
                does take.
            MissingExtraError: Qiskit is not installed.
        """
        with needs_qiskit():
            return gate_codec(self.resource, instead="or evolve a RydbergHamiltonian")

    @functools.cached_property
    def gate_target(self) -> Target:
        """What the resource can do with circuits; raises as `codec` does."""
        return self.codec.read_target(self.target_text)

    @functools.cached_property
    def exact(self) -> bool:
        """Whether expectation values can be asked for without shots: it is a simulator."""
        return self.codec.read_limits(self.target_text).simulator

    @functools.cached_property
    def devices(self) -> dict[str, Device]:
        """The devices of the resource for pulse sequences.

        Raises:
            UnsupportedPayloadError: none; the message names what it does take.
            MissingExtraError: Pulser is not installed.
        """
        self.resource.require(
            PasqalCloud.FORMAT,
            "pulse sequences",
            instead="or cudaq.sample a kernel of gates",
        )
        from qrmi.codecs import analog

        return analog.read_devices(self.target_text)

    def require_gates(self) -> None:
        """Make sure that circuits can be sent; raises as `codec` does."""
        _ = self.gate_target

    def fit(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """The circuit in the gates and on the couplings of the resource.

        One that fits already is returned as it is. Otherwise Qiskit compiles it at level 1, and
        the result has a layout.

        Raises:
            IsaError: it has too many qubits.
        """
        from qrmi.codecs import isa

        target = self.gate_target
        try:
            isa.check(circuit, target)
        except IsaError as error:
            if target.num_qubits is not None and circuit.num_qubits > target.num_qubits:
                raise IsaError(
                    error.message,
                    hint="use fewer qubits, or a larger resource",
                    resource_id=self.resource.resource_id(),
                ) from error
            return self._compiled(circuit)
        return circuit

    def _compiled(self, circuit: QuantumCircuit) -> QuantumCircuit:
        from qiskit.transpiler import TranspilerError

        try:
            return self._passes.run(circuit)
        except TranspilerError as error:
            raise IsaError(
                f"the kernel cannot be compiled for {self.resource.resource_id()}: {error.message}",
                resource_id=self.resource.resource_id(),
            ) from error

    @functools.cached_property
    def _passes(self) -> Any:
        from qiskit.transpiler import generate_preset_pass_manager

        return generate_preset_pass_manager(optimization_level=1, target=self.gate_target)
