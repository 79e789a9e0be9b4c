"""The OQTOPUS sandbox, used by the service's own client; and both clients' results compared."""

from __future__ import annotations

import json

import pytest

from qrmi import Payload, QuantumResource
from qrmi_sandbox.oqtopus import OqtopusServer

BELL = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
qubit[2] q;
h q[0];
cx q[0], q[1];
c = measure q;
"""

RUN = """
import json, os
from oqtopus_client import OqtopusClient, OqtopusConfig, OqtopusJobSpec

config = OqtopusConfig(url=os.environ["URL"], api_token=os.environ["TOKEN"])
program = os.environ["PROGRAM"]
client = OqtopusClient(config)
device = client.get_device("ring")
spec = OqtopusJobSpec.sampling(device_id="qulacs", program=program, shots=100, name="n")
sampled = client.run_sampling(spec, interval=0.02)
spec = OqtopusJobSpec.estimation(
    device_id="qulacs",
    program=program,
    shots=100,
    operator=[{"pauli": "Z 0 Z 1", "coeff": 2.0}, {"pauli": "X 0 X 1", "coeff": 1.0}],
)
estimated = client.run_estimation(spec, interval=0.02)
print(json.dumps({
    "devices": [found.device_id for found in client.list_devices()],
    "couplings": len(device.device_info["couplings"]),
    "status": sampled.status.value,
    "job": sampled.job_id,
    "counts": sampled.job_info.result.sampling.counts,
    "value": estimated.job_info.result.estimation.exp_value,
    "jobs": len(client.list_jobs()),
}))
"""


@pytest.fixture
def server():
    with OqtopusServer() as server:
        yield server


def test_the_services_own_client(server, peer, private_state):
    """Devices, a sampling and an estimation; our driver reads what that client started."""
    server.linked_info = True
    environment = {"URL": server.url, "TOKEN": server.token, "PROGRAM": BELL}
    told = peer("oqtopus").run(RUN, **environment)
    assert told["devices"] == ["qulacs", "ring", "asleep"]
    assert told["couplings"] == 4
    assert told["status"] == "succeeded"
    assert set(told["counts"]) <= {"00", "11"}
    assert sum(told["counts"].values()) == 100
    assert told["value"] == pytest.approx(3.0)
    assert told["jobs"] == 2
    entry = server.resource()
    ours = QuantumResource.from_config("qulacs", "oqtopus", entry["environment"])
    result = json.loads(ours.task_result(told["job"]).value)
    assert result["job_info"]["result"]["sampling"]["counts"] == told["counts"]
    assert result["name"] == "n"


READ = """
import json, os
from oqtopus_client import OqtopusClient, OqtopusConfig

config = OqtopusConfig(url=os.environ["URL"], api_token=os.environ["TOKEN"])
client = OqtopusClient(config)
result = client.get_job(os.environ["JOB"])
print(json.dumps({
    "status": result.status.value,
    "program": result.job_info.input.program[0],
    "counts": result.job_info.result.sampling.counts,
    "name": result.name,
}))
"""


def test_the_services_own_client_reads_what_we_started(server, peer, private_state):
    """What our driver uploads and submits is whole in the other client's eyes."""
    entry = server.resource()
    ours = QuantumResource.from_config("qulacs", "oqtopus", entry["environment"])
    spec = {"job_type": "sampling", "program": BELL, "shots": 30}
    task = ours.task_start(Payload.Oqtopus(json.dumps(spec)), key="from us")
    ours.task_wait(task, 20)
    told = peer("oqtopus").run(READ, URL=server.url, TOKEN=server.token, JOB=task)
    assert told["status"] == "succeeded"
    assert told["program"] == BELL
    assert told["name"] == "from us"
    assert sum(told["counts"].values()) == 30
