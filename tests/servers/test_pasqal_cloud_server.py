"""The server for Pasqal Cloud, proven by clients that none of us wrote.

They are the Rust ``qrmi``, and Pasqal's own ``pasqal-cloud`` with its Pulser connection.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pulser
import pytest
from pulser.devices import AnalogDevice
from pulser.register.special_layouts import TriangularLatticeLayout

from qrmi import QuantumResource
from qrmi.codecs.analog import decode_batch, decode_counter
from qrmi.payloads import AnalogJob, PasqalCloud, PulserBatch
from qrmi.tasks import TaskStatus
from qrmi_sandbox.pasqal_cloud import PROJECT_ID, PasqalCloudServer
from qrmi_sandbox.pasqal_tokens import PASSWORD, USERNAME

AHS = {
    "setup": {
        "ahs_register": {
            "sites": [["0.00000000", "0.00000000"], ["0.00004000", "0.00000000"]],
            "filling": [1, 1],
        }
    },
    "hamiltonian": {
        "drivingFields": [
            {
                name: {
                    "pattern": "uniform",
                    "time_series": {"times": ["0.0", "0.000001"], "values": [value, value]},
                }
                for name, value in (("amplitude", "3141592.65"), ("phase", "0"), ("detuning", "0"))
            }
        ],
        "localDetuning": [],
    },
}

_RUST = """
import json, time
from qrmi import Payload, QuantumResource, ResourceType, TaskStatus

given = json.loads({given!r})
resource = QuantumResource.from_config(
    given["name"], ResourceType.PasqalCloud, given["environment"])
final = (TaskStatus.Completed, TaskStatus.Failed, TaskStatus.Cancelled)

def cycle(text):
    task = resource.task_start(Payload.PasqalCloud(text, 40))
    deadline = time.monotonic() + 60
    while resource.task_status(task) not in final and time.monotonic() < deadline:
        time.sleep(0.05)
    status = int(resource.task_status(task))
    return [task, status, resource.task_result(task).value]

def stopped(text):
    task = resource.task_start(Payload.PasqalCloud(text, 40))
    resource.task_stop(task)
    return int(resource.task_status(task))

