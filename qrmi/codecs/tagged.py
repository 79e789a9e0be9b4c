"""Tagged JSON: ``{"__type__": ..., "__value__": ...}``, the encoding of the IBM services.

What `to_tagged` writes, IBM's ``RuntimeDecoder`` reads, and for circuits and arrays the text is
IBM's to the byte (qiskit-ibm-runtime 0.51, with the same QPY version). A circuit is base64 of
zlib of QPY, an array base64 of zlib of an ``.npy`` file. Objects with a tag that is not known here
(IBM's execution spans, for one) stay dictionaries with their tag.

The text of an array is dropped as soon as it is no longer needed, so that a big result never exists
more than about twice.
"""

from __future__ import annotations

import binascii
import io
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import CircuitInstruction, ParameterExpression
from qiskit.primitives import (
    BitArray,
    DataBin,
    PrimitiveResult,
    PubResult,
    SamplerPubResult,
)

from qrmi.codecs import npy
from qrmi.errors import InvalidInputError, QrmiError

__all__ = [
    "QPY_DEFAULT",
    "QPY_VERSIONS",
    "decode_circuit",
    "encode_circuit",
    "from_tagged",
    "loads",
    "to_tagged",
]

QPY_DEFAULT = 15
"""The QPY version that is written unless asked otherwise: the newest that Qiskit 2.1 reads."""

QPY_VERSIONS = range(13, 18)
"""The QPY versions that the IBM services take (ibm-quantum-schemas 0.13)."""


def to_tagged(
    value: object, *, qpy_version: int = QPY_DEFAULT, compression: int = zlib.Z_DEFAULT_COMPRESSION
) -> Any:
    """Turn a value into plain JSON values with tags.

    Args:
        value: circuits, arrays, results of primitives, complex numbers, sets and dates, inside
            dictionaries, lists and tuples as deep as you like.
        qpy_version: the QPY version of circuits, one of `QPY_VERSIONS`.
        compression: zlib level of arrays; the default gives IBM's bytes, 1 is quicker.

    Raises:
        InvalidInputError: something in `value` cannot be written.
    """
    if value is None or isinstance(value, bool | str):
        return value
    return _Writer(qpy_version, compression).write(value)


def from_tagged(data: Any) -> Any:
    """Turn plain JSON values with tags into the values that they stand for.

    Raises:
        InvalidInputError: a tagged object is malformed.
    """
    if isinstance(data, dict):
        return _untag({key: from_tagged(value) for key, value in data.items()})
    if isinstance(data, list):
        return [from_tagged(value) for value in data]
    return data


def loads(text: str) -> Any:
    """Parse JSON text with tags; the same as `from_tagged` of its plain value, with less memory.

    Raises:
        InvalidInputError: the text is not JSON, or a tagged object is malformed.
    """
    try:
        return json.loads(text, object_hook=_untag)
    except (ValueError, RecursionError, TypeError) as error:
        raise InvalidInputError(f"not JSON: {error}") from error


def encode_circuit(circuit: QuantumCircuit, *, qpy_version: int = QPY_DEFAULT) -> str:
    """The value of a circuit's tagged form: base64 of zlib of QPY.

    Raises:
        InvalidInputError: the QPY version is not one of `QPY_VERSIONS`, or QPY cannot hold the
            circuit: a delay in other units than dt, say, whose unit these versions leave out.
    """
    if qpy_version not in QPY_VERSIONS:
        known = f"{QPY_VERSIONS[0]} to {QPY_VERSIONS[-1]}"
        raise InvalidInputError(f"QPY version {qpy_version} is not one of {known}")
    _check_delays(circuit)
    buffer = io.BytesIO()
    try:
        qpy.dump(circuit, buffer, metadata_serializer=_MetadataEncoder, version=qpy_version)
    except QrmiError:
        raise
    except Exception as error:
        raise InvalidInputError(
            f"circuit {circuit.name[:60]!r} cannot be written as QPY {qpy_version}: {error}"
        ) from error
    return npy.deflate(buffer.getbuffer())


def _check_delays(circuit: QuantumCircuit) -> None:
    for item in circuit.data:
        if item.is_control_flow():
            for block in item.operation.blocks:
                _check_delays(block)
        elif item.name == "delay":
            _check_delay(circuit, item)


def _check_delay(circuit: QuantumCircuit, item: CircuitInstruction) -> None:
    """Refuse what Qiskit 2.6 writes but cannot read again, or reads as another delay."""
    unit = getattr(item.operation, "unit", "dt")
    if unit != "dt":
        raise InvalidInputError(
            f"circuit {circuit.name[:60]!r} has a delay in {unit}, which QPY cannot hold",
            hint="give delays in dt, as a pass manager for a backend with a dt does",
        )
    if any(isinstance(duration, ParameterExpression) for duration in item.params):
        raise InvalidInputError(
            f"circuit {circuit.name[:60]!r} has a delay whose length is a parameter, "
            "which QPY cannot hold",
            hint="give it its value with assign_parameters, and send a circuit for each value",
        )


