"""Qiskit end to end: transpile for the device, sample, estimate, ``backend.run``."""

from __future__ import annotations

import json
import types
import warnings

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit.transpiler import generate_preset_pass_manager

from qrmi import Payload, QuantumResource
from qrmi.errors import IsaError, ResourceNotFoundError, TaskFailedError
from qrmi.qiskit import EstimatorV2, QRMIBackend, SamplerV2, backend
from qrmi.qiskit import job as reopened
from qrmi.qiskit_iqm import IQMProvider
from qrmi.qiskit_iqm import QRMIBackend as IQMBackend


def ghz(size: int) -> QuantumCircuit:
    circuit = QuantumCircuit(size)
    circuit.h(0)
    for qubit in range(size - 1):
        circuit.cx(qubit, qubit + 1)
    return circuit


def translated(circuit: QuantumCircuit, device: QRMIBackend) -> QuantumCircuit:
    return generate_preset_pass_manager(1, backend=device).run(circuit)


@pytest.mark.parametrize("name", ["garnet", "sirius"])
def test_a_ghz_state_sampled(open_iqm, name) -> None:
    """Transpiled for the device, resonator or none; both outcomes and no other."""
    device = backend(open_iqm(name))
    circuit = ghz(4)
    circuit.x(1)
    circuit.measure_all()
    job = SamplerV2(device).run([translated(circuit, device)], shots=400)
    counts = job.result()[0].data.meas.get_counts()
    assert set(counts) == {"0010", "1101"}
    assert min(counts.values()) > 100


def test_registers_parameters_and_shots(resource) -> None:
    """Values of parameters in their shape, registers by name, pubs with shots of their own."""
    device = backend(resource)
    angle = Parameter("a")
    circuit = QuantumCircuit(
        QuantumRegister(2), ClassicalRegister(2, "x"), ClassicalRegister(1, "y")
    )
    circuit.ry(angle, 0)
    circuit.measure(0, circuit.cregs[0][1])
    circuit.x(1)
    circuit.measure(1, circuit.cregs[1][0])
    circuit = translated(circuit, device)
    values = np.array([[0.0, np.pi], [np.pi, 0.0]])
    job = SamplerV2(device).run([(circuit, values, 20), (circuit, [np.pi], 30)])
    first, second = job.result()
    assert first.data.x.shape == (2, 2)
    assert [first.data.x[place].get_counts() for place in np.ndindex(2, 2)] == [
        {"00": 20},
        {"10": 20},
        {"10": 20},
        {"00": 20},
    ]
    assert first.data.y[1, 1].get_counts() == {"1": 20}
    assert second.data.x.get_counts() == {"10": 30}
    assert len(job.task_ids()) == 2


def test_shots_may_be_numpys_integers(resource) -> None:
    """A request of equal shots stays one, whatever kind of integer they are."""
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    job = SamplerV2(backend(resource)).run([(circuit, None, np.int64(3)), circuit], shots=3)
    assert [pub.data.c.num_shots for pub in job.result()] == [3, 3]
    assert len(job.task_ids()) == 1


@pytest.mark.parametrize("name", ["garnet", "sirius"])
def test_expectation_values(open_iqm, name) -> None:
    """By sampling in the bases of the observables' terms, in the device's own gates."""
    device = backend(open_iqm(name))
    circuit = translated(ghz(2), device)
    terms = ["XX", "YY", "ZZ", "ZI"]
    observables = [SparsePauliOp(term).apply_layout(circuit.layout) for term in terms]
    (result,) = EstimatorV2(device).run([(circuit, observables)], precision=0.05).result()
    assert result.data.evs == pytest.approx([1, -1, 1, 0], abs=0.25)
    assert result.data.stds == pytest.approx([0, 0, 0, 0.05], abs=0.01)


def test_backend_run(resource) -> None:
    device = backend(resource)
    circuit = ghz(3)
    circuit.measure_all()
    result = device.run(translated(circuit, device), shots=100).result()
    assert set(result.get_counts()) == {"000", "111"}


def test_a_circuit_that_does_not_fit_is_not_sent(server, resource) -> None:
    device = backend(resource)
    circuit = ghz(2)
    circuit.measure_all()
    with pytest.raises(IsaError):
        SamplerV2(device).run([circuit])
    assert not [r for r in server.requests if r.method == "POST"]


@pytest.fixture
def configured(server, monkeypatch, tmp_path) -> None:
    """A configuration file with the server's entry."""
    file = tmp_path / "qrmi_config.json"
    file.write_text(json.dumps({"resources": [server.resource("garnet")]}))
    monkeypatch.setenv("QRMI_CONFIG", str(file))


def test_a_job_is_read_from_its_id_alone(configured) -> None:
    """Notes are in the journal, so another object reads the result in the same form."""
    device = backend("garnet")
    circuit = QuantumCircuit(2, 2, metadata={"why": "test"})
    circuit.x(0)
    circuit.measure([0, 1], [1, 0])
    circuit = translated(circuit, device)
    pubs = [(circuit, None, 5), (circuit, None, 6)]
    job = SamplerV2(device).run(pubs)
    for name in (job.job_id(), job.task_ids()[1]):
        first, second = reopened(name).result()
        assert first.data.c.get_counts() == {"10": 5}
        assert second.data.c.get_counts() == {"10": 6}
        assert first.metadata["circuit_metadata"] == {"why": "test"}
    run = device.run(circuit, shots=3)
    assert reopened(run.job_id()).result().get_counts() == {"10": 3}


