"""From the body of an answer to a BitArray."""

from __future__ import annotations

import tracemalloc

import numpy as np
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult

from benchmarks.measure import Row, seconds
from qrmi.codecs import gate, primitive_results

__all__ = ["run"]

SHOTS, BITS = 1_000_000, 100


def run() -> list[Row]:
    """Time and memory of decoding a million shots of 100 bits."""
    packed = np.random.default_rng(5).integers(0, 256, (SHOTS, (BITS + 7) // 8), dtype=np.uint8)
    packed[:, 0] &= 0x0F
    body = _body(packed)
    times = sorted(seconds(lambda: primitive_results.decode_result(body)) for _ in range(5))
    peak = _peak_of(body)
    ratio = peak / packed.nbytes
    return [
        Row(
            what="decode 1,000,000 shots x 100 bits",
            value=f"{times[2]:.3f} s",
            baseline=f"body {len(body) / 1e6:.1f} MB",
            limit="0.3 s",
            holds=times[2] < 0.3,
        ),
        Row(
            what="memory beyond the body",
            value=f"{peak / 1e6:.1f} MB, ratio {ratio:.2f}",
            baseline=f"packed bits {packed.nbytes / 1e6:.1f} MB",
            limit="ratio 3",
            holds=ratio < 3,
        ),
    ]


def _body(packed: np.ndarray) -> str:
    data = DataBin(meas=BitArray(packed, BITS), shape=())
    pub = SamplerPubResult(data, {"shots": SHOTS, "circuit_metadata": {}})
    return gate.encode_result(PrimitiveResult([pub], {"version": 2}))


def _peak_of(body: str) -> int:
    tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    result = primitive_results.decode_result(body)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    if result[0].data.meas.num_shots != SHOTS:
        raise RuntimeError("the result is not what was sent")
    return peak
