"""`QRMIBackend` is a BackendV2: it drives the transpiler, and it runs circuits."""

from __future__ import annotations

import pickle
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from qiskit import (
    ClassicalRegister,
    QuantumCircuit,
    QuantumRegister,
    generate_preset_pass_manager,
    transpile,
)
from qiskit.circuit import Parameter
from qiskit.circuit.library import efficient_su2
from qiskit.exceptions import QiskitError
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit.providers import BackendV2, JobV1
from qiskit.quantum_info import SparsePauliOp
from qiskit.result import Result

from qrmi import QuantumResource
from qrmi.codecs import isa
from qrmi.errors import InvalidInputError, IsaError, UnsupportedPayloadError
from qrmi.qiskit import QRMIBackend, SamplerV2, backend
from qrmi.qiskit import job as reopen


def ghz(size: int = 3, name: str = "ghz") -> QuantumCircuit:
    circuit = QuantumCircuit(size, name=name, metadata={"size": size})
    circuit.h(0)
    for qubit in range(1, size):
        circuit.cx(qubit - 1, qubit)
    circuit.measure_all()
    return circuit


# --- what it is -----------------------------------------------------------------------------------


def test_target_is_read_once_and_only_when_needed(tiny: QuantumResource, driver: Any) -> None:
    device = QRMIBackend(tiny)
    assert (device.name, driver.targets_read) == ("tiny", 0)
    assert device.num_qubits == 3
    assert device.max_circuits == 7
    assert device.target is device.target
    assert driver.targets_read == 1
    device.refresh()
    assert device.num_qubits == 3
    assert driver.targets_read == 2


def test_target_is_the_devices(tiny: QuantumResource) -> None:
    device = backend(tiny)
    assert isinstance(device, BackendV2)
    assert {"cz", "sx", "rz", "x", "measure"} <= set(device.operation_names)
    assert set(device.coupling_map.get_edges()) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert not device.simulator


def test_embedded_simulator_says_that_it_is_one(local: QuantumResource) -> None:
    assert backend(local).simulator
    assert backend().name == "local"


@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_pass_managers(tiny: QuantumResource, level: int) -> None:
    """What a preset pass manager or `transpile` makes for the backend fits the device."""
    device = backend(tiny)
    made = generate_preset_pass_manager(optimization_level=level, backend=device).run(ghz())
    isa.check(made, device.target)
    isa.check(transpile(ghz(), device, optimization_level=level), device.target)


def test_fractional_gates_can_be_left_out(tiny: QuantumResource) -> None:
    assert {"rx", "rzz"} <= set(QRMIBackend(tiny).operation_names)
    whole = QRMIBackend(tiny).target
    kept = QRMIBackend(tiny, fractional_gates=False).target
    assert set(whole.operation_names) - set(kept.operation_names) == {"rx", "rzz"}
    assert kept.num_qubits == whole.num_qubits
    assert all(kept[name] == whole[name] for name in kept.operation_names)


def test_resources_without_gate_programs(pulses_only: QuantumResource) -> None:
    for use in (backend, lambda r: QRMIBackend(r).target, lambda r: QRMIBackend(r).run(ghz())):
        with pytest.raises(UnsupportedPayloadError, match="neutral") as error:
            use(pulses_only)
        assert "pulser-sequence" in error.value.hint


def test_backends_can_be_pickled(local: QuantumResource) -> None:
    device = backend(local)
    assert device.num_qubits
    again = pickle.loads(pickle.dumps(device))
    assert again.run(ghz(), shots=1).result().success


def test_an_imitated_device_is_a_backend() -> None:
    """A Qiskit target, imitated: its backend drives the pass manager, its noise shows."""
    from qiskit.providers.fake_provider import GenericBackendV2

    import qrmi_local

    generic = GenericBackendV2(4, coupling_map=[[0, 1], [1, 2], [2, 3]], seed=5)
    device = backend(qrmi_local.resource(target=generic.target, name="generic"))
    assert (device.name, device.num_qubits, device.simulator) == ("generic", 4, False)
    assert set(device.operation_names) >= {"cx", "sx", "rz", "x", "measure"}
    with pytest.raises(IsaError):
        SamplerV2(device).run([ghz(4)])
    made = generate_preset_pass_manager(optimization_level=1, backend=device, seed_transpiler=1)
    job = SamplerV2(device).run([made.run(ghz(4))], shots=2000)
    counts = job.result()[0].data.meas.get_counts()
    assert counts["0000"] + counts["1111"] > 1500
    reopened = reopen(job.job_id())
    assert reopened.backend().name == "generic"
    assert reopened.result()[0].data.meas.get_counts() == counts


def test_primitives_can_be_shared_between_threads(local: QuantumResource) -> None:
    sampler = SamplerV2(local)

    def sampled(size: int) -> set[str]:
        return set(sampler.run([ghz(size)], shots=50).result()[0].data.meas.get_counts())

    with ThreadPoolExecutor(6) as pool:
        for size, outcomes in zip(range(2, 14), pool.map(sampled, range(2, 14)), strict=True):
            assert outcomes <= {"0" * size, "1" * size}


# --- run ------------------------------------------------------------------------------------------


def test_run_gives_counts_memory_and_headers(local: QuantumResource) -> None:
    circuits = [ghz(2, "two"), ghz(3, "three")]
    job = backend(local).run(circuits, shots=50)
    result = job.result()
    assert isinstance(job, JobV1)
    assert isinstance(result, Result)
    assert (result.backend_name, result.job_id, result.success) == ("local", job.job_id(), True)
    assert set(result.get_counts(circuits[0])) <= {"00", "11"}
    assert set(result.get_counts("three")) <= {"000", "111"}
    memory = result.get_memory("two")
    counts = {bits: memory.count(bits) for bits in set(memory)}
    assert counts == dict(result.get_counts("two"))
    assert sum(counts.values()) == 50
    header = result.results[1].header
    assert header["name"] == "three"
    assert header["metadata"] == {"size": 3}
    assert header["creg_sizes"] == [["meas", 3]]
    assert header["qreg_sizes"] == [["q", 3]]
    assert (header["memory_slots"], header["n_qubits"]) == (3, 3)


