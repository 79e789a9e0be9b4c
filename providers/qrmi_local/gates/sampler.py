"""Samplers: shots of every register, packed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray, DataBin, PrimitiveResult, SamplerPubResult
from qiskit.primitives.containers.sampler_pub import SamplerPub

from qrmi.codecs import bits
from qrmi.errors import InvalidInputError
from qrmi_local.gates.aer import Experiment, simulate
from qrmi_local.gates.circuits import Prepared, prepare
from qrmi_local.gates.device import GateDevice

__all__ = ["sample"]


def sample(
    pubs: Sequence[SamplerPub], device: GateDevice, rng: np.random.Generator
) -> PrimitiveResult:
    """Run sampler pubs.

    Pubs with the same number of shots share a call to the simulator.

    Raises:
        IsaError: the imitated device lacks an instruction.
        InvalidInputError: too many shots, or Aer cannot run a circuit.
    """
    results: dict[int, SamplerPubResult] = {}
    by_shots: dict[int, list[int]] = {}
    for index, pub in enumerate(pubs):
        device.check(pub.circuit, pub.parameter_values)
        device.check_shots(pub.shots)
        by_shots.setdefault(pub.shots, []).append(index)
    for shots, indices in by_shots.items():
        packed = _run([pubs[index] for index in indices], shots, device, rng)
        for index, array in zip(indices, packed, strict=True):
            results[index] = _pub_result(pubs[index], array)
    return PrimitiveResult([results[index] for index in range(len(pubs))], {"version": 2})


def _run(
    pubs: Sequence[SamplerPub], shots: int, device: GateDevice, rng: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """All classical bits of each pub, shape (runs, shots, bytes)."""
    prepared = [prepare(device.with_delays(pub.circuit)) for pub in pubs]
    packed = [_zeros(pub, shots) for pub in pubs]
    wanted = [index for index, pub in enumerate(pubs) if pub.circuit.num_clbits and pub.size]
    experiments = [_experiment(pubs[index], prepared[index]) for index in wanted]
    noise = device.noise_model([item.circuit for item in prepared])
    data = simulate(experiments, rng=rng, shots=shots, memory=True, noise=noise)
    for index, runs in zip(wanted, data, strict=True):
        width = pubs[index].circuit.num_clbits
        for position, run in enumerate(runs):
            memory: list[str] | None = getattr(run, "memory", None)
            if memory is not None:  # absent when nothing is measured
                packed[index][position] = bits.pack_hex(memory, width)
    return packed


def _zeros(pub: SamplerPub, shots: int) -> NDArray[np.uint8]:
    width = bits.num_bytes(pub.circuit.num_clbits)
    return np.zeros((pub.size, shots, width), dtype=np.uint8)


def _experiment(pub: SamplerPub, prepared: Prepared) -> Experiment:
    values = pub.parameter_values.as_array(pub.circuit.parameters)
    return Experiment(
        prepared=prepared,
        circuit=prepared.circuit,
        values=values.reshape(pub.size, pub.circuit.num_parameters),
    )


def _pub_result(pub: SamplerPub, packed: NDArray[np.uint8]) -> SamplerPubResult:
    circuit = pub.circuit
    index = {bit: position for position, bit in enumerate(circuit.clbits)}
    fields: dict[str, Any] = {}
    for register in circuit.cregs:
        array = bits.take(packed, [index[bit] for bit in register])
        array = array.reshape(*pub.shape, *array.shape[1:])
        fields[register.name] = BitArray(array, register.size)
    try:
        data = DataBin(**fields, shape=pub.shape)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"Qiskit's results cannot hold the registers {', '.join(fields)}: {error}",
            hint="give the registers other names",
        ) from error
    return SamplerPubResult(data, {"shots": pub.shots, "circuit_metadata": circuit.metadata})
