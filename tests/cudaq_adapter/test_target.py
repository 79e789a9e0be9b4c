"""Selecting the target, leaving it, and what else of CUDA-Q does meanwhile."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cudaq
import numpy as np
import pytest
from cudaq import spin
from cudaq.operators import RydbergHamiltonian, ScalarOperator

import qrmi.cudaq
from qrmi.errors import (
    InvalidInputError,
    ResourceNotFoundError,
    UnsupportedPayloadError,
)
from qrmi.payloads import PasqalCloud
from qrmi.resource import QuantumResource


@cudaq.kernel
def flip():
    q = cudaq.qvector(2)
    x(q[1])


def test_the_target_comes_and_goes(memory: QuantumResource, driver: Any) -> None:
    """Other targets get their kernels themselves; coming back, the resource has them again."""
    assert cudaq.get_target().name == "qrmi"
    cudaq.sample(flip)
    for leave in (lambda: cudaq.set_target("qpp-cpu"), cudaq.reset_target):
        leave()
        assert cudaq.get_target().name != "qrmi"
        assert dict(cudaq.sample(flip, shots_count=7).items()) == {"01": 7}
        assert cudaq.sample_async(flip, shots_count=7).get().count("01") == 7
        assert cudaq.observe_async(flip, spin.z(1)).get().expectation() == -1
        assert np.array(cudaq.get_state(flip)).tolist() == [0, 0, 1, 0]
        flip()
        before = len(driver.payloads_seen)
        cudaq.set_target("qrmi", resource=memory)
        assert cudaq.get_target().name == "qrmi"
        assert dict(cudaq.sample(flip, shots_count=7).items()) == {"01": 7}
        assert len(driver.payloads_seen) == before + 1
    assert len(driver.payloads_seen) == 3


def test_a_future_outlives_the_target(memory: QuantumResource) -> None:
    """A task belongs to the resource that it was sent to, whatever is selected later."""
    future = cudaq.sample_async(flip, shots_count=7)
    cudaq.reset_target()
    assert future.get().count("01") == 7


def test_our_own_function_selects_it_too(driver: Any) -> None:
    resource = QuantumResource.from_driver(driver, resource_type="memory")
    try:
        qrmi.cudaq.set_target(resource)
        assert cudaq.get_target().name == "qrmi"
        assert cudaq.sample(flip, shots_count=7).count("01") == 7
    finally:
        cudaq.reset_target()


def test_a_wrong_choice_changes_nothing() -> None:
    """After an error the target is what it was."""
    cudaq.set_target("qpp-cpu")
    with pytest.raises(ResourceNotFoundError, match="no-such"):
        cudaq.set_target("qrmi", resource="no-such")
    with pytest.raises(InvalidInputError, match="machine"):
        cudaq.set_target("qrmi", machine="x")
    with pytest.raises(InvalidInputError, match="int"):
        cudaq.set_target("qrmi", resource=3)
    assert cudaq.get_target().name == "qpp-cpu"
    assert dict(cudaq.sample(flip, shots_count=7).items()) == {"01": 7}
    cudaq.reset_target()


def test_a_resource_for_another_kind_says_what_it_takes(
    on: Callable[[Any], Any], memory_driver: Any
) -> None:
    """A kernel of gates on a resource without circuits: the error names it and its formats."""

    class Analog(memory_driver):
        PAYLOADS = frozenset({PasqalCloud.FORMAT})

    on(Analog("rydberg"))
    for call in (lambda: cudaq.sample(flip), lambda: cudaq.observe(flip, spin.z(0))):
        with pytest.raises(UnsupportedPayloadError, match=r"rydberg .*gate.*pulser-sequence"):
            call()


def test_a_resource_for_gates_only_refuses_an_evolution(memory: QuantumResource) -> None:
    hamiltonian = RydbergHamiltonian(
        [(0.0, 0.0)],
        amplitude=ScalarOperator.const(1e6),
        phase=ScalarOperator.const(0.0),
        delta_global=ScalarOperator.const(0.0),
    )
    for evolve in (cudaq.evolve, cudaq.evolve_async):
        with pytest.raises(UnsupportedPayloadError, match=r"pulse sequences.*qiskit-primitive"):
            evolve(hamiltonian, schedule=cudaq.Schedule([0.0, 1e-6], ["t"]))


def test_looking_at_a_kernel_keeps_other_threads_on_the_resource(
    memory: QuantumResource, driver: Any
) -> None:
    """Drawing borrows CUDA-Q's simulator: what other threads run meanwhile is not simulated."""
    with ThreadPoolExecutor(4) as pool:
        drawn = [pool.submit(cudaq.draw, flip) for _ in range(8)]
        counts = [pool.submit(cudaq.sample, flip, shots_count=5) for _ in range(12)]
        assert all("x" in future.result() for future in drawn)
        results = [future.result() for future in counts]
    assert len(driver.payloads_seen) == 12
    assert all(result.annotations["task_id"].startswith("task-") for result in results)


