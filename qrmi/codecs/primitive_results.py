"""Results of gate programs and their JSON text: the IBM services' tagged form and the plain one."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, PubResult, SamplerPubResult

from qrmi.codecs import bits, tagged
from qrmi.errors import InvalidInputError, UnexpectedAnswerError

__all__ = ["decode_result", "encode_result"]


def encode_result(result: PrimitiveResult, *, compression: int = 1) -> str:
    """Write a result as the IBM services do; the default compression is quick.

    Raises:
        InvalidInputError: the metadata cannot be written as JSON.
    """
    return json.dumps(tagged.to_tagged(result, compression=compression))


def decode_result(text: str) -> PrimitiveResult:
    """Read a result: the tagged form, or the plain schema with hexadecimal samples.

    Raises:
        UnexpectedAnswerError: it is neither.
    """
    try:
        result = tagged.loads(text)
        if isinstance(result, dict) and isinstance(result.get("results"), list):
            result = _plain_result(result)
    except InvalidInputError as error:
        raise UnexpectedAnswerError(f"malformed result: {error.message}") from error
    except Exception as error:
        raise UnexpectedAnswerError(f"malformed result: {error}") from error
    if not isinstance(result, PrimitiveResult):
        raise UnexpectedAnswerError("malformed result: it is not that of a primitive")
    return result


def _plain_result(result: dict[str, Any]) -> PrimitiveResult:
    """``{"results": [{"data": ..., "metadata": ...}], "metadata": ...}``."""
    pubs = [_plain_pub(pub["data"], pub.get("metadata")) for pub in result["results"]]
    return PrimitiveResult(pubs, result.get("metadata"))


def _plain_pub(data: dict[str, Any], metadata: dict[str, Any] | None) -> PubResult:
    """Registers of hexadecimal samples, or arrays of expectation values."""
    if "evs" in data:
        values = {name: np.asarray(value, dtype=float) for name, value in data.items()}
        return PubResult(DataBin(**values, shape=values["evs"].shape), metadata)
    registers = {
        name: BitArray(bits.pack_hex(field["samples"], field["num_bits"]), field["num_bits"])
        for name, field in data.items()
    }
    return SamplerPubResult(DataBin(**registers, shape=()), metadata)
