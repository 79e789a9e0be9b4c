"""The IQM sandbox, proven by IQM's own client and by the Rust library."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from qiskit import QuantumCircuit
from qiskit.primitives.containers.sampler_pub import SamplerPub
from qiskit.transpiler import generate_preset_pass_manager

from qrmi import Payload, QuantumResource
from qrmi_iqm import codec
from qrmi_sandbox.iqm import IQMServer

GHZ = """
import json, warnings
warnings.simplefilter("ignore")
from iqm.qiskit_iqm import IQMProvider
from qiskit import QuantumCircuit, transpile
provider = IQMProvider({url!r}, quantum_computer={alias!r}, token={token!r})
backend = provider.get_backend(use_metrics=True)
circuit = QuantumCircuit(3, 3)
circuit.h(0)
circuit.cx(0, 1)
circuit.cx(0, 2)
circuit.x(1)
circuit.measure([0, 1, 2], [0, 1, 2])
job = backend.run(transpile(circuit, backend, optimization_level=1), shots=200)
counts = job.result(timeout=60).get_counts()
pairs = {{str(pair): gate.error for pair, gate in backend.target["cz"].items()}}
print(json.dumps({{
    "counts": counts,
    "status": backend.retrieve_job(job.job_id()).status().name,
    "qubits": backend.num_qubits,
    "r": backend.target["r"][(0,)].error,
    "cz": pairs,
    "durations": backend.target["measure"][(0,)].duration,
}}))
"""

RUST = """
import json, time, qrmi
from qrmi import Payload, QuantumResource, ResourceType, TaskStatus
settings = {{"QRMI_IQM_ISA_ENDPOINT": {url!r}, "QRMI_IQM_ISA_TOKEN": {token!r}}}
resource = QuantumResource.from_config("garnet", ResourceType.IQMServer, settings)
token = resource.acquire()
task = resource.task_start(Payload.IQMServer({body!r}, "circuit", False, "a tag"))
while resource.task_status(task) in (TaskStatus.Queued, TaskStatus.Running):
    time.sleep(0.05)
said = {{
    "task": task,
    "status": resource.status().to_dict(),
    "target": json.loads(resource.target().value),
    "result": json.loads(resource.task_result(task).value),
    "logs": resource.task_logs(task),
    "metadata": resource.metadata(),
}}
stopped = resource.task_start(Payload.IQMServer({slow!r}, "circuit", None, None))
resource.task_stop(stopped)
said["stopped"] = int(resource.task_status(stopped))
resource.release(token)
print(json.dumps(said))
"""


@pytest.fixture
def server() -> Iterator[IQMServer]:
    """The server."""
    with IQMServer() as started:
        yield started


@pytest.fixture
def resource(server: IQMServer) -> QuantumResource:
    """Our own handle on the same quantum computer."""
    return QuantumResource.from_config("garnet", "iqm-server", server.resource()["environment"])


def _request(*operations: dict[str, Any], shots: int) -> str:
    measure = {"name": "measure", "locus": ["QB3"], "args": {"key": "m_1_0_0"}}
    circuit = {"name": "test", "instructions": [*operations, measure]}
    return json.dumps({"circuits": [circuit], "shots": shots})


@pytest.mark.parametrize("alias", ["garnet", "sirius"])
def test_iqms_own_client_gets_right_counts_and_our_target(
    server: IQMServer, peer: Callable[[str], Any], alias: str
) -> None:
    """Architecture, metrics, transpiled circuit, polling, results: as its models want them.

    Couplings, errors and durations of our target are those of its own.
    """
    said = peer("iqm").run(GHZ.format(url=server.url, alias=alias, token=server.token))
    assert set(said["counts"]) == {"010", "101"}
    assert min(said["counts"].values()) > 50
    assert said["status"] == "DONE"
    settings = {**server.resource()["environment"], "QRMI_IQM_QC_ALIAS": alias}
    resource = QuantumResource.from_config(alias, "iqm-server", settings)
    target = codec.read_target(resource.target().value)
    assert target.num_qubits == said["qubits"]
    assert target["r"][(0,)].error == pytest.approx(said["r"])
    assert target["measure"][(0,)].duration == pytest.approx(said["durations"])
    ours = {str(pair): gate.error for pair, gate in target["cz"].items()}
    assert {pair: ours[pair] for pair in said["cz"]} == pytest.approx(said["cz"])


def test_our_requests_are_what_iqms_models_take(
    resource: QuantumResource, peer: Callable[[str], Any]
) -> None:
    """A run request of ours, read and checked by the classes of IQM's client, is unchanged."""
    device = types.SimpleNamespace(resource=resource, target_text=resource.target().value)
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 2)
    circuit.measure([0, 1, 2], [2, 1, 0])
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    passes = generate_preset_pass_manager(1, target=codec.read_target(device.target_text))
    pub = SamplerPub.coerce(passes.run(circuit), 10)
    options = {"heralding_mode": "zeros", "dd_mode": "enabled"}
    made = codec.encode_sampler([pub], device=device, options=options)
    script = f"""
import json, warnings
warnings.simplefilter("ignore")
from iqm.iqm_client import validate_circuit
from iqm.station_control.interface.models import CircuitJobDefinition
request = CircuitJobDefinition.model_validate_json({made.payloads[0].iqmjson!r})
for circuit in request.circuits:
    validate_circuit(circuit)
print(request.model_dump_json())
"""
    said = peer("iqm").run(script)
    sent = json.loads(made.payloads[0].iqmjson)
    assert (said["shots"], said["heralding_mode"], said["dd_mode"]) == (10, "zeros", "enabled")
    assert said["calibration_set_id"] == sent["calibration_set_id"]
    for mine, theirs in zip(
        sent["circuits"][0]["instructions"], said["circuits"][0]["instructions"], strict=True
    ):
        assert (theirs["name"], theirs["locus"], theirs["args"]) == tuple(mine.values())