print(json.dumps({{
    "status": resource.status().to_dict(),
    "target": [entry["device_type"] for entry in json.loads(resource.target().value)],
    "pulser": cycle(given["sequence"]),
    "cudaq": cycle(given["program"]),
    "stopped": stopped(given["sequence"]),
}}))
"""


@pytest.fixture
def server() -> Iterator[PasqalCloudServer]:
    """A fresh account."""
    with PasqalCloudServer() as running:
        yield running


@pytest.fixture
def sweep() -> pulser.Sequence:
    """Two atoms that do not feel each other; after 300 ns both are in the Rydberg state."""
    register = TriangularLatticeLayout(61, 5.0).define_register(0, 60)
    made = pulser.Sequence(register, dataclasses.replace(AnalogDevice, name="FRESNEL"))
    made.declare_channel("global", "rydberg_global")
    duration = made.declare_variable("t", dtype=int)
    made.add(pulser.Pulse.ConstantPulse(duration, 3.14159265 / 0.3, 0, 0), "global")
    made.measure("ground-rydberg")
    return made


# --- the Rust library -----------------------------------------------------------------------------


@pytest.mark.parametrize("person", [True, False], ids=["person", "service account"])
@pytest.mark.parametrize("name", ["EMU_FREE", "FRESNEL"])
@pytest.mark.timeout(700)
def test_the_rust_library_runs_both_kinds_of_tasks(
    server: PasqalCloudServer,
    sweep: pulser.Sequence,
    peer: Callable[[str], Any],
    tmp_path: Any,
    name: str,
    person: bool,
) -> None:
    """Log in with a token that it must renew; a sequence, a CUDA-Q program, a stop."""
    server.token_seconds = 11.0  # it renews ten seconds before the end
    entry = server.resource(name)
    if person:
        entry["environment"] |= {"PASQAL_USERNAME": USERNAME, "PASQAL_PASSWORD": PASSWORD}
    given = {**entry, "sequence": sweep.build(t=300).to_abstract_repr(), "program": json.dumps(AHS)}
    script = _RUST.format(given=json.dumps(given))
    told = peer("rust").run(script, HOME=str(tmp_path))
    assert told["status"]["status"] == "online"
    assert told["target"] == (["FRESNEL", "FRESNEL_CAN1"] if name == "EMU_FREE" else ["FRESNEL"])
    for kind in ("pulser", "cudaq"):
        task_id, status, value = told[kind]
        assert (status, json.loads(value)) == (2, {"counter": {"11": 40}})
        assert server.executions[task_id] == 1
    assert told["stopped"] in (2, 4)
    grant = "http://auth0.com/oauth/grant-type/password-realm" if person else "client_credentials"
    assert set(server.tokens_given) == {grant}


# --- Pasqal's own library -------------------------------------------------------------------------


@pytest.fixture
def account(server: PasqalCloudServer) -> dict[str, Any]:
    """Arguments of its clients."""
    pytest.importorskip("pasqal_cloud")
    from pasqal_cloud.endpoints import PASQAL_ENDPOINTS, Endpoints, TokenProviderConf

    assert PASQAL_ENDPOINTS["prod"].core.endswith("/core-fast")
    login = TokenProviderConf.from_region("fr")
    login.token_endpoint = f"{server.url}/oauth/token"
    return {
        "username": USERNAME,
        "password": PASSWORD,
        "project_id": PROJECT_ID,
        "endpoints": Endpoints(core=f"{server.url}/core-fast", account=f"{server.url}/account"),
        "auth_config": login,
    }


@pytest.fixture
def client(account: dict[str, Any]) -> Any:
    """Its client."""
    from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient

    return PasqalCloudClient(**account)


def ended(client: Any, batch_id: str) -> Any:
    """The batch, once it has ended; its own waiting begins with two seconds."""
    deadline = time.monotonic() + 60
    while client.get_batch_status(batch_id).value in ("PENDING", "RUNNING"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return client.get_batch(batch_id)


def test_its_client_runs_a_batch(
    server: PasqalCloudServer, client: Any, sweep: pulser.Sequence
) -> None:
    """Variables, tags, results from the storage, the list of batches."""
    jobs = [{"runs": 5, "variables": {"t": [16]}}, {"runs": 20, "variables": {"t": [300]}}]
    text = sweep.to_abstract_repr()
    batch = client.create_batch(text, jobs, device_type="FRESNEL", tags=["mine"])
    found = ended(client, batch.id)
    assert found.status == "DONE"
    assert [job.runs for job in found.ordered_jobs] == [5, 20]
    assert found.ordered_jobs[1].result == {"11": 20}
    assert found.ordered_jobs[1].full_result["raw"] == ["11"] * 20
    assert found.sequence_builder == text
    from pasqal_cloud.utils.filters import BatchFilters

    listed = client.get_batches(filters=BatchFilters(tag="mine")).results
    assert [entry.id for entry in listed] == [batch.id]
    assert client.get_batches(filters=BatchFilters(tag="other")).total == 0
    assert server.executions["mine"] == 2


def test_its_client_runs_an_open_batch(client: Any, sweep: pulser.Sequence) -> None:
    """Jobs are added until it is closed; then no more are taken."""
    from pasqal_cloud.errors import BatchClosingError, JobCreationError

    batch = client.create_batch(sweep.to_abstract_repr(), [], open=True, device_type="EMU_FREE")
    batch.add_jobs([{"runs": 5, "variables": {"t": [300]}}])
    batch.add_jobs([{"runs": 6, "variables": {"t": [300]}}])
    assert [job.runs for job in batch.ordered_jobs] == [5, 6]
    batch.close()
    found = ended(client, batch.id)
    assert [job.result for job in found.ordered_jobs] == [{"11": 5}, {"11": 6}]
    with pytest.raises(JobCreationError):
        batch.add_jobs([{"runs": 5, "variables": {"t": [300]}}])
    with pytest.raises(BatchClosingError):
        batch.close()


def test_its_client_cancels(server: PasqalCloudServer, client: Any, sweep: pulser.Sequence) -> None:
    """A batch and a job; what has ended cannot be cancelled."""
    from pasqal_cloud.errors import BatchCancellingError

    server.run_seconds = 30.0
    jobs = [{"runs": 5, "variables": {"t": [300]}}] * 2
    batch = client.create_batch(sweep.to_abstract_repr(), jobs, device_type="EMU_FREE")
    batch.ordered_jobs[0].cancel()
    batch.cancel()
    assert batch.status == "CANCELED"
    assert {job.status for job in client.get_batch(batch.id).ordered_jobs} == {"CANCELED"}
    with pytest.raises(BatchCancellingError):
        batch.cancel()


def test_its_client_is_refused(
    server: PasqalCloudServer, account: dict[str, Any], client: Any, sweep: pulser.Sequence
) -> None:
    """A wrong password, a foreign project, a device of another name, an unknown batch."""
    from pasqal_cloud.authentication import TokenProviderError
    from pasqal_cloud.errors import BatchCreationError, BatchFetchingError
    from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient

    with pytest.raises(TokenProviderError, match="Wrong email or password"):
        PasqalCloudClient(**{**account, "password": "other"})
    with pytest.raises(BatchFetchingError):
        client.get_batch("00000000-0000-0000-0000-000000000000")
    text = sweep.to_abstract_repr()
    jobs = [{"runs": 5, "variables": {"t": [300]}}]
    with pytest.raises(BatchCreationError, match="made for another device"):
        client.create_batch(text, jobs, device_type="FRESNEL_CAN1")
    client.project_id = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(BatchCreationError, match="not a member"):
        client.create_batch(text, jobs, device_type="FRESNEL")


def test_its_client_reads_devices(server: PasqalCloudServer, client: Any) -> None:
    """With a token all descriptions, without one the public ones."""
    from pasqal_cloud.endpoints import Endpoints
    from pasqal_cloud.pasqal_cloud_client import PasqalCloudClient

    server.private = {"FRESNEL_CAN1"}
    assert set(client.get_device_specs_dict()) == {"FRESNEL", "FRESNEL_CAN1"}
    nobody = PasqalCloudClient(
        endpoints=Endpoints(core=f"{server.url}/core-fast", account=f"{server.url}/account")
    )
    assert set(nobody.get_device_specs_dict()) == {"FRESNEL"}


def test_its_pulser_connection_runs_on_it(account: dict[str, Any], sweep: pulser.Sequence) -> None:
    """Pulser's own way to Pasqal Cloud: a device, and an emulator with its configuration."""
    from pasqal_cloud import PasqalCloudConnection, RemoteEmuFreeBackend
    from pulser import QPUBackend
    from pulser.backend import BitStrings, EmulationConfig, Occupation

    connection = PasqalCloudConnection(**account)
    results = QPUBackend(sweep, connection).run([{"runs": 9, "variables": {"t": [300]}}])
    ended(connection.cloud_client, results.batch_id)
    assert results.results[0].final_bitstrings == {"11": 9}
    wanted = EmulationConfig(observables=[BitStrings(num_shots=4), Occupation()])
    emulated = RemoteEmuFreeBackend(sweep.build(t=300), connection, config=wanted).run()
    ended(connection.cloud_client, emulated.batch_id)
    assert emulated.results[0].final_bitstrings == {"11": 4}
    assert emulated.results[0].occupation[-1] == pytest.approx([1.0, 1.0], abs=0.01)


