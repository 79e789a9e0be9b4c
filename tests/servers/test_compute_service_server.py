"""The compute service's server, proven by the Rust client and by IBM's own."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from qrmi_sandbox.compute_service import ComputeServiceServer, RuntimeServiceServer

_BELL = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
rz(pi/2) q[0];
sx q[0];
rz(pi/2) q[0];
rz(pi/2) q[1];
sx q[1];
rz(pi/2) q[1];
cz q[0], q[1];
rz(pi/2) q[1];
sx q[1];
rz(pi/2) q[1];
c[0] = measure q[0];
c[1] = measure q[1];
"""

_RUST = """
import json, os, time, warnings
warnings.simplefilter("ignore")
import qrmi
entry = json.loads(os.environ["ENTRY"])
kind = getattr(qrmi.ResourceType, os.environ["KIND"])
resource = qrmi.QuantumResource.from_config(entry["name"], kind, entry["environment"])
said = {"accessible": resource.is_accessible(), "status": resource.status().to_dict()}
said["qubits"] = json.loads(resource.target().value)["configuration"]["n_qubits"]
token = resource.acquire()
payload = qrmi.Payload.QiskitPrimitive(os.environ["INPUT"], "sampler")
task = resource.task_start(payload)
waiting = (qrmi.TaskStatus.Queued, qrmi.TaskStatus.Running)
while (status := resource.task_status(task)) in waiting:
    time.sleep(0.02)
said["completed"] = status == qrmi.TaskStatus.Completed
said["result"] = resource.task_result(task).value
said["log"] = resource.task_logs(task)
resource.task_stop(task)
said["metadata"] = dict(resource.metadata())
resource.release(token)
provider = qrmi.ResourceProvider(kind, entry["environment"])
said["found"] = [found.resource_id() for found in provider.resources("status=online")]
try:
    resource.task_status("job-of-nobody")
except qrmi.TaskNotFoundError as error:
    said["unknown"] = str(error)
print(json.dumps(said))
"""

_IBM = """
import json, os, warnings
warnings.simplefilter("ignore")
entry = json.loads(os.environ["ENTRY"])["environment"]
endpoint = entry["QRMI_IBM_QCS_ENDPOINT"]
from qiskit import QuantumCircuit, generate_preset_pass_manager
from qiskit.quantum_info import SparsePauliOp
from qiskit_ibm_runtime import EstimatorV2, QiskitRuntimeService, SamplerV2, Session
service = QiskitRuntimeService(
    channel="ibm_quantum_platform",
    token=entry["QRMI_IBM_QCS_IAM_APIKEY"],
    instance=entry["QRMI_IBM_QCS_SERVICE_CRN"],
    url_resolver=lambda *_: endpoint,
)
backend = service.backend("test_heron")
said = {"names": [found.name for found in service.backends()]}
said["least_busy"] = service.least_busy(simulator=False, operational=True).name
said["errors"] = backend.target["cz"][(0, 1)].error
compiler = generate_preset_pass_manager(1, backend=backend)
circuit = QuantumCircuit(2)
circuit.h(0)
circuit.cx(0, 1)
measured = circuit.copy()
measured.measure_all()
sampler = SamplerV2(backend, options={"environment": {"job_tags": ["mine"]}})
job = sampler.run([compiler.run(measured)], shots=400)
said["counts"] = job.result()[0].data.meas.get_counts()
said["status"], said["log"] = job.status(), job.logs()
said["tagged"] = [found.job_id() for found in service.jobs(job_tags=["mine"])] == [job.job_id()]
compiled = compiler.run(circuit)
observable = SparsePauliOp("ZZ").apply_layout(compiled.layout)
with Session(backend=backend) as session:
    estimate = EstimatorV2(mode=session).run([(compiled, observable)])
    said["value"] = float(estimate.result()[0].data.evs)
said["session"] = session.details()["state"]
raw = service._active_api_client.program_run(
    program_id="sampler", backend_name="test_heron", params={"pubs": [[1]], "version": 2},
    image=None, log_level=None, session_id=None,
)
failed = service.job(raw["id"])
failed.wait_for_final_state()
said["failed"], said["reason"] = failed.status(), failed.error_message()
print(json.dumps(said))
"""


@pytest.mark.parametrize(
    ("kind", "served"),
    [
        ("IBMQuantumComputeService", ComputeServiceServer),
        ("IBMQiskitRuntimeService", RuntimeServiceServer),
    ],
)
@pytest.mark.parametrize("tagged", [True, False])
def test_rust_client(
    peer: Callable[[str], Any], kind: str, served: type[ComputeServiceServer], tagged: bool
) -> None:
    """The Rust client goes through a whole cycle on both types, with true counts."""
    pubs = {"pubs": [[_BELL, None, 200]], "options": {}, "shots": 200, "version": 2}
    with served() as server:
        said = peer("rust").run(
            _RUST,
            ENTRY=json.dumps(server.resource()),
            KIND=kind,
            INPUT=json.dumps({**pubs, "support_qiskit": tagged}),
        )
        session = next(iter(server.sessions.values()))
        executions = sum(server.executions[job] for job in server.jobs)
    assert said["accessible"]
    assert said["completed"]
    assert said["qubits"] == 5
    assert said["status"]["status"] == "online"
    assert sorted(said["found"]) == ["test_eagle", "test_heron"]
    assert said["metadata"]["session_id"] == session.id
    assert "runs on test_heron" in said["log"]
    assert "1291" in said["unknown"]
    assert session.state == "closed"
    assert executions == 1
    if tagged:
        assert json.loads(said["result"])["__type__"] == "PrimitiveResult"
    else:
        samples = json.loads(said["result"])["results"][0]["data"]["c"]["samples"]
        assert set(samples) == {"0x0", "0x3"}
        assert len(samples) == 200


def test_rust_client_reads_the_queue(peer: Callable[[str], Any]) -> None:
    """The queue, the reason and whether it is busy reach the Rust client."""
    script = _RUST[: _RUST.index('said["qubits"]')] + "print(json.dumps(said))\n"
    with ComputeServiceServer() as server:
        entry = {**server.resource("test_paused")}
        said = peer("rust").run(
            script, ENTRY=json.dumps(entry), KIND="IBMQuantumComputeService", INPUT=""
        )
    assert not said["accessible"]
    assert said["status"]["status"] == "paused"
    assert said["status"]["status_reason"] == "calibration"
    assert said["status"]["pending_job_count"] == 0


def test_ibm_client(peer: Callable[[str], Any]) -> None:
    """IBM's own client lists devices, samples, estimates in a session, and reads a failure."""
    with ComputeServiceServer() as server:
        said = peer("here").run(
            _IBM,
            ENTRY=json.dumps(server.resource()),
            IAM_URL=server.url,
            QISKIT_FUNCTIONS_EXPERIMENTAL="1",  # the account's instances are not looked up
        )
    assert said["names"] == ["test_heron", "test_eagle", "test_paused", "test_simulator"]
    assert said["least_busy"] == "test_eagle"
    assert said["errors"] == pytest.approx(0.005)
    assert set(said["counts"]) == {"00", "11"}
    assert sum(said["counts"].values()) == 400
    assert said["status"] == "DONE"
    assert "runs on test_heron" in said["log"]
    assert said["tagged"]
    assert said["value"] == pytest.approx(1.0, abs=0.1)
    assert said["session"] == "closed"
    assert said["failed"] == "ERROR"
    assert "pub 0" in said["reason"]
