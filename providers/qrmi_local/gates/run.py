"""Gate programs on Qiskit Aer: what a worker process calls for a ``qiskit-primitive`` task."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit.primitives import PrimitiveResult, PubResult
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qrmi.codecs import gate
from qrmi.errors import InvalidInputError
from qrmi.payloads import QiskitPrimitive
from qrmi_local.gates.circuits import prepare, read_circuit
from qrmi_local.gates.device import GateDevice, gate_device
from qrmi_local.gates.estimator import estimate_exactly
from qrmi_local.gates.measured import estimate_by_measuring
from qrmi_local.gates.sampler import sample

__all__ = ["run"]

_OPTIONS = frozenset({"default_shots", "default_precision", "simulator", "seed_simulator"})


def run(
    payload: QiskitPrimitive,
    *,
    device: str | Mapping[str, Any] | None = None,
    seed: int | None = None,
    noise: bool = True,
    log: Callable[[str], None] = lambda line: None,
) -> str:
    """Run a sampler's or an estimator's program.

    Without noise an estimator's values are exact up to the precision asked for, zero if none is.
    With the noise of an imitated device, and for circuits that measure or branch on the way,
    they come from measurements with ``ceil(1 / precision**2)`` shots for each group of terms
    that can be measured together; the precision is 1/64 if none is asked for.

    Args:
        payload: the program. Its option ``simulator.seed_simulator`` overrides `seed`; options of
            the IBM services that mean nothing here are named in the log and not followed.
        device: configuration and properties of a device to imitate: what it would refuse is
            refused, and with `noise` its errors are in the results.
        seed: makes the result repeatable; ``None`` draws one.
        noise: whether an imitated device's errors are in the results.
        log: takes lines about the run.

    Returns:
        The text of the `PrimitiveResult`, as the IBM services write it.

    Raises:
        InvalidInputError: the program is wrong, or too big to be simulated.
        IsaError: the imitated device does not take a circuit.
    """
    program = gate.decode_program(payload, read_circuit=read_circuit)
    text = device if device is None or isinstance(device, str) else json.dumps(device)
    imitated = gate_device(text, noise)
    rng = np.random.default_rng(_seed(program.options, seed))
    ignored = sorted(program.options.keys() - _OPTIONS)
    if ignored:
        log(f"options without effect here: {', '.join(ignored)}")
    if program.kind == "sampler":
        result = sample(program.pubs, imitated, rng)
    else:
        result = _estimate(program.pubs, imitated, rng)
    return gate.encode_result(result)


def _seed(options: Mapping[str, Any], seed: int | None) -> int:
    simulator = options.get("simulator")
    given = simulator.get("seed_simulator") if isinstance(simulator, dict) else None
    for candidate in (given, options.get("seed_simulator"), seed):
        if candidate is None:
            continue
        if isinstance(candidate, bool) or not isinstance(candidate, int) or candidate < 0:
            raise InvalidInputError("the seed must be a whole number, 0 or more")
        return candidate
    return secrets.randbits(64)


def _estimate(
    pubs: Sequence[EstimatorPub], device: GateDevice, rng: np.random.Generator
) -> PrimitiveResult:
    results: list[PubResult | None] = [None] * len(pubs)
    for pub in pubs:
        if not pub.circuit.num_qubits:
            raise InvalidInputError("an estimator's circuit needs at least one qubit")
        device.check(pub.circuit, pub.parameter_values)
    exact = [
        index
        for index, pub in enumerate(pubs)
        if not device.noisy and not prepare(pub.circuit).collapses
    ]
    computed = estimate_exactly([pubs[index] for index in exact], rng) if exact else []
    for index, result in zip(exact, computed, strict=True):
        results[index] = result
    for index, pub in enumerate(pubs):
        if results[index] is None:
            results[index] = estimate_by_measuring(pub, device, rng)
    return PrimitiveResult(results, {"version": 2})