def test_what_only_looks_at_a_kernel_works(memory: QuantumResource, driver: Any) -> None:
    """Drawing, the unitary, counting gates and translating send nothing and leave the target."""
    assert "x" in cudaq.draw(flip)
    assert cudaq.get_unitary(flip).shape == (4, 4)
    assert cudaq.estimate_resources(flip).count("x") == 1
    assert "OPENQASM" in cudaq.translate(flip, format="openqasm2")
    assert driver.payloads_seen == []
    assert cudaq.get_target().name == "qrmi"
    assert cudaq.sample(flip, shots_count=7).count("01") == 7
    assert len(driver.payloads_seen) == 1


PROGRAM = """
import sys
import cudaq
import numpy as np
from cudaq import get_state_async, observe, observe_async, spin
from cudaq import run, run_async, sample, sample_async

@cudaq.kernel
def flip():
    q = cudaq.qvector(2)
    x(q[1])

@cudaq.kernel
def bit() -> bool:
    q = cudaq.qubit()
    x(q)
    return mz(q)

noise = cudaq.NoiseModel()
zero = cudaq.State.from_data(np.array([1, 0], dtype=complex))
schedule = cudaq.Schedule([0.0, 1.0], ["t"])
cudaq.set_target("qrmi")
calls = {
    "sample_async": lambda: dict(sample_async(flip, shots_count=9).get().items()),
    "observe_async": lambda: observe_async(flip, spin.z(1)).get().expectation(),
    "run": lambda: run(bit, shots_count=3),
    "run_async": lambda: run_async(bit, shots_count=3).get(),
    "get_state": lambda: cudaq.get_state(flip),
    "get_state_async": lambda: get_state_async(flip).get(),
    "call": lambda: flip(),
    "call of a value": lambda: bit(),
    "noise": lambda: sample(flip, noise_model=noise),
    "noise async": lambda: sample_async(flip, noise_model=noise),
    "noise observe": lambda: observe(flip, spin.z(0), noise_model=noise),
    "set_noise": lambda: cudaq.set_noise(noise),
    "ptsbe": lambda: cudaq.ptsbe.sample(flip, noise_model=noise),
    "dem": lambda: cudaq.dem_from_kernel(flip, noise_model=noise),
    "parallel": lambda: observe(flip, spin.z(0), execution=cudaq.parallel.thread),
    "evolve": lambda: cudaq.evolve(spin.x(0), {0: 2}, schedule, zero),
    "evolve_async": lambda: cudaq.evolve_async(spin.x(0), {0: 2}, schedule, zero),
    "sample a value": lambda: sample(bit),
    "draw": lambda: len(cudaq.draw(flip)) > 10,
}
for call in sys.argv[1:]:
    try:
        print(f"{call}: RESULT", calls[call]())
    except Exception as error:
        print(f"{call}: ERROR", type(error).__name__, error)
"""

