"""Qiskit's sampler on any resource that takes gate programs."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence

from qiskit.primitives import BaseSamplerV2, SamplerPubLike
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.qiskit.errors import pub_errors
from qrmi.qiskit.jobs import QRMIPrimitiveJob
from qrmi.qiskit.options import SamplerOptions
from qrmi.qiskit.primitive import Primitive
from qrmi.qiskit.records import check_registers, portable

__all__ = ["SamplerV2"]


class SamplerV2(Primitive[SamplerOptions], BaseSamplerV2):  # type: ignore[misc]  # Qiskit is untyped
    """Samples circuits' outputs; the contract is that of ``qiskit.primitives.BaseSamplerV2``.

    All pubs of a call travel in one task where the resource takes several circuits a task; the job
    is one in any case. Each classical register comes back as a ``BitArray``,
    bit ``i`` of which is the register's bit ``i``, whatever other registers share its bits.

    Args:
        mode: a handle, a resource's name, a `QRMIBackend`, or ``None`` for what `qrmi.open`
            chooses.
        options: a mapping with keys of `SamplerOptions`, or such an object (it is copied).

    Raises:
        TypeError: an unknown option, or one of the wrong type.
        UnsupportedPayloadError: the resource takes no gate programs.
    """

    _options_class = SamplerOptions

    def run(self, pubs: Iterable[SamplerPubLike], *, shots: int | None = None) -> QRMIPrimitiveJob:
        """Start one task for all pubs; do not wait for it.

        Args:
            pubs: circuits, or tuples of circuit, parameter values and shots.
            shots: for pubs that name no shots of their own; the option ``default_shots`` when
                absent.

        Raises:
            InvalidPubError: zero shots, unbound parameters, shapes that do not fit, a register
                whose name a ``DataBin`` cannot hold.
            InvalidPubTypeError: something of the wrong type.
            IsaError: a circuit does not fit the device.
        """
        coerced = self._coerced(pubs, shots)
        self._check(coerced)
        with pub_errors():
            encoded = self._backend.codec.encode_sampler(
                [_portable(pub) for pub in coerced],
                device=self._backend,
                options=self._options.run_options,
            )
        return self._start("sampler", encoded, coerced)

    def _coerced(self, pubs: Iterable[SamplerPubLike], shots: int | None) -> list[SamplerPub]:
        default = self._options.default_shots if shots is None else shots
        with pub_errors():
            return [SamplerPub.coerce(pub, default) for pub in pubs]

    def _check(self, pubs: Sequence[SamplerPub]) -> None:
        for number, pub in enumerate(pubs):
            if not pub.circuit.cregs:
                warnings.warn(
                    f"The {number}-th pub's circuit has no output classical registers and so the "
                    "result will be empty. Did you mean to add measurement instructions?",
                    UserWarning,
                    stacklevel=3,
                )
            check_registers(pub.circuit)
        if self._options.isa_check:
            for pub in pubs:
                self._backend.check_shots(pub.shots)
                self._backend.check(pub.circuit, pub.parameter_values)


def _portable(pub: SamplerPub) -> SamplerPub:
    circuit = portable(pub.circuit)
    if circuit is pub.circuit:
        return pub
    return SamplerPub(circuit, pub.parameter_values, pub.shots, validate=False)
