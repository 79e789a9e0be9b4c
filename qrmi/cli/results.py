"""Results as a person reads them: counts and expectation values, from any result text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from qrmi.cli import console
from qrmi.cli.histogram import bars
from qrmi.codecs.group import TaskGroup
from qrmi.codecs.interface import gate_codec
from qrmi.errors import QrmiError

if TYPE_CHECKING:
    from qiskit.primitives import PrimitiveResult

__all__ = ["Counts", "Values", "as_json", "of_program", "read", "show"]

GATE_ORDER = "qubit 0 is the rightmost bit"
ANALOG_ORDER = "atom 0 is the leftmost bit"
_MOST_SHOWN = 8


@attrs.frozen(kw_only=True)
class Counts:
    """How often each outcome was seen.

    Attributes:
        label: which part of the result this is; empty when there is only one.
        order: which bit belongs to which qubit or atom, for people.
        counts: outcomes and how often each was seen.
    """

    label: str
    order: str
    counts: Mapping[str, int]


@attrs.frozen(kw_only=True)
class Values:
    """Expectation values with their standard errors.

    Attributes:
        label: which part of the result this is; empty when there is only one.
        values: expectation values, flattened in C order.
        errors: their standard errors.
    """

    label: str
    values: Sequence[float]
    errors: Sequence[float]


def of_program(tasks: TaskGroup, texts: Sequence[str]) -> list[Counts | Values]:
    """The parts of a program's result; empty when its form is not known (show the texts then).

    Args:
        tasks: the program.
        texts: its tasks' results, in order.
    """

    def decode(texts: Sequence[str]) -> PrimitiveResult:
        return gate_codec(tasks.resource).decode_result(texts, tasks.notes())

    return read(texts, decode)


def read(
    texts: Sequence[str], decode: Callable[[Sequence[str]], PrimitiveResult]
) -> list[Counts | Values]:
    """The parts of a result, as `of_program`.

    Args:
        texts: the results of the tasks.
        decode: reads them when they are those of gate programs.
    """
    try:
        values = [json.loads(text) for text in texts]
    except (ValueError, RecursionError):
        values = []
    if values and all(_is_analog(value) for value in values):
        jobs = [job for value in values for job in value.get("jobs", [value])]
        return list(_batch(jobs))
    try:
        return list(_primitive(decode(texts)))
    except (QrmiError, ImportError):
        return []


def show(parts: Sequence[Counts | Values], *, top: int = 10) -> None:
    """Write the parts to stdout: bars for counts, a table for expectation values."""
    for part in parts[:_MOST_SHOWN]:
        if isinstance(part, Values):
            _heading(part.label)
            rows = zip(range(len(part.values)), part.values, part.errors, strict=True)
            console.table(
                ("#", "value", "± std"), [(i, f"{v:+.6f}", f"{e:.6f}") for i, v, e in rows]
            )
            continue
        _heading(", ".join(filter(None, (part.label, f"{sum(part.counts.values()):,} shots"))))
        for line in bars(part.counts, top=top, ascii_only=console.ascii_only()):
            console.out(f"  {line}")
        console.out(console.styled(f"  ({part.order})", "dim"))
    if len(parts) > _MOST_SHOWN:
        console.out(f"and {len(parts) - _MOST_SHOWN} more: see them all with --json")


def as_json(parts: Sequence[Counts | Values]) -> list[dict[str, Any]]:
    """The parts as JSON values, with stable keys; the most frequent outcome first."""
    values = [attrs.asdict(part) for part in parts]
    for value in values:
        if "counts" in value:
            ranked = sorted(value["counts"].items(), key=lambda item: (-item[1], item[0]))
            value["counts"] = dict(ranked)
    return values


def _heading(text: str) -> None:
    if text:
        console.out(console.styled(text, "bold"))


def _is_analog(value: Any) -> bool:
    """A counter, or a batch of them."""
    return isinstance(value, dict) and (
        isinstance(value.get("counter"), dict) or isinstance(value.get("jobs"), list)
    )


def _analog(label: str, counter: Mapping[str, int]) -> Counts:
    return Counts(label=label, order=ANALOG_ORDER, counts=dict(counter))


def _batch(jobs: Sequence[Any]) -> Iterator[Counts]:
    for index, job in enumerate(jobs):
        if isinstance(job, dict) and isinstance(job.get("counter"), dict):
            yield _analog(f"job {index}" if len(jobs) > 1 else "", job["counter"])


def _primitive(result: PrimitiveResult) -> Iterator[Counts | Values]:
    for index, pub in enumerate(result):
        label = f"program {index}" if len(result) > 1 else ""
        if "evs" in pub.data:
            yield _values(label, pub.data)
        else:
            yield from _sampled(label, pub.data)


def _values(label: str, data: Any) -> Values:
    import numpy as np

    values = np.asarray(data["evs"], dtype=float).ravel()
    errors = np.asarray(data["stds"], dtype=float).ravel() if "stds" in data else 0 * values
    return Values(label=label, values=values.tolist(), errors=errors.tolist())


def _sampled(label: str, data: Any) -> Iterator[Counts]:
    """One part an element of the pub's shape; several registers share one outcome."""
    import numpy as np

    registers = [(name, array) for name, array in data.items() if hasattr(array, "num_bits")]
    names = ", registers from left to right: " + " ".join(name for name, _ in reversed(registers))
    order = GATE_ORDER + (names if len(registers) > 1 else "")
    for place in np.ndindex(tuple(data.shape)):
        at = f"[{', '.join(map(str, place))}]" if place else ""
        yield Counts(
            label=" ".join(filter(None, (label, at))),
            order=order,
            counts=_joined([(array.array[place], array.num_bits) for _, array in registers]),
        )


def _joined(registers: Sequence[tuple[Any, int]]) -> dict[str, int]:
    """Outcomes of all registers together, the first register rightmost.

    Each register is packed bits of shape (shots, bytes), most significant byte first.
    """
    import numpy as np

    if not registers:
        return {}
    rows = np.concatenate([packed for packed, _ in registers], axis=1)
    unique, counts = np.unique(rows, axis=0, return_counts=True)
    texts = []
    start = 0
    for packed, width in registers:
        end = start + packed.shape[1]
        numbers = (int.from_bytes(row.tobytes()) for row in unique[:, start:end])
        texts.append([f"{number:0{width}b}" if width else "" for number in numbers])
        start = end
    outcomes = (" ".join(reversed(parts)) for parts in zip(*texts, strict=True))
    return dict(zip(outcomes, counts.tolist(), strict=True))
