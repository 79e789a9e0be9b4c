"""Arguments of kernels: each kind that CUDA-Q takes, and those that it would read wrongly."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cudaq
import numpy as np
import pytest

from qrmi.errors import InvalidInputError, UnsupportedFunctionError


@dataclass(slots=True)
class ListFirst:
    places: list[int]
    angles: list[float]


@dataclass(slots=True)
class ListLast:
    place: int
    angles: list[list[float]]


@dataclass(slots=True)
class Bools:
    flags: list[bool]


@cudaq.kernel
def list_first(given: ListFirst):
    q = cudaq.qvector(4)
    rx(given.angles[1], q[given.places[0]])


@cudaq.kernel
def list_last(given: ListLast):
    q = cudaq.qvector(4)
    rx(given.angles[1][0], q[given.place])


@cudaq.kernel
def bools(given: Bools):
    q = cudaq.qvector(4)
    for i in range(len(given.flags)):
        if given.flags[i]:
            x(q[i])


@cudaq.kernel
def tuple_with_list(given: tuple[list[float], int]):
    q = cudaq.qvector(4)
    rx(given[0][1], q[given[1]])


@cudaq.kernel
def turn(angle: float):
    q = cudaq.qvector(2)
    rx(angle, q[0])


@cudaq.kernel
def small_numbers(
    places: list[np.int8], angles: list[np.float32], factors: list[np.complex64], last: np.int32
):
    q = cudaq.qvector(4)
    for i in range(len(places)):
        rx(angles[i], q[places[i]])
    ry(factors[1].imag, q[3])
    x(q[last])


@cudaq.kernel
def factors(values: list[complex], times: int):
    q = cudaq.qvector(3)
    for i in range(times):
        ry(values[i].imag, q[i])


@cudaq.kernel
def rows(table: list[list[float]]):
    q = cudaq.qvector(3)
    for row in table:
        for i, angle in enumerate(row):
            rx(angle, q[i])


@cudaq.kernel
def deep(table: list[list[list[float]]]):
    q = cudaq.qvector(4)
    for i in range(len(table)):
        for j in range(len(table[i])):
            rx(table[i][j][0], q[2 * i + j])


TAKEN: list[tuple[Any, tuple[Any, ...]]] = [
    (
        small_numbers,
        (
            [np.int8(1), np.int8(0)],
            [np.float32(np.pi), np.float32(0)],
            [np.complex64(0), np.complex64(np.pi * 1j)],
            np.int32(2),
        ),
    ),
    (factors, ([1.0 + 0j, np.pi * 1j, 2.0 + 0j], 3)),
    (rows, ([[np.pi, 0.0], [0.0, np.pi, np.pi]],)),
    (deep, ([[[np.pi], [0.0]], [[np.pi], [0.0]]],)),
    (list_last, (ListLast(2, [[0.0], [np.pi]]),)),
]


@pytest.mark.parametrize(("kernel", "args"), TAKEN, ids=[case[0].name for case in TAKEN])
def test_arguments_arrive(
    kernel: Any, args: tuple[Any, ...], on: Callable[[Any], Any], driver: Any
) -> None:
    """Lists in lists, small numbers and complex ones have the values of CUDA-Q's simulator."""
    cudaq.reset_target()
    expected = cudaq.sample(kernel, *args, shots_count=20)
    on(driver)
    assert dict(cudaq.sample(kernel, *args, shots_count=20).items()) == dict(expected.items())


REFUSED: list[tuple[Any, Any]] = [
    (list_first, ListFirst([2], [0.0, np.pi])),
    (tuple_with_list, ([0.0, np.pi], 2)),
    (bools, Bools([True, False, True])),
]


@pytest.mark.parametrize(("kernel", "given"), REFUSED, ids=[case[0].name for case in REFUSED])
def test_what_cudaq_reads_wrongly_is_refused(
    kernel: Any, given: Any, memory: Any, driver: Any
) -> None:
    """CUDA-Q 0.16 would run another circuit without a word; nothing is sent instead."""
    for call in (
        lambda: cudaq.sample(kernel, given),
        lambda: cudaq.sample_async(kernel, given).get(),
        lambda: cudaq.observe(kernel, cudaq.spin.z(0), given),
    ):
        with pytest.raises(UnsupportedFunctionError, match="is not supported"):
            call()
    assert driver.payloads_seen == []


def test_a_missing_argument_is_named(memory: Any, driver: Any) -> None:
    """CUDA-Q's own simulator would run with what is in memory."""
    with pytest.raises(InvalidInputError, match=r"takes 1 arguments.*not 0"):
        cudaq.sample(turn)
    assert driver.payloads_seen == []


CRASH = """
import cudaq

@cudaq.kernel
def nested_bools(flags: list[list[bool]]):
    q = cudaq.qvector(4)
    if flags[0][0]:
        x(q[0])

cudaq.set_target("qrmi")
try:
    cudaq.sample(nested_bools, [[True, False], [False, True]])
except RuntimeError as error:
    print(type(error).__name__)
"""


def test_lists_of_lists_of_bool_do_not_crash(program: Callable[..., Any]) -> None:
    """CUDA-Q 0.16 aborts the interpreter when it specialises them."""
    done = program(CRASH)
    assert (done.returncode, done.stdout) == (0, "UnsupportedFunctionError\n"), done.stderr


FORK = """
import os
import sys

import cudaq

@cudaq.kernel
def flip():
    q = cudaq.qvector(2)
    x(q[1])

cudaq.set_target("qrmi")
cudaq.sample(flip)
process = os.fork()
if process == 0:
    code = 1
    try:
        cudaq.sample(flip)
    except RuntimeError as error:
        code = 7 if "spawn" in str(error) else 2
    os._exit(code)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]))
"""


def test_a_fork_does_not_hang(program: Callable[..., Any]) -> None:
    """CUDA-Q cannot compile in the fork of a process that has: the error says what to do."""
    assert program(FORK).returncode == 7


@pytest.mark.parametrize("shots", [np.int64(5), np.uint8(5)])
def test_numpys_integers_are_numbers_of_shots(memory: Any, shots: Any) -> None:
    """As in CUDA-Q."""
    assert cudaq.sample(turn, 0.0, shots_count=shots).get_total_shots() == 5
    found = cudaq.observe(turn, cudaq.spin.z(0), 0.0, shots_count=shots)
    assert found.counts(cudaq.spin.z(0)).get_total_shots() == 5
