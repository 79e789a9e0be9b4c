"""Qiskit's primitives on the compute service, with results of real circuits."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qrmi.errors import IsaError
from qrmi.qiskit import EstimatorV2, SamplerV2, backend, job


def _sent(server):
    return [json.loads(r.body) for r in server.requests if r.path.endswith("/jobs") and r.body]


@pytest.fixture
def device(resource):
    return backend(resource)


@pytest.fixture
def compile_for(device):
    return generate_preset_pass_manager(optimization_level=1, backend=device, seed_transpiler=1)


def bell(measured=True) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    if measured:
        circuit.measure_all()
    return circuit


def test_target(server, device):
    """The circuits' target is made of the service's configuration and properties."""
    assert device.num_qubits == 5
    assert {"cz", "rz", "sx", "x", "measure"} <= set(device.operation_names)
    assert device.target["cz"][(0, 1)].error == pytest.approx(0.005)


@pytest.mark.parametrize("plain", [False, True])
def test_sampler(server, device, compile_for, plain):
    """Bell pairs are correlated, in either form of the service's answer; circuits go as QPY."""
    server.plain_results = plain
    result = SamplerV2(device).run([compile_for.run(bell())], shots=400).result()
    counts = result[0].data.meas.get_counts()
    assert set(counts) == {"00", "11"}
    assert sum(counts.values()) == 400
    (body,) = _sent(server)
    assert body["program_id"] == "sampler"
    assert body["params"]["pubs"][0][0]["__type__"] == "QuantumCircuit"


def test_sampler_with_parameters(device, compile_for):
    """Each set of values is run; qubit 0 turns from 0 to 1 as the angle does."""
    angle = Parameter("a")
    circuit = QuantumCircuit(1)
    circuit.rx(angle, 0)
    circuit.measure_all()
    pub = (compile_for.run(circuit), [[0.0], [np.pi]])
    data = SamplerV2(device).run([pub], shots=50).result()[0].data.meas
    assert data.shape == (2,)
    assert data[0].get_counts() == {"0": 50}
    assert data[1].get_counts() == {"1": 50}


def test_estimator(server, device, compile_for):
    """A Bell pair's ZZ and XX are one, its ZI is zero."""
    circuit = compile_for.run(bell(measured=False))
    observables = [SparsePauliOp(text).apply_layout(circuit.layout) for text in ("ZZ", "XX", "ZI")]
    values = EstimatorV2(device).run([(circuit, observables)], precision=0.01).result()[0].data.evs
    assert values == pytest.approx([1.0, 1.0, 0.0], abs=0.08)
    assert _sent(server)[0]["program_id"] == "estimator"


def test_options_travel_verbatim(server, device, compile_for):
    """What the user gives as run options is what the service gets."""
    options = {"twirling": {"enable_gates": True}, "experimental": {"tomorrow": [1, 2]}}
    sampler = SamplerV2(device, options={"run_options": options})
    sampler.run([compile_for.run(bell())], shots=10).result()
    assert _sent(server)[0]["params"]["options"] == options


def test_job_is_found_again(resource, device, compile_for):
    """A job's id is that of the service's job; its result is read again by id alone."""
    started = SamplerV2(device).run([compile_for.run(bell())], shots=10)
    again = job(started.job_id(), resource)
    assert again.result()[0].data.meas.num_shots == 10


def test_circuit_that_does_not_fit(server, device):
    """A circuit that is not in the device's instructions is refused before it is sent."""
    with pytest.raises(IsaError):
        SamplerV2(device).run([bell()])
    assert not _sent(server)


def test_ibms_client_side_sampler_never_calls_the_resource(server, device, compile_for):
    """What the documentation warns of: IBM's new sampler simulates other backends in silence.

    Should this fail, qiskit-ibm-runtime has changed: mend the notice in `qrmi.qiskit`.
    """
    from qiskit_ibm_runtime.executor_sampler import Sampler

    circuit = compile_for.run(bell())
    before = len(server.requests)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        counts = Sampler(mode=device).run([circuit], shots=50).result()[0].data.meas.get_counts()
    assert sum(counts.values()) == 50
    assert len(server.requests) == before
    assert not server.jobs
