"""Evolutions of Rydberg Hamiltonians: CUDA-Q's analog program becomes a pulse sequence's task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cudaq

from qrmi.codecs import ahs
from qrmi.codecs import analog as codec
from qrmi.codecs.group import TaskGroup
from qrmi.cudaq.futures import SDK, Future
from qrmi.cudaq.session import Session
from qrmi.cudaq.shots import check_returned, check_wanted

__all__ = ["decoder", "start"]


def start(session: Session, program: str, shots: Any) -> Future:
    """Send an analog program.

    Args:
        session: where to.
        program: CUDA-Q's analog Hamiltonian program, JSON text.
        shots: how often to run it; CUDA-Q gives ``None`` for its default of 100.

    Raises:
        UnsupportedPayloadError: the resource does not take pulse sequences.
        InvalidInputError: the program is malformed, or no shot is wanted.
        IsaError: no device of the resource can play it.
    """
    count = 100 if shots is None else shots
    check_wanted(count)
    count = int(count)
    sequence = ahs.to_sequence(program, ahs.choose_device(session.devices))
    context = {"sdk": SDK, "kind": "analog", "call": "evolve", "shots": count}
    payload = codec.encode_single(sequence, count)
    task_id = session.resource.task_start(payload, context=context)
    return Future(TaskGroup(session.resource, task_id), decoder(count))


def decoder(shots: int) -> Callable[[TaskGroup], Any]:
    """What makes the task's result into a `cudaq.SampleResult`.

    The first filled site is the leftmost bit; 1 is the Rydberg state.
    """

    def read(tasks: TaskGroup) -> Any:
        counter = codec.decode_counter(tasks.texts()[0])
        check_returned(sum(counter.values()), shots, tasks.id)
        return cudaq.SampleResult(counter, {"task_id": tasks.id, "shots": shots})

    return read
