"""Shots as packed bits, in the layout of Qiskit's `BitArray`.

A packed array has the shape ``(shots, ceil(num_bits / 8))`` and type uint8: one row a shot,
bytes big-endian, bit 0 of a register is the lowest bit of the last byte, unused bits are zero.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["num_bytes", "pack", "pack_hex", "take", "unpack"]

_NARROW = 16  # bits: so few that most samples occur again and again


def num_bytes(num_bits: int) -> int:
    """How many bytes hold one shot of so many bits."""
    return -(-num_bits // 8)


def pack_hex(samples: Sequence[str], num_bits: int) -> NDArray[np.uint8]:
    """Pack shots written as hexadecimal numbers, with ``0x`` or without.

    Args:
        samples: one text a shot.
        num_bits: the width of the register.

    Raises:
        ValueError: a sample is not hexadecimal, or does not fit into `num_bits`.
    """
    width = num_bytes(num_bits)
    digits = 2 * width
    if not width:
        return np.zeros((len(samples), 0), dtype=np.uint8)
    if num_bits <= _NARROW:
        padded = {sample: sample.removeprefix("0x").zfill(digits) for sample in set(samples)}
        text = "".join([padded[sample] for sample in samples])
    else:
        text = "".join([sample.removeprefix("0x").zfill(digits) for sample in samples])
    packed = np.frombuffer(bytes.fromhex(text), dtype=np.uint8)
    if packed.size != width * len(samples):
        raise ValueError(f"a sample is wider than {num_bits} bits")
    packed = packed.reshape(len(samples), width)
    if num_bits % 8 and (packed[:, 0] >> (num_bits % 8)).any():
        raise ValueError(f"a sample is wider than {num_bits} bits")
    return packed


def unpack(packed: NDArray[np.uint8], num_bits: int) -> NDArray[np.uint8]:
    """One column a bit: column i of the result is bit i, 0 or 1."""
    return np.unpackbits(packed, axis=-1)[..., ::-1][..., :num_bits]


def pack(columns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pack an array with one column a bit; column i becomes bit i."""
    padding = [(0, 0)] * (columns.ndim - 1) + [(-columns.shape[-1] % 8, 0)]
    return np.packbits(np.pad(columns[..., ::-1], padding), axis=-1)


def take(packed: NDArray[np.uint8], indices: Sequence[int]) -> NDArray[np.uint8]:
    """Pick bits out of packed shots: bit i of the result is bit ``indices[i]`` of `packed`.

    Indices may repeat and be in any order. A run of consecutive indices that starts at a byte
    is copied by bytes.
    """
    count = len(indices)
    width = num_bytes(count)
    if not count:
        return np.zeros((*packed.shape[:-1], 0), dtype=np.uint8)
    start = indices[0]
    if start % 8 == 0 and list(indices) == list(range(start, start + count)):
        stop = packed.shape[-1] - start // 8
        picked = packed[..., stop - width : stop]
        if not count % 8 or picked.shape[-1] * 8 == count:
            return picked
        picked = picked.copy()
        picked[..., 0] &= (1 << (count % 8)) - 1
        return picked
    result = np.zeros((*packed.shape[:-1], width), dtype=np.uint8)
    last = packed.shape[-1] - 1
    for position, index in enumerate(indices):
        bit = (packed[..., last - index // 8] >> (index % 8)) & 1
        result[..., width - 1 - position // 8] |= bit << (position % 8)
    return result