UNSUPPORTED = "ERROR UnsupportedFunctionError local "
ANSWERS = {
    "sample_async": "RESULT {'01': 9}",
    "observe_async": "RESULT -1.0",
    "draw": "RESULT True",
    "evolve": "ERROR ValueError",
    "evolve_async": "ERROR ValueError",
    "sample a value": "ERROR RuntimeError",
    **dict.fromkeys(
        ["run", "run_async", "get_state", "get_state_async", "call", "call of a value", "noise",
         "noise async", "noise observe", "set_noise", "ptsbe", "dem", "parallel"],
        UNSUPPORTED,
    ),
}  # fmt: skip


ALONE = ["sample_async", "observe_async", "run_async", "get_state_async", "call"]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The calls that once crashed each in a process of its own, the others in one."""
    path = tmp_path_factory.mktemp("calls") / "program.py"
    path.write_text(PROGRAM)

    def run(calls: list[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", str(path), *calls]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    groups = [*([call] for call in ALONE), [call for call in ANSWERS if call not in ALONE]]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(run, groups))
    return {call: result for group, result in zip(groups, done, strict=True) for call in group}


@pytest.mark.parametrize("call", ANSWERS)
def test_no_call_crashes(call: str, outcomes: dict[str, Any]) -> None:
    """What the resource can do works; what it cannot do is an error of ours that names it.

    Never a simulation instead, also by names that were imported before the target was selected.
    CUDA-Q's own refusals stay.
    """
    done = outcomes[call]
    assert done.returncode == 0, done.stderr
    assert f"{call}: {ANSWERS[call]}" in done.stdout


def test_nothing_is_printed(program: Callable[..., Any]) -> None:
    """CUDA-Q's warning about noise models at each launch is kept off standard output."""
    done = program(
        "import cudaq\n"
        "@cudaq.kernel\n"
        "def flip():\n    q = cudaq.qvector(2)\n    x(q[1])\n"
        'cudaq.set_target("qrmi")\n'
        "cudaq.sample(flip)\ncudaq.observe(flip, cudaq.spin.z(0))\n"
        "cudaq.sample_async(flip).get()\n"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_broken_plug_in_does_not_break_cudaq(program: Callable[..., Any]) -> None:
    """`import cudaq` goes on with a warning when our part of it fails."""
    done = program(
        "import warnings, sys\n"
        "import qrmi.cudaq.plugin as plugin\n"
        "def fail(*arguments): raise OSError('no such disk')\n"
        "plugin._wrap = fail\n"
        "with warnings.catch_warnings(record=True) as caught:\n"
        "    warnings.simplefilter('always')\n"
        "    import cudaq\n"
        "print([str(w.message) for w in caught if 'openqrmi' in str(w.message)])\n"
        "print(cudaq.get_target().name)\n"
    )
    assert done.returncode == 0, done.stderr
    assert "no such disk" in done.stdout
    assert "qpp-cpu" in done.stdout


def test_the_plug_in_is_light(program: Callable[..., Any]) -> None:
    """Inside `import cudaq` no SDK of ours is imported, and our part of it takes milliseconds."""
    done = program(
        "import time, cudaq, sys\n"
        "print(sorted(set(sys.modules) & {'qiskit', 'pulser', 'requests', 'qrmi.resource'}))\n"
    )
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


WITHOUT_QISKIT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "qiskit":
            raise ModuleNotFoundError("No module named 'qiskit'")

sys.meta_path.insert(0, Absent())
import cudaq

@cudaq.kernel
def flip():
    q = cudaq.qvector(2)
    x(q[1])

cudaq.set_target("qrmi")
z = cudaq.spin.z(0)
for call in (
    lambda: cudaq.sample(flip),
    lambda: cudaq.sample_async(flip),
    lambda: cudaq.observe(flip, z),
    lambda: cudaq.observe(flip, [z]),
    lambda: cudaq.observe_async(flip, z),
):
    try:
        call()
    except RuntimeError as error:
        print(type(error).__name__, error)
"""


def test_without_qiskit_the_error_says_what_to_install(program: Callable[..., Any]) -> None:
    """Kernels of gates need it; selecting the target does not."""
    done = program(WITHOUT_QISKIT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 5, done.stdout
    assert all(line.startswith("MissingExtraError ") for line in lines)
    assert all("openqrmi[qiskit]" in line for line in lines)
