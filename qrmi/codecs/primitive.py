"""The ``qiskit-primitive`` payload: pubs to its JSON text, and back.

The payload's input is the parameter object of IBM's ``sampler`` and ``estimator`` programs, schema
version 2::

    {"pubs": [...], "options": {...}, "version": 2, "support_qiskit": true}

A sampler pub is ``[circuit, parameters, shots]``, an estimator pub
``[circuit, observables, parameters, precision]``. Parameters are one array whose last axis runs
over ``circuit.parameters``: a tagged array beside a tagged circuit, plain lists beside
OpenQASM 3. An observable is an object of Pauli strings (also with the projectors
``0 1 + - r l``) and coefficients, leftmost character for the last qubit; an array of observables
is a nested list of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import attrs
import numpy as np
from qiskit import QuantumCircuit
from qiskit.primitives.containers.bindings_array import BindingsArray
from qiskit.primitives.containers.estimator_pub import EstimatorPub
from qiskit.primitives.containers.observables_array import ObservablesArray
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import circuits, tagged
from qrmi.codecs.circuits import CircuitForm
from qrmi.errors import InvalidInputError, QrmiError, UnsupportedPayloadError
from qrmi.payloads import QiskitPrimitive

__all__ = [
    "FORMAT",
    "Program",
    "decode_program",
    "decode_pubs",
    "encode_estimator",
    "encode_sampler",
    "estimator_pub",
    "payload",
    "sampler_pub",
]

FORMAT = QiskitPrimitive.FORMAT

_VERSION = 2
_DECLARED_QUBITS = re.compile(r"^\s*(?:qubit|qreg)\b", re.MULTILINE)  # OpenQASM 3
_NOT_FINITE = "the values of parameters must be finite numbers"


@attrs.frozen(kw_only=True)
class Program:
    """A decoded payload.

    Attributes:
        kind: ``sampler`` or ``estimator``.
        pubs: what to run; a sampler's pubs all have their shots.
        options: the service's options, as they were sent.
    """

    kind: str
    pubs: list[SamplerPub] | list[EstimatorPub]
    options: Mapping[str, Any]


def encode_sampler(
    pubs: Iterable[SamplerPub],
    *,
    options: Mapping[str, Any] | None = None,
    circuits: CircuitForm = "qpy",
    qpy_version: int = tagged.QPY_DEFAULT,
) -> QiskitPrimitive:
    """Write sampler pubs as a payload.

    Args:
        pubs: the pubs, each with its shots.
        options: the service's options, sent as they are.
        circuits: how circuits are written.
        qpy_version: the version of QPY, where it is used.

    Raises:
        InvalidInputError: a pub has no shots, values that are not finite, or a circuit or an
            option that cannot be written.
    """
    return payload("sampler", [sampler_pub(pub, circuits, qpy_version) for pub in pubs], options)


def encode_estimator(
    pubs: Iterable[EstimatorPub],
    *,
    options: Mapping[str, Any] | None = None,
    circuits: CircuitForm = "qpy",
    qpy_version: int = tagged.QPY_DEFAULT,
    flatten: bool = False,
) -> QiskitPrimitive:
    """Write estimator pubs as a payload.

    Args:
        pubs: the pubs; a precision of ``None`` leaves it to the service.
        options: the service's options, sent as they are.
        circuits: how circuits are written.
        qpy_version: the version of QPY, where it is used.
        flatten: for services whose observables have at most one axis (IBM's). A pub whose
            observables have more is sent with observables and parameters broadcast against each
            other and flattened, so its values come back flat: reshape them to ``pub.shape``.

    Raises:
        InvalidInputError: values, coefficients or a precision that are not finite, or a circuit or
            an option that cannot be written.
    """
    written = [estimator_pub(pub, circuits, qpy_version, flatten) for pub in pubs]
    return payload("estimator", written, options)


def decode_pubs(payload: QiskitPrimitive) -> list[SamplerPub] | list[EstimatorPub]:
    """The pubs of a payload, validated; see `decode_program`."""
    return decode_program(payload).pubs


def decode_program(
    payload: QiskitPrimitive,
    *,
    read_circuit: Callable[[Any], QuantumCircuit] = circuits.decode,
) -> Program:
    """Read a payload.

    Args:
        payload: circuits may be tagged QPY or OpenQASM 3; parameters a tagged array, nested
            lists, or null. Shots (or precision) that a pub lacks are taken from the top level.
        read_circuit: reads one circuit; for callers that keep circuits they have seen.

    Raises:
        UnsupportedPayloadError: neither a sampler nor an estimator.
        InvalidInputError: anything else that is wrong: not this schema, no or zero shots, values
            that do not match the circuit's parameters, malformed circuits or observables.
    """
    read = {"sampler": _read_sampler_pub, "estimator": _read_estimator_pub}.get(payload.program_id)
    if read is None:
        raise UnsupportedPayloadError(
            f"program {payload.program_id!r} is neither 'sampler' nor 'estimator'"
        )
    body = _body(payload)
    pubs = []
    for index, pub in enumerate(body["pubs"]):
        try:
            pubs.append(read(pub, body, read_circuit))
        except QrmiError as error:
            raise type(error)(f"pub {index}: {error.message}", hint=error.hint) from error
        except Exception as error:
            raise InvalidInputError(f"pub {index}: {error}") from error
    return Program(kind=payload.program_id, pubs=pubs, options=body.get("options") or {})


def payload(
    program: str, pubs: list[Any], options: Mapping[str, Any] | None = None
) -> QiskitPrimitive:
    """The payload of pubs that are written already.

    Raises:
        InvalidInputError: something in them cannot be written as JSON.
    """
    body = {
        "pubs": pubs,
        "options": dict(options or {}),
        "version": _VERSION,
        "support_qiskit": True,
    }
    try:
        return QiskitPrimitive(json.dumps(body, default=tagged.to_tagged, allow_nan=False), program)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the program cannot be written as JSON: {error}",
            hint="coefficients, precision and options are finite numbers and plain values",
        ) from error


def _parameters(pub: SamplerPub | EstimatorPub) -> np.ndarray[Any, np.dtype[Any]]:
    values: np.ndarray[Any, np.dtype[Any]] = pub.parameter_values.as_array(pub.circuit.parameters)
    if not np.isfinite(values).all():
        raise InvalidInputError(_NOT_FINITE)
    return values


def _written(values: np.ndarray[Any, np.dtype[Any]], form: CircuitForm) -> Any:
    plain = form == "qasm3" and 0 not in values.shape[:-1]  # lists cannot tell empty shapes apart
    return values.tolist() if plain else tagged.to_tagged(values)


def sampler_pub(pub: SamplerPub, form: CircuitForm, qpy_version: int) -> list[Any]:
    """One pub as `encode_sampler` writes it; its first member is the circuit."""
    if pub.shots is None:
        raise InvalidInputError("a sampler pub needs its number of shots")
    circuit = circuits.encode(pub.circuit, form=form, qpy_version=qpy_version)
    values = _parameters(pub)
    if form == "qasm3" and values.shape == (0,):
        return [circuit, None, int(pub.shots)]
    return [circuit, _written(values, form), int(pub.shots)]


def estimator_pub(
    pub: EstimatorPub, form: CircuitForm, qpy_version: int, flatten: bool
) -> list[Any]:
    """One pub as `encode_estimator` writes it; its first member is the circuit."""
    circuit = circuits.encode(pub.circuit, form=form, qpy_version=qpy_version)
    observables, values = pub.observables, _parameters(pub)
    if flatten and observables.ndim > 1:
        array = np.broadcast_to(observables.sparse_observables_array(), pub.shape)
        observables = ObservablesArray(array.ravel(), validate=False)
        values = np.broadcast_to(values, (*pub.shape, values.shape[-1]))
        values = values.reshape(pub.size, values.shape[-1])
    precision = None if pub.precision is None else float(pub.precision)
    return [circuit, observables.tolist(), _written(values, form), precision]


def _body(payload: QiskitPrimitive) -> dict[str, Any]:
    try:
        body = json.loads(payload.input)
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"the input is not JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("pubs"), list):
        raise InvalidInputError("the input is an object with a list of pubs")
    if body.get("version", _VERSION) != _VERSION:
        raise InvalidInputError(f"schema version {body['version']!r} is not {_VERSION}")
    if not isinstance(body.get("options") or {}, dict):
        raise InvalidInputError("options are an object")
    return body


def _fields(pub: Any, names: tuple[str, ...], required: int) -> list[Any]:
    """The members of a pub, missing ones as ``None``; a bare circuit is a pub of one."""
    if isinstance(pub, str | dict):
        pub = [pub]
    if not isinstance(pub, list) or not required <= len(pub) <= len(names):
        raise InvalidInputError(f"a pub is a list of {', '.join(names)}")
    return pub + [None] * (len(names) - len(pub))


def _read_sampler_pub(
    pub: Any, body: dict[str, Any], read_circuit: Callable[[Any], QuantumCircuit]
) -> SamplerPub:
    source, values, shots = _fields(pub, ("circuit", "parameters", "shots"), 1)
    circuit = read_circuit(source)
    if shots is None:
        shots = body.get("shots", (body.get("options") or {}).get("default_shots"))
    if shots is None:
        raise InvalidInputError("no number of shots")
    return SamplerPub(circuit, _bindings(source, circuit, values), shots)


def _read_estimator_pub(
    pub: Any, body: dict[str, Any], read_circuit: Callable[[Any], QuantumCircuit]
) -> EstimatorPub:
    names = ("circuit", "observables", "parameters", "precision")
    source, observables, values, precision = _fields(pub, names, 2)
    circuit = read_circuit(source)
    if precision is None:
        precision = body.get("precision", (body.get("options") or {}).get("default_precision"))
    array = _observables(json.dumps(observables))
    if array.size and array.num_qubits > circuit.num_qubits and _is_placed(source):
        circuit = read_circuit(f"{source}\nbarrier ${array.num_qubits - 1};\n")
    if array.size and array.num_qubits != circuit.num_qubits:
        raise InvalidInputError(
            f"the observables act on {array.num_qubits} qubits, "
            f"the circuit has {circuit.num_qubits}"
        )
    return EstimatorPub(circuit, array, _bindings(source, circuit, values), precision)


def _is_placed(source: Any) -> bool:
    """Whether a circuit declares no qubits: it acts on all of the device's own, named or not."""
    return isinstance(source, str) and _DECLARED_QUBITS.search(source) is None


@lru_cache(maxsize=16)
def _observables(text: str) -> ObservablesArray:
    """Observables from their JSON; a loop sends the same ones with each step."""
    return ObservablesArray(json.loads(text))


def _bindings(source: Any, circuit: QuantumCircuit, values: Any) -> BindingsArray:
    """The values of a circuit's parameters, from any of the forms that the payload may have."""
    names = circuits.parameter_names(source, circuit)
    array = np.zeros(0) if values is None else np.asarray(tagged.from_tagged(values), dtype=float)
    if not np.isfinite(array).all():
        raise InvalidInputError(_NOT_FINITE)
    if array.ndim == 0 or (len(names) == 1 and array.shape[-1] != 1):
        array = array[..., np.newaxis]
    if array.shape[-1] != len(names):
        raise InvalidInputError(
            f"{array.shape[-1]} values for the {len(names)} parameters of the circuit"
        )
    if isinstance(source, str):  # OpenQASM 3, which may declare what it never uses
        used = {parameter.name for parameter in circuit.parameters}
        columns = [index for index, name in enumerate(names) if name in used]
        names, array = [names[index] for index in columns], array[..., columns]
    data = {tuple(names): array} if names else None
    return BindingsArray(data, shape=array.shape[:-1])
