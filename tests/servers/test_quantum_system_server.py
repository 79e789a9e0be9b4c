"""The quantum system's server, proven by the Rust client and by published signatures."""

from __future__ import annotations

import hashlib
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from qrmi_sandbox import s3
from qrmi_sandbox.faults import Fault
from qrmi_sandbox.quantum_system import CRN, QuantumSystemServer
from qrmi_sandbox.server import Refusal

_VECTOR_PATH = "/my-bucket/input_84276890-8100-49fd-9851-efcc09cabac6.json"
_VECTOR_QUERY = (
    "x-id=GetObject&X-Amz-Algorithm=AWS4-HMAC-SHA256"
    "&X-Amz-Credential=AKIDEXAMPLE%2F20261122%2Fus-east%2Fs3%2Faws4_request"
    "&X-Amz-Date=20261122T125344Z&X-Amz-Expires=3600&X-Amz-SignedHeaders=host"
)
_VECTOR_SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

_BELL = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] c;
sx $0;
sx $1;
cz $0, $1;
c[0] = measure $0;
c[1] = measure $1;
"""
_INPUT = json.dumps({"pubs": [[_BELL, None, 64]], "version": 2, "support_qiskit": False})

_PEER = """
import json, time, qrmi
settings = json.loads({settings!r})
name = settings["name"]
resource = qrmi.QuantumResource.from_config(
    name, qrmi.ResourceType.IBMQuantumSystem, settings["environment"]
)
said = {{}}
def cycle(text):
    task = resource.task_start(qrmi.Payload.QiskitPrimitive(text, "sampler"))
    while (status := resource.task_status(task)) == qrmi.TaskStatus.Running:
        time.sleep(0.05)
    return task, status
"""


def _script(server: QuantumSystemServer, body: str) -> str:
    head = _PEER.format(settings=json.dumps(server.resource()))
    return f"{head}\n{body}\nprint(json.dumps(said))\n"


@pytest.fixture
def server() -> Iterator[QuantumSystemServer]:
    """The server."""
    with QuantumSystemServer() as server:
        yield server


@pytest.fixture
def rust(peer: Callable[[str], Any]) -> Any:
    """The Rust client."""
    return peer("rust")


def test_the_rust_client_goes_through_a_whole_cycle(server: QuantumSystemServer, rust: Any) -> None:
    """Status, target, start, wait, result, log and stop, as the client understands our answers."""
    server.lanes = 3
    body = f"""
said["accessible"] = resource.is_accessible()
said["status"] = resource.status().to_dict()
said["target"] = json.loads(resource.target().value)
token = resource.acquire()
task, status = cycle({_INPUT!r})
said["completed"] = status == qrmi.TaskStatus.Completed
said["result"] = json.loads(resource.task_result(task).value)
said["logs"] = resource.task_logs(task)
resource.task_stop(task)
try:
    resource.task_status(task)
except qrmi.TaskNotFoundError as error:
    said["gone"] = str(error)
resource.release(token)
"""
    said = rust.run(_script(server, body))
    assert said["accessible"] is True
    assert said["status"]["capacity"] == {"available_slots": 3, "max_slots": 3}
    assert said["target"]["configuration"]["n_qubits"] == 5
    assert said["target"]["properties"]["backend_name"] == "test_heron"
    assert said["completed"]
    field = said["result"]["results"][0]["data"]["c"]
    assert field["num_bits"] == 2
    assert len(field["samples"]) == 64
    assert said["logs"].startswith("sampler on test_heron")
    assert "1291" in said["gone"]
    assert not server.jobs
    assert list(server.executions.values()) == [1]


def test_the_rust_client_understands_how_tasks_end(server: QuantumSystemServer, rust: Any) -> None:
    """Failures with their reason, running tasks, cancelled ones, and ids that nobody has."""
    server.failure = (1517, "boom", "retry")
    server.programs = {"estimator": lambda text: "{}"}
    server.seconds_of = {"estimator": 30.0}
    server.cancel_seconds = 0.5
    body = f"""
def refusal(call):
    try:
        call()
    except qrmi.QrmiError as error:
        return [type(error).__mro__[0].__name__, str(error)]
task, status = cycle({_INPUT!r})
said["failed"] = status == qrmi.TaskStatus.Failed
said["failure"] = refusal(lambda: resource.task_result(task))
resource.task_stop(task)
slow = resource.task_start(qrmi.Payload.QiskitPrimitive("{{}}", "estimator"))
said["running"] = refusal(lambda: resource.task_result(slow))
said["stopped"] = refusal(lambda: resource.task_stop(slow))
while resource.task_status(slow) == qrmi.TaskStatus.Running:
    time.sleep(0.05)