def decode_circuit(value: str) -> QuantumCircuit:
    """Read the value of a circuit's tagged form.

    Raises:
        InvalidInputError: it is not a circuit, or its QPY version cannot be read here.
    """
    try:
        data = zlib.decompress(binascii.a2b_base64(value))
        _check_qpy(data)
        (circuit,) = qpy.load(io.BytesIO(data), metadata_deserializer=_MetadataDecoder)
    except QrmiError:
        raise
    except Exception as error:
        raise InvalidInputError(f"a circuit cannot be read: {error}") from error
    except BaseException as error:
        # Qiskit's QPY reader is written in Rust, whose panics are not Exceptions.
        if type(error).__name__ == "PanicException":
            raise InvalidInputError("a circuit cannot be read: malformed QPY") from error
        raise
    if not isinstance(circuit, QuantumCircuit):
        raise InvalidInputError(f"expected a circuit, found a {type(circuit).__name__}")
    return circuit


def _check_qpy(data: bytes) -> None:
    preface, version = struct.unpack_from("!6sB", data)
    if preface != b"QISKIT":
        raise InvalidInputError("a circuit is not QPY")
    if not QPY_VERSIONS[0] <= version <= qpy.QPY_VERSION:
        raise InvalidInputError(
            f"QPY version {version} cannot be read here",
            hint=f"write the circuit with qiskit.qpy.dump(..., version={QPY_DEFAULT})",
        )


class _Writer:
    """Writes tagged values with one set of options."""

    def __init__(self, qpy_version: int, compression: int) -> None:
        self._qpy_version = qpy_version
        self._compression = compression

    def write(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | str | int | float):
            return value
        if isinstance(value, Mapping):
            return {str(key): self.write(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.write(item) for item in value]
        if isinstance(value, np.generic) and not isinstance(value, np.complexfloating):
            return self.write(value.item())
        for kind, tag, fields in self._KINDS:
            if isinstance(value, kind):
                return {"__type__": tag, "__value__": fields(self, value)}
        raise InvalidInputError(f"a {type(value).__name__} cannot be sent as JSON")

    def _array(self, value: NDArray[Any]) -> Any:
        if value.dtype == object:
            return self.write(value.tolist())
        return npy.write(value, compression=self._compression)

    def _circuit(self, value: QuantumCircuit) -> str:
        return encode_circuit(value, qpy_version=self._qpy_version)

    def _bit_array(self, value: BitArray) -> Any:
        return {"array": self.write(value.array), "num_bits": value.num_bits}

    def _data_bin(self, value: DataBin) -> Any:
        return {
            "field_names": list(value),
            "shape": self.write(value.shape),
            "fields": {name: self.write(field) for name, field in value.items()},
        }

    def _pub_result(self, value: PubResult) -> Any:
        return {"data": self.write(value.data), "metadata": self.write(value.metadata)}

    def _primitive_result(self, value: PrimitiveResult) -> Any:
        return {"pub_results": self.write(list(value)), "metadata": self.write(value.metadata)}

    def _complex(self, value: complex) -> Any:
        return [float(value.real), float(value.imag)]

    def _set(self, value: set[Any]) -> Any:
        return self.write(list(value))

    def _date(self, value: date) -> str:
        return value.isoformat()

    _KINDS: tuple[tuple[type, str, Callable[[_Writer, Any], Any]], ...] = (
        (np.ndarray, "ndarray", _array),
        (QuantumCircuit, "QuantumCircuit", _circuit),
        (BitArray, "BitArray", _bit_array),
        (DataBin, "DataBin", _data_bin),
        (SamplerPubResult, "SamplerPubResult", _pub_result),
        (PubResult, "PubResult", _pub_result),
        (PrimitiveResult, "PrimitiveResult", _primitive_result),
        (complex, "complex", _complex),
        (np.complexfloating, "complex", _complex),
        (set, "set", _set),
        (date, "datetime", _date),
    )


class _MetadataEncoder(json.JSONEncoder):
    """A circuit's metadata, inside QPY."""

    def default(self, o: object) -> Any:
        return to_tagged(o)


class _MetadataDecoder(json.JSONDecoder):
    """A circuit's metadata, inside QPY."""

    def __init__(self, **_options: Any) -> None:
        super().__init__(object_hook=_untag)


def _read_array(value: Any) -> NDArray[Any]:
    if isinstance(value, int | float | list):
        return np.array(value)
    compressed = binascii.a2b_base64(value)
    del value  # the text can be as big as the array
    return npy.read(compressed)


def _read_data_bin(value: dict[str, Any]) -> DataBin:
    shape = value.get("shape")
    return DataBin(shape=() if shape is None else tuple(shape), **value["fields"])


_READERS: dict[str, Callable[[Any], Any]] = {
    "ndarray": _read_array,
    "QuantumCircuit": decode_circuit,
    "BitArray": lambda value: BitArray(value["array"], value["num_bits"]),
    "DataBin": _read_data_bin,
    "SamplerPubResult": lambda value: SamplerPubResult(value["data"], value.get("metadata")),
    "EstimatorPubResult": lambda value: PubResult(value["data"], value.get("metadata")),
    "PubResult": lambda value: PubResult(value["data"], value.get("metadata")),
    "PrimitiveResult": lambda value: PrimitiveResult(value["pub_results"], value.get("metadata")),
    "complex": lambda value: complex(*value),
    "set": set,
    "datetime": datetime.fromisoformat,
}


def _untag(data: dict[str, Any]) -> Any:
    """Decode one JSON object whose members are decoded already; empties tagged ones."""
    tag = data.get("__type__")
    reader = _READERS.get(tag) if isinstance(tag, str) else None
    if reader is None or "__value__" not in data:
        return data
    try:
        return reader(data.pop("__value__"))
    except QrmiError:
        raise
    except Exception as error:
        raise InvalidInputError(f"malformed {tag} in tagged JSON: {error}") from error