# --- they and we --------------------------------------------------------------------------------


def test_its_pulser_connection_reads_what_we_started(
    server: PasqalCloudServer, account: dict[str, Any], sweep: pulser.Sequence
) -> None:
    """A batch of ours is a batch like any other: Pasqal's library has its jobs and results."""
    from pasqal_cloud import PasqalCloudConnection
    from pulser.backend.remote import RemoteResults

    entry = server.resource("FRESNEL")
    ours = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
    jobs = [AnalogJob(runs=5, variables={"t": [16]}), AnalogJob(runs=6, variables={"t": [300]})]
    task_id = ours.task_start(PulserBatch(sequence=sweep.to_abstract_repr(), jobs=jobs))
    assert ours.task_wait(task_id, 60) is TaskStatus.COMPLETED
    theirs = RemoteResults(task_id.removeprefix("batch:"), PasqalCloudConnection(**account))
    found = {f"job:{job_id}" for job_id in theirs.get_available_results()}
    assert found == {job.id for job in ours.batch_jobs(task_id)}
    assert theirs.results[1].final_bitstrings == {"11": 6}


def test_we_read_what_its_client_started(
    server: PasqalCloudServer, client: Any, sweep: pulser.Sequence
) -> None:
    """The id of any batch of the account is a task's id, however many jobs it has."""
    jobs = [{"runs": 5, "variables": {"t": [300]}}, {"runs": 6, "variables": {"t": [300]}}]
    text = sweep.to_abstract_repr()
    several = client.create_batch(text, jobs, device_type="FRESNEL").id
    single = client.create_batch(text, jobs[:1], device_type="FRESNEL").id
    entry = server.resource("FRESNEL")
    ours = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
    assert ours.list_tasks() == [single, f"batch:{several}"]
    assert ours.task_wait(several, 60) is TaskStatus.COMPLETED
    assert ours.task_wait(single, 60) is TaskStatus.COMPLETED
    assert decode_counter(ours.task_result(single).value) == {"11": 5}
    assert len(decode_batch(ours.task_result(several).value)) == 2


@pytest.mark.timeout(700)
def test_the_rust_library_fetches_what_we_started(
    server: PasqalCloudServer, sweep: pulser.Sequence, peer: Callable[[str], Any], tmp_path: Any
) -> None:
    """A task id of ours is one of theirs, for a sequence with one job."""
    entry = server.resource("EMU_FREE")
    ours = QuantumResource.from_config(entry["name"], entry["type"], entry["environment"])
    task_id = ours.task_start(PasqalCloud(sweep.build(t=300).to_abstract_repr(), 8))
    assert ours.task_wait(task_id, 60) is TaskStatus.COMPLETED
    script = (
        "import json; from qrmi import QuantumResource, ResourceType\n"
        f"entry = json.loads({json.dumps(entry)!r})\n"
        "theirs = QuantumResource.from_config("
        "entry['name'], ResourceType.PasqalCloud, entry['environment'])\n"
        f"status = int(theirs.task_status({task_id!r}))\n"
        f"print(json.dumps([status, theirs.task_result({task_id!r}).value]))\n"
    )
    status, value = peer("rust").run(script, HOME=str(tmp_path))
    assert (status, json.loads(value)) == (2, {"counter": {"11": 8}})