said["cancelled"] = resource.task_status(slow) == qrmi.TaskStatus.Cancelled
said["unknown"] = refusal(lambda: resource.task_status("84276890-8100-49fd-9851-efcc09cabac6"))
"""
    said = rust.run(_script(server, body))
    assert said["failed"]
    assert "code: 1517, message: boom, solution: retry" in said["failure"][1]
    assert "running" in said["running"][1]
    # The client deletes at once, while the job still ends: 1337, as on the real service.
    assert "1337" in said["stopped"][1]
    assert said["cancelled"]
    assert said["unknown"][0] == "TaskNotFoundError"


def test_the_rust_client_gets_over_refused_tokens_and_hiccups(
    server: QuantumSystemServer, rust: Any
) -> None:
    """It fetches another token after a 401 and repeats what got a 503; one task, run once."""
    server.run_seconds = 1.5
    server.faults.add(Fault(kind="status", status=503, match="POST /v1/jobs"))
    threading.Timer(1.0, server.expire_tokens).start()
    body = f"""
task, status = cycle({_INPUT!r})
said["completed"] = status == qrmi.TaskStatus.Completed
"""
    assert rust.run(_script(server, body))["completed"]
    assert list(server.executions.values()) == [1]
    assert server.tokens_given.total() >= 2


def test_the_rust_client_lists_systems(server: QuantumSystemServer, rust: Any) -> None:
    """Its discovery finds what our answers describe."""
    body = """
found = qrmi.ResourceProvider(qrmi.ResourceType.IBMQuantumSystem, settings["environment"])
said["names"] = sorted(r.resource_id() for r in found.resources("name=test_*&num_qubits=6"))
said["simulators"] = [r.resource_id() for r in found.resources("is_simulator=true")]
"""
    said = rust.run(_script(server, body))
    assert said == {"names": ["test_eagle", "test_paused"], "simulators": ["test_simulator"]}


def test_the_rust_client_is_refused_with_wrong_keys(server: QuantumSystemServer, rust: Any) -> None:
    """A wrong API key, a wrong storage key, an unknown system."""
    body = f"""
def with_(name=name, **changes):
    return qrmi.QuantumResource.from_config(
        name, qrmi.ResourceType.IBMQuantumSystem, {{**settings["environment"], **changes}}
    )
def refusal(call):
    try:
        call()
    except qrmi.QrmiError as error:
        return [type(error).__name__, str(error)]