def test_a_calibration_set_uses_the_entry_of_its_device(configured) -> None:
    """``garnet,<set>`` has the settings of ``garnet`` in the configuration file."""
    own = json.loads(backend("garnet").target_text)["calibration_set"]["observation_set_id"]
    assert backend(QuantumResource(f"garnet,{own}", "iqm-server")).num_qubits == 20


# --- upstream's module ----------------------------------------------------------------------------


@pytest.fixture
def granted(server, monkeypatch):
    """The job's environment as a scheduler leaves it."""
    monkeypatch.setenv("QRMI_JOB_QPU_RESOURCES", "garnet_mock,garnet")
    monkeypatch.setenv("QRMI_JOB_QPU_TYPES", "iqm-server,iqm-server")
    for name in ("garnet", "garnet_mock"):
        monkeypatch.setenv(f"{name}_QRMI_IQM_ISA_ENDPOINT", server.url)
        monkeypatch.setenv(f"{name}_QRMI_IQM_ISA_TOKEN", server.token)


def test_the_provider_gives_the_jobs_devices(granted) -> None:
    provider = IQMProvider(url="ignored")
    assert provider.get_backend("garnet").name == "garnet"
    assert provider.get_backend("garnet:mock").resource.metadata()["backend_name"] == "garnet:mock"
    with pytest.warns(UserWarning, match="garnet_mock is taken"):
        assert provider.get_backend().name == "garnet_mock"
    with pytest.raises(ResourceNotFoundError, match="emerald"):
        provider.get_backend("emerald")


def test_a_calibration_set_of_the_providers(granted, server) -> None:
    described = IQMProvider().get_backend("garnet").target_text
    own = json.loads(described)["dynamic_quantum_architecture"]["calibration_set_id"]
    device = IQMProvider().get_backend("garnet", calibration_set_id=own)
    assert device.num_qubits == 20
    assert server.requests[-1].path.split("/")[3] in ("calibration-sets", "quantum-computers")
    assert any(own in request.path for request in server.requests)


def test_run_as_iqm_spells_it(granted, server) -> None:
    """Gates that one rotation makes, options, callback and names, in one run request."""
    seen = []
    device = IQMProvider().get_backend("garnet")
    circuit = QuantumCircuit(2, 2, name="mine")
    circuit.x(0)
    circuit.ry(np.pi, 1)
    circuit.measure([0, 1], [0, 1])
    options = types.SimpleNamespace(heralding_mode="none", dd_mode="enabled", dd_strategy=None)
    job = device.run(
        [circuit],
        use_timeslot=True,
        shots=7,
        circuit_compilation_options=options,
        circuit_callback=seen.append,
        qubit_index_to_name={0: "QB5", 1: "QB2"},
    )
    assert seen == [[circuit]]
    sent = [request for request in server.requests if request.method == "POST"][-1]
    body = json.loads(sent.body)
    assert sent.query["use_timeslot"] == "true"
    assert (body["dd_mode"], body["shots"]) == ("enabled", 7)
    assert "dd_strategy" not in body
    loci = [op["locus"] for op in body["circuits"][0]["instructions"]]
    assert loci == [["QB5"], ["QB2"], ["QB5"], ["QB2"]]
    assert job.result().get_counts() == {"11": 7}


def test_a_run_request_as_a_file(granted, server) -> None:
    """What `run` would send, for ``Payload.IQMServer`` and the task runner."""
    device = IQMProvider().get_backend("garnet")
    circuit = QuantumCircuit(1, 1)
    circuit.x(0)
    circuit.measure(0, 0)
    request = device.create_run_request(circuit, shots=3)
    assert (len(request.circuits), request.shots) == (1, 3)
    task = device.qrmi.task_start(
        Payload.IQMServer(request.model_dump_json(), "circuit", None, None)
    )
    device.qrmi.task_wait(task)
    assert json.loads(device.qrmi.task_result(task).value)["measurements"] == [
        {"c_1_0_0": [[1], [1], [1]]}
    ]


def test_names_and_numbers_of_qubits(open_iqm) -> None:
    device = IQMBackend(open_iqm("sirius"))
    assert device.physical_qubits == ["QB1", "QB2", "QB3", "QB4", "QB5", "COMPR1"]
    assert device.qubit_name_to_index("QB3") == 2
    assert device.index_to_qubit_name(2) == "QB3"
    for wrong in (lambda: device.qubit_name_to_index("QB6"), lambda: device.index_to_qubit_name(9)):
        with pytest.raises(ValueError, match=r"QB6|no qubit 9"):
            wrong()
    device.max_circuits = 5
    assert device.max_circuits == 5


def test_older_options_are_taken_with_a_warning(granted) -> None:
    device = IQMBackend(IQMProvider().get_backend("garnet").resource, use_metrics=True)
    circuit = QuantumCircuit(1, 1)
    circuit.measure(0, 0)
    with pytest.warns(DeprecationWarning, match="max_circuit_duration_over_t2"):
        job = device.run(circuit, max_circuit_duration_over_t2=1e-9)
    with pytest.raises(TaskFailedError, match="keep their state"):
        job.result()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        device.run(circuit, colour="red", shots=1).result()
    assert ["colour" in str(warning.message) for warning in caught].count(True) == 1
