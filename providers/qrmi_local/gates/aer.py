"""Running circuits on Aer: many circuits, each with many parameter values, in one call."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NoReturn

import attrs
import numpy as np
from numpy.typing import NDArray
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel

from qrmi.errors import InvalidInputError
from qrmi_local.gates.circuits import Prepared
from qrmi_local.gates.memory import available_mib

__all__ = ["Experiment", "simulate"]

_MOST = 512  # experiments of one call to Aer: bounds the memory that results take
_SMALL = 14  # with fewer qubits Aer's threads cost more than they bring, much more on a busy host
_WIDE = 12  # a density matrix of that many qubits takes 256 MiB, a state vector 64 KiB
_FEW_SHOTS = 2000  # of circuits that Aer must run anew for each shot
_FEW = 4  # with fewer values than that, binding in Python is quicker than in Aer


@attrs.frozen(kw_only=True, eq=False)
class Experiment:
    """A circuit and the values to run it with.

    Attributes:
        prepared: where the circuit comes from.
        circuit: what to run: the prepared circuit, or that with something added.
        values: shape (runs, parameters), columns as in ``prepared.source.parameters``.
    """

    prepared: Prepared
    circuit: QuantumCircuit
    values: NDArray[np.float64]


def simulate(
    experiments: Sequence[Experiment],
    *,
    rng: np.random.Generator,
    shots: int,
    memory: bool = False,
    noise: NoiseModel | None = None,
) -> list[list[Any]]:
    """Run experiments.

    Args:
        experiments: what to run.
        rng: gives Aer its seeds; one call never uses a seed twice.
        shots: how often each run is repeated.
        memory: keep every shot, as hexadecimal text over all classical bits.
        noise: the noise of the imitated device.

    Returns:
        For each experiment and each of its runs the data that Aer recorded.

    Raises:
        InvalidInputError: Aer cannot run it: too many qubits for the memory, for the most part.
    """
    results: list[list[Any]] = [[] for _ in experiments]
    options: dict[str, Any] = {"shots": shots, "memory": memory}
    if noise is not None:
        options["noise_model"] = noise
    for batch in _batches(experiments):
        data = _run(batch, {**options, "seed_simulator": int(rng.integers(1 << 31))})
        position = 0
        for index, experiment in batch:
            runs = len(experiment.values)
            results[index] += data[position : position + runs]
            position += runs
    return results


_Batch = list[tuple[int, Experiment]]


def _batches(experiments: Sequence[Experiment]) -> Iterator[_Batch]:
    """Split into calls of Aer of bounded size, all bound by Aer or all bound before."""
    pieces = [
        (index, attrs.evolve(experiment, values=experiment.values[start : start + _MOST]))
        for index, experiment in enumerate(experiments)
        for start in range(0, len(experiment.values), _MOST)
    ]
    for _, group in groupby(pieces, key=lambda piece: _bound_by_aer(piece[1])):
        batch: _Batch = []
        count = 0
        for piece in group:
            runs = len(piece[1].values)
            if batch and count + runs > _MOST:
                yield batch
                batch, count = [], 0
            batch.append(piece)
            count += runs
        yield batch


def _bound_by_aer(experiment: Experiment) -> bool:
    # Aer reads values from the instructions it knows, not from inside of control flow.
    many = len(experiment.values) >= _FEW and experiment.values.shape[-1]
    return bool(many) and not experiment.prepared.control_flow


def _run(batch: _Batch, options: dict[str, Any]) -> list[Any]:
    if _bound_by_aer(batch[0][1]):
        circuits = [experiment.circuit for _, experiment in batch]
        options["parameter_binds"] = [
            {
                parameter: experiment.values[:, column].tolist()
                for parameter, column in _columns(experiment)
            }
            for _, experiment in batch
        ]
    else:
        circuits = [circuit for _, experiment in batch for circuit in _bound(experiment)]
    if _is_small(batch, options):
        options["max_parallel_threads"] = 1
    if _is_wide(batch) and (most := available_mib()) is not None:
        options["max_memory_mb"] = most  # Aer itself knows neither other users nor control groups
    result = _simulator().run(circuits, **options).result()
    if not result.success:
        _refuse(result, max(experiment.prepared.width for _, experiment in batch))
    return [run.data for run in result.results]


def _is_small(batch: _Batch, options: dict[str, Any]) -> bool:
    circuits = [experiment.prepared for _, experiment in batch]
    repeats = "noise_model" in options or any(circuit.repeats for circuit in circuits)
    few = options["shots"] <= _FEW_SHOTS or not repeats
    return few and all(circuit.width < _SMALL for circuit in circuits)


def _is_wide(batch: _Batch) -> bool:
    return any(experiment.prepared.width >= _WIDE for _, experiment in batch)


@cache
def _simulator() -> AerSimulator:
    return AerSimulator()


def _columns(experiment: Experiment) -> list[tuple[Any, int]]:
    order = {
        parameter.name: column
        for column, parameter in enumerate(experiment.prepared.source.parameters)
    }
    return [(parameter, order[parameter.name]) for parameter in experiment.circuit.parameters]


def _bound(experiment: Experiment) -> list[QuantumCircuit]:
    columns = _columns(experiment)
    if not columns:
        return [experiment.circuit] * len(experiment.values)
    return [
        experiment.circuit.assign_parameters(
            {parameter: row[column] for parameter, column in columns}
        )
        for row in experiment.values.tolist()
    ]


def _refuse(result: Any, width: int) -> NoReturn:
    failed = [run for run in result.results if not run.success]
    reasons = {str(run.status).removeprefix("ERROR: ").strip() for run in failed}
    reason = "; ".join(sorted(reasons)) or str(result.status)
    hint = "use fewer qubits, or gates of the Clifford group only" if "memory" in reason else ""
    raise InvalidInputError(f"a circuit of {width} qubits cannot be simulated: {reason}", hint=hint)