payload = qrmi.Payload.QiskitPrimitive({_INPUT!r}, "sampler")
said["api"] = refusal(with_(QRMI_IBM_QS_IAM_APIKEY="wrong").is_accessible)
wrong = with_(QRMI_IBM_QS_AWS_SECRET_ACCESS_KEY="wrong")
said["storage"] = refusal(lambda: wrong.task_start(payload))
said["system"] = refusal(with_("nowhere").is_accessible)
"""
    said = rust.run(_script(server, body))
    assert said["api"][0] == "AuthenticationFailedError"
    assert "BXNIM0415E" in said["api"][1]
    assert said["storage"] is not None
    assert said["system"][0] == "ResourceNotFoundError"
    assert not server.executions


# --- signatures -----------------------------------------------------------------------------------


def test_the_published_signature() -> None:
    """Canonical request and signature are those of the reference vector."""
    canonical = s3.canonical_request(
        "GET",
        _VECTOR_PATH,
        _VECTOR_QUERY,
        {"host": "s3.example.com"},
        ["host"],
        "UNSIGNED-PAYLOAD",
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    assert digest == "2b5fdd5d31de664bef292f1f7576d518685130ec9419d0ea8111c4159fa09574"
    signed = s3.signature(_VECTOR_SECRET, "20261122T125344Z", "us-east", canonical)
    assert signed == "ee6a83337b89c79a1d7ebb29c83a44d45771cc2085ee9988d1c4524057e081da"


def _presigned(server: QuantumSystemServer, method: str, name: str, lifetime: int = 60) -> str:
    from qrmi.settings import Secret
    from qrmi_ibm.quantum_system.storage import Storage

    storage = Storage(
        endpoint=server.url,
        public_endpoint=server.url,
        bucket=s3.BUCKET,
        region=s3.REGION,
        access_key_id=Secret(s3.ACCESS_KEY_ID),
        secret_access_key=Secret(s3.SECRET_ACCESS_KEY),
    )
    return storage.presigned(method, name, lifetime)


def _refused(server: QuantumSystemServer, method: str, url: str) -> str:
    with pytest.raises(Refusal) as refused:
        server.check_presigned(method, url)
    return str(refused.value.reply.body)


def test_presigned_urls_are_good_for_one_thing(server: QuantumSystemServer) -> None:
    """Another method, object, host, lifetime, or a later time is refused."""
    url = _presigned(server, "PUT", "a b+c.json")
    assert server.check_presigned("PUT", url) == "a b+c.json"
    assert "x-id" in _refused(server, "GET", url)
    assert "SignatureDoesNotMatch" in _refused(server, "PUT", url.replace("a%20b", "a%20d"))
    assert "another host" in _refused(server, "PUT", url.replace("127.0.0.1", "localhost"))
    assert "SignatureDoesNotMatch" in _refused(
        server, "PUT", url.replace("Expires=60", "Expires=600")
    )
    assert "X-Amz-Expires" in _refused(server, "PUT", _presigned(server, "PUT", "a", 604_801))
    server.clock = lambda: 4e9  # type: ignore[method-assign]
    assert "expired" in _refused(server, "PUT", url)


def test_presigned_urls_work_over_http(server: QuantumSystemServer) -> None:
    """Whoever holds the URL can use it, with no other credentials."""
    put = urllib.request.Request(_presigned(server, "PUT", "x.json"), data=b"{}", method="PUT")
    with urllib.request.urlopen(put, timeout=10) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(_presigned(server, "GET", "x.json"), timeout=10) as answer:
        assert answer.read() == b"{}"
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(_presigned(server, "GET", "y.json"), timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{server.url}/{s3.BUCKET}/x.json", timeout=10)


# --- strictness -----------------------------------------------------------------------------------


def _token(server: QuantumSystemServer) -> str:
    form = "grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey&apikey=sandbox-api-key"
    with urllib.request.urlopen(
        f"{server.url}/identity/token", form.encode(), timeout=10
    ) as answer:
        return str(json.load(answer)["access_token"])


def _ask(
    server: QuantumSystemServer, method: str, path: str, body: Any = None, **headers: str | None
) -> int:
    given = {
        "accept": "application/json",
        "authorization": f"Bearer {_token(server)}",
        "service-crn": CRN,
        "content-type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    request = urllib.request.Request(
        server.url + path,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={name: value for name, value in given.items() if value is not None},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def _body(server: QuantumSystemServer, **changes: Any) -> dict[str, Any]:
    task = "27ac8e19-3ce1-43af-93f1-3c4d1583d3de"
    urls = {
        "input": _presigned(server, "GET", f"input_{task}.json"),
        "results": _presigned(server, "PUT", f"results_{task}.json"),
        "logs": _presigned(server, "PUT", f"logs_{task}.json"),
    }
    storage = {k: {"presigned_url": v, "type": "s3_compatible"} for k, v in urls.items()}
    body = {
        "backend": "test_heron",
        "id": task,
        "log_level": "debug",
        "program_id": "sampler",
        "storage": storage,
        "timeout_secs": 600,
    }
    return {**body, **changes}


def test_requests_that_are_not_as_they_should_be(server: QuantumSystemServer) -> None:
    """No token, another instance, a header or parameter too many, a path with two slashes."""
    backend = "/v1/backends/test_heron"
    assert _ask(server, "GET", backend) == 200
    assert _ask(server, "GET", backend, authorization=None) == 401
    assert _ask(server, "GET", backend, authorization="Bearer x") == 401
    assert _ask(server, "GET", backend, service_crn="crn:v1:other") == 403
    assert _ask(server, "GET", backend, accept="*/*") == 400
    assert _ask(server, "GET", backend, x_extra="1") == 400
    assert _ask(server, "GET", backend + "?limit=1") == 400
    assert _ask(server, "GET", "/" + backend) == 404
    assert _ask(server, "GET", "/v1/backends/none/lanes") == 404
    assert _ask(server, "PUT", backend) == 404
    server.expire_tokens()
    assert _ask(server, "GET", backend) == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "1"},
        {"id": "27AC8E19-3CE1-43AF-93F1-3C4D1583D3DE"},
        {"timeout_secs": 0},
        {"timeout_secs": "600"},
        {"timeout_secs": True},
        {"log_level": "loud"},
        {"program_id": "other"},
        {"extra": 1},
        {"storage": {}},
        {"storage": None},
    ],
    ids=str,
)
def test_jobs_that_are_not_as_they_should_be(
    server: QuantumSystemServer, changes: dict[str, Any]
) -> None:
    """Anything but an exact body is refused, and no job is made."""
    assert _ask(server, "POST", "/v1/jobs", _body(server, **changes)) == 400
    assert not server.jobs


def test_ids_are_used_once_and_lanes_are_counted(server: QuantumSystemServer) -> None:
    """A used id is refused, also after its record went; records hold lanes; systems are locked."""
    server.lanes, server.run_seconds = 1, 60.0
    body = _body(server)
    path = f"/v1/jobs/{body['id']}"
    assert _ask(server, "POST", "/v1/jobs", body) == 204
    assert _ask(server, "POST", "/v1/jobs", body) == 409
    other = _body(server, id="37ac8e19-3ce1-43af-93f1-3c4d1583d3de")
    assert _ask(server, "POST", "/v1/jobs", other) == 429
    assert _ask(server, "DELETE", path) == 409
    assert _ask(server, "POST", path + "/cancel") == 204
    for _ in range(1000):
        if server.jobs[body["id"]].status == "Cancelled":
            break
        threading.Event().wait(0.01)
    assert _ask(server, "POST", path + "/cancel") == 409
    assert _ask(server, "DELETE", path) == 204
    assert _ask(server, "DELETE", path) == 404
    assert _ask(server, "POST", "/v1/jobs", body) == 409
    server.devices["test_heron"]["locked"] = True
    assert _ask(server, "POST", "/v1/jobs", other) == 423
    assert _ask(server, "POST", "/v1/jobs", {**other, "backend": "none"}) == 404