def test_the_rust_client_goes_through_a_whole_cycle(
    server: IQMServer, resource: QuantumResource, peer: Callable[[str], Any]
) -> None:
    """Its view of a job, the target and the status is ours, but for spaces and order in texts."""
    turn = {"name": "prx", "locus": ["QB3"], "args": {"angle": math.pi, "phase": 0.0}}
    delay = {"name": "delay", "locus": ["QB3"], "args": {"duration": 2.0}}
    script = RUST.format(
        url=server.url,
        token=server.token,
        body=_request(turn, shots=20),
        slow=_request(delay, shots=1),
    )
    said = peer("rust").run(script)
    assert said["result"]["measurements"] == [{"m_1_0_0": [[1]] * 20}]
    assert said["result"] == json.loads(resource.task_result(said["task"]).value)
    assert said["logs"] == resource.task_logs(said["task"])
    assert said["status"] == resource.status().to_dict()
    assert list(said["target"]) == list(json.loads(resource.target().value))
    ours = json.loads(resource.target().value)
    name = "dynamic_quantum_architecture"
    assert said["target"][name] == ours[name]
    assert said["metadata"] == resource.metadata()
    assert said["stopped"] in (2, 4)
    assert server.executions["a tag"] == 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/jobs/none", 404),
        ("/api/v1/jobs/none/artifacts/measurements", 404),
        ("/api/v1/quantum-computers/none", 404),
        ("//api/v1/quantum-computers", 404),
        ("/api/v1/jobs/none?wait_until_terminal=true&timeout_seconds=31", 400),
    ],
)
def test_the_server_refuses_what_the_service_would(
    server: IQMServer, path: str, status: int
) -> None:
    """Errors have a code, a message and a request's id."""
    headers = {"authorization": f"Bearer {server.token}"}
    reply = server.answer("GET", path, headers, b"")
    assert reply.status == status
    assert {"error_code", "message", "request_id"} <= set(reply.body)
    assert server.answer("GET", path, {}, b"").status == 401


@pytest.mark.parametrize(
    "spoil",
    [
        lambda body: body.update(extra=1),
        lambda body: body.update(shots=0),
        lambda body: body.update(circuits=[]),
        lambda body: body["circuits"][0].pop("name"),
        lambda body: body["circuits"][0]["instructions"].append({"name": "h"}),
        lambda body: body["circuits"][0]["instructions"][0].update(qubits=["QB1"]),
        lambda body: body["circuits"][0]["instructions"][0]["args"].update(angle="1"),
        lambda body: body["circuits"][0]["instructions"].append(
            {"name": "measure", "locus": ["QB1"], "args": {"key": "m_1_0_0"}}
        ),
        lambda body: body["circuits"][0]["instructions"].append(
            {"name": "cz", "locus": ["QB1", "QB9"], "args": {}}
        ),
    ],
)
def test_the_server_is_strict_on_what_it_takes(
    server: IQMServer, resource: QuantumResource, spoil: Callable[[Any], Any]
) -> None:
    """A request with anything wrong is refused as a whole, and nothing runs."""
    turn = {"name": "prx", "locus": ["QB3"], "args": {"angle": 1.0, "phase": 0.0}}
    body = json.loads(_request(turn, shots=1))
    spoil(body)
    with pytest.raises(Exception, match="status 422"):
        resource.task_start(Payload.IQMServer(json.dumps(body), "circuit", None, None))
    assert not server.executions
