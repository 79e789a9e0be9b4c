"""Qiskit's estimator on any resource that takes gate programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qiskit.primitives import BaseEstimatorV2, EstimatorPubLike
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.quantum_info import SparsePauliOp

from qrmi.qiskit.errors import InvalidPubError, pub_errors
from qrmi.qiskit.jobs import QRMIPrimitiveJob
from qrmi.qiskit.options import EstimatorOptions
from qrmi.qiskit.primitive import Primitive
from qrmi.qiskit.records import portable

__all__ = ["EstimatorV2"]


class EstimatorV2(Primitive[EstimatorOptions], BaseEstimatorV2):  # type: ignore[misc]  # Qiskit is untyped
    """Estimates expectation values; the contract is ``qiskit.primitives.BaseEstimatorV2``'s.

    All pubs of a call travel in one task where the resource takes several circuits a task; the job
    is one in any case. The resource estimates; where it only samples, this package measures in the
    bases that are needed, with ``ceil(1 / precision**2)`` shots each.

    Args:
        mode: a handle, a resource's name, a `QRMIBackend`, or ``None`` for what `qrmi.open`
            chooses.
        options: a mapping with keys of `EstimatorOptions`, or such an object (it is copied).

    Raises:
        TypeError: an unknown option, or one of the wrong type.
        UnsupportedPayloadError: the resource takes no gate programs.
    """

    _options_class = EstimatorOptions

    def run(
        self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None
    ) -> QRMIPrimitiveJob:
        """Start one task for all pubs; do not wait for it.

        Args:
            pubs: tuples of circuit, observables, parameter values and precision.
            precision: target standard error of pubs that name none; the option
                ``default_precision`` when absent. Zero asks for exact values.

        Raises:
            InvalidPubError: a negative precision, zero precision on a device that is no
                simulator, unbound parameters, observables that do not fit, a circuit without
                qubits.
            InvalidPubTypeError: something of the wrong type.
            IsaError: a circuit does not fit the device.
        """
        coerced = self._coerced(pubs, precision)
        self._check(coerced)
        with pub_errors():
            encoded = self._backend.codec.encode_estimator(
                [_portable(pub) for pub in coerced],
                device=self._backend,
                options=self._options.run_options,
            )
        return self._start("estimator", encoded, coerced)

    def _coerced(
        self, pubs: Iterable[EstimatorPubLike], precision: float | None
    ) -> list[EstimatorPub]:
        default = self._options.default_precision if precision is None else precision
        with pub_errors():
            return [EstimatorPub.coerce(_known(pub), default) for pub in pubs]

    def _check(self, pubs: Sequence[EstimatorPub]) -> None:
        for number, pub in enumerate(pubs):
            if not pub.circuit.num_qubits:
                raise InvalidPubError(f"the circuit of pub {number} has no qubits")
            if pub.precision == 0 and not self._backend.simulator:
                raise InvalidPubError(
                    f"pub {number} asks {self._backend.name} for precision 0",
                    hint="only a simulator gives exact values: ask for a precision above 0",
                    resource_id=self._backend.name,
                )
        if self._options.isa_check:
            for pub in pubs:
                self._backend.check(pub.circuit, pub.parameter_values)


_MOST_KNOWN = 16
_known_arrays: dict[tuple[object, ...], ObservablesArray] = {}


def _known(pub: EstimatorPubLike) -> EstimatorPubLike:
    """The pub with its observable as it was coerced before: most of the work in a long loop."""
    if not isinstance(pub, tuple) or len(pub) < 2 or type(pub[1]) is not SparsePauliOp:
        return pub
    paulis, coefficients = pub[1].paulis, pub[1].coeffs
    if coefficients.dtype != complex:  # parameters, which Qiskit refuses
        return pub
    parts = (paulis.z, paulis.x, paulis.phase, coefficients)
    key = (paulis.num_qubits, *(part.tobytes() for part in parts))
    array = _known_arrays.get(key)
    if array is None:
        array = ObservablesArray.coerce(pub[1])
        if len(_known_arrays) >= _MOST_KNOWN:
            _known_arrays.clear()
        _known_arrays[key] = array
    return (pub[0], array, *pub[2:])


def _portable(pub: EstimatorPub) -> EstimatorPub:
    circuit = portable(pub.circuit)
    if circuit is pub.circuit:
        return pub
    return EstimatorPub(
        circuit, pub.observables, pub.parameter_values, pub.precision, validate=False
    )
