"""Results of tasks as CUDA-Q's own objects.

Bit strings are CUDA-Q's: the first bit of a register is leftmost. A register of more than 63 bits
exists as the global register only, because CUDA-Q keeps named ones in one machine word.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import cudaq
import numpy as np
from numpy.typing import NDArray
from qiskit.primitives import BitArray, PrimitiveResult

from qrmi.codecs import bits
from qrmi.cudaq.kernels import MEASURED
from qrmi.cudaq.operators import rebuild
from qrmi.cudaq.shots import check_returned

__all__ = ["ExactObserveResult", "observe_exact", "observe_shots", "sample"]

_log = logging.getLogger(__name__)

_WORD = 63


class ExactObserveResult(cudaq.ObserveResult):  # type: ignore[misc]
    """An `ObserveResult` without shots, whose `expectation` also knows each term's value.

    Attributes:
        task_id: the task that it comes from.
    """

    def __init__(
        self, value: float, operator: Any, terms: Mapping[str, float], task_id: str
    ) -> None:
        super().__init__(value, operator, cudaq.SampleResult({}, {"task_id": task_id}))
        self._terms = dict(terms)
        self.task_id = task_id

    def expectation(self, sub_term: Any = None) -> float:
        """The operator's expectation value, or that of one of its terms without coefficient."""
        if sub_term is None:
            return float(super().expectation())
        terms = [sub_term] if hasattr(sub_term, "term_id") else list(sub_term)
        if len(terms) != 1:
            raise ValueError("expecting a spin op with a single term")
        name = str(terms[0].term_id)
        return self._terms[name] if name in self._terms else float(super().expectation(sub_term))


def sample(result: PrimitiveResult, layout: Mapping[str, Any], task_id: str) -> cudaq.SampleResult:
    """The result of `cudaq.sample`.

    Args:
        result: of one sampler pub.
        layout: ``shots``; ``outcome``, the classical bits of the global register; ``registers``,
            those of each named one.
        task_id: kept in ``annotations``.

    Raises:
        TaskFailedError: the resource returned fewer shots than were asked for.
    """
    measured = _measured(result[0].data, layout["shots"], task_id)
    annotations = {"task_id": task_id, "shots": layout["shots"]}
    outcome = _counts(measured, layout["outcome"])
    registers = layout["registers"]
    widths = [len(layout["outcome"]), *(len(indices) for indices in registers.values())]
    if registers and max(widths) > _WORD:
        _log.warning("named registers are left out: one is wider than %d bits", _WORD)
    if not registers or max(widths) > _WORD:
        return cudaq.SampleResult(outcome, annotations)
    named = {name: _counts(measured, indices) for name, indices in registers.items()}
    return _with_registers(outcome, named, annotations)


def observe_exact(
    result: PrimitiveResult, layout: Mapping[str, Any], task_id: str, operator: Any = None
) -> cudaq.ObserveResult:
    """The result of `cudaq.observe` without shots.

    Args:
        result: of one estimator pub with one observable a term.
        layout: ``terms``, pairs of name and coefficient in order; ``constant``, the identity's.
        task_id: kept in ``task_id``.
        operator: the operator observed; rebuilt from the layout when ``None``.
    """
    values = np.atleast_1d(result[0].data.evs).tolist()
    names = [name for name, _coefficient in layout["terms"]]
    expectations = dict(zip(names, values, strict=True))
    total = layout["constant"] + sum(
        coefficient * expectations[name] for name, coefficient in layout["terms"]
    )
    if operator is None:
        operator = rebuild([*layout["terms"], ["", layout["constant"]]])
    return ExactObserveResult(total, operator, {**expectations, "": 1.0}, task_id)


def observe_shots(
    result: PrimitiveResult,
    layouts: Sequence[Mapping[str, Any]],
    task_id: str,
    operator: Any = None,
) -> cudaq.ObserveResult:
    """The result of `cudaq.observe` with shots.

    Args:
        result: of one sampler pub for each measurement basis.
        layouts: of each pub ``shots``, ``constant`` (of the identity) and ``terms``: name,
            coefficient, and the classical bits of its qubits.
        task_id: kept in the annotations of ``counts()``.
        operator: the operator observed; rebuilt from the layouts when ``None``.

    Raises:
        TaskFailedError: the resource returned fewer shots than were asked for.
    """
    total = layouts[0]["constant"]
    registers = {}
    for pub, layout in zip(result, layouts, strict=True):
        measured = _measured(pub.data, layout["shots"], task_id)
        for name, coefficient, indices in layout["terms"]:
            total += coefficient * _parity(measured, indices)
            if len(indices) <= _WORD:
                registers[name] = _counts(measured, indices)
    if operator is None:
        terms = [term for layout in layouts for term in layout["terms"]]
        operator = rebuild([*terms, ["", layouts[0]["constant"]]])
    annotations = {"task_id": task_id, "shots": layouts[0]["shots"]}
    return cudaq.ObserveResult(total, operator, _with_registers({}, registers, annotations))


def _measured(data: Any, shots: int, task_id: str) -> NDArray[np.uint8]:
    """The packed shots of the one register that our circuits have."""
    names = list(data)
    array: BitArray = data[MEASURED if MEASURED in names else names[0]]
    check_returned(array.num_shots, shots, task_id)
    packed: NDArray[np.uint8] = array.array.reshape(array.num_shots, -1)
    return packed


def _counts(measured: NDArray[np.uint8], indices: Sequence[int]) -> dict[str, int]:
    """How often each bit string occurs; ``indices[0]`` is the leftmost bit."""
    if not indices:
        return {}
    packed = np.ascontiguousarray(bits.take(measured, list(reversed(indices))))
    rows, counts = np.unique(packed.view(f"V{packed.shape[1]}").ravel(), return_counts=True)
    columns = bits.unpack(rows.view(np.uint8).reshape(len(rows), -1), len(indices))[:, ::-1]
    texts = (columns + ord("0")).astype(np.uint8)
    strings = [row.tobytes().decode("ascii") for row in texts]
    return dict(zip(strings, counts.tolist(), strict=True))


def _parity(measured: NDArray[np.uint8], indices: Sequence[int]) -> float:
    """The mean of +1 (an even number of ones) and -1 over all shots."""
    columns = bits.unpack(bits.take(measured, indices), len(indices))
    return float(1.0 - 2.0 * (columns.sum(axis=1) % 2).mean())


def _with_registers(
    outcome: Mapping[str, int],
    registers: Mapping[str, Mapping[str, int]],
    annotations: Mapping[str, Any],
) -> cudaq.SampleResult:
    """A result with a global register and named ones, each of at most 63 bits.

    CUDA-Q 0.16, ``SampleResult.deserialize``, which adds registers: for each the length of its
    name, the name's characters, the number of entries, and of each entry value, width and count.
    """
    data: list[int] = []
    for name, counts in registers.items():
        data += [len(name), *map(ord, name), len(counts)]
        for string, count in counts.items():
            data += [int(string, 2), len(string), count]
    result = cudaq.SampleResult(dict(outcome), dict(annotations))
    result.deserialize(data)
    return result
