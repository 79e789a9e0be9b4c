"""CUDA-Q on the embedded resource `local`: nothing is set up, nothing stands in for anything."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cudaq
import pytest
from cudaq import spin
from cudaq.operators import RydbergHamiltonian, ScalarOperator

import qrmi
import qrmi.cudaq
from qrmi.errors import InvalidInputError, TaskNotFoundError

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(autouse=True)
def on_local(local: qrmi.QuantumResource) -> Iterator[None]:
    cudaq.set_target("qrmi", resource=local)
    yield
    cudaq.reset_target()


@cudaq.kernel
def ghz(n: int):
    q = cudaq.qvector(n)
    h(q[0])
    for i in range(n - 1):
        x.ctrl(q[i], q[i + 1])


@cudaq.kernel
def registers():
    q = cudaq.qvector(3)
    x(q[2])
    left = mz(q[0])
    right = mz(q[1:3])


def test_by_default_and_by_name() -> None:
    for selection in ({}, {"resource": "local"}):
        cudaq.set_target("qrmi", **selection)
        assert set(cudaq.sample(ghz, 3)) == {"000", "111"}


def test_a_ghz_state_of_100_qubits() -> None:
    counts = cudaq.sample(ghz, 100, shots_count=100)
    assert set(counts) == {"0" * 100, "1" * 100}


def test_observe() -> None:
    operator = spin.z(0) * spin.z(1) + 0.5 * spin.x(0) * spin.x(1)
    assert cudaq.observe(ghz, operator, 2).expectation() == pytest.approx(1.5)
    assert cudaq.observe(ghz, operator, 2, shots_count=500).expectation() == pytest.approx(1.5)


RYDBERG = RydbergHamiltonian(
    atom_sites=[(0.0, 0.0), (6e-6, 0.0), (20e-6, 0.0)],
    amplitude=ScalarOperator(lambda t: 5e6 if 0 < t.real < 1e-6 else 0.0),
    phase=ScalarOperator.const(0.0),
    delta_global=ScalarOperator(lambda t: -4e6 + 10e6 * t.real / 1e-6),
)


def schedule() -> cudaq.Schedule:
    return cudaq.Schedule([0.0, 0.2e-6, 0.8e-6, 1e-6], ["t"])


def test_evolve_runs_on_the_pulse_simulator() -> None:
    """Site 0 is leftmost: the atom that stands alone, the last, is excited independently."""
    result = cudaq.evolve(RYDBERG, schedule=schedule(), shots_count=400)
    assert type(result) is cudaq.SampleResult
    assert result.get_total_shots() == 400
    together = sum(count for bits, count in result.items() if bits.startswith("11"))
    alone = sum(count for bits, count in result.items() if bits.endswith("1"))
    assert together < 40 < alone
    future = cudaq.evolve_async(RYDBERG, schedule=schedule())
    assert future.get().get_total_shots() == 100
    assert dict(qrmi.cudaq.result(str(future)).items()) == dict(future.get().items())


def test_evolve_refuses() -> None:
    """A used-up schedule, zero shots, another Hamiltonian."""
    once = schedule()
    cudaq.evolve(RYDBERG, schedule=once, shots_count=1)
    with pytest.raises(InvalidInputError, match=r"schedule\.reset\(\)"):
        cudaq.evolve(RYDBERG, schedule=once, shots_count=1)
    with pytest.raises(InvalidInputError, match="at least 1"):
        cudaq.evolve(RYDBERG, schedule=schedule(), shots_count=0)
    with pytest.raises(ValueError, match="RydbergHamiltonian"):
        cudaq.evolve(spin.x(0), schedule=schedule())


START = """
import cudaq
from cudaq import spin

@cudaq.kernel
def registers():
    q = cudaq.qvector(3)
    x(q[2])
    left = mz(q[0])
    right = mz(q[1:3])

@cudaq.kernel
def flip():
    q = cudaq.qvector(2)
    x(q[1])

cudaq.set_target("qrmi")
operator = 2.0 * spin.z(1) + 0.5 * spin.x(0) + 0.25
print(cudaq.sample_async(registers, shots_count=20))
print(cudaq.observe_async(flip, operator))
print(cudaq.observe_async(flip, operator, shots_count=200))
"""


def test_results_by_id_from_another_process(program: Callable[..., Any]) -> None:
    """The ids that a process printed before it ended are all that is needed."""
    done = program(START)
    assert done.returncode == 0, done.stderr
    sampled, exact, shots = done.stdout.split()
    counts = qrmi.cudaq.result(sampled)
    assert dict(counts.items()) == {"001": 20}
    assert dict(counts.get_register_counts("right").items()) == {"01": 20}
    assert dict(cudaq.AsyncSampleResult(sampled).get().items()) == {"001": 20}
    value = qrmi.cudaq.result(exact)
    assert value.expectation() == pytest.approx(-1.75)
    assert value.expectation(spin.z(1)) == pytest.approx(-1)
    assert cudaq.SpinOperator(value.get_spin()).term_count == 3
    measured = qrmi.cudaq.result(shots)
    assert measured.expectation() == pytest.approx(-1.75, abs=0.2)
    assert measured.counts(spin.z(1)).get_total_shots() == 200


def test_a_task_of_nobody(local: qrmi.QuantumResource) -> None:
    """An unknown id is an error; so is a task that another SDK started."""
    with pytest.raises(TaskNotFoundError):
        qrmi.cudaq.result("no-such-task")
    future = cudaq.sample_async(ghz, 2)
    future.get()
    from qiskit import QuantumCircuit
    from qiskit.primitives.containers.sampler_pub import SamplerPub

    from qrmi.codecs import primitive

    circuit = QuantumCircuit(1)
    circuit.measure_all()
    task = local.task_start(
        primitive.encode_sampler([SamplerPub.coerce(circuit, 10)]), context={"sdk": "qiskit"}
    )
    with pytest.raises(InvalidInputError, match="qiskit"):
        qrmi.cudaq.result(task)


@pytest.mark.parametrize("name", ["cudaq_ghz.py", "cudaq_observe.py", "cudaq_rydberg.py"])
def test_the_examples_run(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """docs/examples are complete programs."""
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")
    assert capsys.readouterr().out.strip()
