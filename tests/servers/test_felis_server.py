"""The Felis sandbox, used by the upstream library's client."""

from __future__ import annotations

import json

import pytest
from qiskit import QuantumCircuit

from qrmi_alice_bob.instructions import functions_of
from qrmi_alice_bob.qir import write_qir
from qrmi_sandbox.felis import FelisServer
from qrmi_sandbox.felis_targets import TARGETS

CYCLE = """
import json, os, time
import qrmi

payload = json.loads(os.environ["PROGRAM"])
resource = qrmi.QuantumResource("ab_emu_6q_rotations", qrmi.ResourceType.AliceBobFelis)
token = resource.acquire()
told = {
    "accessible": resource.is_accessible(),
    "metadata": resource.metadata(),
    "target": json.loads(resource.target().value)["name"],
}
task = resource.task_start(qrmi.Payload.AliceBobFelis(payload["qir"], payload["params"]))
final = (qrmi.TaskStatus.Completed, qrmi.TaskStatus.Failed, qrmi.TaskStatus.Cancelled)
while resource.task_status(task) not in final:
    time.sleep(0.02)
told["status"] = int(resource.task_status(task))
told["result"] = resource.task_result(task).value
resource.task_stop(task)
resource.release(token)
print(json.dumps(told))
"""


@pytest.fixture
def server():
    with FelisServer() as server:
        yield server


def environment(server, **program):
    prefix = "ab_emu_6q_rotations_QRMI_AB_FELIS"
    return {
        f"{prefix}_API_KEY": server.api_key,
        f"{prefix}_BASE_ENDPOINT": server.url,
        "PROGRAM": json.dumps(program),
    }


def test_the_upstream_client_goes_through_a_whole_cycle(server, peer):
    """Acquire, start a program that our codec wrote, look, fetch, stop, release."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([0, 1], [0, 1])
    target = next(t for t in TARGETS if t["name"] == "EMU:6Q:ROTATIONS")
    qir = write_qir(circuit, functions_of(target))
    params = json.dumps({"nbShots": 50, "averageNbPhotons": 4.0})
    told = peer("rust").run(CYCLE, **environment(server, qir=qir, params=params))
    assert told["accessible"] is True
    assert told["metadata"] == {"felis_target": "EMU:6Q:ROTATIONS"}
    assert told["target"] == "EMU:6Q:ROTATIONS"
    assert told["status"] == 2
    rows = [line.split(",") for line in told["result"].splitlines()]
    assert {bits for bits, _ in rows} <= {"00", "11"}
    assert sum(int(count) for _, count in rows) == 50
    assert list(server.executions.values()) == [1]


def test_the_upstream_client_sees_a_failed_job(server, peer):
    """A program that is no QIR is taken, and the job fails."""
    params = json.dumps({"nbShots": 5, "averageNbPhotons": 4.0})
    script = CYCLE
    for line in (
        'told["result"] = resource.task_result(task).value\n',
        "resource.task_stop(task)\n",
    ):
        script = script.replace(line, "")
    told = peer("rust").run(script, **environment(server, qir="no QIR", params=params))
    assert told["status"] == 3
    assert not server.executions