def test_headers_are_those_of_qiskits_simulator(local: QuantumResource) -> None:
    """BasicSimulator's headers, key by key."""
    from qiskit.providers.basic_provider import BasicSimulator

    circuit = QuantumCircuit(
        QuantumRegister(1, "a"), QuantumRegister(1, "b"), ClassicalRegister(2, "c"), name="both"
    )
    circuit.add_register(ClassicalRegister(1, "d"))
    circuit.global_phase = 0.5
    circuit.x(1)
    circuit.measure([0, 1], [0, 2])
    theirs = BasicSimulator().run(circuit).result()
    ours = backend(local).run(circuit, shots=1024).result()
    for key in ("name", "creg_sizes", "qreg_sizes", "memory_slots", "n_qubits", "global_phase"):
        assert ours.results[0].header[key] == theirs.results[0].header[key], key
    assert dict(ours.get_counts()) == dict(theirs.get_counts())


def test_result_survives_its_own_dictionary(local: QuantumResource) -> None:
    result = backend(local).run(ghz(), shots=5).result()
    again = Result.from_dict(result.to_dict())
    assert again.get_counts() == result.get_counts()
    assert again.get_memory() == result.get_memory()
    assert pickle.loads(pickle.dumps(result)).get_memory() == result.get_memory()


def test_circuits_without_bits_have_no_counts(local: QuantumResource) -> None:
    circuit = QuantumCircuit(1)
    circuit.h(0)
    result = backend(local).run([circuit], shots=3).result()
    with pytest.raises(QiskitError, match="No counts"):
        result.get_counts()


def test_seed_makes_a_run_repeatable(local: QuantumResource) -> None:
    device = backend(local)
    runs = [device.run(ghz(), shots=200, seed_simulator=11).result() for _ in range(2)]
    assert runs[0].get_memory() == runs[1].get_memory()
    assert runs[0].get_memory() != device.run(ghz(), shots=200).result().get_memory()


def test_options_have_defaults_that_can_be_set(local: QuantumResource) -> None:
    device = QRMIBackend(local, shots=12)
    assert device.run(ghz()).result().results[0].shots == 12
    device.set_options(shots=13)
    assert device.run(ghz()).result().results[0].shots == 13
    assert device.run(ghz(), shots=14).result().results[0].shots == 14
    with pytest.raises(AttributeError, match="colour"):
        device.set_options(colour="red")


def test_unknown_options_are_warned_of(local: QuantumResource) -> None:
    device = backend(local)
    with pytest.warns(UserWarning, match="meas_level"):
        result = device.run(ghz(), shots=3, meas_level=2).result()
    assert sum(result.get_counts().values()) == 3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        device.run(ghz(), shots=3, memory=True, seed_simulator=1)


@pytest.mark.parametrize(
    ("circuits", "options"),
    [
        (lambda: ghz(), {"shots": 0}),
        (lambda: ghz(), {"shots": 1.5}),
        (lambda: [ghz(), "ghz"], {}),
        (lambda: _rotation(), {}),
        (lambda: 5, {}),
        (lambda: None, {}),
        (lambda: ghz(), {"seed_simulator": "x"}),
        (lambda: ghz(), {"seed_simulator": 1.5}),
    ],
    ids=["zero", "float", "text", "unbound", "number", "none", "text_seed", "float_seed"],
)
def test_bad_runs_send_nothing(
    tiny: QuantumResource, driver: Any, circuits: Any, options: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInputError):
        QRMIBackend(tiny).run(circuits(), isa_check=False, **options)
    assert not driver.payloads


def test_circuits_off_the_isa_are_not_sent(tiny: QuantumResource, driver: Any) -> None:
    with pytest.raises(IsaError):
        QRMIBackend(tiny).run(ghz())
    with pytest.raises(IsaError):
        QRMIBackend(tiny).run(QuantumCircuit(4))
    assert not driver.payloads


def _rotation() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.rx(Parameter("t"), 0)
    circuit.measure(0, 0)
    return circuit


# --- Qiskit's primitives on the backend -----------------------------------------------------------


def test_backend_sampler_of_qiskit(local: QuantumResource) -> None:
    """Qiskit's own sampler reads `memory`, the route on which other backends give all zeros."""
    circuit = QuantumCircuit(2)
    circuit.add_register(ClassicalRegister(1, "low"), ClassicalRegister(2, "high"))
    circuit.x(1)
    circuit.measure(0, 0)
    circuit.measure(1, 2)
    sampler = BackendSamplerV2(backend=backend(local))
    data = sampler.run([circuit, _bound(np.pi)], shots=20).result()[0].data
    assert data.low.get_counts() == {"0": 20}
    assert data.high.get_counts() == {"10": 20}


def _bound(angle: float) -> QuantumCircuit:
    return _rotation().assign_parameters([angle])


def test_backend_estimator_of_qiskit(local: QuantumResource) -> None:
    device = backend(local)
    circuit = transpile(efficient_su2(2, reps=1), device)
    observable = SparsePauliOp(["ZZ", "XX"], [1, 0.5]).apply_layout(circuit.layout)
    pub = (circuit, observable, np.zeros(circuit.num_parameters))
    result = BackendEstimatorV2(backend=device).run([pub], precision=0.05).result()
    assert result[0].data.evs == pytest.approx(1, abs=0.2)
